"""The cascade: which rows are scored again, what they then say, and continuing it."""

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest
from streams import records

from jepa_jax import Scorer
from jepa_jax.scoring import work
from jepa_jax.scoring.refine import Refinement, select


@pytest.fixture(scope="module")
def sketch_scorer(encoder, calibration):
    return Scorer(encoder, calibration.sketch(encoder, 16), batch_size=4)


def rows_of(out):
    return pq.read_table(out).to_pylist()


def test_select_takes_the_tails_and_the_flagged():
    scores = np.array([5.0, 1.0, np.nan, 3.0, 2.0, 9.0, 7.0, 8.0, 6.0, 4.0, 0.0])
    flagged = np.zeros(11, bool)
    flagged[6] = True
    chosen = select(scores, flagged, Refinement(low=0.15, high=0.1))
    # Of 10 scores: 1.5 lowest, rounded up to 2, and 1 highest.
    assert np.flatnonzero(chosen).tolist() == [1, 5, 6, 10]
    assert not select(np.full(3, np.nan), np.zeros(3, bool), Refinement(low=1)).any()


def test_the_tail_is_exact_and_says_so(sketch_scorer, scorer, encoder, tmp_path):
    source = records(23, broken=(5,))
    summary = sketch_scorer.run(
        source,
        tmp_path,
        refine=Refinement(low=0.2, high=0.05),
        shard_size=10,
        store=["patches"],
    )
    rows = rows_of(tmp_path)
    # By either method all that there is: 62 live dimensions, each number rounded to 11 bits.
    shares = [np.sum(r["patches"]) for r in rows if r["status"] == "ok"]
    np.testing.assert_allclose(shares, 62, rtol=5e-4)
    assert [r["id"] for r in rows] == [r.id for r in source]
    assert summary.counts == {"ok": 22, "unreadable": 1}
    assert rows[5]["status"] == "unreadable"
    again = [r for r in rows if r["method"] == "exact"]
    assert summary.refined == len(again)
    first = {
        r["id"]: r["sketch_score"] if r["method"] == "exact" else r["jepa_score"]
        for r in rows
        if r["status"] == "ok"
    }
    order = sorted(first, key=first.get)
    expected = {*order[:5], *order[-2:], *(r["id"] for r in rows if r["flagged"])}
    assert {r["id"] for r in again} == expected
    inputs = [encoder.preprocess(r.load()) for r in source if r.id in expected]
    exact = scorer.score(np.stack(inputs))
    by_id = {r["id"]: r for r in again}
    for i, id in enumerate(r.id for r in source if r.id in expected):
        assert by_id[id]["jepa_score"] == pytest.approx(exact.jepa_score[i], abs=5e-4)
        assert by_id[id]["std_error"] == 0
        assert by_id[id]["sketch_std_error"] > 0
    untouched = [r for r in rows if r["method"] == "sketch" and r["status"] == "ok"]
    assert all(r["sketch_score"] is None and r["std_error"] > 0 for r in untouched)

    log = []
    rerun = sketch_scorer.run(
        records(23, broken=(5,), log=log),
        tmp_path,
        refine=Refinement(0.2, 0.05),
        shard_size=10,
        store=["patches"],
    )
    assert (rerun.counts, rerun.refined, log) == ({}, 0, [])
    assert rows_of(tmp_path) == rows


def test_an_interrupted_refinement_is_continued_as_it_began(sketch_scorer, tmp_path, monkeypatch):
    settings = {"refine": Refinement(low=0.4), "shard_size": 8}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    sketch_scorer.run(records(20), whole, **settings)

    class Stop(Exception):
        pass

    seen = []

    def stop_at_four(row):
        seen.append(row)
        if len([r for r in seen if r["method"] == "exact"]) == 4:
            raise Stop

    with pytest.raises(Stop):
        sketch_scorer.run(records(20), parts, on_row=stop_at_four, **settings)
    begun = [r["id"] for r in rows_of(parts) if r["method"] == "exact"]
    assert len(begun) == 4
    summary = sketch_scorer.run(records(20), parts, **settings)
    one, two = rows_of(whole), rows_of(parts)
    assert [r["method"] for r in one] == [r["method"] for r in two]
    assert summary.refined == sum(r["method"] == "exact" for r in one) - 4
    for a, b in zip(one, two, strict=True):
        assert a["jepa_score"] == pytest.approx(b["jepa_score"], abs=2e-3)


def test_another_source_or_share_is_refused(sketch_scorer, scorer, tmp_path):
    sketch_scorer.run(records(6), tmp_path, refine=Refinement(low=0.2))
    with pytest.raises(ValueError, match=r"refine\.low: 0\.2 before, 0\.4 now"):
        sketch_scorer.run(records(6), tmp_path, refine=Refinement(low=0.4))
    with pytest.raises(ValueError, match="`refine` needs a calibrated method"):
        scorer.run(records(6), tmp_path / "x", refine=Refinement())
    with pytest.raises(ValueError, match="`low` must be between 0 and 1, got 5"):
        Refinement(low=5)
    with pytest.raises(ValueError, match="nothing would be refined"):
        Refinement(low=0)


def test_one_shard_is_in_memory_at_a_time(sketch_scorer, tmp_path, monkeypatch):
    read = []
    original = work.read_rows
    monkeypatch.setattr(work, "read_rows", lambda p: read.append(p) or original(p))
    sketch_scorer.run(records(20), tmp_path, refine=Refinement(low=1), shard_size=5)
    assert len(read) == len(set(read)) == 4
    assert dataclasses.asdict(Refinement(low=1)) == {"low": 1, "high": 0.0}
