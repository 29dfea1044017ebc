"""NumPy files: which arrays are images, and reading no more than asked for."""

import numpy as np
import pytest
from image_files import colours, ids, write

from jepa_jax.data import Npz, UnreadableImage

RGB = np.arange(3 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 4, 5, 3)
GREY = np.arange(2 * 6 * 7, dtype=np.uint8).reshape(2, 6, 7)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_array_of_images_and_no_other(tmp_path, save):
    path = tmp_path / "a.npz"
    save(path, x=RGB, labels=np.arange(3), first=np.moveaxis(RGB, -1, 1), grey=GREY, one=RGB[0])
    source = Npz(path)
    expected = [f"x/{k}" for k in range(3)] + [f"first/{k}" for k in range(3)]
    assert ids(source) == [*expected, "grey/0", "grey/1", "one/0"] == ids(source)
    assert source.count() == 9
    got = [np.asarray(record.load()) for record in source]
    for k in range(3):
        np.testing.assert_array_equal(got[k], RGB[k])
        np.testing.assert_array_equal(got[3 + k], RGB[k])
    np.testing.assert_array_equal(got[7][:, :, 0], GREY[1])
    np.testing.assert_array_equal(got[8], RGB[0])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "array", [np.asfortranarray(RGB), (RGB * 257.0).astype(">u2"), RGB / 255.0]
)
def test_layouts_and_types(tmp_path, save, array):
    save(tmp_path / "a.npz", x=array)
    for record, image in zip(Npz(tmp_path / "a.npz"), RGB, strict=True):
        np.testing.assert_array_equal(record.load(), image)


def test_a_stored_array_is_read_by_load_and_not_before(tmp_path):
    np.savez(tmp_path / "a.npz", x=RGB)
    record = list(Npz(tmp_path / "a.npz"))[2]
    data = (tmp_path / "a.npz").read_bytes().replace(RGB[2].tobytes(), bytes(RGB[2].size))
    with (tmp_path / "a.npz").open("r+b") as file:
        file.write(data)
    assert not np.asarray(record.load()).any()


def test_a_row_out_of_range_is_a_row_that_raises(tmp_path):
    floats = np.zeros((2, 4, 5), np.float32)
    floats[1] = 2
    np.savez(tmp_path / "a.npz", x=floats)
    assert colours(Npz(tmp_path / "a.npz")) == [(0, 0, 0), "UnreadableImage"]


def test_max_pixels_counts_height_by_width(tmp_path):
    np.savez(tmp_path / "a.npz", last=RGB[:1], first=np.moveaxis(RGB[:1], -1, 1))
    assert "UnreadableImage" not in colours(Npz(tmp_path / "a.npz", max_pixels=20))
    with pytest.raises(UnreadableImage, match="5 x 4 = 20 pixels, `max_pixels` is 19"):
        next(iter(Npz(tmp_path / "a.npz", max_pixels=19))).load()


def test_a_file_without_images_says_what_it_holds(tmp_path):
    np.savez(tmp_path / "a.npz", labels=np.arange(3))
    with pytest.raises(ValueError, match=r"has no array of images: it holds 'labels' int64 \(3,\)"):
        Npz(tmp_path / "a.npz").check()


def test_a_damaged_file(tmp_path):
    with pytest.raises(ValueError, match=r"not a readable \.npz file"):
        Npz(write(tmp_path / "a.npz", b"PK and no more")).check()


def test_a_damaged_compressed_array_keeps_its_beginning_and_says_so(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    np.savez_compressed(tmp_path / "a.npz", x=noise)
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = b"\xff" * 4000
    (tmp_path / "a.npz").write_bytes(data)
    records = list(Npz(tmp_path / "a.npz"))
    np.testing.assert_array_equal(records[0].load(), noise[0])
    assert records[-1].id == "x/(rest of the array)" or len(records) == 8
    assert "UnreadableImage" in colours(records)
