"""Shapes are checked in every test, promotions must be stated, and a program is compiled once."""

import ctypes
import os
import shutil
from pathlib import Path

# Before JAX, PyTorch and BLAS start, and for the processes that tests start in turn. The tests run
# on the CPU wherever they run, and never ask the hub.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["HF_HUB_OFFLINE"] = "1"
# What is compiled is kept from run to run, and shared by all processes.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(__file__).parent.parent / "build" / "compiled")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
# A process a core is busy already, with small matrices: threads would wait for each other.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import jax
import psutil
import pytest
import typechecked
from compiling import QUICK_FLAGS, full_jit
from jaxtyping import install_import_hook
from threadpoolctl import threadpool_limits

# Read where JAX first computes, here and in the processes that tests start.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK_FLAGS}".strip()
# Types and shapes are checked as they are annotated, from before the package is first imported.
_hook = install_import_hook("jepa_jax", "typechecked.typechecked")

from jepa_jax import Exact, Scorer, load_encoder  # noqa: E402

COMPILED = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
COMPILED_AT_MOST = 1 << 30  # Bytes.
threadpool_limits(1)  # NumPy may have been there before.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_sessionstart(session):
    """The programs on disk are let go when they have become many; by one process, at its start."""
    if hasattr(session.config, "workerinput") or not COMPILED.is_dir():
        return
    # Other processes may write and remove files meanwhile.
    sizes = [os.stat(f).st_size for f in list(COMPILED.iterdir()) if os.path.exists(f)]
    if sum(sizes) > COMPILED_AT_MOST:
        shutil.rmtree(COMPILED, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def started_processes():
    """What tests start, unlike pytest's own workers, finds tests/support/started first."""
    first = str(Path(__file__).parent / "support" / "started")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([first, *filter(None, [before])])
    yield
    del os.environ["PYTHONPATH"]
    if before is not None:
        os.environ["PYTHONPATH"] = before


@pytest.fixture
def x64():
    """float64 for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def compiled_as_ever():
    """For a module whose subject is the numbers: its programs are those that users have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "jit", full_jit)
        yield


@pytest.fixture
def annotations_unchecked():
    """For a test of what is said of arguments that cannot be."""
    with typechecked.unchecked():
        yield


@pytest.fixture
def standard_promotion():
    """For optax, which mixes step counts and rates."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module", autouse=True)
def programs_let_go():
    """After a module, the programs in memory are let go where they have come to take much of it."""
    yield
    if psutil.Process().memory_info().rss > 1.2e9:
        jax.clear_caches()
        if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # Of glibc: back to the system.
            libc.malloc_trim(0)


@pytest.fixture
def faulty(monkeypatch):
    """`memory://` as a store that fails when it is told to, empty, and tried again at once."""
    from faulty import Faulty

    from jepa_jax import object_stores

    store = Faulty()
    monkeypatch.setattr(object_stores, "_file_system", lambda scheme, process: store)
    monkeypatch.setattr(object_stores, "RETRY_SECONDS", (0.0, 0.0, 0.0))
    yield store
    store.store.clear()
    store.pseudo_dirs[:] = [""]


@pytest.fixture(scope="session")
def encoder():
    """The encoder that comes with the package."""
    return load_encoder("embedded")


@pytest.fixture(scope="session")
def scorer(encoder):
    """One compiled scorer for all tests of a process."""
    return Scorer(encoder, Exact(), batch_size=4)


@pytest.fixture(scope="session")
def calibration(encoder):
    """One calibration for all tests of a process: what it measures takes long to compile."""
    from streams import records

    from jepa_jax.calibration import calibrate

    return calibrate(encoder, records(70, broken=(4,)), images=40)
