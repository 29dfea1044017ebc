"""What the report says of facts of the images: which are known, and what a JPEG's size tells."""

import re

import numpy as np
import pyarrow as pa
import pytest
from tables import row, write_folder

from jepa_jax.report.facts import known, of_jpeg_size, relations
from jepa_jax.report.html import ReportSettings, write_report
from jepa_jax.store.folder import shard_path
from jepa_jax.store.shards import write_rows
from jepa_jax.store.table import ScoreTable, read_scores


def table_of(folder, **columns):
    count = len(columns["jepa_score"])
    rows = {"id": [str(i) for i in range(count)], "status": ["ok"] * count} | columns
    return ScoreTable(folder, {}, {}, pa.table(rows))


def test_the_sentence_counts_pairs(tmp_path):
    bits = [1.0, 2.0, 3.0, 4.0]
    falling = table_of(tmp_path, jepa_score=[9.0, 8.0, 1.0, 2.0], bits_per_pixel=bits)
    # 5 of the 6 pairs fall; ranks 4, 3, 1, 2: a Spearman of 1 - 6 * 18 / (4 * 15).
    assert "has the lower score in 83 % of pairs" in of_jpeg_size(falling, relations(falling))
    assert "Spearman -0.80)" in of_jpeg_size(falling, relations(falling))
    rising = table_of(tmp_path, jepa_score=[1.0, 2.0, 8.0, 9.0], bits_per_pixel=bits)
    assert "has the higher score in 100 % of pairs" in of_jpeg_size(rising, relations(rising))
    alike = table_of(tmp_path, jepa_score=[1.0, 2.0, 8.0, 9.0], bits_per_pixel=[1.0] * 4)
    assert of_jpeg_size(alike, relations(alike)) == ""
    without = table_of(tmp_path, jepa_score=[1.0, 2.0, 8.0, 9.0])
    assert "score with --store image" in of_jpeg_size(without, relations(without))


def test_a_folder_made_before_there_were_more_facts_and_one_that_was_continued(tmp_path):
    old = ("width", "height", "bits_per_pixel")
    facts = {"width": 20, "height": 10, "bits_per_pixel": 1.5}
    rows = [row(f"{i}.png", float(i), **facts) for i in range(8)]
    folder = write_folder(tmp_path / "scores", rows, ("image",))
    columns = [name for name in read_scores(folder).rows.column_names]
    kept = pa.schema([(n, t) for n, t in _schema().items() if n in columns and n not in _NEW])
    write_rows(shard_path(folder, 0), rows[:4], kept)
    table = read_scores(folder)
    assert [fact.name for fact in known(table)] == ["bits_per_pixel", "pixels", "aspect"]
    assert np.isnan(table.numbers("sharpness")).all()
    assert write_report(folder, tmp_path / "r.html", ReportSettings(images="")).rows == 8
    assert set(old) <= set(columns)
    new = facts | {"brightness": 1.0, "contrast": 2.0, "sharpness": 3.0}
    write_rows(shard_path(folder, 1), [r | new for r in rows[4:]], pa.schema(_schema()))
    assert "sharpness" in [fact.name for fact in known(read_scores(folder))]
    assert write_report(folder, tmp_path / "r.html", ReportSettings(images="")).rows == 8


_NEW = ("brightness", "contrast", "sharpness")


def _schema():
    from jepa_jax.store.schema import schema

    return {field.name: field.type for field in schema(("image",))}


@pytest.mark.parametrize("zeros", [1, 3000])
def test_facts_of_zero_are_in_no_logarithmic_chart(tmp_path, zeros):
    rng = np.random.default_rng(0)
    sharpness = np.concatenate([np.zeros(zeros), rng.uniform(1, 9, 3000)])
    table = table_of(tmp_path, jepa_score=rng.normal(size=zeros + 3000), sharpness=sharpness)
    (found,) = relations(table)
    assert found.count == zeros + 3000
    assert found.grid is not None
    assert sum(cell[2] for cell in found.grid["cells"]) == 3000
    assert sum(tenth[2] for tenth in found.tenths) == zeros + 3000


def test_the_page_has_a_row_of_every_fact(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        row(
            f"{i}.png",
            float(i),
            width=20 + i,
            height=10,
            bits_per_pixel=40.0 - i,
            brightness=float(i),
            contrast=rng.uniform(),
            sharpness=rng.uniform(),
        )
        for i in range(40)
    ]
    folder = write_folder(tmp_path / "scores", rows, ("image",))
    path = write_report(folder, tmp_path / "r.html", ReportSettings(images="")).path
    text = path.read_text(encoding="utf-8")
    table = text[text.index('<table class="facts">') :]
    table = table[: table.index("</table>")]
    names = re.findall(r'<th scope="row">([^<]+)<', table)
    expected = ["Complexity", "Size", "Aspect ratio", "Brightness", "Contrast", "Sharpness"]
    assert names == expected
    spearmans = [float(v) for v in re.findall(r'<td class="n[^"]*">([+-]\d\.\d\d)</td>', table)]
    assert (spearmans[0], spearmans[1], spearmans[3]) == (-1, 1, 1)
    assert text.index("has the lower score in 100 % of pairs") < text.index("<main>")
