"""Files of a dataset's repository, 'hf://datasets/owner/name/...', by the hub's own library."""

import io
import json
import os
import subprocess
import sys
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import HubServer
from image_files import png

from jepa_jax.data import open_source

# Its library reads the hub's address when it is imported: a process of its own.
READ = """
import json, sys
from jepa_jax.data import open_source

for name in sys.argv[1:]:
    try:
        source = open_source(name)
        found = [[record.id, record.load().size] for record in source]
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    print(json.dumps(found), flush=True)
"""


@pytest.fixture(scope="module")
def hub():
    """A dataset with a folder, an archive and a table of the same two images."""
    images = {name: png() for name in ("a.png", "b.png")}
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, data in images.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    table = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": [*images], "image": [*images.values()]}), table)
    files = {f"photos/{name}": data for name, data in images.items()}
    files |= {"a.tar": tar.getvalue(), "t.parquet": table.getvalue().to_pybytes()}
    server = HubServer({"owner/name": files})
    yield server
    server.close()


def read(*sources, **environment):
    """What a process of its own finds in each."""
    environment = os.environ | {"HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "hf_of_tests"} | environment
    command = [sys.executable, "-c", READ, *sources]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_folder_an_archive_a_table_and_what_is_not_to_be_had(hub):
    top = "hf://datasets/owner/name"
    sources = [f"{top}/photos", f"{top}/a.tar", f"{top}/t.parquet", f"{top}/photos/*.png"]
    refused = [f"{top}/gone.tar", "hf://datasets/owner/nowhere/a.tar"]
    refused.append("hf://datasets/gated/name/a.tar")
    found = read(*sources, *refused, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0")
    size = [3, 2]
    assert found[:4] == [
        [["a.png", size], ["b.png", size]],
        [["a.tar/a.png", size], ["a.tar/b.png", size]],
        [["t.parquet/a.png", size], ["t.parquet/b.png", size]],
        [[f"{top}/photos/a.png", size], [f"{top}/photos/b.png", size]],
    ]
    assert "no file or folder" in found[4]
    assert "no file or folder" in found[5]
    assert found[6].startswith("PermissionError")
    assert "gated" in found[6]
    assert all("\n" not in said and "hf_of_tests" not in said for said in found[4:])


def test_offline_is_said_at_once(monkeypatch):
    monkeypatch.setattr("jepa_jax.object_stores.RETRY_SECONDS", (1e6,))  # It would be noticed.
    with pytest.raises(OSError, match=r"offline") as error:
        open_source("hf://datasets/owner/name/a.tar")
    assert "\n" not in str(error.value)
