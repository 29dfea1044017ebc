"""Files of formats that Pillow reads and does not write, each as small as it can be."""

import struct
from collections.abc import Callable

import numpy as np
from PIL import Image


def psd(image: Image.Image) -> bytes:
    """Photoshop: a header, three empty sections, and the channels one after the other, raw."""
    modes = {"1": (0, 1), "L": (1, 1), "RGB": (3, 3), "CMYK": (4, 4), "LAB": (9, 3)}
    number, channels = modes[image.mode]
    depth = 1 if image.mode == "1" else 8
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, channels, *image.size[::-1], depth, number)
    pixels = image.tobytes() if channels == 1 else b"".join(b.tobytes() for b in image.split())
    return header + struct.pack(">IIIH", 0, 0, 0, 0) + pixels


def sun(image: Image.Image) -> bytes:
    """Sun raster, uncompressed: rows of an even number of bytes."""
    pixels = np.asarray(image)
    bands = 1 if pixels.ndim == 2 else pixels.shape[2]
    rows = pixels[..., ::-1] if bands == 3 else pixels  # BGR
    rows = rows.reshape(image.height, -1)
    rows = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2)))
    size = rows.nbytes
    return struct.pack(">8I", 0x59A66A95, *image.size, 8 * bands, size, 1, 0, 0) + rows.tobytes()


def xpm(image: Image.Image) -> bytes:
    """X pixmap: C source with a character a pixel."""
    small = image.resize((min(60, image.width), min(60, image.height))).quantize(8)
    palette = np.array(small.getpalette()).reshape(-1, 3)
    lines = [f'"{small.width} {small.height} {len(palette)} 1",']
    lines += [f'"{chr(97 + n)} c #{r:02x}{g:02x}{b:02x}",' for n, (r, g, b) in enumerate(palette)]
    rows = ["".join(chr(97 + v) for v in row) for row in np.asarray(small)]
    lines += [f'"{row}",' for row in rows]
    return ("/* XPM */\nstatic char *x[] = {\n" + "\n".join(lines) + "\n};\n").encode()


def fits(image: Image.Image) -> bytes:
    """FITS: cards of 80 characters in blocks of 2880 bytes, then 8-bit grey."""
    cards = {"SIMPLE": "T", "BITPIX": "8", "NAXIS": "2", "NAXIS1": image.width}
    cards |= {"NAXIS2": image.height}
    text = "".join(f"{name:<8}= {value:>20}".ljust(80) for name, value in cards.items())
    text += "END".ljust(80)
    return text.ljust(-(-len(text) // 2880) * 2880).encode() + image.tobytes()


def cursor(image: Image.Image) -> bytes:
    """Windows cursor: a directory of one, and a bitmap with its mask below it."""
    small = image.resize((min(64, image.width), min(64, image.height)))
    width, height = small.size
    rows = np.asarray(small)[::-1, :, ::-1].reshape(height, -1)
    pixels = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4))).tobytes()
    mask = bytes(-(-width // 32) * 4 * height)
    head = struct.pack("<IiiHHIIiiII", 40, width, 2 * height, 1, 24, 0, 0, 0, 0, 0, 0)
    data = head + pixels + mask
    entry = struct.pack("<BBBBHHII", width, height, 0, 0, 0, 0, len(data), 22)
    return struct.pack("<HHH", 0, 2, 1) + entry + data


def gbr(image: Image.Image) -> bytes:
    """A brush of GIMP's: grey, or RGBA."""
    bands = len(image.getbands())
    header = struct.pack(">7I", 30, 2, *image.size, bands, 0x47494D50, 10)
    return header + b"x\0" + image.tobytes()


def pixar(image: Image.Image) -> bytes:
    """Pixar raster: a header of 1024 bytes, then RGB."""
    header = bytearray(1024)
    header[:4] = b"\200\350\000\000"
    struct.pack_into("<HH", header, 416, *image.size[::-1])
    struct.pack_into("<HH", header, 424, 14, 2)
    return bytes(header) + image.tobytes()


# The modes that a writer takes, by extension.
BY_HAND: dict[str, tuple[tuple[str, ...], Callable[[Image.Image], bytes]]] = {
    "psd": (("1", "L", "RGB", "CMYK", "LAB"), psd),
    "ras": (("L", "RGB"), sun),
    "xpm": (("RGB",), xpm),
    "fits": (("L",), fits),
    "cur": (("RGB",), cursor),
    "gbr": (("L", "RGBA"), gbr),
    "pxr": (("RGB",), pixar),
}
