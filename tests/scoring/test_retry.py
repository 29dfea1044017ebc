"""Images that could not be got: told from broken ones, done again when asked for, never final
where the storage as a whole failed."""

import errno

import pyarrow.parquet as pq
import pytest
from PIL import Image
from streams import colour, records

from jepa_jax.data import Record, storage
from jepa_jax.data.storage import StorageFailed
from jepa_jax.store.folder import shard_path
from jepa_jax.store.schema import schema
from jepa_jax.store.shards import read_rows, write_rows


def rows_of(out):
    return pq.read_table(out).to_pylist()


def missing(name):
    raise FileNotFoundError(errno.ENOENT, "No such file or directory", name)


def stream(count, away=(), broken=(), log=None):
    """`records`, of which those in `away` are missing for now."""
    made = records(count, broken=broken, log=log)
    for i in away:
        made[i] = Record(made[i].id, "memory", lambda i=i: missing(f"{i}.png"))
    return made


def test_what_could_not_be_got_is_done_again_in_its_place(scorer, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("scores")
    first = scorer.run(stream(11, away=(1, 5, 9), broken=(4,)), tmp_path, shard_size=4)
    assert first.counts == {"ok": 7, "unavailable": 3, "unreadable": 1}
    assert first.unavailable == 3
    before = rows_of(tmp_path)
    assert before[5]["error"] == "FileNotFoundError: [Errno 2] No such file or directory: '5.png'"

    plain = scorer.run(stream(11, broken=(4,)), tmp_path, shard_size=4)
    assert (plain.counts, plain.resumed, plain.unavailable) == ({}, 11, 3)
    assert rows_of(tmp_path) == before

    log, started = [], []
    again = scorer.run(
        stream(11, away=(9,), broken=(4,), log=log),
        tmp_path,
        shard_size=4,
        retry="failed",
        on_start=lambda *numbers: started.append(numbers),
    )
    assert sorted(log) == [1, 5]  # Nothing else is read, the broken one neither.
    assert started == [(11, 8)]
    assert again.counts == {"ok": 2, "unavailable": 1}
    assert (again.resumed, again.unavailable) == (8, 1)
    rows = rows_of(tmp_path)
    assert [row["id"] for row in rows] == [f"image-{i:03d}" for i in range(11)]
    assert [rows[i] for i in (0, 2, 3, 4, 6, 7, 8, 10)] == [
        before[i] for i in (0, 2, 3, 4, 6, 7, 8, 10)
    ]
    whole = tmp_path_factory.mktemp("whole")
    scorer.run(records(11), whole, shard_size=4)
    expected = rows_of(whole)
    for i in (1, 5):
        assert rows[i]["jepa_score"] == pytest.approx(expected[i]["jepa_score"], abs=2e-4)


def test_all_without_a_score_are_done_again_when_asked_for(scorer, tmp_path):
    """When a decoder was installed, say, or the files were mended."""
    scorer.run(stream(6, broken=(0, 4)), tmp_path)
    again = scorer.run(stream(6, broken=(4,)), tmp_path, retry="all")
    assert again.counts == {"ok": 1, "unreadable": 1}
    assert [row["status"] for row in rows_of(tmp_path)] == ["ok"] * 4 + ["unreadable", "ok"]


def test_a_retry_continues_what_is_missing_too(scorer, tmp_path):
    scorer.run(stream(9, away=(1,)), tmp_path, shard_size=4, limit=5)
    found = scorer.run(stream(9), tmp_path, shard_size=4, retry="failed")
    assert found.counts == {"ok": 5}
    assert [row["status"] for row in rows_of(tmp_path)] == ["ok"] * 9


def test_rows_of_before_are_known_by_their_errors(scorer, tmp_path):
    """They were all called unreadable."""
    scorer.run(stream(5, away=(1,), broken=(2,)), tmp_path)
    rows = read_rows(shard_path(tmp_path, 0))
    rows[1]["status"] = "unreadable"
    write_rows(shard_path(tmp_path, 0), rows, schema(()))
    assert scorer.run(stream(5, broken=(2,)), tmp_path, retry="failed").counts == {"ok": 1}


def test_a_wrong_word_is_refused(annotations_unchecked, scorer, tmp_path):
    with pytest.raises(ValueError, match="`retry` must be 'failed', 'all' or None, got 'some'"):
        scorer.run(records(1), tmp_path, retry="some")


def test_a_storage_that_fails_ends_the_run_and_makes_no_row(scorer, tmp_path, monkeypatch):
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: None)

    def dead(i):
        raise OSError(errno.EIO, "Input/output error", f"{i}.png")

    made = records(20)
    made[12:] = [Record(r.id, r.source, lambda i=i: dead(i)) for i, r in enumerate(made[12:])]
    with pytest.raises(StorageFailed, match="Input/output error"):
        scorer.run(made, tmp_path, shard_size=8)
    kept = rows_of(tmp_path)
    assert [row["id"] for row in kept] == [f"image-{i:03d}" for i in range(len(kept))]
    assert {row["status"] for row in kept} == {"ok"}
    assert len(kept) <= 12
    scorer.run(records(20), tmp_path, shard_size=8)
    rows = rows_of(tmp_path)
    assert rows[: len(kept)] == kept
    assert [(row["id"], row["status"]) for row in rows] == [
        (f"image-{i:03d}", "ok") for i in range(20)
    ]


def test_a_folder_that_goes_away_during_a_run(scorer, tmp_path, monkeypatch):
    """As a network file system does that is unmounted: an empty folder is left."""
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: None)
    photos, away, out = tmp_path / "photos", tmp_path / "away", tmp_path / "out"
    photos.mkdir()
    for i in range(40):
        colour(i).save(photos / f"{i:02d}.png")

    def unmount(row):
        if row["id"] == "05.png":
            photos.rename(away)
            photos.mkdir()

    with pytest.raises(StorageFailed, match="photos is gone, or not what it was"):
        scorer.run(photos, out, on_row=unmount, workers=2)
    kept = rows_of(out)
    assert 6 <= len(kept) < 40
    assert {row["status"] for row in kept} == {"ok"}
    photos.rmdir()
    away.rename(photos)
    scorer.run(photos, out, workers=2)
    assert [row["id"] for row in rows_of(out)] == [f"{i:02d}.png" for i in range(40)]
    assert {row["status"] for row in rows_of(out)} == {"ok"}


def test_one_file_that_is_taken_away_during_a_run_is_one_row(scorer, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for i in range(40):
        Image.new("RGB", (20, 20), (i, 0, 0)).save(photos / f"{i:02d}.png")

    def remove(row):
        if row["id"] == "02.png":
            (photos / "39.png").unlink()

    summary = scorer.run(photos, out, on_row=remove, workers=2)
    assert summary.counts == {"ok": 39, "unavailable": 1}


def test_an_error_without_words_says_its_kind(scorer, tmp_path):
    def fails():
        raise AssertionError

    scorer.run([Record("a", "memory", fails)], tmp_path)
    assert rows_of(tmp_path)[0]["error"] == "AssertionError: no message"
