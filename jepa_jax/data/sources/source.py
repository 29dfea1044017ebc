"""What a source of images is, and sources made of others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from jepa_jax.data.left_out import LeftOut, left_out
from jepa_jax.data.record import Record, broken, writable_id


@runtime_checkable
class Source(Protocol):
    """An iterable of `Record`s that gives the same ones in the same order every time.

    It may say, by `left_out()`, what it leaves out: `jepa_jax.data.left_out.LeftOut`s.

    >>> from PIL import Image
    >>> from jepa_jax.data import Record, Source
    >>> class Greys:
    ...     name = "three greys"
    ...     def __iter__(self):
    ...         for i in range(3):
    ...             yield Record(f"{i}", self.name, lambda i=i: Image.new("RGB", (8, 8), (i, i, i)))
    ...     def count(self):
    ...         return 3
    >>> isinstance(Greys(), Source), [record.id for record in Greys()]
    (True, ['0', '1', '2'])
    """

    @property
    def name(self) -> str:
        """What the user would call it: a path, or 'hf:owner/name'."""
        ...

    def __iter__(self) -> Iterator[Record]: ...

    def count(self) -> int | None:
        """The number of records, or None if only reading all the data would tell."""
        ...


@dataclass(frozen=True)
class Chain:
    """Several sources, one after the other; `skipped`: what lies beside them.

    >>> from jepa_jax.data import Chain, FileList
    >>> both = Chain("two lists", (FileList(("b.png",)), FileList(("a.png", "c.png"))))
    >>> both.count(), [record.id for record in both]
    (3, ['b.png', 'a.png', 'c.png'])
    """

    name: str
    sources: tuple[Source, ...]
    skipped: tuple[LeftOut, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return f"{len(self.sources)} files of {self.name}"

    def __iter__(self) -> Iterator[Record]:
        for source in self.sources:
            try:
                yield from source
            except Exception as error:  # One file's fault is its own row; the others go on.
                yield broken(f"{writable_id(source.name)} (the rest)", self.name, error)

    def count(self) -> int | None:
        """The sum of the sources' counts; None if one is not known."""
        counts = [source.count() for source in self.sources]
        return None if None in counts else sum(count for count in counts if count is not None)

    def left_out(self) -> tuple[LeftOut, ...]:
        """What lies beside the sources, and what the first of them leaves out."""
        first = left_out(self.sources[0]) if self.sources else ()
        if len(self.sources) > 1:
            first = tuple(replace(e, kind=f"{e.kind} (of the first file)") for e in first)
        return self.skipped + first


@dataclass(frozen=True)
class Records:
    """Records made by hand."""

    records: tuple[Record, ...]
    name: str = "records"

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def count(self) -> int:
        """The number of records."""
        return len(self.records)


def count_within(source: Source, limit: int | None) -> int | None:
    """How many records there are among the first `limit` (None: of all); None where that is not
    known."""
    total = source.count()
    return limit if total is None else total if limit is None else min(total, limit)
