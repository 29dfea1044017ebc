"""PNG metadata: however large or damaged, it takes nothing from the pixels; the way up is kept."""

import struct
import zlib

import numpy as np
import pytest
from image_files import encoded
from PIL import Image, PngImagePlugin

from jepa_jax.data import UnreadableImage, decode

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
PLAIN = encoded(Image.fromarray(PIXELS))
LARGE = b"a" * (3 << 20)  # Pillow's limit for text and profiles is 1 MB
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def chunk(name: bytes, body: bytes, crc: int | None = None) -> bytes:
    crc = zlib.crc32(name + body) if crc is None else crc
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc)


def with_chunk(added: bytes, before: bytes = b"IDAT", data: bytes = PLAIN) -> bytes:
    at = data.index(before) - 4
    return data[:at] + added + data[at:]


def itxt(key: bytes, text: bytes) -> bytes:
    return chunk(b"iTXt", key + b"\0\1\0\0\0" + zlib.compress(text))


METADATA = {
    "text": chunk(b"tEXt", b"Comment\0" + LARGE),
    "compressed text": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(LARGE)),
    "international text": itxt(b"Comment", LARGE),
    "colour profile": chunk(b"iCCP", b"icc\0\0" + zlib.compress(LARGE)),
    "text of unknown compression": chunk(b"zTXt", b"Comment\0\7" + b"zz"),
    "text that is no zlib stream": chunk(b"zTXt", b"Comment\0\0" + b"zz"),
    "a wrong checksum": chunk(b"tEXt", b"Comment\0x", crc=1),
    "a profile with a wrong checksum": chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"x"), crc=1),
    "a short physical size": chunk(b"pHYs", b"\0"),
    "a short gamma": chunk(b"gAMA", b""),
    "an unknown chunk": chunk(b"vpAg", LARGE),
    "damaged EXIF": chunk(b"eXIf", b"MM\0*", crc=1),
    "an empty text": chunk(b"iTXt", b""),
}


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("kind", METADATA)
def test_metadata_takes_nothing_from_the_pixels(kind, before):
    image = decode(with_chunk(METADATA[kind], before))
    np.testing.assert_array_equal(image, PIXELS)


def test_much_of_it_between_every_piece_of_the_pixels():
    one = zlib.compress(b"".join(b"\0" + row.tobytes() for row in PIXELS))
    pieces = [one[i : i + 50] for i in range(0, len(one), 50)]
    header = PLAIN[: PLAIN.index(b"IDAT") - 4]
    text = METADATA["compressed text"]
    data = header + b"".join(text + chunk(b"IDAT", piece) for piece in pieces)
    # The standard wants pixel data in one run; Pillow reads on where nothing is in between.
    np.testing.assert_array_equal(decode(data + chunk(b"IEND", b"")), PIXELS)


def test_pillows_limits_are_as_they_were():
    before = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    decode(with_chunk(METADATA["international text"]))
    assert (PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY) == before


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize(
    "said",
    [
        chunk(b"eXIf", exif(6).removeprefix(b"Exif\0\0")),
        itxt(b"XML:com.adobe.xmp", XMP),
        itxt(b"XML:com.adobe.xmp", XMP + LARGE),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        chunk(
            b"zTXt",
            b"Raw profile type exif\0\0"
            + zlib.compress(b"\nexif\n%8d\n" % len(exif(6)) + exif(6).hex().encode() + b"\n"),
        ),
    ],
    ids=["eXIf", "XMP", "large XMP", "plain XMP", "raw profile"],
)
def test_the_way_up_is_kept_where_text_says_it(said, before):
    np.testing.assert_array_equal(decode(with_chunk(said, before)), np.rot90(PIXELS, -1))


def test_transparency_and_palettes_are_no_metadata():
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    data = with_chunk(METADATA["text"], data=encoded(image, transparency=1))
    expected = [(255, 0, 0), (255, 255, 255), (0, 0, 255)]
    np.testing.assert_array_equal(np.asarray(decode(data))[0], expected)


def test_an_animation_with_much_text_gives_its_first_frame():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime")]
    data = encoded(frames[0], save_all=True, append_images=frames[1:])
    for before in (b"fcTL", b"IDAT", b"IEND"):
        image = decode(with_chunk(METADATA["text"], before, data))
        assert image.getpixel((0, 0)) == (255, 0, 0)


def test_damaged_pixels_stay_an_error():
    data = with_chunk(METADATA["text"])
    at = data.index(b"IDAT") + 40
    for damaged in (data[: at + 20], data[:at] + b"\xff\0\xff" + data[at + 3 :]):
        with pytest.raises(UnreadableImage, match="PNG"):
            decode(damaged)


def test_a_file_is_read_as_its_bytes_are(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(with_chunk(METADATA["colour profile"]))
    np.testing.assert_array_equal(decode(path), PIXELS)
