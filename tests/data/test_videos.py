"""Videos that PyAV writes: every frame by its number, whatever container, and what is damaged."""

import numpy as np
import pytest
from PIL import Image

from jepa_jax.clip_frames import split_frames
from jepa_jax.data import Clips, UnreadableImage, videos
from jepa_jax.data.videos import decode_video, index_video

av = pytest.importorskip("av")
COUNT, SIZE = 30, (32, 16)


def write(path, codec, count=COUNT, size=SIZE, of=None, **options):
    """Grey frames of 10, 18, 26, ...; a key frame every 8th."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt, stream.codec_context.gop_size = "yuv420p", 8
        for i in range(count):
            array = of(i) if of else np.full((size[1], size[0], 3), 10 + 8 * i % 240, np.uint8)
            frame = av.VideoFrame.from_ndarray(array.astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbers(images):
    """Which frames these are, by their grey."""
    return [round((float(np.asarray(image).mean()) - 10) / 8) for image in images]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4"), ("a.mkv", "libx264")],
)
def test_frames_by_their_numbers(tmp_path, name, codec):
    path = write(tmp_path / name, codec)
    index = index_video(path)
    assert len(index.times) == COUNT
    for asked in ([0], [29], [3, 4, 20, 20, 28], [17, 2], list(range(COUNT))):
        images = decode_video(path, index, asked)
        assert numbers(images) == asked
        assert {image.size for image in images} == {SIZE}
    record = next(iter(Clips(tmp_path, 4)))
    assert (record.id, numbers(split_frames(record.load()))) == (name, [3, 11, 18, 26])
    ids = [record.id for record in Clips(tmp_path, 8, stride=10)]
    assert ids == [f"{name}#000-007", f"{name}#010-017", f"{name}#020-027"]
    apart = next(iter(Clips(tmp_path, 4, frame_step=5)))  # 16 frames, 7 before and 7 after.
    assert (apart.id, numbers(split_frames(apart.load()))) == (name, [7, 12, 17, 22])


def test_only_what_leads_to_a_frame_is_decoded(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", "libx264")
    index = index_video(path)
    assert len(index.keys) > 2
    decoded = []
    plain = videos.enumerate if hasattr(videos, "enumerate") else enumerate

    def counted(frames):
        for pair in plain(frames):
            decoded.append(pair[1].pts)
            yield pair

    monkeypatch.setattr(videos, "enumerate", counted, raising=False)
    assert numbers(decode_video(path, index, [1, 29])) == [1, 29]
    assert len(decoded) < 2 + 9


def test_a_cameras_rotation_is_applied(tmp_path):
    left_white = np.zeros((SIZE[1], SIZE[0], 3))
    left_white[:, :16] = 255
    path = write(tmp_path / "a.mp4", "libx264", 3, of=lambda i: left_white)
    content = path.read_bytes()
    one, minus = (1 << 16).to_bytes(4, "big"), (-1 << 16).to_bytes(4, "big", signed=True)
    zero, unit = bytes(4), (1 << 30).to_bytes(4, "big")
    upright = one + zero * 3 + one + zero * 3 + unit
    at = content.index(upright, content.index(b"tkhd"))
    # A quarter to the right, as of a telephone held upright.
    turned = zero + one + zero + minus + zero * 4 + unit
    path.write_bytes(content[:at] + turned + content[at + len(turned) :])
    image = decode_video(path, index_video(path), [1])[0]
    grey = np.asarray(image).mean(-1)
    assert image.size == SIZE[::-1]
    assert grey[:12].min() > 200
    assert grey[-12:].max() < 55


def test_what_is_damaged_is_said(tmp_path):
    whole = write(tmp_path / "a.mp4", "libx264", movflags="faststart", size=(64, 64)).read_bytes()
    path = tmp_path / "b.mp4"
    for content, message in (
        (b"", "corrupt video, or none"),
        (b"no video at all", "corrupt video, or none"),
        (whole[:200], "no video in the file"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.mp4\n#EXT-X-ENDLIST\n", "corrupt"),
        (whole[: whole.index(b"mdat") + 400], "truncated video: .* of the 30 frames"),
    ):
        path.write_bytes(content)
        with pytest.raises(UnreadableImage, match=message):
            index_video(path)
    rng = np.random.default_rng(0)
    noisy = write(
        tmp_path / "c.mp4", "libx264", size=(64, 64), of=lambda i: rng.integers(0, 256, (64, 64, 3))
    )
    index, content = index_video(noisy), bytearray(noisy.read_bytes())
    middle = content.index(b"mdat") + 20_000
    content[middle : middle + 4000] = bytes(4000)
    noisy.write_bytes(bytes(content))
    with pytest.raises(UnreadableImage, match="corrupt video"):
        decode_video(noisy, index, range(COUNT))
    with pytest.raises(UnreadableImage, match="too large"):
        decode_video(tmp_path / "a.mp4", index, [0, 1], max_pixels=5000)
    with pytest.raises(FileNotFoundError):
        index_video(tmp_path / "none.mp4")


def test_a_damaged_video_is_a_row_and_without_pyav_the_way_on_is_said(tmp_path, monkeypatch):
    write(tmp_path / "b.webm", "libvpx-vp9", 4)
    (tmp_path / "a.mp4").write_bytes(b"no video")
    Image.new("RGB", SIZE).save(tmp_path / "c.png")
    for stride in (None, 4):
        records = list(Clips(tmp_path, 4, stride=stride))
        assert [r.id.split("#")[0] for r in records] == ["a.mp4", "b.webm", "c.png"]
        with pytest.raises(UnreadableImage, match="corrupt video"):
            records[0].load()
    monkeypatch.setattr("jepa_jax.data.sources.clips.can_read_videos", lambda: False)
    with pytest.raises(ValueError, match=r"a.mp4 is a video: `pip install 'jepa-jax\[video\]'`"):
        Clips(tmp_path, 4).count()
