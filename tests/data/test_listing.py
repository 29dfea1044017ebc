"""A folder is listed once, whatever is asked of it."""

import pickle

from image_files import png, write

from jepa_jax.data import open_source
from jepa_jax.data.listing import Listing
from jepa_jax.data.sources import image_folder as folder


def test_what_is_kept_comes_back_in_order_to_several_readers(monkeypatch):
    monkeypatch.setattr("jepa_jax.data.listing._CHUNK", 7)  # Fields lie across chunks.
    listing = Listing(2)
    kept = [(f"{i}/\udce9\n.png", "" if i % 2 else "x" * i) for i in range(40)]
    for texts in kept:
        listing.add(texts)
    one = iter(listing)
    assert [next(one) for _ in range(9)] == kept[:9]
    assert list(listing) == kept
    assert [*one] == kept[9:]


def test_a_folder_is_listed_once(tmp_path, monkeypatch):
    for i in range(6):
        write(tmp_path / "in" / str(i // 2) / f"{i}.png", png())
    (tmp_path / "in" / "0" / "loop").symlink_to(tmp_path / "in" / "0" / "loop")
    listed, real = [], folder._listed
    monkeypatch.setattr(folder, "_listed", lambda path: listed.append(path) or real(path))
    source = open_source(tmp_path / "in")
    ids = [record.id for record in source]
    assert (source.count(), len(listed)) == (7, 4)
    assert ids == [record.id for record in source]
    again = pickle.loads(pickle.dumps(source))  # Without what is kept here.
    found = list(again)
    assert ([record.id for record in found], len(listed)) == (ids, 8)
    assert [record.source for record in found] == [record.source for record in source]
