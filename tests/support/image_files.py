"""Images of one known colour, as bytes and as files."""

import io
import tarfile
from pathlib import Path

from PIL import Image

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encoded(image: Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png(colour: tuple[int, int, int] = RED, size: tuple[int, int] = (3, 2)) -> bytes:
    return encoded(Image.new("RGB", size, colour))


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def ids(source) -> list[str]:
    return [record.id for record in source]


def colours(source) -> list:
    """The first pixel of every image, or the error's type name."""

    def colour(record):
        try:
            return record.load().getpixel((0, 0))
        except Exception as error:
            return type(error).__name__

    return [colour(record) for record in source]


def tarred(members: dict[str, bytes], **options) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
