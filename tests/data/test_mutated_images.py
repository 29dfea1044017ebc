"""Damaged and odd images of every format, mode and mutation: `benchmarks/mutations`, but fewer.

What is not found here in seconds, a thousand of them may find there.
"""

from collections import Counter

import pyarrow.parquet as pq
import pytest

from benchmarks.mutations.by_hand import BY_HAND
from benchmarks.mutations.mutants import FORMATS, MUTATIONS, mutants
from benchmarks.mutations.trials import read_each
from jepa_jax.data import FileList

COUNT = 4 * (len(FORMATS) + len(BY_HAND))  # Four of each format.
SCORED = COUNT // 2


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutants")
    made = list(mutants(COUNT, seed=1))
    for file in made:
        (folder / file.name).write_bytes(file.data)
    return folder, made


def test_each_is_an_image_or_a_reason_and_no_crash_or_hang(files):
    """In a process that may die of it."""
    folder, made = files
    assert {file.mutation for file in made} == set(MUTATIONS)
    found = read_each(folder, made, limit=20.0)
    assert [one for one in found if one["outcome"] not in ("ok", "unreadable")] == []
    counts = Counter(one["outcome"] for one in found)
    assert min(counts.values()) > COUNT // 5  # Neither is everything read, nor nothing.
    for one, file in zip(found, made, strict=True):
        assert file.mutation != "none" or one["outcome"] == "ok", (file.name, file.mode, one)
        assert one["outcome"] == "ok" or one["said"].strip(), file.name


@pytest.mark.filterwarnings("ignore")  # Pillow's, on damaged metadata.
def test_each_has_its_row_in_order(scorer, files, tmp_path):
    folder, made = files[0], files[1][:SCORED]
    names = tuple(file.name for file in made)
    summary = scorer.run(FileList(names, folder), tmp_path)
    assert pq.read_table(tmp_path)["id"].to_pylist() == list(names)
    rows = pq.read_table(tmp_path, columns=["status", "error", "jepa_score"]).to_pylist()
    assert summary.counts == Counter(row["status"] for row in rows)
    assert set(summary.counts) == {"ok", "unreadable"}
    for row, file in zip(rows, made, strict=True):
        assert (row["jepa_score"] is None) == (row["status"] != "ok") == bool(row["error"])
        assert file.mutation != "none" or row["status"] == "ok", (file.name, row)
