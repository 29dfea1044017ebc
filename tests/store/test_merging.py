"""Parts of a run, made by processes that know nothing of each other, are one folder again."""

import json

import pyarrow.parquet as pq
import pytest
from streams import records
from typer.testing import CliRunner

from jepa_jax import Exact, Scorer
from jepa_jax.cli import app
from jepa_jax.data import Shuffled
from jepa_jax.data.sources.source import Records
from jepa_jax.scoring.work import Part
from jepa_jax.store import merge, read_manifest
from jepa_jax.store.folder import STATUS


def rows(folder):
    return pq.read_table(folder).to_pylist()


@pytest.fixture(scope="module")
def parts(scorer, tmp_path_factory):
    """Three parts of 23 images in shards of four: shards 0 and 3, 1 and 4, 2 and 5."""
    top = tmp_path_factory.mktemp("parts")
    for i in (1, 2, 3):
        summary = scorer.run(records(23, broken=(4,)), top / str(i), part=Part(i, 3), shard_size=4)
        assert summary.scored == Part(i, 3).rows(23, 4)
    return [top / "1", top / "2", top / "3"]


def test_merged_they_are_what_one_run_makes_and_that_continues_them(scorer, parts, tmp_path):
    scorer.run(records(23, broken=(4,)), tmp_path / "one", shard_size=4)
    assert merge(parts, tmp_path / "merged") == 23
    assert rows(tmp_path / "merged") == rows(tmp_path / "one")
    one, merged = (read_manifest(tmp_path / name) for name in ("one", "merged"))
    assert merged["settings"] == one["settings"]
    assert merge(parts, tmp_path / "merged") == 23  # As after an interruption.
    again = scorer.run(records(26, broken=(4,)), tmp_path / "merged", shard_size=4)
    assert (again.resumed, again.scored) == (23, 3)
    assert rows(parts[2])[-1]["id"] == "image-022"  # What is merged is not what is continued.


def test_a_part_is_continued_as_a_part(scorer, parts, tmp_path):
    out = tmp_path / "two"
    scorer.run(records(9), out, part=Part(2, 3), shard_size=4)
    again = scorer.run(records(23), out, part=Part(2, 3), shard_size=4)
    assert (again.resumed, again.scored) == (4, 4)
    with pytest.raises(ValueError, match=r"part.index: 2 before, 3 now"):
        scorer.run(records(23), out, part=Part(3, 3), shard_size=4)


def test_what_does_not_belong_together_is_refused(scorer, encoder, parts, tmp_path):
    def refused(folders, message):
        with pytest.raises(ValueError, match=message):
            merge(folders, tmp_path / "merged")
        assert not (tmp_path / "merged").exists()

    refused(parts[:2], "parts are missing: 3/3")
    refused([*parts, parts[0]], "are both part 1/3")
    other = Scorer(encoder, Exact(), batch_size=4, seed=7)
    other.run(records(23), tmp_path / "other", part=Part(3, 3), shard_size=4)
    refused([*parts[:2], tmp_path / "other"], r"parts of different runs\n  seed: 0 and 7")
    scorer.run(records(3), tmp_path / "whole")
    refused([tmp_path / "whole"], "is no part of a run")
    with pytest.raises(ValueError, match="is one of the parts"):
        merge(parts, parts[1])


def test_a_source_that_was_another_one_is_refused(scorer, parts, tmp_path):
    shifted = [r for r in records(24) if r.id != "image-002"]
    scorer.run(shifted, tmp_path / "3", part=Part(3, 3), shard_size=4)
    with pytest.raises(ValueError, match=r"'image-012' is in .* and in "):
        merge([*parts[:2], tmp_path / "3"], tmp_path / "merged")


def test_an_unfinished_part_is_refused_or_merged_to_be_continued(scorer, parts, tmp_path):
    class Interrupted(Exception):
        pass

    def stop(row):
        if row["id"] == "image-009":
            raise Interrupted

    with pytest.raises(Interrupted):
        scorer.run(records(23), tmp_path / "3", part=Part(3, 3), shard_size=4, on_row=stop)
    folders = [*parts[:2], tmp_path / "3"]
    with pytest.raises(ValueError, match=r"3 is not finished \(failed\)"):
        merge(folders, tmp_path / "merged")
    merge(folders, tmp_path / "merged", incomplete=True)
    scorer.run(records(23, broken=(4,)), tmp_path / "merged", shard_size=4)
    assert [row["id"] for row in rows(tmp_path / "merged")] == [r.id for r in records(23)]


def test_by_the_command(parts, tmp_path):
    command = ["merge", *map(str, parts), "--out", str(tmp_path / "merged")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "23 rows of 3 parts" in result.stderr
    shown = CliRunner().invoke(app, ["show", str(parts[0]), "--status"])
    assert shown.exit_code == 0, shown.output
    assert "finished: scoring, 8 of 8 rows, 0 of them before; local" in shown.stdout
    (tmp_path / "merged" / STATUS).write_text(json.dumps({"run": 5, "other": 1}))
    assert CliRunner().invoke(app, ["show", str(tmp_path / "merged")]).exit_code == 0


def test_parts_are_written_as_in_2_of_8():
    assert [shard for shard in range(9) if Part.parse("2/3").has(shard)] == [1, 4, 7]
    assert sum(Part(i, 7).rows(1000, 16) for i in range(1, 8)) == 1000
    for text in ("0/3", "4/3", "3", "a/b", "1/0"):
        with pytest.raises(ValueError, match="part"):
            Part.parse(text)


def test_a_shuffled_source_is_bound_to_its_seed(scorer, tmp_path):
    source = Records(tuple(records(12)))
    one, other = (Shuffled(source, shuffle=seed) for seed in (1, 2))
    ids = [record.id for record in one]
    assert ids != sorted(ids)
    assert sorted(ids) == [record.id for record in records(12)]
    assert ids == [record.id for record in one] != [record.id for record in other]
    scorer.run(one, tmp_path / "out", limit=5)
    assert [row["id"] for row in rows(tmp_path / "out")] == ids[:5]
    with pytest.raises(ValueError, match=r"source_options.shuffle: 1 before, 2 now"):
        scorer.run(other, tmp_path / "out")
