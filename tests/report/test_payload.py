"""What is packed for the page is what it unpacks."""

import base64
import gzip
import json

import numpy as np

from jepa_jax.report.payload import Dictionary, pack, pack_pictures, unpack

TEXTS = ["plain.jpg", "</script><script>alert(1)</script>", "日本 ü \\ \" '", "", "line\nbreak\0"]


def test_columns_come_back_as_they_were():
    columns = {
        "id": TEXTS,
        "label": Dictionary(["b", "a", "b", "", "a"]),
        "score": np.array([1.5, np.nan, -np.inf, 1e300, 0.1]),
        "std_error": np.arange(5, dtype=np.float32) / 3,
        "group": np.arange(-1, 4, dtype=np.int32),
        "flagged": np.array([0, 1, 0, 0, 1], np.uint8),
    }
    back = unpack(pack(columns))
    assert back["id"] == TEXTS
    assert back["label"] == ["b", "a", "b", "", "a"]
    for name in ("score", "std_error", "group", "flagged"):
        np.testing.assert_array_equal(back[name], columns[name])
        assert back[name].dtype == columns[name].dtype


def test_arrays_begin_where_a_browser_can_map_them():
    # A Float64Array must begin at a multiple of 8 bytes of its buffer, wherever the header ends.
    for length in range(1, 20):
        packed = pack({"n" * length: np.zeros(3, np.uint8), "x": np.ones(2)})
        block = gzip.decompress(base64.b64decode(packed))
        size = int.from_bytes(block[:4], "little")
        assert (4 + size) % 8 == 0
        assert all(c["offset"] % 8 == 0 for c in json.loads(block[4 : 4 + size]).values())


def test_packing_is_reproducible():
    assert pack({"x": np.arange(9.0)}) == pack({"x": np.arange(9.0)})


def test_pictures_are_found_by_row_over_several_strings():
    rng = np.random.default_rng(0)
    pictures = {row: rng.bytes(300_000 + row) for row in (7, 2, 5, 0)}
    chunks, columns = pack_pictures(pictures, 9)
    assert len(chunks) > 1
    for row in range(9):
        chunk = columns["picture_chunk"][row]
        if row not in pictures:
            assert chunk == 0
            continue
        start, length = columns["picture_start"][row], columns["picture_length"][row]
        assert base64.b64decode(chunks[chunk - 1][start : start + length]) == pictures[row]
    assert pack_pictures({}, 3)[0] == []
