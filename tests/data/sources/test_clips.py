"""Clips: subfolders of frames, animated files, and the frames that are taken of them."""

import numpy as np
import pytest
from PIL import Image

from jepa_jax.clip_frames import split_frames
from jepa_jax.data import Clips, UnreadableImage
from jepa_jax.data.left_out import left_out
from jepa_jax.data.opening import open_again, source_options


def grey(level: int, size=(6, 4)) -> Image.Image:
    return Image.new("RGB", size, (level, level, level))


@pytest.fixture
def folder(tmp_path):
    for i in range(10):
        (tmp_path / "walk").mkdir(exist_ok=True)
        grey(10 * i).save(tmp_path / "walk" / f"{i:03d}.png")
    frames = [grey(20 * i) for i in range(6)]
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for ending in ("gif", "webp"):
        path = tmp_path / "deep" / "er" / f"a.{ending}"
        frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    frames[0].save(tmp_path / "b.png", save_all=True, append_images=frames[1:])
    grey(77).save(tmp_path / "still.jpg")
    return tmp_path


def levels(image: Image.Image) -> list[int]:
    return [int(np.asarray(frame).mean().round()) for frame in split_frames(image)]


def test_what_is_a_clip_and_which_of_its_frames_are_taken(folder):
    clips = Clips(folder, 4)
    records = {record.id: record for record in clips}
    assert clips.count() == len(records) == 5
    assert list(records) == ["b.png", "deep/er/a.gif", "deep/er/a.webp", "still.jpg", "walk"]
    assert levels(records["walk"].load()) == [10, 30, 60, 80]  # Of 10: at 1.25, 3.75, ...
    for name in ("b.png", "deep/er/a.gif", "deep/er/a.webp"):
        assert levels(records[name].load()) == [0, 40, 60, 100]
    assert levels(records["still.jpg"].load()) == [77] * 4
    assert records["walk"].load().size == (6, 16)
    assert levels(next(r for r in Clips(folder, 12) if r.id == "b.png").load()) == sorted(
        2 * [20 * i for i in range(6)]
    )


def test_what_is_no_clip_is_counted(folder):
    for name in ("notes.txt", "walk/.hidden", "walk/x.heic", "more.tar"):
        (folder / name).write_bytes(b"no frame")
    clips = Clips(folder, 4)
    assert {entry.kind: entry.count for entry in left_out(clips)} == {
        ".heic": 1,
        ".txt": 1,
        "hidden": 1,
        "tar files": 1,
    }
    assert clips.count() == 5


def test_a_clip_is_another_one_when_a_frame_is(folder):
    stamp = lambda: next(r for r in Clips(folder, 4) if r.id == "walk").stamp()
    before = stamp()
    assert stamp() == before
    grey(1, (9, 9)).save(folder / "walk" / "005.png")
    assert stamp() != before
    with pytest.raises(UnreadableImage, match=r"one size, got \[\(6, 4\), \(9, 9\)\]"):
        next(r for r in Clips(folder, 10) if r.id == "walk").load()


def test_what_cannot_be_read(folder, tmp_path):
    (folder / "deep" / "er" / "a.gif").write_bytes(b"GIF89a and no more")
    (folder / "walk" / "003.png").write_bytes(b"")
    records = {record.id: record for record in Clips(folder, 4)}
    for name in ("deep/er/a.gif", "walk"):
        with pytest.raises(UnreadableImage):
            records[name].load()
    small = Clips(folder, 4, max_pixels=60)
    with pytest.raises(UnreadableImage, match="96"):
        next(r for r in small if r.id == "b.png").load()
    with pytest.raises(ValueError, match="`frames` must be at least 1, got 0"):
        Clips(folder, 0)


def test_windows_of_longer_clips(folder):
    windows = {record.id: record for record in Clips(folder, 4, stride=3)}
    assert list(windows) == [
        "b.png#000-003",
        "deep/er/a.gif#000-003",
        "deep/er/a.webp#000-003",
        "still.jpg#000-000",
        "walk#000-003",
        "walk#003-006",
        "walk#006-009",
    ]
    assert levels(windows["walk#003-006"].load()) == [30, 40, 50, 60]
    assert levels(windows["deep/er/a.gif#000-003"].load()) == [0, 20, 40, 60]
    assert windows["walk#003-006"].stamp() == windows["walk#000-003"].stamp() is not None
    with pytest.raises(UnreadableImage, match="a clip of 1 frames, fewer than the 4 of a window"):
        windows["still.jpg#000-000"].load()
    assert Clips(folder, 4, stride=3).count() is None  # Of files, which are not read to be counted.
    assert Clips(folder / "walk" / "..", 4).count() == 5
    for frames, stride, count in ((4, 3, 3), (10, 1, 1), (11, 1, 1), (1, 1, 10)):
        only = folder / "only"
        only.mkdir(exist_ok=True)
        if not (only / "walk").exists():
            (only / "walk").symlink_to(folder / "walk")
        clips = Clips(only, frames, stride=stride)
        assert clips.count() == len(list(clips)) == count
    (folder / "deep" / "er" / "a.gif").write_bytes(b"GIF89a and no more")
    broken = {record.id: record for record in Clips(folder, 4, stride=3)}["deep/er/a.gif"]
    with pytest.raises(UnreadableImage):
        broken.load()
    with pytest.raises(ValueError, match="`stride` must be at least 1, got 0"):
        Clips(folder, 4, stride=0)


def test_frames_some_apart(folder):
    """One window a clip, in its middle; with a stride, every window."""
    records = {record.id: record for record in Clips(folder, 3, frame_step=2)}
    assert list(records) == ["b.png", "deep/er/a.gif", "deep/er/a.webp", "still.jpg", "walk"]
    assert levels(records["walk"].load()) == [20, 40, 60]  # Frames 2 to 6 of 0 to 9.
    assert levels(records["deep/er/a.gif"].load()) == [0, 40, 80]
    with pytest.raises(UnreadableImage, match="a clip of 1 frames, fewer than the 5 of a window"):
        records["still.jpg"].load()
    in_a_row = {record.id: record for record in Clips(folder, 4, frame_step=1)}
    assert levels(in_a_row["walk"].load()) == [30, 40, 50, 60]
    windows = {record.id: record for record in Clips(folder, 3, stride=4, frame_step=2)}
    assert [id for id in windows if "walk" in id] == ["walk#000-004", "walk#004-008"]
    assert levels(windows["walk#004-008"].load()) == [40, 60, 80]
    with pytest.raises(UnreadableImage, match="fewer than the 5 of a window"):
        windows["still.jpg#000-000"].load()
    only = Clips(folder / "walk" / "..", 3, stride=4, frame_step=2)
    assert only.count() is None
    (folder / "only").mkdir()
    (folder / "only" / "walk").symlink_to(folder / "walk")
    for frames, step, count in ((3, 2, 3), (4, 3, 1), (4, 4, 1), (1, 9, 5), (2, 9, 1)):
        clips = Clips(folder / "only", frames, stride=2, frame_step=step)
        assert clips.count() == len(list(clips)) == count
    with pytest.raises(ValueError, match="`frame_step` must be at least 1, got 0"):
        Clips(folder, 4, frame_step=0)


def test_how_windows_were_cut_is_noted(folder):
    """By itself, and where frames in a row are what they are without it."""
    noted = lambda **given: source_options(Clips(folder, 4, **given))
    assert noted() == {}
    assert noted(frame_step=1) == {"frame_step": 1}  # In a row, not evenly.
    assert noted(stride=2, frame_step=1) == noted(stride=2) == {"stride": 2}
    both = noted(stride=2, frame_step=3)
    assert both == {"stride": 2, "frame_step": 3}
    again = open_again(str(folder), both, clips=4)
    assert [r.id for r in again] == [r.id for r in Clips(folder, 4, stride=2, frame_step=3)]


def test_an_image_that_is_no_clip_is_one_frame():
    assert len(split_frames(grey(3))) == 1
