"""What is imported when: reading scores needs no JAX, names come on demand."""

import subprocess
import sys

import pytest
from tables import row, write_folder

BLOCKED = "import sys; sys.modules['jax'] = sys.modules['jaxlib.xla_client'] = None; "


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + code], capture_output=True, text=True, check=False
    )


def test_scores_are_shown_selected_and_reported_without_jax(tmp_path):
    """JAX cannot be imported here at all: one process for all commands, as starting is the cost."""
    scores = write_folder(tmp_path / "scores", [row(str(i), float(i)) for i in range(5)])
    commands = [
        ["--help"],
        ["score", "--help"],
        ["show", str(scores)],
        ["select", str(scores), "--bottom", "1", "--out", str(tmp_path / "list.csv")],
        ["report", str(scores), "--no-images", "--out", str(tmp_path / "report.html")],
    ]
    found = run(
        "from typer.testing import CliRunner; from jepa_jax.cli import app\n"
        f"for command in {commands!r}:\n"
        "    result = CliRunner().invoke(app, command)\n"
        "    assert result.exit_code == 0, (command, result.output, result.exception)\n"
        "assert sys.modules['jax'] is None\n"
    )
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "list.csv").exists()
    assert (tmp_path / "report.html").exists()


def test_help_imports_next_to_nothing():
    """What takes time and is not needed for a list of commands."""
    found = run(
        "from typer.testing import CliRunner; from jepa_jax.cli import app\n"
        "assert 'evaluate' in CliRunner().invoke(app, ['--help']).stdout\n"
        "slow = {'numpy', 'pyarrow', 'rich', 'pydantic', 'PIL', 'transformers', 'scipy'}\n"
        "assert not slow & sys.modules.keys()\n"
    )
    assert found.returncode == 0, found.stderr


def test_the_packages_that_read_import_without_jax():
    found = run(
        "import jepa_jax.store, jepa_jax.report, jepa_jax.data, jepa_jax.estimators.methods"
    )
    assert found.returncode == 0, found.stderr


def test_names_are_known_before_they_are_imported():
    found = run(
        "import jepa_jax\n"
        "names = set(dir(jepa_jax)) & set(jepa_jax.__all__)\n"
        "assert {'Exact', 'Scorer', 'jacobian', 'XTrace'} <= names\n"
        "assert not hasattr(jepa_jax, 'NoSuchName')\n"
    )
    assert found.returncode == 0, found.stderr


def test_what_scores_in_memory_needs_no_tables():
    """On a machine with an accelerator, JAX and Flax alone, say."""
    code = (
        "import sys\n"
        "for name in ('pyarrow', 'datasets', 'typer', 'jinja2', 'loky'):\n"
        "    sys.modules[name] = None\n"
        "from jepa_jax import Exact, Scorer, Sketch, SketchSamples, jacobian, load_encoder\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("name", ["jacobian", "Exact", "Scorer", "calibrate", "load_calibration"])
def test_a_name_is_what_its_module_has(name):
    import jepa_jax

    value = getattr(jepa_jax, name)
    assert value.__name__ == name
    assert getattr(sys.modules[value.__module__], name) is value


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "jepa_jax", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("jepa-jax ")
