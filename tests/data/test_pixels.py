"""Pillow modes no common file has, and arrays: which shapes, which types, which ranges."""

import numpy as np
import pytest
from PIL import Image

from jepa_jax.data import UnreadableImage, image_from_array
from jepa_jax.data.pixels import to_rgb


def test_shapes_and_where_the_channels_are():
    rgb = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    grey = rgb[:, :, 0]
    np.testing.assert_array_equal(image_from_array(rgb), rgb)
    np.testing.assert_array_equal(image_from_array(np.moveaxis(rgb, -1, 0)), rgb)
    for array in (grey, grey[:, :, None], grey[None]):
        np.testing.assert_array_equal(image_from_array(array), np.repeat(grey[:, :, None], 3, 2))


def test_channels_are_last_where_both_readings_fit():
    image = image_from_array(np.zeros((3, 7, 3), np.uint8))
    assert image.size == (7, 3)


def test_the_fourth_channel_is_alpha_on_white():
    rgba = np.zeros((1, 2, 4), np.uint8)
    rgba[0, 0] = (9, 8, 7, 255)
    np.testing.assert_array_equal(image_from_array(rgba), [[(9, 8, 7), (255, 255, 255)]])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.2, 1.0]]), [0, 51, 255]),
        (np.array([[0.0, 0.2, 1.0]], np.float16), [0, 51, 255]),
        (np.array([[0.0, 1.0 + 1e-7]], np.float32), [0, 255]),
        (np.array([[0, 257 * 40, 65535]], np.uint16), [0, 40, 255]),
        (np.array([[0, 257 * 40, 65535]], ">u2"), [0, 40, 255]),
        (np.array([[257 * 200 + 128, 257 * 200 + 129]], np.uint16), [200, 201]),  # to the nearest
        (np.array([[0, 7, 255]], np.int64), [0, 7, 255]),
        (np.array([[False, True]]), [0, 255]),
    ],
)
def test_types(values, expected):
    np.testing.assert_array_equal(np.asarray(image_from_array(values))[0, :, 2], expected)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 5, 2), np.uint8), r"shape \(4, 5, 2\)"),
        (np.zeros(5, np.uint8), r"shape \(5,\)"),
        (np.zeros((0, 5), np.uint8), "without pixels"),
        (np.array([[0.0, 2.0]]), r"float64 values span \[0, 2\]; expected \[0, 1\]"),
        (np.array([[0.0, np.nan]]), "non-finite"),
        (np.array([[-1, 5]]), r"span \[-1, 5\]; expected \[0, 255\]"),
        (np.array([["a"]]), "expected integers, floats or booleans"),
    ],
)
def test_what_is_refused(array, message):
    with pytest.raises(UnreadableImage, match=message):
        image_from_array(array)


@pytest.mark.parametrize(
    ("mode", "stored", "expected"),
    [
        ("RGBa", (128, 0, 0, 128), (255, 127, 127)),  # red times alpha, on 127 of white
        ("La", (0, 51), (204, 204, 204)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("RGBX", (1, 2, 3, 0), (1, 2, 3)),
        ("CMYK", (0, 255, 0, 0), (255, 0, 255)),
        ("YCbCr", (100, 128, 128), (100, 100, 100)),
        ("HSV", (0, 255, 255), (255, 0, 0)),
        ("I;16L", (2, 2), (2, 2, 2)),
        ("I;16B", (3, 3), (3, 3, 3)),
    ],
)
def test_modes(mode, stored, expected):
    image = to_rgb(Image.frombytes(mode, (1, 1), bytes(stored)))
    assert (image.mode, image.getpixel((0, 0))) == ("RGB", expected)


def test_a_palette_with_alpha():
    image = Image.new("PA", (2, 1))
    image.putpalette([9, 8, 7, 255, 255, 255])
    image.putpixel((0, 0), (0, 255))
    image.putpixel((1, 0), (0, 0))
    assert [to_rgb(image).getpixel((x, 0)) for x in (0, 1)] == [(9, 8, 7), (255, 255, 255)]


def test_the_original_is_left_as_it_was():
    image = Image.new("RGB", (1, 1), (1, 2, 3))
    image.info["dpi"] = 72
    to_rgb(image).putpixel((0, 0), (0, 0, 0))
    assert image.getpixel((0, 0)) == (1, 2, 3)
    assert image.info == {"dpi": 72}
