"""A hook of `mkdocs build`: pages that live beside what they are about, and the command line's.

A link from a page of `docs/` to another file of the repository brings that file into the site, at
its own path: a benchmark's page with its figures and results, say. What is linked from there comes
too. A link to a folder has nothing to show in the site and becomes plain text.
"""

import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from posixpath import relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
COMMANDS = "reference/command_line.md"
# ![text](target "title") and [text](target#anchor), the target of one word.
_LINK = re.compile(r"(!?\[(?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*\])\(([^)\s#]+)(#[^)\s]*)?([^)]*)\)")
_CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files that pages link to, and the pages that these link to in turn."""
    pages = [ROOT / "README.md"]  # Only followed: the site begins with docs/index.md.
    pages = [Path(file.abs_src_path) for file in files.documentation_pages()]
    seen = set(pages)
    while pages:
        page = pages.pop()
        for target in linked(page):
            if target in seen or not target.is_file() or in_docs(target, config):
                continue
            seen.add(target)
            name = target.relative_to(ROOT).as_posix()
            files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
            if target.suffix == ".md":
                pages.append(target)
    files.append(File.generated(config, COMMANDS, content=command_line()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links by their place in the repository become links by their place in the site."""
    if page.file.src_uri == COMMANDS:
        return markdown
    source = Path(page.file.abs_src_path)
    here = PurePosixPath(page.file.src_uri).parent

    def rewritten(match: re.Match[str]) -> str:
        text, target, anchor, title = match[1], match[2], match[3] or "", match[4]
        if "](" in text:  # A picture that is a link.
            text = _LINK.sub(rewritten, text)
        if ":" in target:
            return f"{text}({target}{anchor}{title})"
        path = (source.parent / target).resolve()
        if path.is_dir():
            return text.removeprefix("[").removesuffix("]")
        uri = site_uri(path, config)
        return f"{text}({relpath(uri, here)}{anchor}{title})"

    return outside_code(lambda text: _LINK.sub(rewritten, text), markdown)


def linked(page: Path) -> list[Path]:
    """The files of the repository that a page links to."""
    found: list[str] = []
    collect = lambda text: found.extend(m[2] for m in _LINK.finditer(text)) or text
    outside_code(collect, page.read_text())
    paths = [(page.parent / target).resolve() for target in found if ":" not in target]
    return [path for path in paths if path.is_relative_to(ROOT)]


def outside_code(change, markdown: str) -> str:
    """`change` of everything but code."""
    parts = _CODE.split(markdown)
    return "".join(part if i % 2 else change(part) for i, part in enumerate(parts))


def in_docs(path: Path, config: MkDocsConfig) -> bool:
    """Whether a file is the site's own."""
    return path.is_relative_to(config.docs_dir)


def site_uri(path: Path, config: MkDocsConfig) -> str:
    """A file's place in the site."""
    below = config.docs_dir if in_docs(path, config) else ROOT
    return path.relative_to(below).as_posix()


def command_line() -> str:
    """Every command and its options, as typer writes them."""
    made = subprocess.run(
        [sys.executable, "-m", "typer", "jepa_jax.cli", "utils", "docs", "--name", "jepa-jax"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout
