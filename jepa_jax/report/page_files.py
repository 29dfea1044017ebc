"""A page as one HTML file: its template, style and scripts put together, and written."""

import base64
import functools
import hashlib
import shlex
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jepa_jax.atomic_files import replace
from jepa_jax.data.readable import open_regular
from jepa_jax.report import words
from jepa_jax.report.spreadsheets import FORMULAS
from jepa_jax.store.folder import check_apart
from jepa_jax.version import __version__

if TYPE_CHECKING:  # The command line needs it where a page is made, and not before.
    import jinja2

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


def page(template: str, scripts: Sequence[str], *, served: bool = False, **values: Any) -> str:
    """The HTML of `template` with the style and these scripts inside.

    All scripts are one function, so that they share names and the page has no others; a policy in
    the page lets this very text run and nothing else. Its `facts` say what is a formula, too.
    `served`: a page without scripts, whose pictures and forms are where it comes from.
    """
    if "facts" in values:
        values["facts"] = values["facts"] | {"formulas": FORMULAS}
    parts = "\n".join(_read(f"{name}.js") for name in scripts)
    script = f'(() => {{\n"use strict";\n{parts}\n}})();\n' if scripts else ""
    return (
        _environment()
        .get_template(template)
        .render(
            version=__version__,
            style=_read("style.css"),
            script=script,
            policy=served_policy() if served else _policy("data:", "'none'", script),
            **values,
        )
    )


def served_policy() -> str:
    """What a served page may do: its style, pictures and forms of its own server; no scripts."""
    return _policy("'self'", "'self'", "")


def _policy(pictures: str, forms: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src {pictures}; style-src '{_hash(_read('style.css'))}'; "
        f"script-src '{_hash(script) if script else 'none'}'; base-uri 'none'; form-action {forms}"
    )


@functools.cache
def _environment() -> "jinja2.Environment":
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
    return environment


@functools.cache
def _read(name: str) -> str:
    return (resources.files("jepa_jax.report") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The source expression that lets this very text run and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
