"""A folder of clips: subfolders of frames, and animated files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from PIL import Image

from jepa_jax.clip_frames import FRAMES
from jepa_jax.data.decoding import MAX_PIXELS, decode, decode_frames
from jepa_jax.data.files import file_stamp
from jepa_jax.data.record import Record, UnreadableImage, writable_id
from jepa_jax.data.sources.folder import IMAGE, Found, walk

# Files that are a clip wherever they lie; others are, in a subfolder, frames of one.
_ANIMATED = (".gif", ".webp", ".apng")


@dataclass(frozen=True)
class Clips:
    """The clips under `path`, each of `frames` frames, in order of their first file.

    A subfolder that holds images is a clip of them, in order of their names; .gif, .webp and .apng
    files are clips wherever they lie, and so is every image beside the subfolders. Of n frames the
    ones at (i + 1/2) n / `frames`, rounded down, are taken: evenly, some of them more than once
    where there are fewer. `load()` gives one image, the frames one below the other, how many in its
    `info["frames"]`: what an encoder loaded with as many `frames` takes. Frames of several sizes
    are `UnreadableImage`. Memory: the names of all files.

    >>> from importlib.resources import files
    >>> from jepa_jax.data import Clips
    >>> clips = Clips(files("jepa_jax") / "assets", frames=4)
    >>> [record.id for record in clips], next(iter(clips)).load().size
    (['samples'], (28, 112))
    """

    path: Path
    frames: int
    max_pixels: int | None = MAX_PIXELS

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"`frames` must be at least 1, got {self.frames}")

    @property
    def name(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return f"folder of clips {self.path}"

    @cached_property
    def _found(self) -> dict[str, list[Found]]:
        """The files of every clip, by its id."""
        clips: dict[str, list[Found]] = {}
        for found in walk(self.path):
            if found.kind == IMAGE:
                folder, own = os.path.dirname(found.id), found.id.lower().endswith(_ANIMATED)
                clips.setdefault(found.id if own or not folder else folder, []).append(found)
        return clips

    def __iter__(self) -> Iterator[Record]:
        for id, files in self._found.items():
            paths = [found.path for found in files]
            yield Record(
                writable_id(id),
                writable_id(paths[0] if len(paths) == 1 else os.path.join(self.path, id)),
                partial(_load, paths, self.frames, self.max_pixels),
                partial(_stamp, paths),
            )

    def count(self) -> int:
        """The number of clips."""
        return len(self._found)


def _load(paths: Sequence[str], count: int, max_pixels: int | None) -> Image.Image:
    if len(paths) == 1:
        frames = decode_frames(paths[0], count, max_pixels=max_pixels)
    else:
        chosen = [paths[(2 * i + 1) * len(paths) // (2 * count)] for i in range(count)]
        decoded = {p: decode(p, max_pixels=max_pixels) for p in dict.fromkeys(chosen)}
        frames = [decoded[path] for path in chosen]
    sizes = {frame.size for frame in frames}
    if len(sizes) > 1:
        raise UnreadableImage(f"a clip's frames must have one size, got {sorted(sizes)}")
    stacked = Image.fromarray(np.concatenate([np.asarray(frame) for frame in frames]))
    stacked.info[FRAMES] = count
    return stacked


def _stamp(paths: Sequence[str]) -> str | None:
    stamps = [file_stamp(path) for path in paths]
    if any(stamp is None for stamp in stamps):
        return None
    if len(stamps) == 1:
        return stamps[0]
    import hashlib

    return hashlib.blake2b("\n".join(map(str, stamps)).encode(), digest_size=12).hexdigest()
