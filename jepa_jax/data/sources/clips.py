"""A folder of clips: subfolders of frames, animated files, and videos."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from PIL import Image

from jepa_jax.clip_frames import FRAMES
from jepa_jax.data.decoding import MAX_PIXELS, count_frames, decode, decode_frames
from jepa_jax.data.kinds import SHARD_NAMES
from jepa_jax.data.left_out import LeftOut, Tally
from jepa_jax.data.readable import file_stamp
from jepa_jax.data.record import Record, UnreadableImage, broken, writable_id
from jepa_jax.data.sources.image_folder import IMAGE, Found, walk
from jepa_jax.data.videos import NEEDED, VIDEOS, can_read_videos, decode_video, index_video

# Files that are a clip wherever they lie; others are, in a subfolder, frames of one.
_ANIMATED = (".gif", ".webp", ".apng")


@dataclass(frozen=True)
class Clips:
    """The clips under `path`, `frames` frames of each, in order of their first file.

    A subfolder that holds images is a clip of them, in order of their names; .gif, .webp, .apng and
    video files (`jepa_jax.data.videos`, with PyAV) are clips wherever they lie, and so is every
    image beside the subfolders. Of n frames the ones at (i + 1/2) n / `frames`, rounded down, are
    taken: evenly, some of them more than once where there are fewer. With a `frame_step` they are
    the window of frames so many apart (1: in a row) in the middle of the clip. With a `stride`
    every clip has a record for each such window (of frames in a row where there is no
    `frame_step`), one every `stride` frames, as many as are whole: "a.mp4#000-015",
    "a.mp4#016-031". One that is shorter than a window is `UnreadableImage`.

    `load()` gives one image, the frames one below the other, how many in its `info["frames"]`: what
    an encoder loaded with as many `frames` takes. Frames of several sizes are `UnreadableImage`.
    Memory: the names of all files. Windows of animated files and videos are known when these have
    been read through, once when records are made.

    Raises `ValueError` on numbers below 1; when it is iterated, on videos without PyAV.

    >>> from importlib.resources import files
    >>> from jepa_jax.data import Clips
    >>> clips = Clips(files("jepa_jax") / "assets", frames=4)
    >>> [record.id for record in clips], next(iter(clips)).load().size
    (['samples'], (28, 112))
    >>> windows = Clips(files("jepa_jax") / "assets", frames=16, stride=20)
    >>> [record.id for record in windows]
    ['samples#000-015', 'samples#020-035']
    >>> [record.id for record in Clips(files("jepa_jax") / "assets", 4, stride=12, frame_step=8)]
    ['samples#000-024', 'samples#012-036']
    """

    path: Path
    frames: int
    max_pixels: int | None = MAX_PIXELS
    stride: int | None = None
    frame_step: int | None = None

    def __post_init__(self) -> None:
        for name in ("frames", "stride", "frame_step"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}")

    @property
    def name(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return f"folder of clips {self.path}"

    @property
    def _span(self) -> int:
        """From the first frame of a window to its last, both counted."""
        return (self.frames - 1) * (self.frame_step or 1) + 1

    @property
    def _found(self) -> dict[str, list[Found]]:
        """The files of every clip, by its id."""
        return self._survey[0]

    def left_out(self) -> tuple[LeftOut, ...]:
        """Files that are neither frames nor clips, by kind."""
        return self._survey[1]

    @cached_property
    def _survey(self) -> tuple[dict[str, list[Found]], tuple[LeftOut, ...]]:
        clips: dict[str, list[Found]] = {}
        others = Tally()
        for found in walk(self.path):
            lower = found.id.lower()
            if found.word != "hidden" and lower.endswith(VIDEOS):
                if not can_read_videos():
                    raise ValueError(f"{writable_id(found.path)} is {NEEDED}")
                clips[found.id] = [found]
            elif found.kind == IMAGE:
                folder, own = os.path.dirname(found.id), lower.endswith(_ANIMATED)
                clips.setdefault(found.id if own or not folder else folder, []).append(found)
            else:
                kind = SHARD_NAMES.get(found.kind, found.kind) or found.word
                others.add(kind, writable_id(found.id), found.reason)
        return clips, others.entries()

    def __iter__(self) -> Iterator[Record]:
        for id, files in self._found.items():
            clip = _clip([found.path for found in files])
            source = clip.paths[0] if len(files) == 1 else os.path.join(self.path, id)
            id, source = writable_id(id), writable_id(source)
            if self.stride is None:
                yield Record(id, source, partial(self._load, clip), clip.stamp)
            else:
                yield from self._windows(id, source, clip, self.stride)

    def _windows(self, id: str, source: str, clip: _Clip, stride: int) -> Iterator[Record]:
        try:
            count = clip.count()
        except (UnreadableImage, OSError) as error:
            yield broken(id, source, error)
            return
        digits = max(3, len(str(count - 1)))
        if count < self._span:
            window = f"{id}#{0:0{digits}}-{count - 1:0{digits}}"
            yield broken(window, source, self._too_short(count))
        for start in range(0, count - self._span + 1, stride):
            numbers = self._window(start)
            window = f"{id}#{start:0{digits}}-{numbers[-1]:0{digits}}"
            yield Record(window, source, partial(self._load, clip, numbers), clip.stamp)

    def _window(self, start: int) -> range:
        return range(start, start + self._span, self.frame_step or 1)

    def _too_short(self, count: int) -> str:
        return f"a clip of {count} frames, fewer than the {self._span} of a window"

    def _load(self, clip: _Clip, numbers: Sequence[int] | None = None) -> Image.Image:
        if numbers is None:
            numbers = self._of_whole(clip.count())
        decoded = clip.decode(numbers, self.max_pixels)
        sizes = {frame.size for frame in decoded}
        if len(sizes) > 1:
            raise UnreadableImage(f"a clip's frames must have one size, got {sorted(sizes)}")
        stacked = Image.fromarray(np.concatenate([np.asarray(frame) for frame in decoded]))
        stacked.info[FRAMES] = self.frames
        return stacked

    def _of_whole(self, count: int) -> Sequence[int]:
        """The frames that stand for a clip of `count`."""
        if self.frame_step is None:  # Evenly.
            return [(2 * i + 1) * count // (2 * self.frames) for i in range(self.frames)]
        if count < self._span:
            raise UnreadableImage(self._too_short(count))
        return self._window((count - self._span) // 2)

    def count(self) -> int | None:
        """The number of clips; of windows, None where files would have to be read through."""
        if self.stride is None:
            return len(self._found)
        counts = [len(files) for files in self._found.values()]
        if 1 in counts:  # A file may hold any number of frames.
            return None
        return sum(max(1, 1 + (n - self._span) // self.stride) for n in counts)


class _Clip:
    """Images in a row."""

    def __init__(self, paths: Sequence[str]):
        self.paths = paths

    def count(self) -> int:
        return len(self.paths)

    def decode(self, numbers: Sequence[int], max_pixels: int | None) -> list[Image.Image]:
        decoded = {n: decode(self.paths[n], max_pixels=max_pixels) for n in dict.fromkeys(numbers)}
        return [decoded[n] for n in numbers]

    def stamp(self) -> str | None:
        stamps = [file_stamp(path) for path in self.paths]
        if len(stamps) == 1 or None in stamps:
            return stamps[0] if len(stamps) == 1 else None
        return hashlib.blake2b("\n".join(map(str, stamps)).encode(), digest_size=12).hexdigest()


class _Animated(_Clip):
    """An animated file, or a still one: a clip of one frame."""

    def count(self) -> int:
        return count_frames(self.paths[0])

    def decode(self, numbers: Sequence[int], max_pixels: int | None) -> list[Image.Image]:
        return decode_frames(self.paths[0], numbers, max_pixels=max_pixels)


class _Video(_Clip):
    """A video file."""

    @cached_property
    def _index(self):
        return index_video(self.paths[0])

    def count(self) -> int:
        return len(self._index.times)

    def decode(self, numbers: Sequence[int], max_pixels: int | None) -> list[Image.Image]:
        return decode_video(self.paths[0], self._index, numbers, max_pixels=max_pixels)


def _clip(paths: Sequence[str]) -> _Clip:
    if len(paths) > 1:
        return _Clip(paths)
    return (_Video if paths[0].lower().endswith(VIDEOS) else _Animated)(paths)
