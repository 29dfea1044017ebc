"""Markdown tables of numbers."""

import math
from collections.abc import Iterable, Sequence


def table(header: Sequence[str | tuple[str, int]], lines: Iterable[Sequence[object]]) -> str:
    """A Markdown table. `header`: a column's name, or its name and the digits of its numbers.

    None and NaN are left blank.
    """
    columns = [(name, 3) if isinstance(name, str) else name for name in header]
    text = ["| " + " | ".join(name for name, _ in columns) + " |"]
    text.append("|" + "---|" * len(columns))
    for line in lines:
        cells = [_cell(v, digits) for v, (_, digits) in zip(line, columns, strict=True)]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text)


def _cell(value: object, digits: int) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        text = f"{value:.{digits}f}"
        return text.lstrip("-") if float(text) == 0 else text
    return str(value)
