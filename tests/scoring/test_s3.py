"""Images and scores on a server that speaks S3 and fails: nothing is lost, nothing is otherwise."""

import signal
import tarfile
from importlib.resources import files
from pathlib import Path

import pytest
import stopped_command
from command_line import invoke
from s3_server import KEYS, Faults, with_bucket

from jepa_jax.data import open_source, stored_files
from jepa_jax.data.storage import StorageFailed
from jepa_jax.object_stores import Address, StoreFailed
from jepa_jax.store.folder import is_written_to, shard_paths
from jepa_jax.store.shards import read_rows

SAMPLES = files("jepa_jax") / "assets" / "samples"
SHARD = 8
SECRETS = (KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"])
SCORE = ("score", "s3://bucket/images.tar", "--encoder", "embedded", "--batch-size", "4", "--out")


@pytest.fixture(scope="module")
def server():
    """A server with a bucket; this process's libraries are led to it."""
    with with_bucket() as found, pytest.MonkeyPatch.context() as patch:
        patch.setattr("jepa_jax.object_stores.RETRY_SECONDS", (0.0, 0.1, 0.2))
        yield found


@pytest.fixture
def perfect(server):
    """The server without faults, before and after."""
    server.faults = Faults()
    yield server
    server.faults = Faults()


@pytest.fixture(scope="module")
def archive(server, tmp_path_factory):
    """The samples as an archive, on a disk and in the bucket."""
    path = tmp_path_factory.mktemp("archive") / "images.tar"
    with tarfile.open(path, "w") as tar:
        for image in sorted(Path(str(SAMPLES)).iterdir()):
            tar.add(image, image.name)
    Address("s3://bucket/images.tar").put(path.read_bytes())
    return path


def rows(out):
    """Without where the image was."""
    kept = [row for path in shard_paths(out) for row in read_rows(path)]
    return [
        {name: value for name, value in row.items() if name not in ("source", "stamp", "error")}
        for row in kept
    ]


def test_killed_and_continued_it_is_the_local_run_to_the_last_bit(
    scorer, archive, perfect, tmp_path
):
    scorer.run(archive, tmp_path / "here", shard_size=SHARD)
    whole = rows(tmp_path / "here")
    out = Address("s3://bucket/scores")
    perfect.faults = Faults(unavailable=0.05, cut=0.05, seconds=0.002, seed=1)
    with stopped_command.start(SHARD, (SHARD + 4,), *SCORE, out) as process:
        assert process.stdout.readline() == "stop\n"
        with pytest.raises(BlockingIOError, match=rf"process {process.pid} on"):
            scorer.run(str(Address("s3://bucket/images.tar")), out, shard_size=SHARD)
        process.send_signal(signal.SIGKILL)
    assert is_written_to(out) is False
    assert rows(out) == whole[:SHARD]
    summary = scorer.run("s3://bucket/images.tar", str(out), shard_size=SHARD)
    assert (summary.resumed, summary.scored) == (SHARD, len(whole) - SHARD)
    assert rows(out) == whole
    shown = invoke("show", out, "--status")
    assert "finished: scoring" in shown.stdout, shown.output
    written = b"".join((out / name).read_bytes() for name in out.names())
    said = written + shown.output.encode()
    assert not any(secret.encode() in said for secret in SECRETS)
    assert perfect.faults.had["unavailable"] > 0


@pytest.mark.parametrize("kind", ["unavailable", "cut"])
def test_what_fails_to_the_last_ends_the_run(kind, scorer, archive, perfect, monkeypatch):
    monkeypatch.setattr("jepa_jax.data.storage.RETRY_SECONDS", ())
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    out = Address(f"s3://bucket/failed-{kind}")
    opened = open_source("s3://bucket/images.tar")
    stored_files.blocks.cache_clear()

    def break_down(row):
        perfect.faults = Faults(**{kind: 1.0})

    with pytest.raises((StorageFailed, StoreFailed), match="could not be"):
        scorer.run(opened, out, shard_size=SHARD, on_row=break_down)


def test_an_archive_is_read_once_in_long_reads(archive, perfect):
    stored_files.blocks.cache_clear()
    perfect.requests.clear()
    records = list(open_source("s3://bucket/images.tar"))
    images = [record.load() for record in records if "broken" not in record.id]
    assert len(images) == len(records) - 1
    assert [method for method, path in perfect.requests].count("GET") <= 3


def test_a_folder_a_table_and_a_list_are_as_on_a_disk(archive, perfect):
    import pyarrow as pa
    import pyarrow.parquet as pq

    top, images = Address("s3://bucket/in"), sorted(Path(str(SAMPLES)).iterdir())[:5]
    for image in images:
        (top / "photos" / image.name).put(image.read_bytes())
    out = pa.BufferOutputStream()
    pq.write_table(
        pa.table(
            {"id": [i.name for i in images], "image": [i.read_bytes() for i in images]},
        ),
        out,
        row_group_size=2,
    )
    (top / "t.parquet").put(out.getvalue().to_pybytes())
    (top / "list.txt").put("".join(f"photos/{i.name}\n" for i in images).encode())
    names = [image.name for image in images]
    expected = {
        "photos": names,
        "t.parquet": [f"t.parquet/{name}" for name in names],
        "list.txt": [f"photos/{name}" for name in names],
        "photos/*.png": [str(top / "photos" / name) for name in names if name.endswith("png")],
    }
    for name, ids in expected.items():
        found = list(open_source(str(top / name)))
        assert [record.id for record in found] == ids
        first = next(record for record in found if "digit" in record.id)
        assert first.load().size == (28, 28)
