"""Pictures of single rows, made when they are asked for: found in the source by id, and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator

from jepa_jax.data import Chain, Folder, Record, Source
from jepa_jax.data.record import writable_id
from jepa_jax.report.thumbnails import thumbnail

SMALL, LARGE = 160, 768
"""Sides of a picture, in pixels."""

_KEPT_BYTES = 32 << 20
# Records of archives and tables that are kept, about 1 kB each.
_KEPT_RECORDS = 50_000
# Pictures being made at once: as many as there are cores of a small machine.
_AT_ONCE = 2


class Pictures:
    """The pictures of a `source`, None for none of any row. Threads may share it.

    Only records that the source itself gives are read: an id is looked up among these, and is never
    a path. In a folder it is found at once; an archive or table is gone through until it comes. Of
    two images of the same id the first is shown.
    """

    def __init__(self, source: Source | None):
        self.source = source
        self._parts = {} if source is None else _parts(source)
        self._making = threading.Semaphore(_AT_ONCE)
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def of(self, id: str, stamp: str | None, side: int) -> bytes | None:
        """The picture of the image `id`; None where there is none, it cannot be read, or its file
        is another one than when it was scored, which its `stamp` tells."""
        key = f"{stamp} {id}", side
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with self._making:
            picture = self._make(id, stamp, side)
        if picture is not None:
            with self._lock:
                self._kept[key] = picture
                while sum(map(len, self._kept.values())) > _KEPT_BYTES:
                    self._kept.popitem(last=False)
        return picture

    def _make(self, id: str, stamp: str | None, side: int) -> bytes | None:
        found = self._find(id)
        if found is None:
            return None
        source, record = found
        now = None if stamp is None else record.stamp()
        if now is not None and now != stamp:
            return None
        return thumbnail(record, source=source, side=side)

    def _find(self, id: str) -> tuple[Source, Record] | None:
        # Ids of archives begin with the archive's name, which may have slashes in it.
        ends = [i for i, character in enumerate(id) if character == "/"]
        names = [*(id[:end] for end in reversed(ends)), ""]
        part = next((self._parts[name] for name in names if name in self._parts), None)
        record = None if part is None else part.find(id)
        return None if part is None or record is None else (part.source, record)


def _parts(source: Source) -> dict[str, _Part]:
    """The sources that a source is made of, by what their ids begin with; "" for one by itself."""
    if isinstance(source, Chain):
        labels = [getattr(part, "label", "") for part in source.sources]
        if all(labels) and len(set(labels)) == len(labels):
            share = max(1000, _KEPT_RECORDS // len(labels))
            found = zip(labels, source.sources, strict=True)
            return {writable_id(label): _Part(part, share) for label, part in found}
    return {"": _Part(source, _KEPT_RECORDS)}


class _Part:
    """A source that is gone through as far as it was asked for; so many records are kept."""

    def __init__(self, source: Source, most: int):
        self.source, self.most = source, 0 if _holds_bytes(source) else most
        self._lock = threading.Lock()
        self._known: dict[str, Record] = {}
        self._rest: Iterator[Record] | None = None

    def find(self, id: str) -> Record | None:
        if isinstance(self.source, Folder):
            return self.source.record(id)
        with self._lock:
            if id in self._known:
                return self._known[id]
            begun = self._rest is not None
            found = self._go_on(id)
            # What was passed and not kept is met again from the beginning on.
            return found if found or not begun or len(self._known) < self.most else self._go_on(id)

    def _go_on(self, id: str) -> Record | None:
        self._rest = iter(self.source) if self._rest is None else self._rest
        for record in self._rest:
            if len(self._known) < self.most:
                self._known.setdefault(record.id, record)
            if record.id == id:
                return record
        self._rest = None
        return None


def _holds_bytes(source: Source) -> bool:
    """Whether a record of it holds an image's bytes, as those of a zipped archive do."""
    return source.name.lower().endswith(("gz", "bz2", "xz", "zst"))
