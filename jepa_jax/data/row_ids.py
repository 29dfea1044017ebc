"""The ids of a table's rows."""

from __future__ import annotations

import uuid
from typing import Any

from jepa_jax.data.record import writable_id

_WINDOW = 65_536  # rows within which a repeated id is noticed


class RowIds:
    """The ids of a table's rows, in order: from the id column, or the row's number without one.

    A null, and a value seen before within a window of 65,536 rows, is told apart by '#<row>'; a
    value that comes again further away keeps its id, so that memory stays flat.

    >>> label = RowIds("a.parquet/")
    >>> [label(row, value) for row, value in enumerate(["x", "y", "x", None])]
    ['a.parquet/x', 'a.parquet/y', 'a.parquet/x#2', 'a.parquet/#3']
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._seen: set[str] = set()

    def __call__(self, row: int, value: Any) -> str:
        if row % _WINDOW == 0:
            self._seen.clear()
        text = id_text(value)
        if not text or text in self._seen:
            return writable_id(f"{self._prefix}{text}#{row}")
        self._seen.add(text)
        return writable_id(f"{self._prefix}{text}")


def id_text(value: Any) -> str:
    """A cell of an id column as text; '' for a null.

    A whole number is written without a point, whatever its type; bytes are text where they are
    printable ASCII, else hexadecimal digits, 32 for a UUID, which has no dashes; a list is its only
    element, or '' where it has several or none.

    >>> [id_text(v) for v in ("a", 7.0, 0.5, b"k-1", bytes(16), ["x"], [], float("nan"))]
    ['a', '7', '0.5', 'k-1', '00000000000000000000000000000000', 'x', '', '']
    """
    if isinstance(value, list):
        return id_text(value[0]) if len(value) == 1 else ""
    if isinstance(value, float):
        if value != value:
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
    if isinstance(value, uuid.UUID):
        return value.hex
    if isinstance(value, bytes):
        text = value.decode("latin-1")
        return text if text.isascii() and text.isprintable() else value.hex()
    return "" if value is None else str(value)
