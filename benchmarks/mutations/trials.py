"""Each image read in a process that may die of it, and all of them scored."""

import json
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

from benchmarks.mutations.mutants import Mutant
from benchmarks.shared.tables import table

# An image that takes longer is said to hang.
LIMIT = 30.0


def read_each(folder: Path, files: Sequence[Mutant], limit: float = LIMIT) -> list[dict[str, Any]]:
    """What came of every image by itself: "ok", "unreadable", "crash", "hang" or "other error",
    and its seconds.

    A process reads them one after the other; one that dies or takes too long is named and the
    next image gets another process.
    """
    found: list[dict[str, Any]] = []
    while len(found) < len(files):
        child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.mutations.reader", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        ask, answers = cast(IO[str], child.stdin), cast(IO[str], child.stdout)
        answers.readline()  # It is there, its imports done.
        for file in files[len(found) :]:
            began = time.monotonic()
            answer = ""
            try:
                ask.write(file.name + "\n")
                ask.flush()
                if select.select([answers], [], [], limit)[0]:
                    answer = answers.readline()
            except BrokenPipeError:
                pass
            taken = time.monotonic() - began
            lost = "crash" if child.poll() is not None or taken < limit else "hang"
            said = json.loads(answer) if answer else {"outcome": lost, "said": ""}
            found.append({"name": file.name, "seconds": taken} | said)
            if not answer:
                break
        child.kill()
        child.wait()
        ask.close()
        answers.close()
    return found


def score_all(folder: Path, out: Path) -> dict[str, Any]:
    """One run over all images: rows by status, and whether every image has one."""
    import pyarrow.parquet as pq

    from jepa_jax import Exact, Scorer, load_encoder
    from jepa_jax.data import FileList

    began = time.monotonic()
    names = sorted(path.name for path in folder.iterdir())
    summary = Scorer(load_encoder("embedded"), Exact()).run(FileList(tuple(names), folder), out)
    ids = pq.read_table(out, columns=["id"])["id"].to_pylist()
    return {
        "statuses": dict(sorted(summary.counts.items())),
        "one_row_each": ids == names,
        "seconds": time.monotonic() - began,
    }


def record(files: Sequence[Mutant], found: list[dict[str, Any]], run: dict[str, Any]) -> dict:
    """What is kept: counts by format and by mutation, the slowest images, whatever went wrong."""
    outcomes = [one["outcome"] for one in found]
    bad = ("crash", "hang", "other error")
    slowest = sorted(zip(found, files, strict=True), key=lambda pair: -pair[0]["seconds"])[:5]
    return {
        "images": len(files),
        "outcomes": dict(Counter(outcomes).most_common()),
        "by_format": _counts([file.format for file in files], outcomes),
        "by_mutation": _counts([file.mutation for file in files], outcomes),
        "by_mode": _counts([file.mode for file in files], outcomes),
        "slowest": [
            {"name": one["name"], "mode": file.mode, "size": file.size, "seconds": one["seconds"]}
            for one, file in slowest
        ],
        "wrong": [one for one in found if one["outcome"] in bad],
        "run": run,
    }


def page(found: dict) -> str:
    """The record as a page."""
    outcomes, run = found["outcomes"], found["run"]
    statuses = ", ".join(f"{n} {status}" for status, n in run["statuses"].items())
    lines = [
        f"{found['images']} images: "
        + ", ".join(f"{n} {outcome}" for outcome, n in outcomes.items())
        + f"; {len(found['wrong'])} crashes, hangs and errors of another kind.",
        "",
        f"One run over all of them: {statuses}; "
        + ("one row each, in order." if run["one_row_each"] else "ROWS ARE MISSING."),
        "",
        f"The slowest took {found['slowest'][0]['seconds']:.1f} s (limit {LIMIT:.0f} s).",
    ]
    for title, key in (("Mutation", "by_mutation"), ("Format", "by_format"), ("Mode", "by_mode")):
        rows = [
            [name, counts.get("ok", 0), counts.get("unreadable", 0), _rest(counts)]
            for name, counts in found[key].items()
        ]
        lines += ["", table([title, "ok", "unreadable", "other"], rows)]
    return "\n".join(lines)


def _rest(counts: dict[str, int]) -> int:
    return sum(n for outcome, n in counts.items() if outcome not in ("ok", "unreadable"))


def _counts(keys: Sequence[str], outcomes: Sequence[str]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for key, outcome in zip(keys, outcomes, strict=True):
        found.setdefault(key, Counter())[outcome] += 1
    return {key: dict(counts) for key, counts in sorted(found.items())}
