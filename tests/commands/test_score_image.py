"""`jepa-jax score IMAGE`: one image answered in place."""

import io
import re

import numpy as np
import pytest
from command_line import invoke
from PIL import Image
from tables import row, write_folder

from jepa_jax.commands import half_blocks
from jepa_jax.commands.options import with_method_settings

SCORES = [-400.0, -300.0, -200.0, -100.0, -50.0, 0.0, 50.0, 100.0, 200.0, 300.0]


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A photo, and a folder of scores as of the embedded encoder, written by hand."""
    from jepa_jax import Exact, Scorer, load_encoder
    from jepa_jax.data import open_source
    from jepa_jax.scoring.one_image import settings_of

    work = tmp_path_factory.mktemp("scored")
    (work / "photos").mkdir()
    photo = work / "photos" / "03.png"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (28, 28, 3), np.uint8)).save(photo)
    settings = settings_of(Scorer(load_encoder("embedded"), Exact()), open_source(photo))
    rows = [row(f"{i}.png", score, embedding=rng.normal(size=64)) for i, score in enumerate(SCORES)]
    rows[3]["source"] = str(photo)
    write_folder(work / "scores", rows, ("embedding",), **settings)
    return work


def test_a_score_its_place_and_its_map(scored, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    photo, within = scored / "photos" / "03.png", scored / "scores"
    result = invoke("score", photo, "--within", within, "--map", scored / "map.png", "--patch-map")
    assert result.exit_code == 0, result.output
    score = float(re.search(r"03.png: (-?[0-9.]+) nats \(no random error\)", result.stdout)[1])
    lower = sum(value < score for value in SCORES)
    assert f"higher than {lower / 10:.1%} of 10 scores, the {lower + 1}. from" in result.stdout
    assert "their median is -25.00" in result.stdout
    assert "exact, rank 62 of K = 64; embedded (cls, 28 px), precision highest" in result.stdout
    assert "nearest typical images (above the median)" in result.stdout
    odd = result.stdout.split("nearest odd ones (lowest tenth)")[1].splitlines()[1]
    assert odd.split()[1:] == ["-400.00", "0.png"]
    assert "28 x 28 pixels" in result.stdout
    assert "share of the volume's 62 directions that each of 4 x 4 patches" in result.stdout
    with Image.open(scored / "map.png") as written:
        assert written.size[0] > 900


def test_without_a_folder_it_needs_an_encoder(scored):
    result = invoke("score", scored / "photos" / "03.png")
    assert result.exit_code == 2
    assert "--encoder is needed" in result.stderr


def test_an_unreadable_image_is_one_line_and_status_1(scored):
    broken = scored / "broken\x1b[2J.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    result = invoke("score", broken, "--within", scored / "scores")
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert "unreadable: UnreadableImage" in result.stderr
    assert "\x1b[2J" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{photos}", "--encoder", "embedded"], "--out DIR is needed for folder"),
        (["nowhere.png", "--encoder", "embedded"], "no file or folder 'nowhere.png'"),
        (["{image}", "--encoder", "embedded", "--store", "image", "--limit", "1"], "--limit, --s"),
        (["{image}", "--encoder", "embedded", "--method", "auto"], "auto is of a folder"),
        (["{image}", "--encoder", "embedded", "--map", "{image}"], "not a map of ours"),
        (["{image}", "--within", "{photos}"], "not a folder of scores"),
        (["{image}", "--within", "{scores}", "--rank", "clip"], "estimator.rank: 'clip' here"),
        (["{image}", "--within", "{scores}", "--embedding", "mean"], "encoder.embedding: 'mean'"),
        (["{image}", "--within", "{scores}", "--out", "{scores}"], "--encoder is needed"),
        (
            ["{image}", "--encoder", "embedded", "--within", "{scores}", "--out", "{scores}"],
            "--within, --map and --patch-map are of one image",
        ),
    ],
)
def test_mistakes_are_one_message_and_status_2(scored, arguments, message):
    names = {
        "photos": scored / "photos",
        "image": scored / "photos" / "03.png",
        "scores": scored / "scores",
    }
    result = invoke("score", *[a.format(**names) for a in arguments])
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_a_terminal_has_two_pixels_a_cell(monkeypatch):
    from rich.console import Console

    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system="truecolor", width=200)
    monkeypatch.setattr(half_blocks, "results", lambda: console)
    picture = np.zeros((4, 3, 3), np.uint8)
    picture[0, 0], picture[1, 0] = (255, 0, 0), (0, 0, 255)
    half_blocks.print_cells([picture], np.ones((2, 2)))
    lines = file.getvalue().splitlines()
    assert len(lines) == 2
    assert "\x1b[38;2;255;0;0;48;2;0;0;255m\N{UPPER HALF BLOCK}" in lines[0]
    assert half_blocks.cells(np.zeros((224, 224, 3), np.uint8), (16, 16)).shape == (32, 32, 3)
    assert half_blocks.cells(np.zeros((518, 518, 3), np.uint8), (37, 37)).shape == (36, 36, 3)


def test_without_colours_it_is_characters(monkeypatch):
    from rich.console import Console

    file = io.StringIO()
    monkeypatch.setattr(half_blocks, "results", lambda: Console(file=file, color_system=None))
    half_blocks.print_cells([], np.array([[0.0, 1.0], [0.5, 0.25]]))
    assert file.getvalue().splitlines() == ["  @@", "==::"]


def test_a_command_called_as_a_function_knows_what_it_was_called_with():
    """As `make demo` calls it, without a command line."""
    seen = {}

    def command(given, source, out=None, limit=3, *, method_settings):
        seen.update(given=given, source=source, limit=limit, settings=method_settings)

    with_method_settings(command)("photos", limit=4)
    assert seen == {
        "given": {"source", "limit"},
        "source": "photos",
        "limit": 4,
        "settings": {},
    }
