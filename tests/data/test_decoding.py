"""Every odd image has one known set of RGB values, or one clear error."""

import contextlib
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from image_files import BLUE, GREEN, RED, encoded, png, write
from PIL import Image, ImageFile

from jepa_jax.data import UnreadableImage, decode, image_extensions

WHITE = (255, 255, 255)


def pixels(data, **options) -> np.ndarray:
    image = decode(data, **options)
    assert image.mode == "RGB"
    return np.asarray(image)


def bomb_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "TGA"])
def test_rgb_survives_every_lossless_format(format):
    values = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(Image.fromarray(values), format, **options)
    np.testing.assert_array_equal(pixels(data), values)


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).swapaxes(0, 1)),
        (8, lambda a: np.rot90(a, 1)),
    ],
)
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_exif_orientation_is_applied_once(orientation, turn, format):
    values = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(values), format, exif=exif)
    np.testing.assert_array_equal(pixels(data), turn(values))


def test_a_damaged_exif_block_costs_nothing():
    data = encoded(
        Image.new("RGB", (8, 8), (64, 64, 64)), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's word on the EXIF block
        assert (pixels(data) == 64).all()


def test_cmyk_is_converted_by_pillows_formula():
    tiff = encoded(Image.new("CMYK", (2, 2), (255, 0, 0, 0)), "TIFF")
    np.testing.assert_array_equal(pixels(tiff)[0, 0], (0, 255, 255))
    jpeg = encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), "JPEG", quality=100)
    np.testing.assert_array_equal(pixels(jpeg)[0, 0], (0, 0, 0))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_divided_by_257(format):
    k = np.arange(256, dtype=np.uint16).reshape(16, 16)
    got = pixels(encoded(Image.fromarray(k * 257), format))
    np.testing.assert_array_equal(got, np.repeat(k[:, :, None], 3, 2))


def test_big_endian_16_bit_grey_and_its_transparent_value():
    big = Image.frombytes("I;16B", (2, 1), np.array([257 * 7, 65535], ">u2").tobytes())
    np.testing.assert_array_equal(pixels(encoded(big, "TIFF"))[0, :, 0], [7, 255])
    grey = Image.fromarray(np.array([[0, 257 * 9]], np.uint16))
    np.testing.assert_array_equal(pixels(encoded(grey, transparency=0))[0, :, 0], [255, 9])


def test_32_bit_integers_beyond_16_bits_are_refused():
    image = Image.fromarray(np.array([[0, 70_000]], np.int32))
    with pytest.raises(UnreadableImage, match=r"mode I pixels span \[0, 70000\]; expected 16 bits"):
        decode(encoded(image, "TIFF"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 0.2, 1.0], [0, 51, 255]), ([0.0, 51.4, 255.0], [0, 51, 255])],
)
def test_float_pixels_in_either_range(values, expected):
    image = Image.fromarray(np.array([values], np.float32))
    np.testing.assert_array_equal(pixels(encoded(image, "TIFF"))[0, :, 0], expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.0, 300.0], r"span \[0, 300\]; expected \[0, 1\] or \[0, 255\]"),
        ([-1.0, 1.0], r"span \[-1, 1\]"),
        ([0.0, float("nan")], "non-finite"),
        ([0.0, float("inf")], "non-finite"),
    ],
)
def test_float_pixels_of_no_known_range_are_refused(values, message):
    image = Image.fromarray(np.array([values], np.float32))
    with pytest.raises(UnreadableImage, match=message):
        decode(encoded(image, "TIFF"))


def test_alpha_is_composited_on_white():
    rgba = Image.new("RGBA", (3, 1))
    rgba.putdata([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 51)])
    np.testing.assert_array_equal(pixels(encoded(rgba))[0], [RED, WHITE, (204, 204, 204)])
    la = Image.new("LA", (2, 1))
    la.putdata([(10, 255), (10, 0)])
    np.testing.assert_array_equal(pixels(encoded(la))[0], [(10, 10, 10), WHITE])


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_palette_with_a_transparent_entry(format):
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *GREEN, *BLUE])
    image.putdata([0, 1, 2])
    data = encoded(image, format, transparency=1)
    np.testing.assert_array_equal(pixels(data)[0], [RED, WHITE, BLUE])


def test_palette_with_an_alpha_for_every_entry_and_no_warning():
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putdata([0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = pixels(encoded(image, transparency=b"\xff\x00"))
    np.testing.assert_array_equal(got[0], [RED, WHITE])


def test_rgb_and_grey_with_one_transparent_colour():
    rgb = Image.new("RGB", (2, 1), RED)
    rgb.putpixel((1, 0), BLUE)
    np.testing.assert_array_equal(pixels(encoded(rgb, transparency=BLUE))[0], [RED, WHITE])
    grey = Image.new("L", (2, 1), 3)
    grey.putpixel((1, 0), 4)
    np.testing.assert_array_equal(pixels(encoded(grey, transparency=4))[0, :, 0], [3, 255])


def test_a_palette_in_an_icon():
    image = Image.new("P", (16, 16), 1)
    image.putpalette([*RED, *GREEN])
    assert decode(encoded(image, "ICNS")).getpixel((5, 5)) == GREEN


def test_a_raster_that_begins_like_another_formats():
    # Its width, 1, is what a brush of GIMP's has there.
    header = struct.pack(">8I", 0x59A66A95, 1, 1, 24, 4, 1, 0, 0)
    assert decode(header + bytes((*BLUE[::-1], 0))).getpixel((0, 0)) == BLUE


def test_one_bit_and_eight_bit_grey():
    bits = Image.new("1", (2, 1))
    bits.putpixel((1, 0), 1)
    np.testing.assert_array_equal(pixels(encoded(bits))[0, :, 1], [0, 255])
    assert (pixels(encoded(Image.new("L", (2, 2), 77))) == 77).all()


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(format):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(pixels(data)[0, 0], RED)


def test_the_icc_profile_is_not_applied_and_no_metadata_remains():
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    image = decode(encoded(Image.new("RGB", (2, 2), (10, 20, 30)), icc_profile=profile))
    assert image.getpixel((0, 0)) == (10, 20, 30)
    assert image.info == {}
    assert type(image) is Image.Image


def test_an_empty_file_is_named_so():
    with pytest.raises(UnreadableImage, match=r"^empty file$"):
        decode(b"")


@pytest.mark.parametrize(
    "data", [b"not an image at all, but text\n", b"\0" * 1000, b"<html>", b"\xff\xd8\xff", b"?"]
)
def test_what_is_no_image_is_named_so(data):
    with pytest.raises(UnreadableImage, match=r"^not an image Pillow can read"):
        decode(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_truncated_file_is_refused(format):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    data = encoded(Image.fromarray(noise), format)
    with pytest.raises(UnreadableImage, match=format) as caught:
        decode(data[: len(data) // 2])
    if format in ("JPEG", "PNG", "GIF", "BMP"):
        assert str(caught.value).startswith(f"truncated {format} file")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "ICO", "PPM"])
def test_no_damage_gives_another_error(format):
    data = encoded(Image.effect_noise((24, 24), 90).convert("RGB"), format)
    damaged = [data[:length] for length in range(0, len(data), max(1, len(data) // 40))]
    damaged += [data[:at] + b"\xff\xff\xff" + data[at + 3 :] for at in range(0, 60, 3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for broken in damaged:
            with contextlib.suppress(UnreadableImage):
                assert decode(broken, max_pixels=100_000).mode == "RGB"


def test_a_file_cut_within_its_header_names_the_format():
    with pytest.raises(UnreadableImage, match=r"not an image Pillow can read .*begins like PNG"):
        decode(png()[:12])


def test_a_bomb_is_refused_before_its_pixels_are_decoded(monkeypatch):
    monkeypatch.setattr(
        ImageFile.ImageFile, "load", lambda _: pytest.fail("the pixels were decoded")
    )
    message = r"too large: 100000 x 100000 = 10000000000 pixels, `max_pixels` is 89478485"
    with pytest.raises(UnreadableImage, match=message):
        decode(bomb_header(100_000, 100_000))


def test_max_pixels_is_the_largest_size_allowed():
    data = png(size=(6, 4))
    assert decode(data, max_pixels=24).size == (6, 4)
    with pytest.raises(UnreadableImage, match="6 x 4 = 24 pixels, `max_pixels` is 23"):
        decode(data, max_pixels=23)


def test_pillows_own_limit_neither_warns_nor_refuses(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(png(size=(6, 4)), max_pixels=24).size == (6, 4)
        assert decode(png(size=(6, 4)), max_pixels=None).size == (6, 4)
        with pytest.raises(UnreadableImage, match="too large"):
            decode(png(size=(5, 3)), max_pixels=14)


def test_a_path_is_read_and_its_file_closed(tmp_path):
    good = write(tmp_path / "a.png", png(BLUE))
    bad = write(tmp_path / "b.jpg", png()[:40])
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    image = decode(good)
    with pytest.raises(UnreadableImage):
        decode(str(bad))
    assert image.getpixel((0, 0)) == BLUE
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before


def test_a_missing_file_stays_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        decode(tmp_path / "none.png")


def test_threads_agree_with_one_thread():
    files = [png((k, 2 * k, 255 - k), (17, 11)) for k in range(64)]
    with ThreadPoolExecutor(8) as pool:
        together = [image.getpixel((0, 0)) for image in pool.map(decode, files)]
    assert together == [(k, 2 * k, 255 - k) for k in range(64)]


def test_extensions_are_those_of_formats_with_a_decoder():
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif", ".gif", ".bmp"} <= image_extensions()
    assert not {".pdf", ".eps", ".h5", ".mpg", ".wmf", ".txt"} & image_extensions()


def test_a_thumbnail_is_decoded_no_larger_than_needed(tmp_path):
    path = tmp_path / "a.jpg"
    gradient = np.linspace(0, 255, 1600, dtype=np.uint8)
    Image.fromarray(np.tile(gradient, (1000, 1))).save(path)
    whole, small = decode(path), decode(path, longest_side=200)
    assert (whole.size, small.size) == ((1600, 1000), (200, 125))
    # The same picture: every eighth of the gradient.
    difference = np.asarray(small)[60, :, 0].astype(int) - np.asarray(whole)[480, 4::8, 0]
    assert np.abs(difference).max() <= 2
    assert decode(path, longest_side=5000).size == (1600, 1000)
    for side in (199, 201, 333):
        assert max(decode(path, longest_side=side).size) >= side
