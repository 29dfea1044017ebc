"""Archives: members as images, laziness, and loss that is not silent."""

import gzip
import importlib
import io
import shutil
import subprocess
import tarfile

import numpy as np
import pytest
from image_files import BLUE, GREEN, RED, colours, encoded, ids, png, tarred, write
from PIL import Image

from jepa_jax.data import Tar, UnreadableImage, open_source
from jepa_jax.data.left_out import left_out
from jepa_jax.data.sources import tar

MEMBERS = {
    "0001.png": png(RED),
    "0001.json": b"{}",
    "._0001.png": b"left by macOS",
    "sub/0002.PNG": png(GREEN),
    "0003.jpg": b"",
    "0004.png": png(BLUE),
}
IDS = ["t.tar/0001.png", "t.tar/sub/0002.PNG", "t.tar/0003.jpg", "t.tar/0004.png"]
COLOURS = [RED, GREEN, "UnreadableImage", BLUE]


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_members_in_order(tmp_path, format):
    source = Tar(write(tmp_path / "t.tar", tarred(MEMBERS, format=format)))
    assert ids(source) == IDS == ids(source)
    assert colours(source) == COLOURS
    assert source.count() is None
    assert {record.source for record in source} == {str(tmp_path / "t.tar")}


@pytest.mark.parametrize("name", ["t.tar.gz", "t.tgz", "zipped.tar"])
def test_a_gzipped_archive_whatever_its_name(tmp_path, name):
    source = Tar(write(tmp_path / name, gzip.compress(tarred(MEMBERS))), label="t.tar")
    assert ids(source) == IDS
    assert colours(source) == COLOURS


def test_long_and_strange_member_names(tmp_path):
    long = "folder/" * 30 + "x.png"
    source = Tar(write(tmp_path / "t.tar", tarred({long: png(RED), "caf\udce9.png": png(BLUE)})))
    assert ids(source) == [f"t.tar/{long}", "t.tar/caf\\xe9.png"]
    assert colours(source) == [RED, BLUE]


def test_a_plain_archive_is_read_by_load_and_not_before(tmp_path):
    path = write(tmp_path / "t.tar", tarred({"a.png": png(RED)}))
    (record,) = Tar(path)
    path.write_bytes(tarred({"a.png": png(BLUE)}))  # same layout, another image
    assert record.load().getpixel((0, 0)) == BLUE


@pytest.fixture
def noise():
    rng = np.random.default_rng(0)
    return {
        f"{k}.png": encoded(Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)))
        for k in range(6)
    }


@pytest.mark.parametrize("zipped", [False, True])
def test_an_archive_cut_in_the_middle_keeps_its_beginning_and_says_so(tmp_path, noise, zipped):
    data = gzip.compress(tarred(noise)) if zipped else tarred(noise)
    source = Tar(write(tmp_path / "t.tar", data[: len(data) // 2]))
    records = list(source)
    assert [r.id for r in records[:2]] == ["t.tar/0.png", "t.tar/1.png"]
    assert records[0].load().size == (20, 20)
    assert records[-1].id == "t.tar/(rest of the archive)"
    with pytest.raises(UnreadableImage, match=r"t\.tar: .+; what follows is lost"):
        records[-1].load()


def test_a_member_cut_short_is_truncated_itself(tmp_path, noise):
    data = tarred({"0.png": noise["0.png"]})
    source = Tar(write(tmp_path / "t.tar", data[: 512 + 100]))
    first, last = source
    with pytest.raises(
        UnreadableImage, match=r"truncated archive .*: the member has \d+ bytes, 100"
    ):
        first.load()
    assert last.id == "t.tar/(rest of the archive)"


def test_an_archive_cut_between_two_members_says_so(tmp_path, noise):
    one = tarred({"0.png": noise["0.png"]})
    end = 512 + -(-len(noise["0.png"]) // 512) * 512
    assert ids(Tar(write(tmp_path / "t.tar", one[:end]))) == [
        "t.tar/0.png",
        "t.tar/(rest of the archive)",
    ]


def test_a_damaged_header_in_the_middle_is_not_the_end(tmp_path, noise):
    data = bytearray(tarred(noise))
    second = 512 + -(-len(noise["0.png"]) // 512) * 512
    data[second : second + 512] = b"\x7f" * 512
    source = Tar(write(tmp_path / "t.tar", bytes(data)))
    assert ids(source) == ["t.tar/0.png", "t.tar/(rest of the archive)"]
    with pytest.raises(UnreadableImage, match=f"at byte {second}"):
        list(source)[-1].load()


@pytest.mark.parametrize("data", [b"", b"not a tar" * 200, b"\x1f\x8bnot gzip"])
def test_a_file_that_is_no_archive_is_one_record_that_raises(tmp_path, data):
    source = Tar(write(tmp_path / "t.tar", data))
    assert ids(source) == ["t.tar/(rest of the archive)"]
    assert colours(source) == ["UnreadableImage"]


SYMBOLIC, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE


def with_links(*members) -> bytes:
    """An archive of (name, bytes) and of (name, type, target), in order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, *what in members:
            info = tarfile.TarInfo(name)
            if isinstance(what[0], bytes) and len(what) == 1:
                info.size = len(what[0])
                tar.addfile(info, io.BytesIO(what[0]))
            else:
                info.type, info.linkname = what
                tar.addfile(info)
    return buffer.getvalue()


@pytest.mark.parametrize("zipped", [False, True])
def test_a_link_to_another_member_is_that_members_image(tmp_path, zipped):
    data = with_links(
        ("sub/before.png", SYMBOLIC, "../late.png"),
        ("a.png", png(RED)),
        ("hard.png", HARD, "a.png"),
        ("sub/up.png", SYMBOLIC, "../a.png"),
        ("sub/chain.png", SYMBOLIC, "./up.png"),
        ("no-ending", SYMBOLIC, "late.png"),
        ("stored.bin", png(GREEN)),
        ("to-bin.png", SYMBOLIC, "stored.bin"),
        ("./late.png", png(BLUE)),
        ("a.png", png(BLUE)),
    )
    source = Tar(write(tmp_path / "t.tar", gzip.compress(data) if zipped else data))
    found = dict(zip(ids(source), colours(source), strict=True))
    assert found == {
        "t.tar/sub/before.png": BLUE,
        "t.tar/a.png": BLUE,  # Stored twice.
        "t.tar/hard.png": RED,  # Of the one before it.
        "t.tar/sub/up.png": BLUE,
        "t.tar/sub/chain.png": BLUE,
        "t.tar/no-ending": BLUE,
        "t.tar/stored.bin": GREEN,
        "t.tar/to-bin.png": GREEN,
        "t.tar/late.png": BLUE,
    }


def test_a_link_through_a_folder_that_is_a_link(tmp_path):
    source = Tar(
        write(
            tmp_path / "t.tar",
            with_links(
                ("deep/er/a.png", png(RED)),
                ("deep/b.png", png(GREEN)),
                ("a.png", png(BLUE)),
                ("folder", SYMBOLIC, "deep/er"),
                ("again", SYMBOLIC, "./folder/"),
                ("round", SYMBOLIC, "round"),
                ("1.png", SYMBOLIC, "folder/a.png"),
                ("2.png", SYMBOLIC, "again/a.png"),
                # Up from where the link leads to, not from where it stands.
                ("3.png", SYMBOLIC, "folder/../b.png"),
                ("4.png", HARD, "folder/a.png"),
                ("5.png", SYMBOLIC, "round/a.png"),
                ("6.png", SYMBOLIC, "folder/../../../a.png"),
                ("sub/7.png", SYMBOLIC, "../again/../b.png"),
            ),
        )
    )
    found = dict(zip(ids(source), colours(source), strict=True))
    assert [found[f"t.tar/{name}.png"] for name in ("1", "2", "3", "4", "5", "6", "sub/7")] == [
        *(RED, RED, GREEN, RED),
        *("UnreadableImage", "UnreadableImage", GREEN),
    ]


@pytest.mark.parametrize("zipped", [False, True])
def test_what_is_left_out_is_counted(tmp_path, zipped, monkeypatch):
    data = with_links(
        ("._a.png", b"left by macOS"),
        (".git/b.png", png(RED)),
        ("a.png", png(RED)),
        ("a.json", b"{}"),
        ("b.json", b"{}"),
        ("README", b"text"),
        ("film.mp4", b"..."),
        ("folder", SYMBOLIC, "sub"),
        ("c.heic", b"..."),  # A row, as is a link that leads nowhere.
        ("d.png", SYMBOLIC, "gone.png"),
        ("sub", tarfile.DIRTYPE, ""),
    )
    path = write(tmp_path / "t.tar", gzip.compress(data) if zipped else data)
    entries = {(e.kind, e.count, e.example, bool(e.reason)) for e in Tar(path).left_out()}
    assert entries == {
        ("hidden", 2, "._a.png", False),
        (".json", 2, "a.json", False),
        ("without an extension", 1, "README", False),
        (".mp4", 1, "film.mp4", True),
        ("links", 1, "folder", False),
    }
    write(tmp_path / "u.tar", tarred(MEMBERS))
    several = left_out(open_source(tmp_path))
    assert ("hidden (of the first file)", 2) in [(e.kind, e.count) for e in several]
    monkeypatch.setattr(tar, "_LOOKED_AT", 4)
    assert [(e.kind, e.count) for e in Tar(path).left_out()] == [
        ("more", 1),  # Are not counted.
        ("hidden", 2),
        (".json", 1),
    ]
    monkeypatch.undo()
    # Damage, and what is missing, are rows.
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 3])
    assert sum(e.count for e in Tar(path).left_out()) < 7
    assert Tar(tmp_path / "gone.tar").left_out() == ()


@pytest.mark.parametrize(
    ("kind", "target", "said"),
    [
        (HARD, "gone.png", "a link to 'gone.png', which is not in the archive"),
        (SYMBOLIC, "../../etc/passwd.png", r"a link to '\.\./\.\./etc/passwd\.png', which is not"),
        (SYMBOLIC, "/etc/hostname", "a link to '/etc/hostname', which is not"),
        (SYMBOLIC, "b.png", "a link that leads to itself"),
        (HARD, "b.png", "a link to 'b.png', which is not in the archive"),
        (tarfile.FIFOTYPE, "", "is not a file"),
    ],
)
def test_a_link_that_leads_nowhere_is_a_record_that_says_so(tmp_path, kind, target, said):
    path = write(tmp_path / "t.tar", with_links(("b.png", kind, target), ("c.png", png(RED))))
    link, other = Tar(path)
    with pytest.raises(UnreadableImage, match=said):
        link.load()
    assert other.load().getpixel((0, 0)) == RED


@pytest.mark.parametrize("zipped", [False, True])
def test_members_are_told_by_what_they_are(tmp_path, zipped):
    members = {
        "0.img": png(RED),
        "1": png(GREEN),
        "2.jpg_large": png(BLUE),
        "3.cls": b"7",
        "4": b"text",
        "5.img": b"no image",
    }
    data = tarred(members)
    source = Tar(write(tmp_path / "t.tar", gzip.compress(data) if zipped else data))
    assert ids(source) == ["t.tar/0.img", "t.tar/1", "t.tar/2.jpg_large"]
    assert colours(source) == [RED, GREEN, BLUE]


def test_what_cannot_be_read_within_an_archive_is_a_row(tmp_path):
    inner = tarred({"x.png": png()})
    members = {
        "a.png": png(RED),
        "inner.tar": inner,
        "b.heic": b"?",
        "c.jxl": b"?",
        "more.zip": b"PK",
        "d.tar.gz": b"",
        "e.json.gz": b"",
        "f.npy": b"",
        ".hidden.tar": inner,
    }
    source = Tar(write(tmp_path / "t.tar", tarred(members)))
    assert ids(source) == [
        f"t.tar/{name}"
        for name in ("a.png", "inner.tar", "b.heic", "c.jxl", "more.zip", "d.tar.gz")
    ]
    said = ["an archive that", "pillow-heif", "pillow-jxl", "an archive that", "an archive that"]
    for record, text in zip(list(source)[1:], said, strict=True):
        with pytest.raises(UnreadableImage, match=text):
            record.load()


def test_an_archive_without_images_is_empty(tmp_path):
    assert ids(Tar(write(tmp_path / "t.tar", tarred({"a.txt": b"x"})))) == []


def test_a_leading_dot_is_no_part_of_an_id(tmp_path):
    members = {f"./{name}": data for name, data in MEMBERS.items()}
    assert ids(Tar(write(tmp_path / "t.tar", tarred(members)))) == IDS


def damaged_size(data: bytes, field: bytes) -> bytes:
    """An archive whose first header says another size, with a checksum that fits."""
    header = bytearray(data[:512])
    header[124:136] = field
    checksum = sum(header[:148]) + 32 * 8 + sum(header[156:])
    header[148:156] = b"%06o\0 " % checksum
    return bytes(header) + data[512:]


@pytest.mark.parametrize("zipped", [False, True])
def test_archives_one_after_the_other_are_all_read(tmp_path, zipped):
    """As `cat a.tar b.tar` makes them; `tar` reads the first one and says nothing."""
    data = b"".join(tarred({f"{c}.png": png(c)}) for c in (RED, GREEN, BLUE))
    data += bytes(10240)
    linked = io.BytesIO()
    with tarfile.open(fileobj=linked, mode="w") as tar:
        info = tarfile.TarInfo("link.png")
        info.type, info.linkname = tarfile.SYMTYPE, f"{BLUE}.png"
        tar.addfile(info)
    data += linked.getvalue()
    source = Tar(write(tmp_path / "t.tar", gzip.compress(data) if zipped else data))
    assert colours(source) == [RED, GREEN, BLUE, BLUE]


@pytest.mark.parametrize("after", [b"junk", b"\0" * 1500 + b"x" * 600, png(RED)])
def test_what_follows_the_end_is_said(tmp_path, after):
    source = Tar(write(tmp_path / "t.tar", tarred(MEMBERS) + after))
    *records, last = source
    assert [record.id for record in records] == IDS
    assert last.id == "t.tar/(rest of the archive)"
    with pytest.raises(UnreadableImage, match="after the end of the archive, at byte"):
        last.load()


@pytest.mark.parametrize(
    "field", [b"77777777777\0", b"\x80" + (2**80).to_bytes(11, "big"), b"\xff" * 12]
)
def test_a_size_that_cannot_be_is_two_rows_and_no_memory(tmp_path, field):
    whole = tarred({"a.png": png(RED), "b.png": png(BLUE)})
    first, last = Tar(write(tmp_path / "t.tar", damaged_size(whole, field)))
    assert last.id == "t.tar/(rest of the archive)"
    with pytest.raises(UnreadableImage):
        last.load()
    assert first.id == "t.tar/a.png"


def test_more_bytes_than_an_image_has_are_not_asked_for(tmp_path, monkeypatch):
    """Of zeros a terabyte is a megabyte of a gzipped archive, or none of one with holes."""
    monkeypatch.setattr("jepa_jax.data.sources.tar_members.MOST_BYTES", 1000)
    data = tarred({"a.png": bytes(1001), "b.png": png(BLUE)})
    for name, content in (("t.tar", data), ("t.tar.gz", gzip.compress(data))):
        first, second = Tar(write(tmp_path / name, content))
        with pytest.raises(UnreadableImage, match="has 1001 bytes: at most 1000 are read"):
            first.load()
        assert second.load().getpixel((0, 0)) == BLUE


def test_a_name_of_a_gigabyte_is_damage(tmp_path):
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    data = header.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    (record,) = Tar(write(tmp_path / "t.tar", data))
    with pytest.raises(UnreadableImage, match=r"a name of 1073741824 bytes"):
        record.load()


def test_a_link_to_a_member_with_holes_is_its_image(tmp_path):
    """GNU's sparse files: what lies in the archive is not the file."""
    if not shutil.which("tar"):
        pytest.skip("no tar here")
    data = encoded(Image.new("RGB", (200, 200), BLUE), "BMP")
    with (tmp_path / "a.bmp").open("wb") as file:
        file.write(data[: len(data) // 2])
        file.truncate(1 << 20)  # The rest of the image is black, and a hole.
    (tmp_path / "b.bmp").symlink_to("a.bmp")
    command = ["tar", "-cSf", "t.tar", "--format", "gnu", "a.bmp", "b.bmp"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "t.tar").stat().st_size < 1 << 19
    first, second = Tar(tmp_path / "t.tar")
    np.testing.assert_array_equal(first.load(), second.load())
    assert first.load().getpixel((0, 199)) == BLUE


@pytest.mark.parametrize("name", ["bz2", "lzma"])
def test_another_compression_says_its_name(tmp_path, name):
    data = importlib.import_module(name).compress(tarred(MEMBERS))
    (record,) = Tar(write(tmp_path / "t.tar", data))
    with pytest.raises(UnreadableImage, match=r"(bzip2|xz): an archive that is not read: unpack"):
        record.load()
