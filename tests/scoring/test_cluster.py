"""A Ray cluster of three nodes on this machine, which are processes of their own; where Ray is
installed (the extra `ray`)."""

import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import warnings

import jax
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import stopped_command
from PIL import Image
from s3_server import with_bucket
from streams import colour
from tiny_checkpoint import write_tiny_checkpoint

from jepa_jax import Exact, Scorer, calibrate, load_encoder
from jepa_jax.data import Record
from jepa_jax.object_stores import Address
from jepa_jax.scoring import Ray
from jepa_jax.scoring.cluster_joining import check_address, join
from jepa_jax.store import RunStatus, read_manifest
from jepa_jax.store.folder import shard_paths
from jepa_jax.store.shards import read_rows

IMAGES = 2000
SHARD_SIZE = 10  # Less than a worker's stream reads ahead, two of them together, too.
STOPS = ("300", "800", "1400")  # Rows.
# The process that is started and killed. At some rows it says so, and waits for its caller; at the
# last of them not before it knows that two workers are lost, which takes Ray some seconds.
DRIVER = """
import json, sys, time
from jepa_jax import Exact, Scorer, load_encoder
from jepa_jax.scoring import Ray

folder, address, shard_size, *stops = sys.argv[1:]
rows, working, lost, left = 0, [], [], [*map(int, stops)]

def on_status(status):
    lost[:] = status.lost
    working[:] = [worker.where for worker in status.workers if worker.state == "working"]

def on_row(row):
    global rows
    rows += 1
    if len(working) < 3 and rows < int(stops[0]):
        time.sleep(.03)  # The others are about to begin.
    if left and rows >= left[0] and (len(left) > 1 or len(lost) == 2):
        left.pop(0)
        print("stop " + json.dumps(working), flush=True)
        sys.stdin.readline()

with Ray(address, devices_per_worker=0) as engine:
    scorer = Scorer(load_encoder(folder + "/encoder"), Exact(), batch_size=8, devices=0)
    scorer.run(folder + "/photos", folder + "/ray", engine=engine, shard_size=int(shard_size),
               on_row=on_row, on_status=on_status)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images, one of which is none, and an encoder."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "photos").mkdir()
    for i in range(IMAGES):
        colour(i).save(folder / "photos" / f"{i:04d}.png")
    (folder / "photos" / "0003.png").write_bytes(b"no image")
    write_tiny_checkpoint(folder / "encoder")
    return folder


@pytest.fixture(scope="module")
def server():
    """A server that speaks S3, to which this process and the cluster's are led."""
    pytest.importorskip("ray")
    with with_bucket() as found:
        yield found


@pytest.fixture(scope="module")
def cluster(server):
    """Three nodes of one core each; a test may leave fewer."""
    files = tempfile.mkdtemp(prefix="ray-")  # Short: sockets are in it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_TMPDIR", files)
        yield from three_nodes(files)


def three_nodes(files):
    """Starts them, and ends those that are left."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 << 20}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called")
        cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
        try:
            for _ in range(2):
                cluster.add_node(wait=False, **node)
            cluster.wait_for_nodes()
            yield cluster
        finally:
            cluster.shutdown()
            shutil.rmtree(files, ignore_errors=True)


def workers_of(node, among: str) -> list[psutil.Process]:
    """The workers on a node, among those that a driver has named."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    names = json.loads(among.removeprefix("stop "))
    return [p for p in raylet.children() if any(f"process {p.pid} " in name for name in names)]


def test_what_is_killed_loses_nothing_and_changes_no_bit(cluster, folder):
    """An actor, a node, and the process that hands out; then the same again."""
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, folder, cluster.address, str(SHARD_SIZE), *STOPS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(errors := (folder / "errors").open("w+")),
        text=True,
    )

    def until_it_stops() -> str:
        for line in driver.stdout:
            if line.startswith("stop "):
                return line
        raise AssertionError((folder / "errors").read_text()[-3000:])

    def goes_on():
        driver.stdin.write("\n")
        driver.stdin.flush()

    with errors, driver:
        try:
            (actor,) = workers_of(cluster.head_node, until_it_stops())
            actor.kill()
            goes_on()
            node = next(iter(cluster.worker_nodes))
            assert workers_of(node, until_it_stops())
            cluster.remove_node(node, allow_graceful=False)
            goes_on()
            until_it_stops()
        finally:
            driver.kill()
    killed = RunStatus.read(folder / "ray")
    assert (killed.state, killed.engine, len(killed.lost)) == ("killed", "ray", 2)

    encoder = load_encoder(folder / "encoder")
    with Ray(cluster.address, workers=1, devices_per_worker=0) as engine:
        elsewhere = Scorer(encoder, Exact(), batch_size=8, devices=0)
        rest = elsewhere.run(
            folder / "photos", folder / "ray", engine=engine, shard_size=SHARD_SIZE
        )
    assert 1400 <= rest.resumed < IMAGES
    assert rest.resumed + rest.scored == IMAGES
    Scorer(encoder, Exact(), batch_size=8).run(
        folder / "photos", folder / "local", shard_size=SHARD_SIZE
    )
    found, expected = (pq.read_table(folder / name) for name in ("ray", "local"))
    assert found["id"].to_pylist() == [f"{i:04d}.png" for i in range(IMAGES)]
    assert found["status"].to_pylist().count("ok") == IMAGES - 1
    assert found["status"][3].as_py() == "unreadable"
    # The scores too: to the last bit.
    assert found.drop_columns("jepa_score").to_pylist() == (
        expected.drop_columns("jepa_score").to_pylist()
    )
    ours, theirs = (t["jepa_score"].to_numpy().tobytes() for t in (found, expected))
    assert ours == theirs
    assert read_manifest(folder / "ray")["facts"]["device"] == "cpu: cpu"
    assert not [*(folder / "ray").glob(".jepa-jax-*")]


def test_from_store_to_store_killed_and_continued(cluster, folder):
    """A worker and the command are killed, a second writer is refused; it is the local run."""
    images = folder / "images.tar"
    with tarfile.open(images, "w") as tar:
        for path in sorted((folder / "photos").iterdir())[:100]:
            tar.add(path, path.name)
    Address("s3://bucket/images.tar").put(images.read_bytes())
    out, settings = Address("s3://bucket/scores"), {"shard_size": SHARD_SIZE}
    command = ("score", "s3://bucket/images.tar", "--encoder", folder / "encoder", "--out", out)
    command += ("--batch-size", 8, "--engine", "ray", "--address", cluster.address)
    command += ("--devices-per-worker", 0)
    encoder = load_encoder(folder / "encoder")
    local = Scorer(encoder, Exact(), batch_size=8)
    with stopped_command.start(SHARD_SIZE, (20, 60), *command) as driver:
        try:
            assert driver.stdout.readline() == "stop\n"
            where = " ".join(worker.where for worker in RunStatus.read(out).workers)
            for process in psutil.process_iter():
                if f"process {process.pid} " in where:
                    process.kill()
                    break
            driver.stdin.write("\n")
            driver.stdin.flush()
            assert driver.stdout.readline() == "stop\n"
            with pytest.raises(BlockingIOError, match=rf"process {driver.pid} on"):
                local.run("s3://bucket/images.tar", out, **settings)
        finally:
            driver.kill()
    assert len(RunStatus.read(out).lost) == 1
    with Ray(cluster.address, workers=1, devices_per_worker=0) as engine:
        elsewhere = Scorer(encoder, Exact(), batch_size=8, devices=0)
        rest = elsewhere.run("s3://bucket/images.tar", out, engine=engine, **settings)
    assert 40 <= rest.resumed < 100
    local.run(images, folder / "of-archive", **settings)
    found, expected = (
        [
            {name: value for name, value in row.items() if name not in ("source", "stamp")}
            for path in shard_paths(where)
            for row in read_rows(path)
        ]
        for where in (out, folder / "of-archive")
    )
    assert [row["id"] for row in found] == [f"images.tar/{i:04d}.png" for i in range(100)]
    assert found == expected


def test_a_calibration_is_that_of_one_process_whatever_is_lost(cluster, folder):
    """A worker dies at an image, once; the sketches are of another precision."""
    marker = folder / "died once"

    def load(i):
        if i == 9 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Image.open(folder / "photos" / f"{i:04d}.png").convert("RGB")

    images = [Record(f"{i:02d}", "", functools.partial(load, i)) for i in range(24)]
    settings = {"images": 24, "batch_size": 4, "precision": "bf16"}
    encoder = load_encoder(folder / "encoder")
    with Ray(cluster.address, devices_per_worker=0) as engine:
        found = calibrate(encoder, images, engine=engine, **settings)
        assert marker.exists()
        with pytest.raises(ValueError, match="needs at least 16 images, records gave 15"):
            calibrate(encoder, images[:16], engine=engine, **settings)
    local = calibrate(encoder, images, **settings)
    for name in ("ids", "passed_over", "device", "source", "jax"):
        assert found.facts[name] == local.facts[name]
    assert found.facts["ids"] == [f"{i:02d}" for i in range(24) if i != 3]
    ours, theirs = (
        jax.tree.leaves((c.samples.cotangents, c.samples.measured)) for c in (found, local)
    )
    for of_us, of_them in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(of_us, of_them)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'jepa-jax\[ray\]'"):
        join("local")


def test_an_address_where_nobody_answers_is_said_at_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = "{}:{}".format(*server.getsockname())
        check_address(there)
    with pytest.raises(ValueError, match=f"no Ray cluster answers at {there}: "):
        check_address(there)
    for address in ("nonsense", "head:", ":6379", "head:99999"):
        with pytest.raises(ValueError, match=f"`address` must be HOST:PORT.*, got '{address}'"):
            check_address(address)
    for address in (None, "auto", "local"):
        check_address(address)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"workers": 0}, "`workers` must be at least 1, got 0"),
        ({"cpus_per_worker": 0}, "`cpus_per_worker` must be at least 1, got 0"),
        ({"devices_per_worker": -1}, "`devices_per_worker` must be at least 0, got -1"),
        ({"on_lost": "wait"}, "`on_lost` must be 'end' or 'skip', got 'wait'"),
    ],
)
def test_settings_that_cannot_be_are_refused(annotations_unchecked, settings, said):
    with pytest.raises(ValueError, match=said):
        Ray(**settings)
