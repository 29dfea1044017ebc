"""An index beside an archive: the same records without its headers; never those of another one."""

import io
import tarfile

import pytest
from image_files import BLUE, GREEN, RED, colours, ids, png, tarred

from jepa_jax.data import Tar
from jepa_jax.data.sources import tar
from jepa_jax.object_stores import Address

CONTENT = {
    "0001.jpg": png(RED),
    "0001.txt": b"red",
    "0002.img": png(GREEN),
    "0003.heic": b"\0",
    "x/0004.png": png(BLUE),
}


def index(data: bytes) -> bytes:
    """As wds2idx writes it."""
    with tarfile.open(fileobj=io.BytesIO(data)) as read:
        samples: dict[str, list[str]] = {}
        for m in read:
            base, _, ending = m.name.partition(".")
            samples.setdefault(base, []).append(f"{ending} {m.offset_data} {m.size} {m.name}")
    lines = [f"v1.2 {len(samples)}", *(" ".join(parts) for parts in samples.values())]
    return "\n".join(lines).encode() + b"\n"


@pytest.fixture
def unheard(monkeypatch):
    """Headers must not be read one by one."""
    monkeypatch.setattr(tar, "members", lambda file: pytest.fail("headers were read"))


def test_the_records_are_those_of_the_headers(tmp_path, monkeypatch):
    (tmp_path / "a.tar").write_bytes(tarred(CONTENT))
    plain = Tar(tmp_path / "a.tar")
    expected = ids(plain), colours(plain), plain.left_out()
    assert expected[0] == [
        "a.tar/0001.jpg",
        "a.tar/0002.img",
        "a.tar/0003.heic",
        "a.tar/x/0004.png",
    ]
    (tmp_path / "a.idx").write_bytes(index(tarred(CONTENT)))
    monkeypatch.setattr(tar, "members", lambda file: pytest.fail("headers were read"))
    assert (ids(plain), colours(plain), plain.left_out()) == expected


def test_on_a_store_too(faulty, unheard):
    top = Address("memory://indexed")
    (top / "a.tar").put(tarred(CONTENT))
    (top / "a.idx").put(index(tarred(CONTENT)))
    assert colours(Tar(top / "a.tar")) == [RED, GREEN, "UnreadableImage", BLUE]


@pytest.mark.parametrize(
    "wrong",
    [
        index(tarred({"0001.jpg": png(RED)})),  # Of before more was added.
        index(tarred(CONTENT | {"later.png": png(RED)})),
        index(tarred({"0000.jpg": png(RED)} | CONTENT)),
        index(tarred(CONTENT)).replace(b"0001.jpg", b"0009.jpg"),
        index(tarred(CONTENT)).replace(b"x/0004", b"x/00 04"),
        index(tarred(CONTENT))[:-30],
        b"v1.1 1\njpg 512 9\n",
        b"\xff\xfe",
        b"",
    ],
)
def test_one_that_is_not_of_this_archive_is_passed_over(tmp_path, wrong):
    (tmp_path / "a.tar").write_bytes(tarred(CONTENT))
    expected = ids(Tar(tmp_path / "a.tar"))
    (tmp_path / "a.idx").write_bytes(wrong)
    assert ids(Tar(tmp_path / "a.tar")) == expected
