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
from streams import records

from jepa_jax import Exact, Lanczos, Scorer
from jepa_jax.scoring.devices import Devices

# On CPU devices that XLA is made to have, in a process of its own: scores in memory by an exact and
# by a random method, the rows of a run, a calibration; and the compiled program.
MEASURED = """
import json, sys
sys.path[:0] = {path!r}
import numpy as np
import jax
from streams import records
from jepa_jax import Exact, Lanczos, Scorer, calibrate, load_encoder
from jepa_jax.scoring.keys import keys_of

encoder = load_encoder("embedded")
scorer = Scorer(encoder, Exact(), batch_size=4)
found = {{"devices": scorer.devices.count}}
images = np.load({images!r})
found["scores"] = scorer.score(images).jepa_score.tobytes().hex()
if {everything!r}:
    random = scorer.with_estimator(Lanczos(steps=6, probes=2))
    found["random"] = random.score(images).jepa_score.tobytes().hex()
    scorer.run(records(23, broken=(3,)), {out!r}, shard_size=5, store=["embedding"])
    made = calibrate(encoder, records(70, broken=(4,)), images=40)
    found["calibration"] = made.fingerprint
side = encoder.image_size
fill = scorer.filled(3, side, side)
arguments = (*scorer.on_devices(), images[fill], keys_of(0, [str(i) for i in fill]), 8)
found["program"] = scorer._compiled.lower(*arguments).compile().as_text()
print(json.dumps(found))
"""
COLLECTIVES = r"all-(?:reduce|gather|to-all)|reduce-scatter|collective-\w+|send|recv"


def measured(devices: int, folder: Path, images: np.ndarray, *, everything: bool):
    np.save(folder / "images.npy", images)
    code = MEASURED.format(
        path=[str(Path(__file__).parents[1] / "support"), *sys.path],
        images=str(folder / "images.npy"),
        out=str(folder / "several"),
        everything=everything,
    )
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"XLA_FLAGS": flags}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["devices"] == devices
    return found


def hexadecimal(scores) -> str:
    return scores.jepa_score.tobytes().hex()


def rows_of(folder):
    return pq.read_table(folder).to_pylist()


@pytest.mark.parametrize("devices", [4, 8])
def test_scores_are_the_same_to_the_bit_and_nothing_goes_between(
    devices, scorer, encoder, request, tmp_path
):
    everything = devices == 4
    side = encoder.image_size
    images = np.random.default_rng(0).standard_normal((37, side, side, 3)).astype(np.float32)
    found = measured(devices, tmp_path, images, everything=everything)
    assert found["scores"] == hexadecimal(scorer.score(images))
    if everything:
        random = scorer.with_estimator(Lanczos(steps=6, probes=2))
        assert found["random"] == hexadecimal(random.score(images))
        scorer.run(records(23, broken=(3,)), tmp_path / "one", shard_size=5, store=["embedding"])
        assert rows_of(tmp_path / "several") == rows_of(tmp_path / "one")
        assert found["calibration"] == request.getfixturevalue("calibration").fingerprint
    assert f"num_partitions={devices}" in found["program"]
    assert re.findall(rf"\b(?:{COLLECTIVES})(?:-start)?\(", found["program"]) == []


def test_a_program_that_sums_over_devices_would_be_seen(tmp_path):
    """What the search above is worth: a collective has one of these names."""
    code = (
        "import jax\n"
        "mesh = jax.sharding.Mesh(jax.devices(), 'i')\n"
        "f = jax.shard_map(lambda x: jax.lax.psum(x, 'i'), mesh=mesh, in_specs=jax.P('i'),\n"
        "    out_specs=jax.P())\n"
        "print(jax.jit(f).lower(jax.numpy.ones(2)).compile().as_text())\n"
    )
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    text = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert re.findall(rf"\b(?:{COLLECTIVES})(?:-start)?\(", text)


def test_more_devices_than_there_are_are_refused(encoder):
    with pytest.raises(ValueError, match=r"`devices` must be from 0 to 1, .* \(cpu: cpu\), got 2"):
        Scorer(encoder, Exact(), devices=2)
    with pytest.raises(ValueError, match="`devices` must be from 0 to 1"):
        Devices(-1)
    with pytest.raises(ValueError, match="`processes` are of one device each"):
        Scorer(encoder, Exact(), devices=2, processes=2)
