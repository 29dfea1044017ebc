"""Gathers the pages of the documentation site, which `make docs` then builds.

    python -m tools.site --out build/docs

copies `docs/`, and whatever file of the repository a page links to, at that file's own path: a
benchmark's page with its figures and results, say; what is linked from there comes too. Links by
their place in the repository become links by their place in the site; a link to a folder has
nothing to show there and becomes plain text. The page of the command line is written by typer.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from posixpath import relpath

from tools.site_docstrings import fenced

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
COMMANDS = "reference/command_line.md"
# ![text](target "title") and [text](target#anchor); the text may hold a picture.
_LINK = re.compile(r"(!?\[(?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*\])\(([^)\s#]+)(#[^)\s]*)?([^)]*)\)")
# In a page: here comes what the README says before its first heading or block.
BEGINNING = "<!-- The README's beginning. -->"
_FENCED = re.compile(r"(^ *```.*?^ *```)", re.MULTILINE | re.DOTALL)


def gather(out: Path) -> None:
    """Writes the site's pages and all that they link to into `out`, made anew."""
    shutil.rmtree(out, ignore_errors=True)
    waiting = [path for path in DOCS.rglob("*") if path.is_file()]
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        place = out / place_of(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".md":
            shutil.copyfile(path, place)
            continue
        place.write_text(rewritten(path))
        found = {t for t in links(path) if t.is_file() and t.is_relative_to(ROOT)}
        waiting += found - seen
        seen |= found
    (out / COMMANDS).write_text(command_line())


def links(page: Path) -> list[Path]:
    """What of the repository a page links to, whether it is there or not."""
    found: list[Path] = []

    def collect(match: re.Match[str]) -> str:
        _LINK.sub(collect, match[1])  # A picture that is a link.
        if ":" not in match[2]:
            found.append((page.parent / match[2]).resolve())
        return ""

    outside_fences(lambda text: _LINK.sub(collect, text), source(page))
    return found


def source(page: Path) -> str:
    """A page as it is written, the README's beginning where it is to be."""
    text = page.read_text()
    if BEGINNING not in text:
        return text
    beginning = re.split(r"^(?:## |```)", (ROOT / "README.md").read_text(), flags=re.MULTILINE)[0]

    def moved(match: re.Match[str]) -> str:
        target = match[2] if ":" in match[2] else relpath(match[2], page.parent.relative_to(ROOT))
        return f"{match[1]}({target}{match[3] or ''}{match[4]})"

    return text.replace(BEGINNING, _LINK.sub(moved, beginning).rstrip())


def rewritten(page: Path) -> str:
    """A page with its links as they are in the site, and its examples in fences."""
    here = place_of(page).rpartition("/")[0]

    def rewrite(match: re.Match[str]) -> str:
        text, target, anchor, title = match[1], match[2], match[3] or "", match[4]
        text = text[:2] + _LINK.sub(rewrite, text[2:])
        path = (page.parent / target).resolve()
        if ":" in target:
            place = target
        elif path.is_dir():
            return text.removeprefix("[").removesuffix("]")
        else:
            place = relpath(place_of(path), here or ".")
        return f"{text}({place}{anchor}{title})"

    # In fences first: `['id']` below a prompt is no link.
    examples_fenced = outside_fences(fenced, source(page))
    return outside_fences(lambda text: _LINK.sub(rewrite, text), examples_fenced)


def place_of(path: Path) -> str:
    """A file's place in the site: below `docs/`, or as in the repository."""
    return path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT).as_posix()


def outside_fences(change: Callable[[str], str], markdown: str) -> str:
    """`change` of everything but blocks of code."""
    parts = _FENCED.split(markdown)
    return "".join(part if i % 2 else change(part) for i, part in enumerate(parts))


def command_line() -> str:
    """Every command and its options."""
    made = subprocess.run(
        [sys.executable, "-m", "typer", "jepa_jax.cli", "utils", "docs", "--name", "jepa-jax"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description="Gathers the pages of the site.")
    parser.add_argument("--out", type=Path, required=True, help="the folder, made anew")
    gather(parser.parse_args().out)


if __name__ == "__main__":
    main()
