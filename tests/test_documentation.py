"""The pages are true where a machine can tell: links, paths, commands, options, Python."""

import doctest
import importlib.util
import os
import re
import shlex
import sys
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import typer.main

from jepa_jax import Exact, jacobian, load_encoder
from jepa_jax.cli import app
from jepa_jax.commands.estimators import make_estimator
from jepa_jax.encoders import families
from jepa_jax.estimators import methods
from jepa_jax.store.schema import GROUPS, schema
from tools import site
from tools.site_docstrings import fenced

ROOT = Path(__file__).parent.parent
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "benchmarks").rglob("README.md"),
    ROOT / "jepa_jax" / "assets" / "README.md",
]
SOURCES = [path for top in ("jepa_jax", "tools") for path in (ROOT / top).rglob("*.py")]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())


@each_page
def test_links_lead_somewhere(page):
    assert [path for path in site.links(page) if not path.exists()] == []


@each_page
def test_paths_are_there(page):
    assert missing_paths(page.read_text()) == []


def test_paths_in_docstrings_and_comments_are_there():
    missing = {str(path): missing_paths(path.read_text()) for path in SOURCES}
    assert {path: names for path, names in missing.items() if names} == {}


def missing_paths(text):
    """Paths of this repository that are named but are not there."""
    pattern = r"(?<![\w/.-])(?:jepa_jax|benchmarks|docs|tests|tools|notebooks)/[\w./-]*\w"
    walked = {"isotropic"}  # What the walk-throughs add.
    return [
        found
        for found in re.findall(pattern, text)
        if not (ROOT / found).exists()
        and "NAME" not in found
        and not walked & set(re.split(r"[/._]", found))
    ]


@each_page
def test_commands_have_the_options_that_are_named(page):
    commands = typer.main.get_group(app).commands
    unknown = []
    for words in command_lines(page.read_text()):
        known = {o for p in commands[words[1]].params for o in (*p.opts, *p.secondary_opts)}
        unknown += [
            (words[1], w) for w in words if w.startswith("-") and w not in known | {"--help"}
        ]
    assert unknown == []


def command_lines(text):
    """Calls of `jepa-jax` in blocks of code and in spans, as words."""
    joined = text.replace("\\\n", " ")
    blocks = re.findall(r"^```\n(.*?)^```", joined, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += [line[4:] for line in joined.splitlines() if line.startswith("    ")]
    lines += re.findall(r"`((?:\.venv/bin/)?jepa-jax [^`]*)`", text)
    calls = [shlex.split(line, comments=True) for line in lines if "jepa-jax " in line]
    return [
        c
        for c in calls
        if len(c) > 1 and c[0].endswith("jepa-jax") and re.fullmatch("[a-z]+", c[1])
    ]


def test_modules_that_are_run_are_there():
    text = "\n".join(page.read_text() for page in PAGES if page.stem != "CHANGELOG")
    names = set(re.findall(r"python -m ([\w.]+)", text)) - {"pytest"}
    assert {"benchmarks.exact", "tools.embedded_encoder"} <= names
    assert {name for name in names if importlib.util.find_spec(name) is None} == set()


def test_targets_of_make_are_there():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"(?:^|`)make ([a-z]+)(?:`| +#|$)", text, re.MULTILINE))
    assert {"demo", "test", "docs"} <= named <= targets


def test_extras_are_installed_into_the_environment_that_the_commands_are_of():
    text = "\n".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    calls = re.findall(r"(\S*pip) install ([^\n`]*\[[^\n`]*)", text)
    assert len(calls) > 5
    assert {pip.lstrip("(`") for pip, _ in calls} == {".venv/bin/pip"}
    assert [what for _, what in calls if "jepa-jax[" in what] == []


def test_ruff_is_the_same_everywhere():
    extras = (ROOT / "pyproject.toml").read_text()
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    pinned = re.findall(r'"ruff([^"]*)"', extras)
    assert len(pinned) > 1
    (hook,) = re.findall(r"ruff-pre-commit\n +rev: v(\S+)", hooks)
    assert set(pinned) == {f"=={hook}"}


def test_the_readme_is_short_and_its_python_runs(tmp_path, monkeypatch):
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 130
    samples = files("jepa_jax") / "assets" / "samples"
    (tmp_path / "photos").mkdir()
    for name in ("digit-0-a.png", "digit-1-a.png", "odd-black.png"):
        (tmp_path / "photos" / name).write_bytes((samples / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(python_block(text), names)
    assert names["scores"].jepa_score.shape == (3,)
    assert names["scores"].rank.tolist() == [62] * 3


@pytest.mark.parametrize("page", ["python.md", "gradient.md", "other_tools.md"])
def test_examples_of_a_page_run(page, tmp_path, monkeypatch):
    samples = files("jepa_jax") / "assets" / "samples"
    (tmp_path / "samples").mkdir()
    for name in ("broken.png", "digit-0-a.png", "digit-1-a.png", "odd-noise.png"):
        (tmp_path / "samples" / name).write_bytes((samples / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    found = doctest.testfile(str(ROOT / "docs" / page), module_relative=False)
    assert found.attempted > 5
    assert found.failed == 0


def python_block(text, after=""):
    """The first block of Python after some text."""
    start = text.index(after)
    return re.findall(r"^```python\n(.*?)^```", text[start:], re.MULTILINE | re.DOTALL)[0]


def module_of(code, name, monkeypatch):
    """A module of this code, to be imported by its name in this test."""
    module = type(sys)(name)
    exec(code, module.__dict__)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def test_the_method_that_is_added_step_by_step(monkeypatch):
    page = (ROOT / "docs" / "add_a_method.md").read_text()
    code = python_block(page, "## The file")
    added = module_of(code, "jepa_jax.estimators.isotropic", monkeypatch)
    checked = doctest.testmod(added)
    assert checked.attempted > 2
    assert checked.failed == 0
    entry = eval(python_block(page, "## The entry"), dict(vars(methods)))
    monkeypatch.setitem(methods.METHODS, entry.name, entry)
    of_command: Any = {"encoder": None, "precision": "highest"}
    estimator = make_estimator("isotropic", {"probes": 64}, **of_command)
    with pytest.raises(ValueError, match="--rank structural"):
        make_estimator("isotropic", {}, **of_command, rank="clip")
    J = jacobian(lambda x: jnp.array([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) @ x, jnp.ones(3))
    found = jax.jit(lambda key: estimator(J, key))(jax.random.key(0))
    assert abs(found.log_volume - np.log(5)) < 4 * found.std_error  # log((9 + 1) / 2)
    assert found.log_volume > Exact()(J).log_volume + 4 * found.std_error
    assert estimator.cost(2, 3) == (64, 0)


def test_the_family_that_is_added_step_by_step(monkeypatch, tmp_path):
    import torch
    import transformers
    from checkpoints import SQUEEZED, pixels, to_torch, write

    page = (ROOT / "docs" / "add_a_family.md").read_text()
    code = python_block(page, "## The file")
    added = module_of(code, "jepa_jax.encoders.families.vit", monkeypatch)
    assert code.strip() == (ROOT / "jepa_jax/encoders/families/vit.py").read_text().strip()
    without = tuple(f for f in families.FAMILIES if f.name != added.FAMILY.name)
    monkeypatch.setattr(families, "FAMILIES", without)
    torch.manual_seed(0)
    sizes: Any = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48}
    config = transformers.ViTMSNConfig(
        **sizes, num_hidden_layers=2, image_size=28, patch_size=14, layer_norm_eps=1e-3
    )
    model = transformers.ViTMSNModel(config).eval()
    write(model, SQUEEZED, tmp_path)
    with pytest.raises(ValueError, match="got 'vit_msn'"):
        load_encoder(tmp_path)
    monkeypatch.setattr(families, "FAMILIES", (*without, added.FAMILY))
    encoder = load_encoder(tmp_path)
    image = pixels(28)
    with torch.no_grad():
        theirs = model(pixel_values=to_torch(image)).last_hidden_state[0, 0].numpy()
    ours = jax.jit(encoder.embed)(encoder.state, image[0])
    # Two layers of float32, whose rounding tests/encoders/test_parity.py bounds.
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_site_has_what_pages_link_to(tmp_path, monkeypatch):
    docs, beside = tmp_path / "docs", tmp_path / "benchmarks" / "a"
    for folder in (docs / "deep", beside):
        folder.mkdir(parents=True)
    (docs / "deep" / "page.md").write_text(
        "[a](../../benchmarks/a/README.md#top), [out](https://x.org), [folder](../../benchmarks)\n"
        "[![p](../../benchmarks/a/p.png)](../../benchmarks/a/p.json)\n```\n[code](no)\n```\n"
    )
    (beside / "README.md").write_text("![p](p.png) and [back](../../docs/deep/page.md)\n")
    (beside / "p.png").touch()
    (beside / "p.json").touch()
    (beside / "unlinked.md").touch()
    monkeypatch.setattr(site, "ROOT", tmp_path)
    monkeypatch.setattr(site, "DOCS", docs)
    monkeypatch.setattr(site, "command_line", lambda: "commands")
    monkeypatch.setattr(site, "COMMANDS", "commands.md")
    out = tmp_path / "out"
    site.gather(out)
    made = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    a = {f"benchmarks/a/{name}" for name in ("README.md", "p.png", "p.json")}
    assert made == {"deep/page.md", "commands.md"} | a
    assert (out / "deep" / "page.md").read_text() == (
        "[a](../benchmarks/a/README.md#top), [out](https://x.org), folder\n"
        "[![p](../benchmarks/a/p.png)](../benchmarks/a/p.json)\n```\n[code](no)\n```\n"
    )
    assert (out / "benchmarks" / "a" / "README.md").read_text() == (
        "![p](p.png) and [back](../../deep/page.md)\n"
    )


def test_the_site_begins_as_the_readme_does():
    readme, index = (ROOT / "README.md").read_text(), site.rewritten(ROOT / "docs" / "index.md")
    beginning = readme[: readme.index("\n```")].rstrip()
    assert index.startswith(beginning)
    assert "screenshot.png" in beginning
    assert ROOT / "benchmarks/report/results/screenshot.png" in site.links(ROOT / "docs/index.md")


def test_examples_become_blocks_of_code():
    assert fenced("Doubles.\n\n>>> double(\n...     2\n... )\n4\n\nAnd so on.\n") == (
        "Doubles.\n\n```pycon\n>>> double(\n...     2\n... )\n4\n```\n\nAnd so on.\n"
    )


@each_page
def test_examples_of_the_site_are_in_fences(page):
    # Outside, a prompt is a quotation of a quotation, and `['id', 'b']` below it a broken link.
    unfenced: list[str] = []
    site.outside_fences(lambda text: unfenced.append(text) or text, site.rewritten(page))
    assert not re.search(r"^>>>", "".join(unfenced), re.MULTILINE)


def test_every_column_is_on_the_page_that_says_what_is_written():
    columns = set(schema(tuple(GROUPS)).names)
    assert columns - set(re.findall(r"`(\w+)`", (ROOT / "docs/start.md").read_text())) == set()


def test_the_command_line_page_has_every_command():
    page = site.command_line()
    for name in typer.main.get_group(app).commands:
        assert f"## `jepa-jax {name}`" in page


def test_the_package_is_typed_and_whole(tmp_path):
    # As the build would find them, without building.
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    package = ROOT / "jepa_jax"
    found = {p for pattern in patterns["package-data"]["jepa_jax"] for p in package.glob(pattern)}
    assert package / "py.typed" in found
    others = {
        path
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and os.sep + "." not in str(path)
    }
    assert others <= found
