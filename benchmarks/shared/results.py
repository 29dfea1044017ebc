"""A result's files: NAME.json, and NAME.md where it is shown as a page."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.shared.machine import machine, versions


def folder_of(module: str) -> Path:
    """The folder of the committed results of a benchmark, `__package__`."""
    return Path(__file__).parents[2].joinpath(*module.split("."), "results")


def write(
    out: Path,
    name: str,
    command: str,
    record: dict,
    page: str | None = None,
    *,
    libraries: Sequence[str] = (),
    digits: int = 5,
) -> Path:
    """OUT/NAME.json: `record` after its command, machine and versions; OUT/NAME.md: `page`.

    Floats are of so many `digits`. Returns the path without an ending.
    """
    from jepa_jax.evaluation.results import write_json

    out.mkdir(parents=True, exist_ok=True)
    stem = out / name
    head = {"command": command, "machine": machine(), "versions": versions(*libraries)}
    write_json(head | record, stem.with_suffix(".json"), digits)
    if page is not None:
        stem.with_suffix(".md").write_text(page.rstrip() + "\n")
    return stem
