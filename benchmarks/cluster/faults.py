"""Faults at random moments of a run by a cluster, until it is done; then every row is looked at."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.cluster.driver import BATCH, ENCODER, SHARD_SIZE, VIEWS
from jepa_jax import Exact, Scorer, load_encoder
from jepa_jax.store import RunStatus

KINDS = ("a worker killed", "a worker stopped for 20 s", "a node removed", "the driver killed")
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}
# Without a row for so long, the run hangs.
PATIENCE = 240


def make_images(folder: Path, count: int) -> None:
    """`count` images of 28 px, one of which cannot be read."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        pixels = rng.integers(0, 256, (7, 7, 3), np.uint8).repeat(4, 0).repeat(4, 1)
        Image.fromarray(pixels).save(folder / f"{i:05d}.png")
    (folder / "00003.png").write_bytes(b"no image")


@contextlib.contextmanager
def cluster(nodes: int) -> Iterator:
    """Ray's own test cluster: its nodes are processes of this machine, of one core each."""
    files = tempfile.mkdtemp(prefix="ray-")
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": files}
    from ray.cluster_utils import Cluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    try:
        for _ in range(nodes - 1):
            found.add_node(wait=False, **NODE)
        found.wait_for_nodes()
        yield found
    finally:
        found.shutdown()
        shutil.rmtree(files, ignore_errors=True)


def workers() -> list[psutil.Process]:
    """Ray's processes of this machine that score."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name().startswith("ray::") and "Worker" in process.name():
                found.append(process)
    return found


class Trial:
    """A run under faults; `log` has of each its kind, the rows there, and whether it hit."""

    def __init__(self, folder: Path, found, seed: int):
        self.folder, self.cluster = folder, found
        self.out = folder / "ray"
        self.rng = np.random.default_rng(seed)
        self.log: list[dict] = []
        self.drivers = 0
        self.driver = self._start()

    def _start(self) -> subprocess.Popen:
        self.drivers += 1
        with (self.folder / "errors").open("a") as errors:
            command = [sys.executable, "-m", "benchmarks.cluster.driver"]
            command += [str(self.folder), str(self.out), self.cluster.address]
            return subprocess.Popen(command, stdout=errors, stderr=errors)

    def rows(self) -> int:
        """Rows that are on the disk or that the driver has counted."""
        status = RunStatus.read(self.out) if self.out.exists() else None
        return 0 if status is None else status.there + status.rows

    def go(self, faults: int, images: int) -> float:
        """Until all is done; seconds. Faults that are still to come when all rows are there are not
        made. Raises `RuntimeError` where no row comes any more."""
        at = np.sort(self.rng.integers(0, int(0.9 * images), faults)).tolist()
        began, moved, before = time.monotonic(), time.monotonic(), 0
        while True:
            time.sleep(0.2)
            rows, now = self.rows(), time.monotonic()
            if rows != before:
                moved, before = now, rows
            if now - moved > PATIENCE:
                raise RuntimeError(f"no row for {PATIENCE} s at {rows} rows: {self.log[-3:]}")
            code = self.driver.poll()
            if code == 0:
                return now - began
            if code is not None:
                self.log.append({"kind": "the driver ended by itself", "rows": rows, "code": code})
                if len(self.log) > 3 * faults:
                    raise RuntimeError(f"the run ends again and again: {self.log[-3:]}")
                self.driver = self._start()
            elif at and rows >= at[0] and rows < images:
                at.pop(0)
                kind = KINDS[int(self.rng.integers(len(KINDS)))]
                self.log.append({"kind": kind, "rows": rows, "hit": self._inject(kind)})
                print(self.log[-1], flush=True)

    def _inject(self, kind: str) -> bool:
        if kind == "the driver killed":
            self.driver.kill()
            self.driver.wait()
            self.driver = self._start()
            return True
        if kind == "a node removed":
            others = sorted(self.cluster.worker_nodes, key=lambda node: node.node_id)
            node = others[int(self.rng.integers(len(others)))]
            self.cluster.remove_node(node, allow_graceful=False)
            self.cluster.add_node(wait=False, **NODE)
            return True
        found = workers()
        if not found:
            return False
        process = found[int(self.rng.integers(len(found)))]
        with contextlib.suppress(psutil.Error):
            if kind == "a worker killed":
                process.kill()
            else:
                process.suspend()
                time.sleep(20)
                process.resume()
            return True
        return False


def wrong(folder: Path, images: int) -> list[str]:
    """What differs from an undisturbed run of one process."""
    with closing(Scorer(load_encoder(ENCODER), Exact(), batch_size=BATCH, processes=2)) as scorer:
        scorer.run(folder / "photos", folder / "local", shard_size=SHARD_SIZE, views=VIEWS)
    found, expected = (pq.read_table(folder / name) for name in ("ray", "local"))
    said = []
    if found["id"].to_pylist() != [f"{i:05d}.png" for i in range(images)]:
        said.append("ids are missing, twice, or out of order")
    elif found.drop_columns("jepa_score").to_pylist() != (
        expected.drop_columns("jepa_score").to_pylist()
    ):
        said.append("columns beside the score differ")
    elif found["jepa_score"].to_numpy().tobytes() != expected["jepa_score"].to_numpy().tobytes():
        said.append("scores differ in their bits")
    left = [path.name for path in (folder / "ray").iterdir() if path.name.startswith(".jepa-jax-")]
    return said + [f"left behind: {left}"] * bool(left)


def stop(driver: subprocess.Popen) -> None:
    """Ends a driver that is still there."""
    if driver.poll() is None:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
