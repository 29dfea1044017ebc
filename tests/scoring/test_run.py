"""Streams: one row an input, resumable at any point, refused when something changed."""

import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
from streams import colour, records

from jepa_jax import Exact, Lanczos, Scorer
from jepa_jax.data import Clips
from jepa_jax.encoders.encoder_jacobian import jacobian_of
from jepa_jax.estimators import patch_shares
from jepa_jax.scoring import combine_views
from jepa_jax.scoring.keys import generator_of
from jepa_jax.scoring.run import describe_estimator
from jepa_jax.scoring.views import random_view
from jepa_jax.store import read_manifest


def rows_of(out):
    return pq.read_table(out).to_pylist()


def test_one_row_an_input_in_order(scorer, encoder, tmp_path):
    summary = scorer.run(records(11, broken=(0, 4, 5)), tmp_path / "out", shard_size=4)
    rows = rows_of(tmp_path / "out")
    assert [row["id"] for row in rows] == [f"image-{i:03d}" for i in range(11)]
    assert summary.counts == {"ok": 8, "unreadable": 3}
    inputs = np.stack([encoder.preprocess(colour(i)) for i in range(11)])
    expected = scorer.score(inputs).jepa_score
    for i, row in enumerate(rows):
        if i in (0, 4, 5):
            assert row["status"] == "unreadable"
            assert row["error"] == f"ValueError: image {i} is broken"
            assert row["jepa_score"] is None
        else:
            assert (row["status"], row["error"]) == ("ok", None)
            assert row["jepa_score"] == pytest.approx(expected[i], abs=2e-4)
            assert (row["rank"], row["method"], row["std_error"]) == (62, "exact", 0)
            assert row["bias_bound"] == 0
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [
        "_manifest.json",
        "_status.json",
        *(f"scores-{i:06d}.parquet" for i in range(3)),
    ]


def test_a_rerun_continues_and_loads_nothing_twice(scorer, tmp_path):
    log = []
    scorer.run(records(11, log=log, broken=(2,)), tmp_path / "out", shard_size=4, limit=6)
    first = rows_of(tmp_path / "out")
    assert sorted(log) == [0, 1, 2, 3, 4, 5]
    log.clear()
    summary = scorer.run(records(11, log=log, broken=(2,)), tmp_path / "out", shard_size=4)
    assert sorted(log) == [6, 7, 8, 9, 10]
    assert (summary.resumed, summary.scored) == (6, 5)
    rows = rows_of(tmp_path / "out")
    assert rows[:6] == first
    assert [row["id"] for row in rows] == [f"image-{i:03d}" for i in range(11)]
    log.clear()
    again = scorer.run(records(11, log=log, broken=(2,)), tmp_path / "out", shard_size=4)
    assert (log, again.scored, again.resumed) == ([], 0, 11)


def test_a_shard_that_is_gone_is_made_again(scorer, tmp_path):
    out = tmp_path / "out"
    scorer.run(records(11), out, shard_size=4)
    before = rows_of(out)
    (out / "scores-000001.parquet").unlink()
    scorer.run(records(11), out, shard_size=4)
    after = rows_of(out)
    assert [r["id"] for r in after] == [r["id"] for r in before]
    np.testing.assert_allclose(
        [r["jepa_score"] for r in after], [r["jepa_score"] for r in before], atol=2e-4
    )


def test_rows_are_kept_when_the_run_fails_or_is_interrupted(scorer, tmp_path):
    class Interrupted(Exception):
        pass

    def stop(row):
        if row["id"] == "image-005":
            raise Interrupted

    with pytest.raises(Interrupted):
        scorer.run(records(11), tmp_path / "out", shard_size=100, on_row=stop)
    assert [row["id"] for row in rows_of(tmp_path / "out")] == [f"image-{i:03d}" for i in range(6)]
    scorer.run(records(11), tmp_path / "out", shard_size=100)
    assert len(rows_of(tmp_path / "out")) == 11


KILLED = """
import sys, time
sys.path[:0] = {path!r}
from streams import records
from jepa_jax import Exact, Scorer, load_encoder
from jepa_jax.scoring import work
work.FLUSH_SECONDS = 0.2
scorer = Scorer(load_encoder("embedded"), Exact(), batch_size=4)
slow = lambda row: (print(row["id"], flush=True), time.sleep(0.1))
scorer.run(records(60, broken=(7,)), {out!r}, shard_size=16, on_row=slow)
"""


def test_kill_9_and_the_same_command_give_the_same_rows(scorer, tmp_path):
    out = tmp_path / "out"
    script = KILLED.format(path=[str(Path(__file__).parent), *sys.path], out=str(out))
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.stdout.readline().strip() != "image-025":
            assert process.poll() is None, "the run ended before it could be killed"
        process.send_signal(signal.SIGKILL)
    killed = rows_of(out)
    assert 16 <= len(killed) < 60  # A whole shard, and what was flushed of the next.
    (out / ".jepa-jax-0123456789abcdef.tmp").write_bytes(b"half a file")  # As a kill may leave it.
    scorer.run(records(60, broken=(7,)), out, shard_size=16)
    rows = rows_of(out)
    assert rows[: len(killed)] == killed
    assert [row["id"] for row in rows] == [f"image-{i:03d}" for i in range(60)]
    scorer.run(records(60, broken=(7,)), tmp_path / "whole", shard_size=16)
    whole = rows_of(tmp_path / "whole")
    assert [r["status"] for r in rows] == [r["status"] for r in whole]
    pairs = [
        (a["jepa_score"], b["jepa_score"]) for a, b in zip(rows, whole, strict=True) if a["rank"]
    ]
    np.testing.assert_allclose(*zip(*pairs, strict=True), atol=2e-4)
    assert not list(out.glob(".*"))


def test_changed_settings_are_refused_with_both_values(scorer, encoder, tmp_path):
    out = tmp_path / "out"
    scorer.run(records(3), out)
    changed = Scorer(encoder, Exact(rank="clip"), seed=5)
    with pytest.raises(ValueError, match="made with other settings") as error:
        changed.run(records(3), out, views=2)
    for text in (
        "estimator.rank: 'structural' before, 'clip' now",
        "seed: 0 before, 5 now",
        "views: 1 before, 2 now",
    ):
        assert text in str(error.value)
    assert len(rows_of(out)) == 3


def test_a_changed_source_is_refused(scorer, tmp_path):
    out = tmp_path / "out"
    scorer.run(records(5), out)
    with pytest.raises(ValueError, match=r"has changed .*'image-001' where .* now has 'image-002'"):
        scorer.run([r for r in records(5) if r.id != "image-001"], out)
    with pytest.raises(ValueError, match="'image-003' where the source now has no more images"):
        scorer.run(records(3), out)


def test_of_clips_the_manifest_says_how_many_frames(scorer, tmp_path):
    """It opens them again: for pictures, say."""
    (tmp_path / "clips" / "a").mkdir(parents=True)
    for i in range(2):
        colour(5 * i).save(tmp_path / "clips" / "a" / f"{i}.png")
    scorer.run(Clips(tmp_path / "clips", 2), tmp_path / "scores")
    assert read_manifest(tmp_path / "scores")["facts"]["clips"] == 2
    scorer.run(records(1), tmp_path / "others")
    assert "clips" not in read_manifest(tmp_path / "others")["facts"]


def test_a_source_that_grows_is_continued(scorer, tmp_path):
    scorer.run(records(5), tmp_path / "out", shard_size=4)
    assert scorer.run(records(9), tmp_path / "out", shard_size=4).scored == 4
    assert [row["id"] for row in rows_of(tmp_path / "out")] == [f"image-{i:03d}" for i in range(9)]


def test_groups_of_columns(encoder, tmp_path):
    Scorer(encoder, Exact()).run(
        records(2), tmp_path / "out", store=["embedding", "spectrum", "image"]
    )
    row = rows_of(tmp_path / "out")[1]
    assert (row["width"], row["height"]) == colour(1).size
    assert 0 < row["bits_per_pixel"] < 24
    embedding = jax.jit(encoder.embed)(encoder.state, encoder.preprocess(colour(1)))
    np.testing.assert_allclose(row["embedding"], embedding, atol=1e-4)
    spectrum = np.array(row["spectrum"])
    assert len(spectrum) == 65
    assert (np.diff(spectrum) >= 0).all()
    # 65 even quantiles of 62 values: their mean is near the score's.
    assert spectrum.mean() * 62 == pytest.approx(row["jepa_score"], rel=0.05)


def test_maps_of_patches(encoder, tmp_path):
    """A number for each of the encoder's patches, which a rerun leaves as it is."""
    summary = Scorer(encoder, Exact()).run(records(3), tmp_path / "out", store=["patches"])
    assert summary.counts == {"ok": 3}
    maps = np.array([row["patches"] for row in rows_of(tmp_path / "out")])
    u = jax.jit(encoder.coordinates)(encoder.state, encoder.preprocess(colour(1)))
    assert maps.shape == (3, *u.shape[:2])
    # Each of 16 numbers is rounded to 11 bits.
    np.testing.assert_allclose(maps.sum((1, 2)), 62, rtol=5e-4)
    expected = jax.jit(lambda state, x: patch_shares(jacobian_of(encoder, state, x)))(
        encoder.state, encoder.preprocess(colour(1))
    )
    np.testing.assert_allclose(maps[1], expected, rtol=1e-3)
    # The rows that are there are read and written again: no number of theirs changes.
    assert Scorer(encoder, Exact()).run(records(4), tmp_path / "out", store=["patches"]).scored == 1
    again = np.array([row["patches"] for row in rows_of(tmp_path / "out")])
    np.testing.assert_array_equal(again[:3], maps)
    with pytest.raises(ValueError, match="'patches' needs an exact method or a sketch, got Lanc"):
        Scorer(encoder, Lanczos()).run(records(1), tmp_path / "other", store=["patches"])


def test_what_an_adaptive_row_took(encoder, tmp_path):
    """As many probes as each image needs, each of ten steps or more."""
    method = Lanczos(steps=10, probes=2, tolerance=8.0, most_probes=16)
    Scorer(encoder, method).run(records(3), tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    for row in rows:
        assert row["products"] % 2 == 0
        assert 2 * 10 <= row["products"] <= 16 * 62
        assert row["std_error"] <= 8 or row["products"] >= 16 * 10
    estimator = read_manifest(tmp_path / "out")["settings"]["estimator"]
    assert (estimator["tolerance"], estimator["most_probes"]) == (8.0, 16)
    # What a folder from before there was a tolerance says.
    assert describe_estimator(Lanczos()).keys().isdisjoint({"tolerance", "most_probes"})


def test_views_are_combined_by_eq_4(scorer, encoder, tmp_path):
    scorer.run(records(5, broken=(1,)), tmp_path / "out", views=4)
    rows = rows_of(tmp_path / "out")
    assert rows[1]["views"] is None
    views = [
        encoder.normalize(
            random_view(colour(3), encoder.image_size, generator_of(0, "image-003", str(v)))
        )
        for v in range(4)
    ]
    expected = scorer.score(np.stack(views)).jepa_score.astype(np.float64)
    np.testing.assert_allclose(rows[3]["views"], expected, atol=2e-4)
    score, error = combine_views(expected)
    assert rows[3]["jepa_score"] == pytest.approx(score, abs=2e-4)
    assert rows[3]["std_error"] == pytest.approx(error, rel=1e-2)


def test_a_score_that_is_not_finite_is_a_status(scorer, encoder, tmp_path, monkeypatch):
    original = encoder.preprocess
    bad = lambda image: original(image) * (np.nan if image.size == colour(2).size else 1)
    monkeypatch.setattr(encoder, "preprocess", bad)
    scorer.run(records(5), tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert [row["status"] for row in rows] == ["ok", "ok", "nonfinite", "ok", "ok"]
    assert "the embedding is not finite" in rows[2]["error"]
    assert rows[2]["jepa_score"] is None


def test_what_is_read_ahead_is_bounded(scorer, tmp_path):
    log, done, most = [], 0, 0

    def on_row(row):
        nonlocal done, most
        done += 1
        most = max(most, len(log) - done)

    scorer.run(records(200, log=log), tmp_path / "out", workers=2, on_row=on_row)
    # Six in the queue of two threads, and two batches of four.
    assert 0 < most <= 14


def test_broken_images_do_not_pile_up_behind_a_batch(encoder, tmp_path):
    # One good image waits for a batch of eight that never fills: the rows go on all the same.
    scorer, done, log, most = Scorer(encoder, Exact(), batch_size=8), 0, [], 0

    def on_row(row):
        nonlocal done, most
        done += 1
        most = max(most, len(log) - done)

    stream = records(700, log=log, broken=tuple(range(1, 700)))
    summary = scorer.run(stream, tmp_path / "out", workers=2, on_row=on_row)
    assert summary.counts == {"ok": 1, "unreadable": 699}
    assert most < 300


def test_a_second_writer_is_refused(scorer, tmp_path):
    out = tmp_path / "out"

    def second(row):
        with pytest.raises(BlockingIOError, match="another process is writing"):
            scorer.run(records(2), out)

    scorer.run(records(1), out, on_row=second)


def test_a_folder_of_other_things_is_refused(scorer, tmp_path):
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(FileExistsError, match=r"holds other things \(thesis\.tex\)"):
        scorer.run(records(1), tmp_path)
    with pytest.raises(NotADirectoryError, match="is a file"):
        scorer.run(records(1), tmp_path / "thesis.tex")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"views": 0}, "`views` must be at least 1, got 0"),
        ({"limit": 0}, "`limit` must be at least 1, got 0"),
        ({"store": ["pixels"]}, "`store` must be of"),
        ({"store": ["embedding"], "views": 2}, "needs `views=1`"),
    ],
)
def test_settings_are_checked(scorer, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        scorer.run(records(1), tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_rows_is_nobodys(scorer, encoder, tmp_path):
    """A source that fails before its first row leaves no settings behind."""

    class Failing:
        name = "failing"

        def __iter__(self):
            raise ConnectionError("no network")

        def count(self):
            return None

    with pytest.raises(ConnectionError):
        scorer.run(Failing(), tmp_path)
    assert scorer.run(records(2), tmp_path).counts == {"ok": 2}
