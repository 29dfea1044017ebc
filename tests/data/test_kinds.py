"""What counts as an image: what Pillow can decode here, by name or by first bytes."""

import sys
import types

import pytest
from image_files import encoded
from PIL import Image

from jepa_jax.data import UnreadableImage, decode, kinds
from jepa_jax.data.kinds import HEAD, begins_like_image, image_extensions, is_image, what_is_needed

FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM", "ICO", "PCX"]
FORMATS += ["SGI", "QOI", "DDS", "ICNS"]


def of_format(format):
    mode = "RGB" if format not in ("GIF",) else "P"
    return encoded(Image.effect_noise((64, 64), 90).convert(mode), format)


def never():
    raise AssertionError("a name that says what it is was opened")


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "x.mpo", "b.tiff", "c.webp", "d/e.jfif"])
def test_names_of_decodable_formats_are_enough(name):
    assert is_image(name, never)


@pytest.mark.parametrize(
    "name", ["a.json", "a.txt", "a.npy", "a.heic", "a.mp4", "a.parquet", "a.svg", "a.zip", "b.cls"]
)
def test_names_of_other_things_are_not_looked_into(name):
    assert not is_image(name, never)


@pytest.mark.parametrize("name", ["a", "a.jpg_large", "a.jpeg~", "a.img", "a.bin", "a.JPG-large"])
@pytest.mark.parametrize("format", FORMATS)
def test_a_name_that_says_nothing_is_looked_into(format, name):
    assert is_image(name, lambda: of_format(format)[:HEAD])


@pytest.mark.parametrize(
    "head",
    [
        *(b"", b"P", b"P6 text", b"/* a comment */", b"#define X 1\n", b"#!/bin/sh\n", b"\0" * 64),
        *(b"\x28\0\0\0" + b"\0" * 60, b"\n\5 text", b"BM and more text", b"{}", b"%PDF-1.4"),
        *(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"),
    ],
)
def test_what_begins_almost_like_an_image_is_none(head):
    assert not begins_like_image(head)


def test_a_broken_image_of_a_strange_name_is_an_image_still():
    assert is_image("a.jpg_large", lambda: b"\xff\xd8\xff\xe0 cut here")


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("a.HEIC", "pip install pillow-heif"),
        ("a.jxl", "pip install pillow-jxl-plugin"),
        ("a.nef", "raw file"),
        ("a.svg", "render it"),
        ("a.zip", "unpack it"),
        ("a.jpg.part", "unfinished"),
        ("a.json", ""),
    ],
)
def test_what_would_be_needed(name, needed):
    assert needed in what_is_needed(name)
    assert bool(needed) == bool(what_is_needed(name))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF: .*pillow-heif"),
        (b"\xff\x0a and so on", "JPEG XL: .*pillow-jxl"),
        (b"<!DOCTYPE HTML><html>", "a web page"),
    ],
)
def test_a_row_says_what_is_in_the_images_place(data, said):
    with pytest.raises(UnreadableImage, match=f"not an image Pillow can read .*{said}"):
        decode(data)


def test_decoders_that_are_installed_beside_pillow_are_used(monkeypatch):
    called = []
    plugin = types.SimpleNamespace(register_heif_opener=lambda: called.append("heif"))
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)  # As if not installed.
    assert kinds.formats.__wrapped__() == kinds.formats()
    assert called == ["heif"]


def test_mpo_is_read_by_the_jpeg_plugin():
    two = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(two[0], "MPO", save_all=True, append_images=two[1:])
    assert ".mpo" in image_extensions()
    red, green, blue = decode(data).getpixel((0, 0))
    assert (red > 200, green < 50, blue < 50) == (True, True, True)
