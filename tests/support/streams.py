"""Streams of small images made on the fly."""

from PIL import Image

from jepa_jax.data import Record


def colour(i: int) -> Image.Image:
    """A small image of which no two are alike."""
    image = Image.new("RGB", (20 + i % 5, 18), ((7 * i) % 256, (31 * i) % 256, (101 * i) % 256))
    image.paste((255 - i % 200, i % 256, 90), (i % 10, i % 7, i % 10 + 6, i % 7 + 8))
    return image


def records(count: int, broken: tuple[int, ...] = (), log: list | None = None) -> list[Record]:
    """`count` records; loading one appends its index to `log`; `broken` ones fail."""

    def load(i: int):
        if log is not None:
            log.append(i)
        if i in broken:
            raise ValueError(f"image {i} is broken")
        return colour(i)

    return [Record(f"image-{i:03d}", "memory", lambda i=i: load(i)) for i in range(count)]
