"""What a score costs is known beforehand, and what is beyond a machine refused with the way on."""

import json
from pathlib import Path

import numpy as np
import psutil
import pytest
from command_line import invoke
from PIL import Image
from streams import records

from benchmarks.memory.planned import configured
from jepa_jax import Exact, Lanczos, Projection, Scorer
from jepa_jax.checking import check
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.encoders.families import vjepa2
from jepa_jax.encoders.parameters import abstract_model
from jepa_jax.encoders.preprocessing import Preprocess
from jepa_jax.scoring import affordable
from jepa_jax.scoring.affordable import check_affordable, measured_rate, too_dear
from jepa_jax.scoring.cost import cost_of

# What is said beside the images, the encoder and the folder.
COMMANDS = {
    "score": ["score"],
    "calibrate": ["calibrate"],
    "evaluate": ["evaluate"],
    "auto": ["score", "--method", "auto"],
    "correct": ["score", "--precision", "bf16", "--correct", "8"],
}
PLANS = Path(__file__).parents[2] / "benchmarks" / "memory" / "results" / "planned-cpu.json"
EXACT, OTHERS = "exact", "facebook/ijepa_vith14_1k, 560 px"


def planned():
    return json.loads(PLANS.read_text())


@pytest.mark.parametrize("case", list(planned()[EXACT]))
def test_memory_of_an_exact_score_is_what_xla_plans(case):
    name, pixels = case.split(", ")
    config, rule = configured(name)
    size, plan = int(pixels.split()[0]), planned()[EXACT][case]
    cost = cost_of(config, rule, Exact(), size, size, plan["chunk"])
    assert cost.k == plan["K"]
    assert cost.memory == pytest.approx(1e6 * plan["peak_megabytes"], rel=0.25)
    assert cost.rows <= 1.01e6 * plan["rows_megabytes"]  # Those are in pixels.


def test_memory_of_a_random_method_is_no_more_than_xla_plans():
    plan = planned()[OTHERS]["lanczos, 20 steps, 4 probes"]
    config, rule = configured(OTHERS.split(", ")[0])
    cost = cost_of(config, rule, Lanczos(), 560, 560, plan["chunk"])
    assert cost.rows == 0
    assert 0.5 < cost.memory / (1e6 * plan["peak_megabytes"]) < 1


@pytest.fixture
def machine(monkeypatch):
    """A computer of so many bytes that computes so many operations a second."""

    def of(memory: float, rate: float):
        there = psutil.virtual_memory()._replace(available=int(memory))
        monkeypatch.setattr(psutil, "virtual_memory", lambda: there)
        monkeypatch.setattr(affordable, "measured_rate", lambda precision: rate)

    return of


@pytest.fixture(scope="module")
def of_clips():
    """A V-JEPA 2 ViT-L for clips of 16 frames, without its weights."""
    name = "facebook/vjepa2-vitl-fpc64-256"
    config = vjepa2.clips(vjepa2.FAMILY.published[name], 16)
    preprocess = Preprocess(vjepa2.processor(vjepa2.FAMILY.published[name]), {})
    rule = vjepa2.FAMILY.rule(config)
    return Encoder(name, abstract_model(config), rule, 256, preprocess, "")


def test_an_exact_score_of_a_clip_is_refused_with_its_cost(of_clips, machine):
    assert of_clips.input_shape == (8 * 256, 256, 6)
    machine(16e9, 1e11)
    exact = Scorer(of_clips, Exact())
    cost = cost_of(of_clips.config, of_clips.rule, Exact(), 2048, 256, 1)
    # 24 blocks of 2048 tokens and width 1024: 12 w^2 weights, and 4 products of attention.
    by_hand = 24 * (2 * 2048 * 12 * 1024**2 + 8 * 2048**2 * 1024) + 2 * 2048 * 768 * 2 * 1024
    assert cost.flops_a_vjp == by_hand
    with pytest.raises(ValueError, match="The way on: ") as raised:
        check_affordable(exact)
    said = str(raised.value)
    hours = 1024 * by_hand / 1e11 / 3600
    for part in (
        "one score of a clip of 16 frames of 256 x 256 pixels by method exact",
        f"1024 VJPs of {by_hand / 1e9:.3g} GFLOP",
        f"100 GFLOP/s measured here, {hours:.2g} hours or more",
        "8.59 GB of it 1024 x 2097152 rows",
        "16 GB are available",
        "method lanczos",
        "sketch",
        "--at-any-cost",
    ):
        assert part in said, said
    machine(8e9, 1e13)  # Minutes, but no memory.
    assert "8 GB are available" in too_dear(exact).cost
    machine(16e9, 1e13)
    assert too_dear(exact) is None


def test_what_another_method_saves(of_clips, machine):
    machine(8e9, 1e11)
    assert too_dear(Scorer(of_clips, Lanczos())) is None
    # No rows, but as many products as the exact score.
    assert "hours or more" in too_dear(Scorer(of_clips, Projection())).cost
    machine(1e9, 1e11)  # Not even what the VJPs keep of the forward pass.
    assert "fewer frames" in " ".join(too_dear(Scorer(of_clips, Lanczos())).ways)


def test_a_run_is_refused_before_it_begins(scorer, machine, tmp_path):
    machine(1e6, 1e11)
    with pytest.raises(ValueError, match="for 4 at once"):
        scorer.run(records(1), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = scorer.run(records(1), tmp_path / "out", at_any_cost=True)
    assert done.counts == {"ok": 1}
    picture = tmp_path / "a.png"
    next(iter(records(1))).load().save(picture)
    for method in ("exact", "auto"):
        arguments = ("score", picture, "--encoder", "embedded", "--out", tmp_path / method)
        result = invoke(*arguments, "--method", method)
        assert result.exit_code == 2
        assert "The way on: " in result.stderr


def test_scores_in_memory_are_refused_alike(encoder, machine):
    scorer = Scorer(encoder, Exact())  # A new one: what was found affordable is remembered.
    side = encoder.image_size
    images = np.zeros((1, side, side, 3), np.float32)
    machine(1e6, 1e11)
    with pytest.raises(ValueError, match=r"28 x 28 pixels .* The way on: "):
        scorer.score(images)
    asked = scorer.score(images, at_any_cost=True)
    machine(1e12, 1e11)
    assert asked.jepa_score == scorer.score(images).jepa_score


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_measures_refuses(command, machine, tmp_path):
    """Before it looks at an image: none can be read, which is all that is wrong else."""
    machine(1e6, 1e11)
    folders = [tmp_path / name for name in ("reference", "inliers", "outliers")]
    for folder in folders:
        folder.mkdir()
        (folder / "broken.png").write_text(folder.name)
    sets = [item for folder in folders for item in (f"--{folder.name}", folder)]
    arguments = [*COMMANDS[command], *(sets if command == "evaluate" else folders[:1])]
    arguments += ["--encoder", "embedded", "--out", tmp_path / "out"]
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "The way on: " in result.stderr
    result = invoke(*arguments, "--at-any-cost")
    assert result.exit_code  # There is no score.
    assert "The way on: " not in result.stderr


def test_a_check_says_what_it_left_out(encoder, machine):
    machine(1e6, 1e11)
    found = {f.name: f for f in check(encoder, [Image.new("RGB", (28, 28))])}
    assert found["null directions"].status == found["condition number"].status == "not checked"
    assert "The way on: " in found["method to ask for"].measured


def test_the_rate_is_that_of_products():
    assert 1e8 < measured_rate("highest") < 1e14
