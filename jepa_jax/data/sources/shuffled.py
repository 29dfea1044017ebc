"""The records of another source in an order of chance."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from jepa_jax.data.left_out import LeftOut, left_out
from jepa_jax.data.record import Record
from jepa_jax.data.sources.source import Source


@dataclass(frozen=True)
class Shuffled:
    """A source's records in an order that `shuffle`, a seed, and their ids decide.

    The first rows of a run are then a sample of all: quantiles are known early, and `limit` takes
    images of every kind. Lists the whole source first; memory: all its records (about .6 KB an
    image file; of a gzipped archive, its bytes).

    >>> from jepa_jax.data import FileList, Shuffled
    >>> files = FileList(("a.png", "b.png", "c.png", "d.png"))
    >>> [record.id for record in Shuffled(files, shuffle=1)]
    ['c.png', 'b.png', 'a.png', 'd.png']
    """

    source: Source
    shuffle: int

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def sources(self) -> tuple[Source, ...]:
        """What it is made of."""
        return (self.source,)

    def __str__(self) -> str:
        return f"{self.source}, shuffled"

    def __iter__(self) -> Iterator[Record]:
        def place(numbered: tuple[int, Record]) -> bytes:
            number, record = numbered
            text = f"{self.shuffle} {number} {record.id}"
            return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()

        for _, record in sorted(enumerate(self.source), key=place):
            yield record

    def count(self) -> int | None:
        """The source's."""
        return self.source.count()

    def left_out(self) -> tuple[LeftOut, ...]:
        """The source's."""
        return left_out(self.source)
