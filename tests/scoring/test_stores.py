"""Scores on an object store are those on a disk, whoever reads and continues them."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import invoke
from fsspec.implementations.memory import MemoryFileSystem
from image_files import png
from streams import records

from jepa_jax import Calibration, SketchSamples, load_calibration
from jepa_jax.data import open_source
from jepa_jax.data.storage import StorageFailed
from jepa_jax.estimators.sketch.measurement import Measurement
from jepa_jax.object_stores import Address, StoreFailed
from jepa_jax.scoring.work import Part
from jepa_jax.store import RunStatus, lease, merge, read_manifest, read_scores
from jepa_jax.store.folder import check_scores_folder, shard_paths
from jepa_jax.store.lease import LeaseLost
from jepa_jax.store.shards import read_rows

OUT = Address("memory://of-scoring/scores")


def rows(out):
    return [row for path in shard_paths(out) for row in read_rows(path)]


def test_a_run_is_the_local_one_cut_off_and_continued(scorer, tmp_path, faulty):
    stream = records(11, broken=(4,))
    scorer.run(stream, tmp_path / "here", shard_size=4, store=["embedding"])
    scorer.run(stream, str(OUT), shard_size=4, store=["embedding"], limit=6)
    assert [row["id"] for row in rows(OUT)] == [f"image-{i:03d}" for i in range(6)]
    again = scorer.run(stream, OUT, shard_size=4, store=["embedding"])
    assert (again.resumed, again.scored, again.out) == (6, 5, OUT)
    assert rows(OUT) == pq.read_table(tmp_path / "here").to_pylist()
    assert OUT.names() == [
        "_lock-000002.json",
        "_manifest.json",
        "_status.json",
        *(f"scores-{i:06d}.parquet" for i in range(3)),
    ]
    assert RunStatus.read(OUT).state == "finished"
    assert read_manifest(OUT)["settings"] == read_manifest(tmp_path / "here")["settings"]
    here, there = read_scores(tmp_path / "here"), read_scores(str(OUT))
    np.testing.assert_array_equal(there.scores, here.scores)

    shown = invoke("show", OUT)
    assert shown.exit_code == 0, shown.output
    assert "11 rows of records" in shown.stdout
    assert "finished: scoring, 11 of 11 rows" in invoke("show", OUT, "--status").stdout
    chosen = tmp_path / "chosen.csv"
    assert invoke("select", OUT, "--bottom", "2", "--out", chosen).exit_code == 0
    assert len(chosen.read_text().splitlines()) == 3
    page = invoke("report", OUT, "--no-images", "--out", tmp_path / "report.html")
    assert page.exit_code == 0, page.output
    with pytest.raises(ValueError, match="made with other settings"):
        scorer.run(stream, OUT, shard_size=8, store=["embedding"])


def test_a_failing_store_ends_the_run_and_what_is_written_stays(scorer, faulty):
    put, written = faulty.pipe_file, []

    def fails(path, data, **how):
        if path.endswith("scores-000001.parquet"):
            raise TimeoutError("the store does not answer")
        written.append(path)
        return put(path, data, **how)

    faulty.pipe_file = fails
    with pytest.raises(StoreFailed, match=r"could not be written in 4 tries.*does not answer"):
        scorer.run(records(11), OUT, shard_size=4)
    assert [row["id"] for row in rows(OUT)] == [f"image-{i:03d}" for i in range(4)]
    assert RunStatus.read(OUT).state == "failed"
    faulty.pipe_file = put
    assert scorer.run(records(11), OUT, shard_size=4).resumed == 4


def test_who_was_silent_for_too_long_writes_no_more(scorer, faulty, monkeypatch):
    taken_over = []

    def take_over(row):
        if not taken_over:
            taken_over.append(lease.create(OUT / "_lock-000002.json", b"{}"))

    with pytest.raises(LeaseLost, match="taken over by another process"):
        scorer.run(records(11), OUT, shard_size=4, on_row=take_over)
    assert rows(OUT) == []


def test_parts_anywhere_are_merged_anywhere(scorer, tmp_path, faulty):
    scorer.run(records(11), OUT, part=Part(1, 2), shard_size=4)
    scorer.run(records(11), tmp_path / "2", part=Part(2, 2), shard_size=4)
    whole = Address("memory://of-scoring/whole")
    assert merge([OUT, tmp_path / "2"], str(whole)) == 11
    assert merge([OUT, tmp_path / "2"], tmp_path / "whole") == 11
    assert [row["id"] for row in rows(whole)] == [f"image-{i:03d}" for i in range(11)]
    assert rows(whole) == pq.read_table(tmp_path / "whole").to_pylist()
    with pytest.raises(ValueError, match="is one of the parts"):
        merge([OUT, tmp_path / "2"], OUT)
    (whole / "scores-000001.parquet").put(b"another's")
    with pytest.raises(ValueError, match="is there, and is not"):
        merge([OUT, tmp_path / "2"], whole)


def test_a_run_keeps_its_calibration_there(faulty):
    measured = Measurement(np.arange(16.0), np.ones((16, 1, 1)), {})
    made = Calibration(SketchSamples(np.eye(1, 4), measured, rank=4), {"rank": 4}, {})
    made.save(OUT / "_calibration")
    assert load_calibration(str(OUT / "_calibration")).fingerprint == made.fingerprint


def test_a_repository_of_the_hub_is_no_place_for_scores():
    with pytest.raises(ValueError, match="each file written is a commit: write to a bucket"):
        check_scores_folder(Address("hf://datasets/owner/name/scores"))


def test_an_image_that_is_missing_is_a_row_and_a_store_that_is_closed_ends_the_run(
    scorer, faulty, monkeypatch, tmp_path
):
    monkeypatch.setattr("jepa_jax.data.storage.RETRY_SECONDS", ())
    top = Address("memory://of-scoring/in")
    (top / "photos" / "a.png").put(png())
    (top / "list.txt").put(b"photos/a.png\nphotos/gone.png\n")
    summary = scorer.run(str(top / "list.txt"), tmp_path / "out")
    assert summary.counts == {"ok": 1, "unavailable": 1}

    def closed(path, *more, **how):
        raise PermissionError("The provided token has expired.")

    source = open_source(str(top / "list.txt"))
    assert source.count() == 2
    read = faulty.cat_file

    def read_lists_alone(path, *more, **how):
        return (read if path.endswith("txt") else closed)(path, *more, **how)

    monkeypatch.setattr(faulty, "cat_file", read_lists_alone)
    calls = []

    def info(path, **how):
        calls.append(path)
        return closed(path) if len(calls) > 2 else MemoryFileSystem.info(faulty, path, **how)

    monkeypatch.setattr(faulty, "info", info)
    with pytest.raises(StorageFailed, match=r"list\.txt is gone, or not what it was"):
        scorer.run(source, tmp_path / "closed")
    assert not shard_paths(tmp_path / "closed")
