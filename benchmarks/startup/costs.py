"""CPU seconds and peak memory of fresh processes: commands, imports, and a bare interpreter's."""

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.shared.processes import jepa_jax, measure
from benchmarks.shared.tables import table

SAMPLES = Path(__file__).parents[2] / "jepa_jax" / "assets" / "samples"
IMPORTS = (
    "import numpy, pyarrow, typer, rich",
    "import jepa_jax",
    "import jepa_jax.report",
    "import jepa_jax.store",
)


def commands(scores: Path, page: Path) -> dict[str, list[str]]:
    """What is measured, by the name that it is shown under."""
    found = {line: [sys.executable, "-c", line] for line in IMPORTS}
    return found | {
        "jepa-jax --help": jepa_jax("--help"),
        "jepa-jax show": jepa_jax("show", str(scores)),
        "jepa-jax select --bottom 10%": jepa_jax("select", str(scores), "--bottom", "10%"),
        "jepa-jax report": jepa_jax("report", str(scores), "--out", str(page)),
    }


def run(repeats: int) -> dict:
    """The median and the range of each, of `repeats` turns after one that fills the caches."""
    with tempfile.TemporaryDirectory() as work:
        scores, page = Path(work) / "scores", Path(work) / "report.html"
        measure(jepa_jax("score", str(SAMPLES), "--encoder", "embedded", "--out", str(scores)))
        each = commands(scores, page)
        turns = [{name: measure(c) for name, c in each.items()} for _ in range(repeats + 1)][1:]
    rows = {}
    for name in each:
        cpu = sorted(turn[name]["cpu_seconds"] for turn in turns)
        rows[name] = {
            "cpu_seconds": round(statistics.median(cpu), 3),
            "cpu_seconds_range": [round(cpu[0], 3), round(cpu[-1], 3)],
            "seconds": round(statistics.median(turn[name]["seconds"] for turn in turns), 3),
            "peak_megabytes": round(
                statistics.median(turn[name]["peak_megabytes"] for turn in turns), 1
            ),
        }
    return {"repeats": repeats, "processes": rows}


def page(found: dict) -> str:
    """The table in Markdown."""
    header = ["process", ("CPU seconds", 2), ("lowest", 2), ("highest", 2), ("peak memory, MB", 0)]
    lines = [
        [f"`{name}`", row["cpu_seconds"], *row["cpu_seconds_range"], row["peak_megabytes"]]
        for name, row in found["processes"].items()
    ]
    return "\n\n".join(
        (
            "# What a command costs before it does anything",
            f"`python -m benchmarks.startup`: fresh processes, medians of {found['repeats']} turns "
            "after one that fills the disk's cache; `show`, `select` and `report` on the scores of "
            "the 41 bundled samples.",
            table(header, lines),
        )
    )
