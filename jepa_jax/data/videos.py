"""Frames of a video file, by FFmpeg through PyAV (`jepa-jax[video]`)."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from jepa_jax.data.decoding import MAX_PIXELS
from jepa_jax.data.pixels import too_large
from jepa_jax.data.readable import open_regular
from jepa_jax.data.record import UnreadableImage

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2ts", ".ogv")
"""How names of video files end that are read."""

NEEDED = "a video: `pip install 'jepa-jax[video]'` (PyAV) to read it"

# Containers alone: a playlist by such a name could lead to other files, and addresses.
_OPTIONS = {"format_whitelist": "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,ogg"}


def can_read_videos() -> bool:
    """Whether PyAV is installed."""
    return importlib.util.find_spec("av") is not None


@dataclass(frozen=True)
class VideoIndex:
    """When the frames of a video are shown, in the stream's own units, ascending; `keys`: those
    that can be decoded without others. `timed` is False where the file does not say: then the
    numbers of frames stand in for times."""

    times: tuple[int, ...]
    keys: tuple[int, ...]
    timed: bool = True


def index_video(path: str | os.PathLike[str]) -> VideoIndex:
    """The frames of a video, from its packets: nothing is decoded, the whole file is read.

    Raises `UnreadableImage` on a file that is no video, has no frames, or ends too early by what it
    says itself; `OSError` where it cannot be opened; `ModuleNotFoundError` without PyAV.
    """
    with _opened(path) as (container, stream):
        packets = [packet for packet in container.demux(stream) if packet.size]
        shown = [packet for packet in packets if not packet.is_discard]
        if stream.frames > len(packets):
            raise UnreadableImage(
                f"truncated video: {len(packets)} of the {stream.frames} frames that it states"
            )
        if not shown:
            raise UnreadableImage("a video without frames")
        times = [packet.pts for packet in shown]
        if None in times or len(set(times)) < len(times):
            return VideoIndex(tuple(range(len(shown))), (0,), timed=False)
        keys = tuple(sorted(packet.pts for packet in shown if packet.is_keyframe))
        return VideoIndex(tuple(sorted(times)), keys or (min(times),))


def decode_video(
    path: str | os.PathLike[str],
    index: VideoIndex,
    numbers: Sequence[int],
    *,
    max_pixels: int | None = MAX_PIXELS,
) -> list[Image.Image]:
    """The frames of these `numbers`, from 0, each decoded once and in order, in 8-bit RGB.

    Between two frames that are far apart, what lies before the last key frame is passed over. The
    rotation that a camera noted is applied.

    Raises `UnreadableImage` on a damaged video, and where all frames asked for together have more
    than `max_pixels` pixels; else as `index_video`.
    """
    found: dict[int, Image.Image] = {}
    with _opened(path) as (container, stream):
        width, height = stream.codec_context.width, stream.codec_context.height
        if max_pixels is not None and width * height * len(numbers) > max_pixels:
            raise too_large(width, height * len(numbers), max_pixels)
        # Damage is an error, not something to be painted over.
        stream.codec_context.options = {"err_detect": "explode"}
        frames, at = enumerate(container.decode(stream)), -1
        for number in sorted(set(numbers)):
            target = index.times[number]
            key = index.keys[max(0, bisect_right(index.keys, target) - 1)]
            if index.timed and key > at and key > index.times[0]:
                container.seek(target, stream=stream)
                frames = enumerate(container.decode(stream))
            for count, frame in frames:
                at = frame.pts if index.timed else count
                if at >= target:
                    break
            if at != target or frame.is_corrupt:
                of = f"frame {number} of {len(index.times)}"
                raise UnreadableImage(f"corrupt video: {of} cannot be decoded")
            found[number] = _image(frame)
    return [found[number] for number in numbers]


def _image(frame: Any) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(frame.to_ndarray(format="rgb24")))
    turned = round(frame.rotation)
    return image.rotate(turned, expand=True) if turned % 360 else image


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[Any, Any]]:
    """The container and its first video stream; what FFmpeg says of a file is `UnreadableImage`."""
    av: Any = importlib.import_module("av")
    with open_regular(path) as file:
        try:
            with av.open(file, options=_OPTIONS) as container:
                if not container.streams.video:
                    raise UnreadableImage("no video in the file")
                yield container, container.streams.video[0]
        except av.error.FFmpegError as error:
            raise UnreadableImage(f"corrupt video, or none ({error.strerror})") from error
