"""Worker processes: the same scores, and no worker is left behind."""

import subprocess
import sys

import numpy as np
import psutil
import pytest

from jepa_jax import Exact, Lanczos, Scorer
from jepa_jax.scoring import batch_sizes, cores
from jepa_jax.scoring.batch_sizes import worthwhile
from jepa_jax.scoring.cores import available_cores, share_cores

several = pytest.mark.skipif(len(available_cores()) < 2, reason="one core: one process")


@several
def test_scores_are_those_of_one_process_and_a_dead_worker_is_an_error(encoder, tmp_path):
    side = encoder.image_size
    images = np.random.default_rng(0).standard_normal((7, side, side, 3)).astype(np.float32)
    others = psutil.Process().children(recursive=True)  # Another test's browser, say.
    # A random estimator: its keys must go by the image, not by the process.
    alone = Scorer(encoder, Lanczos(steps=6, probes=2))
    scorer = Scorer(encoder, alone.estimator, processes=2)
    expected, found = alone.score(images), scorer.score(images)
    # Rounding of sums of 62 logs of about 5.
    np.testing.assert_allclose(found.jepa_score, expected.jepa_score, atol=2e-4)
    np.testing.assert_allclose(found.std_error, expected.std_error, atol=2e-4)
    np.testing.assert_allclose(found.embedding, expected.embedding, atol=1e-4)

    started = set(psutil.Process().children(recursive=True)).difference(others)
    workers = [p for p in started if _computes(p)]
    assert len(workers) == 2
    if hasattr(psutil.Process, "cpu_affinity"):  # Not on macOS.
        pinned = [core for p in workers for core in p.cpu_affinity() or []]
        assert sorted(pinned) == available_cores()
    for worker in workers:
        worker.kill()
    with pytest.raises(RuntimeError, match="a worker process died"):
        scorer.score(images)
    scorer.close()
    np.testing.assert_allclose(
        scorer.score(images[:1]).jepa_score, expected.jepa_score[:1], atol=2e-4
    )
    scorer.close()
    _wait_for_end(workers)


@several
def test_workers_end_with_their_parent(tmp_path):
    """A script without a main guard, as users write them, killed while its workers compute."""
    script = tmp_path / "script.py"
    script.write_text(
        """import numpy as np
from jepa_jax import Exact, Scorer, load_encoder

encoder = load_encoder("embedded")
scorer = Scorer(encoder, Exact(), processes=2)
side = encoder.image_size
while True:
    scorer.score(np.zeros((4, side, side, 3), np.float32))
    print("scored", flush=True)
"""
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"scored\n"
        workers = psutil.Process(parent.pid).children(recursive=True)
        assert sum(map(_computes, workers)) == 2
        parent.kill()
        parent.wait(30)
        parent.stdout.close()
    _wait_for_end(workers)


def _computes(process: psutil.Process) -> bool:
    """Not one of the process pool's own attendants."""
    return "resource_tracker" not in " ".join(process.cmdline())


def _wait_for_end(workers: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def test_cores_are_shared(monkeypatch):
    monkeypatch.setattr(cores, "available_cores", lambda: [2, 3, 5, 7, 8])
    assert share_cores(2) == [[2, 3, 5], [7, 8]]
    assert share_cores(5) == [[2], [3], [5], [7], [8]]
    with pytest.raises(ValueError, match="at most 5, the cores here, got 6"):
        share_cores(6)


def test_more_processes_than_cores_are_refused(encoder):
    with pytest.raises(ValueError, match="`processes` must be at most"):
        Scorer(encoder, Exact(), processes=1 + len(available_cores()))


def test_several_processes_are_worth_it_for_long_runs_that_fit(encoder, monkeypatch):
    monkeypatch.setattr(batch_sizes, "available_cores", lambda: list(range(8)))
    # 64 VJPs of about 10 MFLOP an image.
    assert worthwhile(encoder, Exact(), 100) == 1
    assert worthwhile(encoder, Exact(), None) == 1
    assert worthwhile(encoder, Exact(), 10**9) == 8
    monkeypatch.setattr(batch_sizes, "available_cores", lambda: [0])
    assert worthwhile(encoder, Exact(), 10**9) == 1
    monkeypatch.setattr(batch_sizes, "available_cores", lambda: list(range(8)))
    memory = psutil.virtual_memory()._replace(available=int(1.6e9))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert worthwhile(encoder, Exact(), 10**9) == 2  # Of a little over .7 GB each.
