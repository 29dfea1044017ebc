"""A file that is replaced under the same name: its row is of the new one, or it is said."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import invoke
from image_files import encoded, png, tarred
from streams import colour

from jepa_jax import Exact, Scorer
from jepa_jax.scoring.refine import Refinement
from jepa_jax.store import read_scores, summarize
from jepa_jax.store.folder import shard_path
from jepa_jax.store.shards import read_rows, write_rows
from jepa_jax.store.table import read_stamps


def data(i: int) -> bytes:
    return encoded(colour(i), "BMP")  # Of one size for one size of image.


def write(path, content: bytes) -> None:
    """The file anew, later than any before."""
    write.clock += 10**9
    path.write_bytes(content)
    os.utime(path, ns=(write.clock, write.clock))


write.clock = 10**18


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(6):
        write(folder / f"{i}.bmp", data(i))
    return folder


def scores_of(out):
    return {row["id"]: row["jepa_score"] for row in pq.read_table(out).to_pylist()}


def test_a_replaced_file_gets_the_new_ones_score_in_its_place(scorer, photos, tmp_path):
    out, seen = tmp_path / "out", []
    run = lambda **more: scorer.run(photos, out, shard_size=4, on_changed=seen.append, **more)
    first = run()
    before = scores_of(out)
    assert (first.counts, first.changed, seen) == ({"ok": 6}, 0, [])
    assert run().counts == {}  # What has not changed stays.

    write(photos / "1.bmp", data(11))  # As many bytes as before.
    write(photos / "5.bmp", b"broken")
    again = run()
    assert (again.counts, again.changed, again.resumed) == ({"ok": 1, "unreadable": 1}, 2, 4)
    assert seen == ["1.bmp"]
    alone = scorer.run(photos, tmp_path / "alone", shard_size=4)
    assert alone.counts == {"ok": 5, "unreadable": 1}
    found, expected = scores_of(out), scores_of(tmp_path / "alone")
    assert list(found) == list(expected)
    assert found["5.bmp"] is None
    assert found["1.bmp"] == pytest.approx(expected["1.bmp"], abs=2e-4)
    assert abs(found["1.bmp"] - before["1.bmp"]) > 1
    assert {i: found[i] for i in ("0.bmp", "2.bmp", "3.bmp", "4.bmp")} == {
        i: before[i] for i in ("0.bmp", "2.bmp", "3.bmp", "4.bmp")
    }
    # One row an image for every reader.
    assert summarize(out).counts == {"ok": 5, "unreadable": 1}
    assert read_scores(out).ids == [f"{i}.bmp" for i in range(6)]
    assert run().counts == {}

    write(photos / "5.bmp", data(5))  # A broken file that was mended, too.
    assert run().counts == {"ok": 1}
    assert scores_of(out)["5.bmp"] == pytest.approx(before["5.bmp"], abs=2e-4)


def test_rows_are_kept_where_that_is_asked_for_and_counted(
    annotations_unchecked, scorer, photos, tmp_path
):
    out, seen = tmp_path / "out", []
    scorer.run(photos, out)
    before = scores_of(out)
    write(photos / "1.bmp", data(11))
    kept = scorer.run(photos, out, changed="keep", on_changed=seen.append)
    assert (kept.counts, kept.changed, kept.resumed, seen) == ({}, 1, 6, ["1.bmp"])
    assert scores_of(out) == before
    assert scorer.run(photos, out, changed="keep").changed == 1  # It is not forgotten.
    assert scorer.run(photos, out).counts == {"ok": 1}
    with pytest.raises(ValueError, match="`changed` must be 'rescore' or 'keep', got 'refuse'"):
        scorer.run(photos, out, changed="refuse")


def test_a_file_that_is_gone_keeps_its_row(scorer, photos, tmp_path):
    listed, out = tmp_path / "list.txt", tmp_path / "out"
    listed.write_text("".join(f"photos/{i}.bmp\n" for i in range(3)))
    scorer.run(listed, out)
    before = scores_of(out)
    (photos / "1.bmp").rename(tmp_path / "away.bmp")
    gone = scorer.run(listed, out)
    assert (gone.counts, gone.changed) == ({}, 0)
    (tmp_path / "away.bmp").rename(photos / "1.bmp")  # As it was: its time is its own.
    assert scorer.run(listed, out).counts == {}
    assert scores_of(out) == before


def test_a_folder_of_before_continues_and_one_column_more_is_no_obstacle(scorer, photos, tmp_path):
    out = tmp_path / "out"
    scorer.run(photos, out, shard_size=4, limit=3)
    path = shard_path(out, 0)
    old = read_rows(path)
    for row in old:
        del row["stamp"]
    schema = pq.read_schema(path).remove_metadata()
    write_rows(path, old, schema.remove(schema.get_field_index("stamp")))
    assert "stamp" not in pq.read_schema(path).names
    assert read_stamps(out) == [None] * 3
    write(photos / "1.bmp", data(11))
    found = scorer.run(photos, out, shard_size=4)
    assert (found.counts, found.changed, found.resumed) == ({"ok": 3}, 0, 3)
    assert [stamp is None for stamp in read_stamps(out)] == [True] * 3 + [False] * 3
    assert scorer.run(photos, out, shard_size=4).counts == {}


@pytest.mark.parametrize("kind", ["tar", "parquet", "paths", "npz", "dataset"])
def test_archives_tables_and_arrays_are_known_by_their_files(kind, scorer, tmp_path):
    out, place = tmp_path / "out", tmp_path / "in"

    def make(colours):
        cells = [png(c, (8, 8)) for c in colours]
        if kind == "tar":
            write(place.with_suffix(".tar"), tarred({f"{i}.png": c for i, c in enumerate(cells)}))
            return place.with_suffix(".tar")
        if kind == "npz":
            np.savez(place, images=np.array([np.full((8, 8, 3), c, np.uint8) for c in colours]))
            write(place.with_suffix(".npz"), place.with_suffix(".npz").read_bytes())
            return place.with_suffix(".npz")
        if kind == "dataset":
            datasets = pytest.importorskip("datasets")
            made = datasets.Dataset.from_dict({"id": list("ab"), "image": cells})
            made.save_to_disk(place)
            for path in place.glob("*.arrow"):
                write(path, path.read_bytes())
            return place
        table = place.with_suffix(".parquet")
        if kind == "parquet":
            pq.write_table(pa.table({"id": list("ab"), "image": cells}), table)
            write(table, table.read_bytes())
        else:
            for i, cell in enumerate(cells):
                if not (tmp_path / f"{i}.png").exists() or i == 1:
                    write(tmp_path / f"{i}.png", cell)
            if not table.exists():
                pq.write_table(pa.table({"id": list("ab"), "path": ["0.png", "1.png"]}), table)
        return table

    source = make([(255, 0, 0), (0, 255, 0)])
    assert scorer.run(source, out).counts == {"ok": 2}
    before = scores_of(out)
    assert scorer.run(source, out).counts == {}
    make([(255, 0, 0), (0, 0, 255)])
    again = scorer.run(source, out)
    # Of an archive nothing tells which of its images are others; of a table of paths it does.
    assert again.counts == {"ok": 1 if kind == "paths" else 2}
    found = scores_of(out)
    (one, other) = before
    assert found[one] == pytest.approx(before[one], abs=2e-4)
    assert abs(found[other] - before[other]) > 0.1
    assert scorer.run(source, out).counts == {}


def test_a_refined_row_of_a_changed_image_begins_anew(encoder, calibration, photos, tmp_path):
    out = tmp_path / "out"
    scorer = Scorer(encoder, calibration.sketch(encoder, 8), batch_size=4)
    refine = Refinement(low=0.3)
    scorer.run(photos, out, refine=refine)
    before = {row["id"]: row for row in pq.read_table(out).to_pylist()}
    refined = [id for id, row in before.items() if row["method"] == "exact"]
    assert len(refined) >= 2
    write(photos / refined[0], data(17))
    scorer.run(photos, out, refine=refine)
    exact = Scorer(encoder, Exact(), batch_size=4)
    exact.run(photos, tmp_path / "exact")
    expected = scores_of(tmp_path / "exact")
    rows = {row["id"]: row for row in pq.read_table(out).to_pylist()}
    assert list(rows) == list(before)
    for id, row in rows.items():
        if row["method"] == "exact":
            assert row["jepa_score"] == pytest.approx(expected[id], abs=2e-4)
    row = rows[refined[0]]
    scored = row["sketch_score"] if row["method"] == "exact" else row["jepa_score"]
    assert scored != before[refined[0]]["sketch_score"]


def test_the_command_says_what_changed_and_what_it_did(photos, tmp_path):
    out = tmp_path / "out"
    command = ["score", photos, "--encoder", "embedded", "--out", out, "--processes", 1]
    assert "changed" not in invoke(*command).stderr
    write(photos / "1.bmp", data(11))
    kept = invoke(*command, "--changed", "keep")
    assert kept.exit_code == 0, kept.output
    assert (
        "1.bmp has another size or time than when it was scored: its row is of the" in kept.stderr
    )
    assert "1 image changed since being scored: --changed rescore" in kept.stderr
    again = invoke(*command)
    assert "1.bmp has another size or time than when it was scored: it is scored" in again.stderr
    assert "1 image changed since being scored, and scored again" in again.stderr
    assert "nothing left to do" in invoke(*command).stderr
