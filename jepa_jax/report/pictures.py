"""Pictures of a folder's images: found again where they were scored, or why there are none."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jepa_jax.data import HubDataset
from jepa_jax.data.opening import open_again
from jepa_jax.report.thumbnails import make_thumbnails
from jepa_jax.store.table import ScoreTable, read_stamps


@dataclasses.dataclass(frozen=True)
class Where:
    """Where a folder's images are now.

    `images`: None for the source that the scores name, "" for no pictures. `image_column`,
    `id_column`: of a table, None for those that the scores were made of; `outside`: a table's paths
    may lead out of its folder.
    """

    images: str | None = None
    image_column: str | None = None
    id_column: str | None = None
    outside: bool = False

    def columns(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of a table to be read: those asked for, else those recorded."""
        asked = {"image_column": self.image_column, "id_column": self.id_column}
        return {**recorded, **{name: value for name, value in asked.items() if value is not None}}


def find_pictures(
    table: ScoreTable,
    where: Where,
    rows: Callable[[], np.ndarray],
    *,
    on_start: Callable[[int, int], object] | None = None,
    on_row: Callable[[object], None] | None = None,
) -> tuple[dict[int, bytes], str]:
    """Thumbnails of `rows()`, most needed first, by row; and what is lacking, in a sentence.

    Where the source is gone, or would have to be downloaded, there are none; an image whose file
    has changed since it was scored has none. Raises `ValueError` or `OSError` where the images are
    not at `where.images`.
    """
    source, lacks = source_of(table.settings, table.facts, where)
    if source is None:
        return {}, lacks
    wanted = rows()
    if on_start is not None:
        on_start(len(wanted), 0)
    pictures: dict[int, bytes] = {}
    changed: list[int] = []
    try:
        pictures = make_thumbnails(
            source,
            table.ids,
            wanted.tolist(),
            stamps=read_stamps(table.folder),
            on_changed=changed.append,
            on_row=on_row,
        )
    except (ValueError, OSError) as error:
        lacks = f"The images could not be read again: {error}"
    if changed:
        lacks = (
            f"{len(changed)} images have no picture: their files have changed since they were "
            f"scored, such as {table.ids[changed[0]]}. The same `jepa-jax score` command "
            "scores them again."
        )
    elif not pictures and len(wanted) and not lacks:
        lacks = f"None of the images is in {source.name} any more."
    return pictures, lacks


def source_of(
    settings: Mapping[str, Any], facts: Mapping[str, Any], where: Where
) -> tuple[Any, str]:
    """Where the images are that a manifest's `settings` and `facts` name; or None, and why there
    are no pictures. Raises `ValueError` or `OSError` where they are not at `where.images`."""
    if where.images == "":
        return None, "It was made without pictures."
    name = where.images or settings.get("source", "")
    try:
        columns = where.columns(settings.get("source_options", {}))
        clips = frames if type(frames := facts.get("clips")) is int and frames > 0 else None
        source = open_again(name, columns, outside=where.outside, clips=clips)
    except (ValueError, OSError, TypeError) as error:
        if where.images:
            raise
        return None, (
            f"There are no pictures: the images are no longer where they were scored ({error}). "
            "Say where they are with --images."
        )
    if isinstance(source, HubDataset) and not where.images:
        return None, (
            f"There are no pictures: {name} would be downloaded for them. Ask for that with "
            f"--images {name}."
        )
    return source, ""
