"""All devices of a process: the same scores to the last bit, and nothing goes between devices."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_checkpoint import write_tiny_checkpoint

from jepa_jax import Exact, Scorer
from jepa_jax.scoring.devices import Devices

# On eight CPU devices that XLA is made to have, in a process of its own: by some of them scores in
# memory by an exact and by a random method, the rows of a run, a calibration; what is compiled; and
# a program that sums over devices, to see what a collective looks like.
MEASURED = """
import json, sys
sys.path[:0] = {path!r}
import numpy as np
import jax
from streams import records
from jepa_jax import Exact, Lanczos, Scorer, calibrate, load_encoder
from jepa_jax.calibration import measuring

measuring.compared_methods = dict  # Their programs take most of the time.
encoder = load_encoder({folder!r} + "/encoder")
images = np.load({folder!r} + "/images.npy")
found = {{"there": jax.device_count(), "scores": {{}}, "program": {{}}}}
found |= {{"random": {{}}, "calibration": {{}}}}
for n in (1, 4, 8):
    scorer = Scorer(encoder, Exact(), batch_size=2, devices=n)
    found["scores"][n] = scorer.score(images).jepa_score.tobytes().hex()
    if n > 1:
        found["program"][n] = scorer.traced(14, 14).lower().compile().as_text()
    if n == 8:
        break
    random = scorer.with_estimator(Lanczos(steps=4, probes=2))
    found["random"][n] = random.score(images).jepa_score.tobytes().hex()
    out = {folder!r} + f"/{{n}}"
    scorer.run(records(23, broken=(3,)), out, shard_size=5, store=["embedding"])
    made = calibrate(encoder, records(40, broken=(4,)), images=20, devices=n)
    found["calibration"][n] = made.fingerprint
mesh = jax.sharding.Mesh(jax.devices(), "i")
summed = jax.shard_map(
    lambda x: jax.lax.psum(x, "i"), mesh=mesh, in_specs=jax.P("i"), out_specs=jax.P()
)
found["summed"] = jax.jit(summed).lower(jax.numpy.ones(8)).compile().as_text()
print(json.dumps(found))
"""
COLLECTIVES = r"all-(?:reduce|gather|to-all)|reduce-scatter|collective-\w+|send|recv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An encoder and preprocessed images."""
    folder = tmp_path_factory.mktemp("devices")
    write_tiny_checkpoint(folder / "encoder")
    rng = np.random.default_rng(0)
    np.save(folder / "images.npy", rng.standard_normal((37, 14, 14, 3)).astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """What was measured in the other process: compiled as users have it, for the bits' sake."""
    path = [str(Path(__file__).parents[1] / "support"), *sys.path]
    code = MEASURED.format(path=path, folder=str(folder))
    # Compiled as ever: without XLA's optimisations, the order of some sums depends on the devices.
    flags = "--xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"XLA_FLAGS": flags},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["there"] == 8
    return found


def collectives(program: str) -> list[str]:
    return re.findall(rf"\b(?:{COLLECTIVES})(?:-start)?\(", program)


def test_scores_are_the_same_to_the_bit(found, folder):
    one, several, all_of_them = found["scores"].values()
    assert one == several == all_of_them
    assert len(np.frombuffer(bytes.fromhex(one), np.float32)) == 37
    one, several = found["random"].values()
    assert one == several


def test_the_rows_of_a_run_are_the_same_to_the_bit(found, folder):
    one, several = (pq.read_table(folder / name).to_pylist() for name in ("1", "4"))
    assert len(one) == 23
    assert one == several


def test_a_calibration_is_the_same_to_the_bit(found):
    one, several = found["calibration"].values()
    assert one == several


@pytest.mark.parametrize("devices", [4, 8])
def test_nothing_goes_between_devices(devices, found):
    program = found["program"][str(devices)]
    assert f"num_partitions={devices}" in program
    assert collectives(program) == []
    assert collectives(found["summed"])  # A collective would be seen.


def test_more_devices_than_there_are_are_refused(encoder):
    with pytest.raises(ValueError, match=r"`devices` must be from 0 to 1, .* \(cpu: cpu\), got 2"):
        Scorer(encoder, Exact(), devices=2)
    with pytest.raises(ValueError, match="`devices` must be from 0 to 1"):
        Devices(-1)
    with pytest.raises(ValueError, match="`processes` are of one device each"):
        Scorer(encoder, Exact(), devices=2, processes=2)
