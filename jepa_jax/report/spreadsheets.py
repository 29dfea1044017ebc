"""Lines of CSV, and what spreadsheets take for a formula in them: one rule for files and pages."""

from collections.abc import Iterable
from typing import Any

FORMULAS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
"""What a text begins with that spreadsheets compute, the wide forms of Asian keyboards among it."""


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would compute a cell of this text.

    >>> is_formula("=1+1.png"), is_formula("a=1.png")
    (True, False)
    """
    return text[:1] in FORMULAS and text != ""


def csv_line(values: Iterable[Any], *, guarded: bool = False) -> str:
    r"""A line of RFC 4180, with every digit of a float; an empty cell where there is no value.

    `guarded`: a text that is a formula has an apostrophe before it, which makes a text of it in a
    spreadsheet; numbers are numbers.

    >>> csv_line(["=a,b.png", -1.5, None]), csv_line(["=a.png", -1.5], guarded=True)
    ('"=a,b.png",-1.5,\n', "'=a.png,-1.5\n")
    """
    return ",".join(_cell(value, guarded) for value in values) + "\n"


def _cell(value: Any, guarded: bool) -> str:
    # Not the `csv` module's writer: that of Python 3.11 leaves a carriage return unquoted.
    text = "" if value is None else str(value)
    if guarded and isinstance(value, str) and is_formula(text):
        text = "'" + text
    if not any(mark in text for mark in ',"\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'
