"""Which rows a rule takes, on scores whose order is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepa_jax.report import Amount, Between, Bottom, Outside, Top, TwoSided, select

SCORES = np.array([5.0, -3.0, np.nan, 0.0, 2.0, 11.0, -np.inf, 1.0])


def rows(*arguments, **more):
    return np.flatnonzero(select(SCORES, *arguments, **more)).tolist()


def amount(text):
    return Amount.parse(text)


def test_rules_on_known_scores():
    assert rows(Bottom(amount("2"))) == [1, 3]
    assert rows(Top(amount("2"))) == [0, 5]
    assert rows(Between(0, 2)) == [3, 4, 7]
    assert rows(Between(high=0)) == [1, 3]
    assert rows(Outside(low=0, high=5)) == [1, 5]
    # The median of -3, 0, 1, 2, 5, 11 is 1.5.
    assert rows(TwoSided(amount("2"))) == [1, 5]
    assert rows(TwoSided(amount("3"))) == [0, 1, 5]


def test_shares_are_of_the_scored_rows_rounded_up():
    assert rows(Bottom(amount("17%"))) == [1, 3]  # 1.02 of 6
    assert rows(Bottom(amount("0.5"))) == [1, 3, 7]
    assert len(rows(Bottom(amount("100%")))) == 6
    assert len(rows(Top(amount("900")))) == 6


def test_a_share_is_exact_as_written():
    # 0.07 * 100 is 7.000000000000001 in floats: 8 rows if rounded up.
    scores = np.arange(100.0)
    assert select(scores, Bottom(amount("7%"))).sum() == 7
    assert select(scores, Bottom(amount("0.29"))).sum() == 29


def test_equal_scores_give_exactly_the_number_asked_for_and_the_earlier_rows():
    for rule in (Bottom, Top, TwoSided):
        chosen = select(np.zeros(10), rule(amount("3")))
        assert np.flatnonzero(chosen).tolist() == [0, 1, 2]


def test_within_labels_each_has_its_own_share_and_median():
    labels = ["a", "b", "a", "a", "b", "b", "a", "a"]
    assert rows(Bottom(amount("1")), labels=labels) == [1, 3]
    # a: 5, 0, 1 with median 1; b: -3, 2, 11 with median 2.
    assert rows(TwoSided(amount("1")), labels=labels) == [0, 5]


def test_among_restricts_before_counting():
    among = np.array([True, False, True, True, True, False, True, True])
    assert rows(Bottom(amount("25%")), among=among) == [3]


def test_no_scores_select_nothing():
    for rule in (Bottom(amount("1")), Top(amount("50%")), TwoSided(amount("1")), Between()):
        assert not select(np.full(3, np.nan), rule).any()
        assert not select(np.full(3, np.nan), rule, labels=["a"] * 3).any()


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan"))), st.integers(1, 9))
def test_bottom_is_below_all_that_is_left(values, count):
    scores = np.array(values, float)
    chosen = select(scores, Bottom(Amount(count=count)))
    scored = np.isfinite(scores)
    assert chosen.sum() == min(count, scored.sum())
    left = scores[scored & ~chosen]
    assert not chosen[~scored].any()
    if chosen.any() and left.size:
        assert scores[chosen].max() <= left.min()


@pytest.mark.parametrize("text", ["0", "0%", "101%", "1.5", "-3", "lots", "", "%", "1/0"])
def test_amounts_that_make_no_sense(text):
    with pytest.raises(ValueError, match=r"must be|expected a number of images"):
        amount(text)


def test_lengths_and_bounds_are_checked(annotations_unchecked):
    with pytest.raises(ValueError, match="`labels` must have 8 entries, got 1"):
        rows(Between(), labels=["a"])
    with pytest.raises(ValueError, match="`among` must have 8 entries, got 1"):
        rows(Between(), among=np.ones(1, bool))
    with pytest.raises(ValueError, match="`low` must not be above `high`, got 2 and 1"):
        Between(2, 1)
