"""The device's known answers: right here, and wrong numbers of each kind are an error."""

import jax.numpy as jnp
import pytest

from jepa_jax import Exact, Scorer
from jepa_jax.scoring import known_answers

pytestmark = pytest.mark.usefixtures("compiled_as_ever")


@pytest.fixture
def anew():
    known_answers._check.cache_clear()
    yield
    known_answers._check.cache_clear()


def test_this_device_is_right_and_says_how_right():
    errors = known_answers.check_device("highest")
    assert set(errors) == {"layer_norm", "attention", "product", "log_volume"}
    assert all(0 < error < 3e-5 for name, error in errors.items() if name != "log_volume")
    assert errors["log_volume"] < 1e-3


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("standardize", lambda x, eps: x * 1.001, "layer_norm: "),
        ("attention", lambda q, k, v: v, "attention: "),
        ("volume", None, "log_volume: "),
    ],
)
def test_wrong_numbers_are_an_error_that_says_by_how_much(name, wrong, said, anew, monkeypatch):
    if name == "volume":
        right = known_answers.volume
        wrong = lambda a: right(a)._replace(value=right(a).value + 0.1)
    monkeypatch.setattr(known_answers, name, wrong)
    with pytest.raises(known_answers.WrongNumbers, match=said + r"\S+, where \S+ is allowed"):
        known_answers.check_device("highest")


def test_numbers_that_are_not_finite_are_wrong(anew, monkeypatch):
    monkeypatch.setattr(known_answers, "standardize", lambda x, eps: x * jnp.nan)
    with pytest.raises(known_answers.WrongNumbers, match="layer_norm: inf"):
        known_answers.check_device("highest")


def test_nothing_is_scored_on_a_device_that_fails(encoder, anew, monkeypatch):
    monkeypatch.setattr(known_answers, "standardize", lambda x, eps: x * 1.01)
    side = encoder.image_size
    scorer = Scorer(encoder, Exact(), batch_size=1)
    with pytest.raises(known_answers.WrongNumbers):
        scorer.score(jnp.zeros((1, side, side, 3)))
