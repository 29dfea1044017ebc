"""Two runs compared: who moved, how far in all, what differs, and a page that says so."""

import re

import numpy as np
import pyarrow as pa
import pytest
from command_line import invoke
from image_files import BLUE, RED, png
from scipy.stats import spearmanr
from tables import row, write_folder

from jepa_jax.report.comparison_page import write_comparison
from jepa_jax.report.payload import unpack
from jepa_jax.report.pictures import Where
from jepa_jax.report.run_comparison import compare
from jepa_jax.store.table import ScoreTable

EVIL = "</script><img src=x onerror=alert(1)>\x1b[31m\n=1+1.png"


def table_of(folder, ids, scores):
    rows = {"id": ids, "status": ["ok"] * len(ids), "jepa_score": scores}
    return ScoreTable(folder, {}, {}, pa.table(rows))


def test_ranks_of_random_scores_are_scipys(tmp_path):
    rng = np.random.default_rng(0)
    ids = [f"{i}.png" for i in range(200)]
    one = rng.normal(size=200)
    other = one + rng.normal(size=200)
    order = rng.permutation(200)
    found = compare(
        table_of(tmp_path, ids, one.tolist()),
        table_of(tmp_path, [ids[i] for i in order], other[order].tolist()),
    )
    assert found.ids == ids
    assert found.correlation is not None
    assert found.correlation.value == pytest.approx(spearmanr(one, other).statistic)
    ranks = one.argsort().argsort() / 199 * 100
    np.testing.assert_allclose(found.first_rank, ranks)
    np.testing.assert_allclose(found.change, other.argsort().argsort() / 199 * 100 - ranks)
    lowest = set(one.argsort()[:20]) & set(other.argsort()[:20])
    highest = set(one.argsort()[-20:]) & set(other.argsort()[-20:])
    (tenth,) = [o for o in found.overlaps if o.share == 0.1]
    assert (tenth.count, tenth.lowest, tenth.highest) == (20, len(lowest), len(highest))


def test_repeated_ids_are_matched_in_their_order_and_missing_ones_counted(tmp_path):
    first = table_of(tmp_path, ["a", "a", "b", "c"], [1.0, 2.0, 3.0, None])
    second = table_of(tmp_path, ["c", "a", "a", "a", "d"], [1.0, 9.0, 8.0, 5.0, 6.0])
    found = compare(first, second)
    assert found.ids == ["a", "a", "b", "c", "a", "d"]
    assert found.first.tolist() == [0, 1, 2, 3, -1, -1]
    assert found.second.tolist() == [1, 2, -1, 0, 3, 4]
    assert found.change[:2].tolist() == [100, -100]
    assert np.isnan(found.change[2:]).all()
    assert found.both == 2


def test_nothing_in_common_is_an_error(tmp_path):
    one, other = table_of(tmp_path, ["a"], [1.0]), table_of(tmp_path, ["b"], [1.0])
    with pytest.raises(ValueError, match=r"no image is in both .* matched by id, such as 'a', 'b'"):
        compare(one, other)


@pytest.fixture
def folders(tmp_path):
    """Eight images; those of the second run are other files, its scores in the other order."""
    made = []
    for name, colour, sign in (("one", RED, 1), ("two", BLUE, -1)):
        rows = []
        for i in range(8):
            id = f"{'ab'[i % 2]}/{i}.png" if i else f"a/{EVIL.replace('/', '')}"
            path = tmp_path / name / id
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(colour, (30, 20)))
            rows.append(row(id, sign * float(i), source=str(path)))
        rows.append(row(f"only-{name}.png", 5.0))
        rows.append(row("broken.png", 1.0 if sign == 1 else None))
        estimator = {"method": "exact" if sign == 1 else "sketch", "rank": "structural"}
        settings = {"source": str(tmp_path / name), "estimator": estimator}
        made.append(write_folder(tmp_path / f"scores-{name}", rows, **settings))
    return made


def rows_of(text):
    packed = re.search(r'id="rows"[^>]*>([^<]+)<', text)
    assert packed
    return unpack(packed[1].strip())


def test_the_page_says_what_moved_and_what_differs(folders, tmp_path):
    written = write_comparison(*folders, tmp_path / "c.html")
    text = written.path.read_text(encoding="utf-8")
    # Of each of the eight two pictures: the files are others.
    assert (written.both, written.pictures) == (8, 16)
    words = " ".join(re.sub(r"<[^>]*>", " ", text[: text.index('id="facts"')]).split())
    for expected in (
        "8 images have a score in both runs",
        "Spearman&#39;s correlation of their ranks is -1.000",
        "The runs differ in what shifts scores (estimator.method)",
        "estimator.method exact sketch shifts scores",
        "In A alone 1 only-one.png",
        "In B alone 1 only-two.png",
        "In both, with a score in A alone 1 broken.png",
    ):
        assert expected in words
    rows = rows_of(text)
    assert len(rows["id"]) == 11
    assert rows["change"][:8].tolist() == [100 - 200 * i / 7 for i in range(8)] or np.allclose(
        rows["change"][:8], [100 - 200 * i / 7 for i in range(8)]
    )
    assert rows["there"].tolist() == [0] * 8 + [1, 0, 2]
    assert "<img" not in text
    assert "\x1b" not in text


def test_pictures_of_the_same_files_are_there_once(folders, tmp_path):
    written = write_comparison(folders[0], folders[0], tmp_path / "c.html")
    # Nobody moved.
    assert (written.both, written.pictures) == (10, 0)
    text = written.path.read_text(encoding="utf-8")
    assert "their nats may be compared" in text
    assert "+0.00 nats" in text
    assert "Nothing: both manifests say the same." in text


def test_the_command(folders, tmp_path):
    out = tmp_path / "c.html"
    result = invoke("compare", *folders, "--out", out, "--no-images")
    assert result.exit_code == 0, result.output
    assert "8 images in both, 0 pictures" in result.stderr
    assert "note: It was made without pictures." in result.stderr
    assert invoke("compare", *folders, "--out", out).exit_code == 0  # A report is replaced.
    wrong = invoke("compare", folders[0], tmp_path / "one", "--out", out)
    assert wrong.exit_code == 2
    assert "not a folder of scores" in wrong.stderr
    (tmp_path / "mine.html").write_text("mine")
    assert "is not a report" in invoke("compare", *folders, "--out", tmp_path / "mine.html").stderr


def test_a_folder_made_before_there_were_stamps_or_facts(folders, tmp_path):
    rows = [row(f"b/{i}.png", float(i)) for i in (1, 3, 5, 7)]
    for each in rows:
        del each["std_error"]
    old = write_folder(tmp_path / "old", rows)
    written = write_comparison(folders[0], old, tmp_path / "c.html", where=Where(images=""))
    assert written.both == 4
