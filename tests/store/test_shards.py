"""A shard is what was written, or an error that names it."""

import hashlib
import os
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tables import row

from jepa_jax.store import shards
from jepa_jax.store.folder import shard_path
from jepa_jax.store.schema import schema
from jepa_jax.store.shards import (
    column_names,
    count_rows,
    read_ids,
    read_rows,
    read_table,
    write_rows,
)

GROUPS = ("calibrated", "embedding")
COLUMNS = schema(GROUPS)


@pytest.fixture
def shard(tmp_path):
    """Sixteen rows of all kinds of columns, some without a value."""
    rows = [row(f"é{i}.png", 1.5 * i, flagged=i % 3 == 0, embedding=[i, 2.5]) for i in range(15)]
    path = shard_path(tmp_path, 0)
    write_rows(path, [*rows, row("broken.png", None)], COLUMNS)
    return path


def pages(path, column: int) -> tuple[int, int]:
    """Where a column's pages begin and end."""
    found = pq.read_metadata(path).row_group(0).column(column)
    begin = found.dictionary_page_offset or found.data_page_offset
    return begin, begin + found.total_compressed_size


def test_rows_come_back_as_they_were(shard):
    rows = read_rows(shard)
    assert rows[3]["jepa_score"] == 4.5
    assert rows[3]["embedding"] == [3.0, 2.5]
    assert (rows[15]["jepa_score"], rows[15]["flagged"], rows[15]["embedding"]) == (None,) * 3
    assert read_ids(shard)[2] == "é2.png"
    assert count_rows(shard) == 16
    assert column_names(shard) == COLUMNS.names
    table = read_table(shard, ["id"], optional=["flagged", "nothing"])
    assert table.column_names == ["id", "flagged"]
    assert "embedding" not in read_table(shard, without=["embedding"]).column_names
    assert table.schema.metadata is None


def test_any_reader_can_verify_the_pages(shard):
    _, end = pages(shard, 4)
    data = bytearray(shard.read_bytes())
    data[end - 1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(OSError, match="CRC checksum"):
        pq.read_table(shard, page_checksum_verification=True)


def test_a_flipped_bit_is_found_or_changes_nothing(shard):
    whole, data = read_table(shard), shard.read_bytes()
    draw, errors = random.Random(0), []
    # Of pages, of what stands before each, and of the footer, which has no checksum of Parquet's.
    for place in draw.sample(range(len(data)), 150):
        damaged = bytearray(data)
        damaged[place] ^= 1 << draw.randrange(8)
        shard.write_bytes(damaged)
        try:
            assert read_table(shard).equals(whole), place
            assert column_names(shard) == whole.column_names
            assert count_rows(shard) == len(whole)
        except ValueError as error:
            errors.append(str(error))
    assert len(errors) > 50
    for error in errors:
        assert str(shard) in error
        assert "delete it, and the same `jepa-jax score` command makes its rows anew" in error


@pytest.mark.parametrize("size", [0, 3, 100, -1])
def test_a_file_cut_short_is_named(shard, size):
    shard.write_bytes(shard.read_bytes()[:size])
    for read in (read_rows, read_ids, count_rows, column_names):
        with pytest.raises(ValueError, match="is damaged or no file of scores"):
            read(shard)


def test_values_swapped_between_two_shards_of_one_size_are_found(tmp_path):
    """A page with its own checksum intact, in the wrong file: as a storage that mixes blocks up."""
    for i in range(2):
        write_rows(shard_path(tmp_path, i), [row("a.png", i + 0.5)], COLUMNS)
    one, two = (shard_path(tmp_path, i).read_bytes() for i in range(2))
    start, end = pages(shard_path(tmp_path, 0), 4)
    mixed = one[:start] + two[start:end] + one[end:]
    assert mixed not in (one, two)
    shard_path(tmp_path, 0).write_bytes(mixed)
    with pytest.raises(ValueError, match="the values of 'jepa_score' are not those"):
        read_table(shard_path(tmp_path, 0))


def test_a_file_without_digests_is_read_as_it_is(tmp_path):
    """As all were before there were any."""
    path = shard_path(tmp_path, 0)
    pq.write_table(pa.Table.from_pylist([row("a", 1.0)], schema(())), path)
    assert read_rows(path)[0]["jepa_score"] == 1.0
    with pytest.raises(ValueError, match="it has no column 'flagged'"):
        read_table(path, ["id", "flagged"])


def test_the_folders_name_adds_no_column(tmp_path):
    """PyArrow would make a column `run` of it."""
    (tmp_path / "run=3").mkdir()
    write_rows(shard_path(tmp_path / "run=3", 0), [row("a", 1.0)], schema(()))
    assert read_table(shard_path(tmp_path / "run=3", 0)).column_names == schema(()).names


def test_a_folder_whose_name_is_no_utf8(tmp_path):
    out = tmp_path / os.fsdecode(b"caf\xe9")
    out.mkdir()
    write_rows(shard_path(out, 0), [row("a", 1.0)], schema(()))
    assert read_ids(shard_path(out, 0)) == ["a"]
    assert (count_rows(shard_path(out, 0)), column_names(shard_path(out, 0))) == (
        1,
        schema(()).names,
    )


def test_a_digest_of_texts_is_of_their_bytes_however_they_lie_in_memory():
    texts = ["ab", None, "", "\N{LATIN SMALL LETTER E WITH ACUTE}", "ab"]
    data = [(text or "").encode() for text in texts]
    found = hashlib.blake2b(f"string {len(texts)}".encode(), digest_size=8)
    found.update(np.array([text is not None for text in texts]).tobytes())
    found.update(np.array([len(part) for part in data], np.int32).tobytes())
    found.update(b"".join(data))
    column = pa.array(["before", *texts, "after"])
    for lying in ([texts], [texts[:2], texts[2:]], [[], texts]):
        chunks = pa.chunked_array([pa.array(part, pa.string()) for part in lying])
        assert shards._digest(chunks) == found.hexdigest()
    assert shards._digest(pa.chunked_array([column.slice(1, 5)])) == found.hexdigest()
