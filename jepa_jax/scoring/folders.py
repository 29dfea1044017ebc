"""Output folders: whose they are, files replaced whole or not at all, settings that differ."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


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


def differing_settings(one: dict[str, Any], other: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings that differ, by their dotted names, with both values (None where one has none).

    >>> differing_settings({"encoder": {"size": 112}, "seed": 0}, {"encoder": {"size": 224}})
    {'encoder.size': (112, 224), 'seed': (0, None)}
    """
    flat, others = _flat(one), _flat(other)
    return {
        key: (flat.get(key), others.get(key))
        for key in sorted(flat.keys() | others.keys())
        if flat.get(key) != others.get(key)
    }


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat
