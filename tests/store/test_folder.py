"""Whose a folder is, and what in it is a shard."""

import pytest

from jepa_jax.object_stores import place
from jepa_jax.store.folder import (
    MANIFEST,
    check_apart,
    check_ours,
    is_written_to,
    locked,
    shard_paths,
)


def test_shards_are_in_order_beyond_a_million_and_nothing_else_is_one(tmp_path):
    for name in ("scores-1000000.parquet", "scores-999999.parquet", "scores-000002.parquet"):
        (tmp_path / name).touch()
    for name in ("scores-mine.parquet", "scores-1.parquet", "scores-000001.parquet.bak"):
        (tmp_path / name).touch()
    indices = [int(path.stem.removeprefix("scores-")) for path in shard_paths(tmp_path)]
    assert indices == [2, 999999, 1000000]
    assert shard_paths(tmp_path / "nowhere") == []


def test_what_systems_leave_in_any_folder_is_no_obstacle_and_stays(tmp_path):
    names = [".DS_Store", "Thumbs.db", "desktop.ini", ".nfs000000000123", ".scores-000001.tmp"]
    for name in names:
        (tmp_path / name).write_text("x")
    (tmp_path / ".jepa-jax-0123456789abcdef.tmp").write_text("half a file")
    with locked(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize("name", ["thesis.tex", "scores-mine.parquet", "report.html"])
def test_other_things_are_an_obstacle(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(FileExistsError, match=f"holds other things .{name}"), locked(tmp_path):
        pass


def test_nothing_is_put_into_a_folder_of_scores(tmp_path):
    scores = tmp_path / "scores"
    scores.mkdir()
    (scores / MANIFEST).write_text("{}")
    for path in (scores / "report.html", scores / "deeper" / "list.csv"):
        with pytest.raises(ValueError, match=r"would be put into .*scores, a folder of scores"):
            check_apart(path)
    with pytest.raises(ValueError, match="a folder of scores"):
        check_ours(scores / "inner", lambda name: True)
    check_apart(tmp_path / "report.html")
    check_apart(scores)  # It is one.
    with pytest.raises(ValueError, match="a folder of scores"):
        check_apart(scores, itself=True)


def test_an_address_makes_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mangled = tmp_path.__class__("s3://bucket/list.csv")
    for check in (check_apart, lambda path: check_ours(path, lambda name: True)):
        with pytest.raises(ValueError, match=r"got the address 's3://bucket/list.csv'"):
            check(mangled)
    with locked(tmp_path.__class__("memory://of-folders/scores")):
        assert is_written_to(place("memory://of-folders/scores"))
    assert not list(tmp_path.iterdir())
