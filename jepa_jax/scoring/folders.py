"""Output folders: whose they are, and files that are replaced whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path


def check_ours(folder: Path, ours: Callable[[str], bool]) -> None:
    """Raises where `folder` cannot be an output of ours.

    `NotADirectoryError` where a file is in the way, `FileExistsError` where the folder holds names
    that `ours` does not know.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"the output must be a folder, {folder} is a file")
    foreign = (
        sorted(p.name for p in folder.iterdir() if not ours(p.name)) if folder.exists() else []
    )
    if foreign:
        raise FileExistsError(
            f"the output folder {folder} holds other things ({', '.join(foreign[:3])}): "
            "give an empty or new one"
        )


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """`write` of a temporary file, then put in `path`'s place: never half a file, even after a
    power cut."""
    temporary = path.with_name(f".{path.name}.tmp")
    write(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
