"""The pages of a local server as HTML: what the report's page would say of the same rows."""

from __future__ import annotations

from typing import Any

from jepa_jax.browse.table_rows import Overview, Rows
from jepa_jax.browse.view import PAGE, SHOWS, STATUS, View
from jepa_jax.report.facts import FACTS
from jepa_jax.report.page_files import page
from jepa_jax.report.words import describe_run, figures, number, shown

_FACTS = {fact.name: fact for fact in FACTS}
_DIRECTIONS = (("lowest first", ""), ("highest first", "-"))
# Numbers that tell little in a table of 100 rows; they are in an image's details.
_NOT_IN_TABLE = ("rank", "bias_bound", "width", "height")
_TIMES, _NONE = "\u00d7", "\u2013"


def list_page(rows: Rows, view: View, base: str, lacks: str) -> str:
    """A page of rows, and the form that asks for others."""
    overview, count = rows.overview(), rows.count(view)
    last = max(1, -(-count // PAGE))
    view = View(**{**vars(view), "page": min(view.page, last)})
    found = rows.page(view)
    columns = [name for name in overview.known if name not in _NOT_IN_TABLE]
    return page(
        "browse.html",
        (),
        served=True,
        title=f"JEPA-SCORE of {rows.settings.get('source', '')}",
        base=base,
        source=rows.settings.get("source", ""),
        rows=overview.rows,
        scored=len(overview.scores),
        count=count,
        lacks=lacks,
        view=view,
        last=last,
        shows=_shows(rows, overview),
        numbers=[(name, rows.title(name)) for name in overview.known],
        orders=_orders(rows, overview),
        heads=[(name, rows.title(name), *_next(view, name)) for name in ("id", *columns)],
        found=[_shown(rows, overview, row, columns, bool(lacks)) for row in found],
        sentences=describe_run(rows.settings, rows.facts),
        folder=str(rows.folder),
    )


def image_page(rows: Rows, view: View, base: str, row: dict[str, Any], lacks: str) -> str:
    """A row with all that is known of it."""
    return page(
        "browse_image.html",
        (),
        served=True,
        title=row["id"],
        base=base,
        back=view.query(),
        row=row,
        lacks=lacks,
        lines=_lines(rows.overview(), row),
        cells=[(name, value) for name, value in row.items() if name not in ("shard", "row")],
    )


def message_page(base: str, title: str, text: str) -> str:
    """What went wrong, and the way back."""
    return page("browse_message.html", (), served=True, title=title, base=base, text=text)


def _shows(rows: Rows, overview: Overview) -> list[tuple[str, str]]:
    """What there is to show, by its value and in words."""
    some = dict(SHOWS)
    if not rows.has_flags:
        del some["flagged"]
    of = {f"{STATUS}{s}": f"{s} ({n:,})" for s, n in overview.statuses.items() if s != "ok"}
    return [*some.items(), *of.items()]


def _orders(rows: Rows, overview: Overview) -> list[tuple[str, str]]:
    found = [("id", "Name, A to Z"), ("-id", "Name, Z to A")]
    found += [("order", "Order of the source")]
    for name in overview.known:
        found += [(sign + name, f"{rows.title(name)}, {words}") for words, sign in _DIRECTIONS]
    return sorted(found, key=lambda order: order[0].removeprefix("-") != "jepa_score")


def _next(view: View, name: str) -> tuple[str | None, str]:
    """How a column is sorted now, and the address of the other way."""
    way = {name: "ascending", f"-{name}": "descending"}.get(view.sort)
    return way, view.query(sort=f"-{name}" if way == "ascending" else name, page=1)


def _shown(
    rows: Rows, overview: Overview, row: dict[str, Any], columns: list[str], no_pictures: bool
) -> dict[str, Any]:
    """What the list has of a row."""
    score = _score(row)
    error = row.get("std_error")
    return {
        "id": row["id"],
        "at": f"{row['shard']}/{row['row']}",
        "picture": not no_pictures,
        "score": row["status"] if score is None else shown(score),
        "error": f" ± {shown(error)}" if score is not None and error else "",
        "scored": score is not None,
        "flagged": bool(row.get("flagged")),
        "cells": [_cell(name, row) for name in columns],
        "lower": "" if (at := overview.lower(score)) is None else percent(at[1]),
        "status": row["error"] or row["status"],
    }


def _score(row: dict[str, Any]) -> float | None:
    """As `ScoreTable.scores` has it."""
    score = row["jepa_score"]
    finite = score is not None and abs(score) < float("inf")
    return score if row["status"] == "ok" and finite else None


def _value(name: str, row: dict[str, Any]) -> float | None:
    if name == "jepa_score":
        return _score(row)
    width, height = row.get("width"), row.get("height")
    if name in ("pixels", "aspect"):
        if not width or not height:
            return None
        return width * height if name == "pixels" else width / height
    value = row.get(name)
    return None if value is None or value != value else value


def _cell(name: str, row: dict[str, Any]) -> str:
    value = _value(name, row)
    if value is None:
        return _NONE if name == "jepa_score" else ""
    if name == "pixels":
        return f"{row['width']} {_TIMES} {row['height']}"
    return figures(value) if name in _FACTS else shown(value)


def percent(share: float) -> str:
    """More digits at the ends, as the report has it."""
    return f"{share:.2f}" if share < 1 or share > 99 else f"{share:.1f}"


def _lines(overview: Overview, row: dict[str, Any]) -> list[tuple[str, str]]:
    """What is known of a row, in words."""
    score, error = _score(row), row.get("std_error")
    margin = f" ± {shown(error)}" if error else ""
    lines = [("Score", "none" if score is None else f"{shown(score)}{margin} nats")]
    if (at := overview.lower(score)) is not None:
        of = f"{at[0] + 1:,} of {number(len(overview.scores), 'image')}"
        lines.append(("Rank", f"{of} from the lowest; {percent(at[1])} % score lower"))
    lines.append(("Status", row["status"]))
    if row["error"]:
        lines.append(("Error", row["error"]))
    if row.get("flagged"):
        lines.append(("Flagged", "unlike the images of the calibration"))
    if row.get("width") and row.get("height"):
        lines.append(("Size", f"{row['width']} {_TIMES} {row['height']} pixels"))
    for name, fact in _FACTS.items():
        value = _value(name, row)
        if name != "pixels" and value is not None:
            lines.append((fact.title, f"{figures(value)} ({fact.unit})"))
    if row.get("method"):
        lines.append(("Method", row["method"]))
    if row.get("rank") is not None:
        lines.append(("Singular values", f"{row['rank']:,}"))
    return [*lines, ("Source", row["source"] or "")]
