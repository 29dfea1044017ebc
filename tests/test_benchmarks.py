"""Every benchmark can be imported, and says how it is run before it imports anything heavy."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks

ROOT = Path(benchmarks.__file__).parents[1]
FOLDERS = sorted(
    module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name != "shared"
)


@pytest.mark.parametrize("name", FOLDERS)
def test_says_how_it_is_run(name, capsys):
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{name}.__main__").main(["--help"])
    assert ended.value.code == 0
    assert f"usage: python -m benchmarks.{name}" in capsys.readouterr().out
    page = (ROOT / "benchmarks" / name / "README.md").read_text()
    assert f"python -m benchmarks.{name}" in page
    assert f"({name}/README.md)" in (ROOT / "benchmarks" / "README.md").read_text()


@pytest.mark.parametrize("name", FOLDERS)
def test_every_module_can_be_imported(name):
    folder = importlib.import_module(f"benchmarks.{name}")
    for module in pkgutil.iter_modules(folder.__path__, f"benchmarks.{name}."):
        importlib.import_module(module.name)


def test_help_needs_the_standard_library_alone():
    """All at once, in one fresh interpreter without site-packages."""
    program = """
import contextlib, importlib, sys
for name in sys.argv[1:]:
    with contextlib.suppress(SystemExit):
        importlib.import_module(f"benchmarks.{name}.__main__").main(["--help"])
"""
    command = [sys.executable, "-S", "-c", program, *FOLDERS]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("usage: ") == len(FOLDERS) >= 9
