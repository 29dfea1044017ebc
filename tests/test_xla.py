"""A process in which JAX ran before the package was imported: right, or refused with the remedy.

One subprocess for all: what they compile is the time. Without the option, jaxlib 0.10.2 gives
-143.79 here instead of -148.68, and a LayerNorm's VJP is off by a third.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import QUICK_FLAGS

from jepa_jax import Exact, Hutchinson, Lanczos, Scorer, XTrace, load_encoder, xla

ESTIMATORS = {
    "exact": Exact(),
    "lanczos": Lanczos(steps=3, probes=2),
    "hutchinson": Hutchinson(degree=4, probes=2, interval_steps=3),
    "xtrace": XTrace(steps=3, products=4),
}

LATE = """
import json, sys
import jax, jax.numpy as jnp
jnp.ones(3).sum().block_until_ready()  # JAX begins.
import numpy as np
sys.path[:0] = {path!r}
from test_xla import ESTIMATORS, image, layer_norm_vjps
from jepa_jax import Scorer, jacobian, load_encoder, xla

found = dict(late=xla._late)
encoder = load_encoder("embedded", image_size=112)
scores = {{n: Scorer(encoder, e).score(image(), ids=["a"]) for n, e in ESTIMATORS.items()}}
found |= {{name: float(s.jepa_score[0]) for name, s in scores.items()}}
found["program"] = Scorer(encoder, ESTIMATORS["lanczos"]).traced(28, 28).lower().as_text()[:999]

def user(state, x):
    return jacobian(lambda y: encoder.embed(state, y), x, chunk=8).rows(jnp.eye(64)[:2]).sum()

x = jnp.asarray(image()[0])
for name, jit in (("refused", jax.jit), ("ours", xla.jit)):
    try:
        found[name] = float(jit(user)(encoder.state, x))
    except RuntimeError as error:
        found[name] = str(error)
try:
    encoder.embed(encoder.state, x)
except RuntimeError as error:
    found["eager"] = str(error)

def small(x):
    return jacobian(lambda y: jnp.stack([y[0] * y[1], y[1]]), x).rows(jnp.eye(2)).sum()

x, theirs, ours = jnp.array([3.0, 5.0]), jax.jit(small), xla.jit(small)
for name, call in dict(
    ours=lambda: ours(x),
    theirs_within=lambda: xla.jit(lambda x: theirs(x))(x),  # Traced in ours, kept by JAX.
    theirs_after=lambda: theirs(x),
    ours_within=lambda: xla.jit(lambda x: ours(x))(x),
    ours_in_theirs=lambda: jax.jit(lambda x: ours(x))(x),
    gradient_of_ours=lambda: jax.grad(ours)(x)[0],
    ours_of_gradient=lambda: xla.jit(jax.grad(small))(x)[0],
    batch=lambda: jax.vmap(ours)(x[None])[0],
).items():
    try:
        found["nested " + name] = float(call())
    except RuntimeError as error:
        found["nested " + name] = str(error)
found["layer_norm"] = np.asarray(xla.jit(layer_norm_vjps)()).tolist()
print(json.dumps(found))
"""


def image():
    return np.random.default_rng(0).standard_normal((1, 112, 112, 3)).astype(np.float32)


def layer_norm_vjps():
    """Sums of the VJPs of a LayerNorm for 64 cotangents: 64 x 256 x 384 elements."""
    from jepa_jax.encoders.layers import standardize

    x = jnp.sin(jnp.arange(256 * 384, dtype=jnp.float32).reshape(256, 384))
    cotangents = jnp.cos(jnp.arange(64 * 256 * 384, dtype=jnp.float32)).reshape(64, 256, 384)
    pull = jax.vjp(lambda x: standardize(x, 1e-6), x)[1]
    return jnp.square(jax.vmap(pull)(cotangents)[0]).sum((1, 2))


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    here = Path(__file__).parent
    script = LATE.format(path=[str(here), str(here / "support")])
    # Without the flag that this process has set for itself.
    environment = os.environ | {"XLA_FLAGS": QUICK_FLAGS}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


needed = pytest.mark.skipif(
    not xla.jaxlib.version.__version__.startswith("0.10."), reason="a release that is right"
)


@needed
def test_every_estimator_scores_as_in_a_process_that_was_in_time(late):
    assert late["late"]
    assert not xla._late
    assert "module @jit" in late["program"]  # Traced without being run.
    encoder = load_encoder("embedded", image_size=112)
    for name, estimator in ESTIMATORS.items():
        score = Scorer(encoder, estimator).score(image(), ids=["a"]).jepa_score[0]
        assert late[name] == pytest.approx(float(score), abs=2e-3), name


@needed
def test_a_users_own_program_is_refused_with_the_remedy_or_right(late):
    for name in ("refused", "eager"):
        assert "Import jepa_jax before JAX computes anything" in late[name]
        assert "jepa_jax.xla.jit" in late[name]
    encoder = load_encoder("embedded", image_size=112)

    def user(state, x):
        from jepa_jax import jacobian

        rows = jacobian(lambda y: encoder.embed(state, y), x, chunk=8).rows(jnp.eye(64)[:2])
        return rows.sum()

    expected = float(jax.jit(user)(encoder.state, jnp.asarray(image()[0])))
    assert late["ours"] == pytest.approx(expected, rel=1e-3, abs=1e-3)
    np.testing.assert_allclose(late["layer_norm"], jax.jit(layer_norm_vjps)(), rtol=1e-4)


@needed
def test_jit_within_jit_is_right_or_refused(late):
    found = {name.split()[1]: value for name, value in late.items() if name.startswith("nested")}
    for name in ("ours", "theirs_within", "ours_within", "batch"):
        assert found.pop(name) == 9  # 5 + 3 + 1.
    assert found.pop("ours_of_gradient") == 1
    assert "Import jepa_jax before JAX computes anything" in found.pop("theirs_after")
    for name in ("ours_in_theirs", "gradient_of_ours"):
        assert "must be outermost" in found.pop(name)
    assert not found


@pytest.mark.parametrize("named", ["in the variable", "in a file"])
def test_a_users_own_flags_are_kept(monkeypatch, tmp_path, named):
    own = "--xla_one=1 --xla_two=2"
    path = tmp_path / "flags.txt"
    path.write_text(own.replace(" ", "\n") + "\n")
    monkeypatch.setenv("XLA_FLAGS", own if named == "in the variable" else str(path))
    monkeypatch.setattr(xla, "_late", xla._late)
    monkeypatch.setattr(xla.jaxlib.version, "__version__", "0.10.2")
    xla.keep_reductions_right()
    assert os.environ["XLA_FLAGS"] == f"{own} --{xla._OPTION}={xla._VALUE}"
    # The option itself is the user's, too.
    monkeypatch.setenv("XLA_FLAGS", f"--{xla._OPTION}=")
    xla.keep_reductions_right()
    assert os.environ["XLA_FLAGS"] == f"--{xla._OPTION}="
    monkeypatch.setenv("XLA_FLAGS", str(tmp_path / "gone.txt"))
    xla.keep_reductions_right()
    assert os.environ["XLA_FLAGS"] == f"--{xla._OPTION}={xla._VALUE}"


@needed
def test_an_option_of_the_users_that_is_wrong_fails_the_known_answers():
    flags = f"--{xla._OPTION}=LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    script = "from jepa_jax.scoring.known_answers import check_device; check_device('highest')"
    environment = os.environ | {"XLA_FLAGS": flags}
    # Programs kept by other tests are of other options: XLA_FLAGS is part of their names.
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1
    assert "WrongNumbers: cpu (cpu) computes wrong numbers" in done.stderr
    assert "layer_norm" in done.stderr


def test_a_large_layer_norm_vjp_is_that_of_numpy():
    x = np.sin(np.arange(256 * 384, dtype=np.float32).reshape(256, 384)).astype(np.float64)
    g = np.cos(np.arange(64 * 256 * 384, dtype=np.float32)).reshape(64, 256, 384)
    centred = x - x.mean(-1, keepdims=True)
    inverse = 1 / np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-6)
    y, g = centred * inverse, g.astype(np.float64)
    pulled = inverse * (g - g.mean(-1, keepdims=True) - y * (g * y).mean(-1, keepdims=True))
    expected = np.square(pulled).sum((1, 2))
    np.testing.assert_allclose(jax.jit(layer_norm_vjps)(), expected, rtol=1e-4)


def test_the_default_device_is_the_one_that_is_said():
    cpu = jax.devices("cpu")[0]
    assert xla.default_device() == jax.devices()[0]
    with jax.default_device(cpu):
        assert xla.default_device() == cpu
        assert xla.default_devices() == [cpu]
