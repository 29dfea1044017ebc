"""What kind of source a folder is, where it holds more than one kind of files."""

from __future__ import annotations

import os
from dataclasses import dataclass

from jepa_jax.data import kinds
from jepa_jax.data.left_out import LeftOut, Tally, as_lines
from jepa_jax.data.patterns import pattern_for
from jepa_jax.data.record import writable_id
from jepa_jax.data.sources.image_folder import IMAGE, Folder
from jepa_jax.data.sources.parquet import Parquet

# Tables are looked into where they lie beside other kinds; of many, so many.
_MOST_LOOKED_INTO = 64


@dataclass(frozen=True)
class Contents:
    """The images and shards of a folder. `shards`: paths below it by kind; `tables`: those that
    hold no images, and are captions or the like."""

    folder: Folder
    shards: dict[str, tuple[str, ...]]
    tables: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Folder, image_column: str | None = None) -> Contents:
        """Of the folder's survey; tables beside other kinds are looked into for images."""
        shards = dict(folder.survey.shards)
        if folder.survey.images or len(shards) > 1:
            shards.pop("arrays", None)  # Features of the images, as a rule.
        tables = shards.get("table", ())
        alone = not folder.survey.images and len(shards) == 1
        if alone or not tables or _have_images(folder, tables, image_column):
            return cls(folder, shards)
        del shards["table"]
        return cls(folder, shards, tables)

    def kind(self) -> str:
        """The one kind of source that the folder holds: "image", or a kind of shard.

        Raises `ValueError` where there are none or several, naming the pattern of each.
        """
        survey, path = self.folder.survey, str(self.folder.path)
        found = ([IMAGE] if survey.images else []) + list(self.shards)
        if len(found) == 1 and found != ["dataset"]:
            return found[0]
        if not found:
            said = as_lines(self.left_out(""))
            raise ValueError(
                f"no images in '{path}': looked in it and its subfolders for image files "
                f"({', '.join(sorted(kinds.image_extensions()))}), .tar and .parquet files"
                + (f"; it holds {'; '.join(said)}" if said else "")
            )
        parts, ways = [], []
        for kind in found:
            names = self.shards.get(kind, ())
            count = survey.images if kind == IMAGE else len(names)
            example = survey.example if kind == IMAGE else names[0]
            parts.append(f"{kinds.counted(count, kind)} (such as '{writable_id(example)}')")
            ways += self._ways(kind)
        raise ValueError(
            f"'{path}' holds {' and '.join(parts)}: one kind is scored at a time; give "
            + " or ".join(repr(way) for way in ways)
        )

    def left_out(self, kind: str) -> tuple[LeftOut, ...]:
        """What lies beside the files of a kind."""
        tally = Tally()
        if self.tables:
            reason = "without a column of images"
            tally.add("Parquet files", writable_id(self.tables[0]), reason, len(self.tables))
        for other, names in self.folder.survey.shards.items():
            if other != kind and not (other == "table" and self.tables):
                reason = "not read: name them"
                tally.add(kinds.SHARD_NAMES[other], writable_id(names[0]), reason, len(names))
        return tally.entries() + self.folder.survey.others

    def _ways(self, kind: str) -> list[str]:
        """The patterns of the files of a kind, or the folder of a data set."""
        path = str(self.folder.path)
        if kind == "dataset":
            return [os.path.join(path, min(self.shards[kind], key=len))]
        if kind == IMAGE:
            endings = [ending for ending in self.folder.survey.endings if ending]
            return [pattern_for(path, endings, nested=True)] if endings else []
        names = self.shards[kind]
        endings = sorted({_ending(name, kind) for name in names})
        return [pattern_for(path, endings, nested=any("/" in name for name in names))]


def _ending(name: str, kind: str) -> str:
    """The ending of a shard's name as it is written."""
    longest = max((e for e in kinds.SHARDS[kind] if name.lower().endswith(e)), key=len)
    return name[-len(longest) :]


def _have_images(folder: Folder, tables: tuple[str, ...], image_column: str | None) -> bool:
    """Whether one of the tables has a column of images, and not only of paths to them."""
    step = max(1, len(tables) // _MOST_LOOKED_INTO)
    paths = (folder.path / name for name in tables[::step])
    return any(Parquet(path, column=image_column).holds_images() for path in paths)
