"""Pages of rows are those that a filter and an order say, whatever a name holds."""

import numpy as np
import pytest
from tables import row, write_folder

from jepa_jax.browse.view import View

SCORED = [float(i) for i in range(230) if i % 10 != 9]


def ids(rows, view):
    return [found["id"] for found in rows.page(view)]


def numbers(rows, view, name="jepa_score"):
    return [found[name] for found in rows.page(view)]


def test_pages_by_score_with_what_has_none_last(rows):
    count = rows.count(View())
    assert count == 239
    found = [n for page in (1, 2, 3) for n in numbers(rows, View(page=page))]
    scored = [n for n in found if n is not None]
    assert scored == [*SCORED, *(230.0, 231.0, 232.0, 233.0, 234.0), 1000, 1001, 1002, 1003]
    assert found[len(scored) :] == [None] * 23
    # Rows of a like key are in the order of the source.
    assert ids(rows, View(page=3))[-2:] == ["b/219.png", "b/229.png"]
    assert rows.page(View(page=4)) == []


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View(show="failed"), 23),
        (View(show="scored"), 216),
        (View(show="flagged"), 1),
        (View(show="status:unreadable"), 23),
        (View(show="status:ok' or '1'='1"), 0),
        (View(low=10.0, high=20.0), 10),
        (View(of="brightness", high=780.0), 15),
        (View(of="pixels", low=125_000.0), 10),
        (View(text="B/00"), 5),
        (View(text="%"), 0),
        (View(text="'; DROP table"), 1),
        (View(text="\x1b[31m"), 1),
        (View(show="scored", text="b/", low=100.0), 53),
    ],
)
def test_filters(rows, view, expected):
    assert rows.count(view) == expected
    assert len(rows.page(view)) == min(expected, 100)


def test_orders(rows):
    few = View(of="width", low=400.0, high=405.0)
    assert numbers(rows, View(**vars(few) | {"sort": "-brightness"}), "brightness") == [
        *(1000.0, 999.0, 998.0, 997.0, 996.0, 995.0),
    ]
    assert ids(rows, View(**vars(few) | {"sort": "-id"}))[:2] == ["b/005.png", "b/003.png"]
    assert ids(rows, View(**vars(few) | {"sort": "-order"}))[:2] == ["b/005.png", "a/004.png"]
    assert numbers(rows, View(**vars(few) | {"sort": "aspect"}), "width") == [*range(400, 406)]


def test_one_row_by_its_place(rows):
    (found,) = rows.page(View(text="drop"))
    assert rows.one(found["shard"], found["row"]) == found
    assert found["id"] == "'; drop table x; --.png"
    # Four rows a shard, 239 in all.
    assert rows.one(59, 2) is not None
    for shard, at in ((59, 3), (60, 0), (0, 2**31), (10**30, 0)):
        assert rows.one(shard, at) is None


def test_how_many_score_lower(rows):
    overview = rows.overview()
    assert overview.statuses == {"ok": 216, "unreadable": 23}
    assert overview.lower(0.0) == (0, 0.0)
    assert overview.lower(1003.0) == (215, 100.0)
    assert overview.lower(None) is None
    # What no row has, and errors that are all 0, are no columns.
    facts = ("width", "height", "brightness", "pixels", "aspect")
    assert overview.known == ("jepa_score", "rank", *facts)


def test_nothing_but_the_folder_is_read_and_nothing_written(rows, tmp_path):
    import duckdb

    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    for sql in (
        f"select * from read_csv('{other}')",
        f"copy (select 1) to '{tmp_path / 'new.csv'}'",
        f"attach '{tmp_path / 'new.db'}'",
        "set enable_external_access = true",
        "install httpfs",
    ):
        with pytest.raises(duckdb.Error):
            rows._fetch(sql + " -- $files")
    assert [path.name for path in tmp_path.iterdir()] == ["other.csv"]


def test_columns_of_any_name_and_numbers_that_are_none(tmp_path):
    pytest.importorskip("duckdb")
    import pyarrow as pa
    import pyarrow.parquet as pq

    from jepa_jax.browse.table_rows import Rows

    folder = write_folder(tmp_path / "s", [row(str(i), float(i)) for i in range(4)])
    shard = folder / "scores-000000.parquet"
    name = 'x"; drop table t; --'
    values = pa.array([2.0, np.nan, 1.0, np.inf])
    pq.write_table(pq.read_table(shard).append_column(name, values), shard)
    # A shard made before the column was.
    older = write_folder(tmp_path / "older", [row("4", 4.0)]) / "scores-000000.parquet"
    older.rename(folder / "scores-000001.parquet")
    opened = Rows(folder)
    view = View.asked({"sort": name}, opened.overview().known)
    assert ids(opened, view) == ["2", "0", "1", "3", "4"]
    assert opened.count(View(of=name, low=1.5)) == 1
    opened.close()


def test_what_a_run_adds_is_seen(tmp_path):
    pytest.importorskip("duckdb")
    from jepa_jax.browse.table_rows import Rows

    more = write_folder(tmp_path / "more", [row(str(i), float(i)) for i in range(8)])
    folder = write_folder(tmp_path / "s", [row(str(i), float(i)) for i in range(4)])
    opened = Rows(folder)
    assert opened.count(View(low=2.0)) == 2
    (more / "scores-000001.parquet").rename(folder / "scores-000001.parquet")
    assert opened.count(View(low=2.0)) == 6
    assert opened.overview().lower(7.0) == (7, 100.0)
    opened.close()


def test_folders_that_are_none(tmp_path):
    pytest.importorskip("duckdb")
    from jepa_jax.browse.table_rows import Rows
    from jepa_jax.object_stores import Address

    with pytest.raises(FileNotFoundError, match="not a folder of scores"):
        Rows(tmp_path)
    with pytest.raises(ValueError, match="holds no scores yet"):
        Rows(write_folder(tmp_path / "empty", []))
    with pytest.raises(ValueError, match="names in UTF-8 alone"):
        Rows(tmp_path / "caf\udce9")
    with pytest.raises(ValueError, match=r"s3://b/x: rows are sorted on a disk"):
        Rows(Address("s3://b/x"))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"sort": "id; drop"}, "'id; drop' is none of these: jepa_score"),
        ({"of": "id"}, "'id' is none of these"),
        ({"show": "x"}, "nothing such as 'x' to show"),
        ({"low": "1e999"}, "low must be a number, got '1e999'"),
        ({"high": "two"}, "high must be a number"),
        ({"page": "nan"}, "page must be a number"),
    ],
)
def test_views_that_cannot_be(asked, message):
    with pytest.raises(ValueError, match=message):
        View.asked(asked, ["jepa_score"])


def test_a_view_is_what_its_address_says():
    from urllib.parse import parse_qsl

    view = View("status:ok", "x", 1.5, None, "a&b=c d\u2028", "-x", True, 3)
    assert View.asked(dict(parse_qsl(view.query())), ["jepa_score", "x"]) == view
    assert View.asked({}, ["jepa_score"]).query() == ""
    assert View.asked({"page": "-2"}, ["jepa_score"]).page == 1
