"""A page as one HTML file: its template, style and scripts put together, and written."""

import base64
import hashlib
import shlex
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jepa_jax.atomic_files import replace
from jepa_jax.data.files import open_regular
from jepa_jax.report import words
from jepa_jax.report.spreadsheets import FORMULAS
from jepa_jax.store.folder import check_apart
from jepa_jax.version import __version__

_MARK = '<meta name="generator" content="jepa-jax'


def check_path(path: Path) -> None:
    """Only a report is replaced, and none is put into a folder of scores."""
    check_apart(path)
    if path.is_dir():
        raise IsADirectoryError(f"the report is a file, {path} is a folder")
    if path.exists():
        with open_regular(path) as file:  # Of a pipe or a terminal it would be waited.
            if _MARK.encode() not in file.read(2000):
                raise FileExistsError(f"{path} is not a report: give another name by --out")


def write_page(path: Path, html: str) -> int:
    """Writes a page whole or not at all; returns its size in bytes."""
    data = html.encode("utf-8", "backslashreplace")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, lambda file: file.write(data))
    return len(data)


def page(template: str, scripts: Sequence[str], **values: Any) -> str:
    """The HTML of `template` with the style and these scripts inside.

    All scripts are one function, so that they share names and the page has no others; a policy in
    the page lets this very text run and nothing else. Its `facts` say what is a formula, too.
    """
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_read),
    )
    environment.filters |= {"score": words.shown, "number": words.number, "quote": shlex.quote}
    environment.filters |= {"figures": words.figures}
    values["facts"] = values["facts"] | {"formulas": FORMULAS}
    style = _read("style.css")
    parts = "\n".join(_read(f"{name}.js") for name in scripts)
    script = f'(() => {{\n"use strict";\n{parts}\n}})();\n'
    return environment.get_template(template).render(
        version=__version__,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        **values,
    )


def _read(name: str) -> str:
    return (resources.files("jepa_jax.report") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The source expression that lets this very text run and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
