"""What a page of rows is asked for: which rows, in which order, and where in them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlencode

PAGE = 100
"""Rows a page."""
# Beside the statuses that a folder has.
SHOWS = {
    "all": "all images",
    "scored": "with a score",
    "failed": "without a score",
    "flagged": "flagged",
}
STATUS = "status:"


@dataclasses.dataclass(frozen=True)
class View:
    """`show`: one of `SHOWS`, or 'status:' and a status; `low` and `high`: of the numbers `of`;
    `text`: in the id, whatever its case; `sort`: a number, 'id' or 'order', '-' before it for the
    other direction; `gallery`: pictures instead of a table; `page`: from 1 on.

    >>> View(text="a b", page=2).query(page=3)
    'text=a+b&page=3'
    """

    show: str = "all"
    of: str = "jepa_score"
    low: float | None = None
    high: float | None = None
    text: str = ""
    sort: str = "jepa_score"
    gallery: bool = False
    page: int = 1

    @classmethod
    def asked(cls, asked: Mapping[str, str], numbers: Collection[str]) -> View:
        """That of an address; `ValueError` on a name that is none of a folder's `numbers`, and on
        a number that is none."""
        show, of = asked.get("show", cls.show), asked.get("of", cls.of)
        if show not in SHOWS and not show.startswith(STATUS):
            raise ValueError(f"there is nothing such as {show!r} to show: {', '.join(SHOWS)}")
        sort = asked.get("sort", cls.sort)
        for name, known in ((of, [*numbers]), (sort.removeprefix("-"), [*numbers, "id", "order"])):
            if name not in known:
                raise ValueError(f"{name!r} is none of these: {', '.join(known)}")
        page = _number("page", asked.get("page", ""))
        return cls(
            show=show,
            of=of,
            low=_number("low", asked.get("low", "")),
            high=_number("high", asked.get("high", "")),
            text=asked.get("text", ""),
            sort=sort,
            gallery=asked.get("view") == "gallery",
            page=int(min(max(1, page), 2**53)) if page is not None else 1,
        )

    def query(self, **changed: Any) -> str:
        """The part of an address that asks for this view, with some of it changed."""
        view = dataclasses.replace(self, **changed)
        return urlencode([*view.fields(), *([("page", view.page)] if view.page > 1 else [])])

    def fields(self) -> list[tuple[str, Any]]:
        """What a form or address has of it, but the page: what is not as by default."""
        named = [(field.name, field.default) for field in dataclasses.fields(self)]
        said = [(name, getattr(self, name)) for name, default in named if name != "page"]
        by_default = dict(named)
        return [
            ("view", "gallery") if name == "gallery" else (name, value)
            for name, value in said
            if value != by_default[name]
        ]


def _number(name: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a number, got {text!r}")
    return number
