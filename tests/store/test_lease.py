"""One writer of a folder on an object store, and what becomes of it when it dies."""

import dataclasses
import subprocess
import sys

import pytest

from jepa_jax.object_stores import Address
from jepa_jax.store import lease
from jepa_jax.store.folder import is_written_to, locked
from jepa_jax.store.lease import LeaseLost, current, leased

FOLDER = Address("memory://leased/scores")


@pytest.fixture
def clock(monkeypatch):
    """The time, to be set forward."""
    now = [1e9]
    monkeypatch.setattr(lease.time, "time", lambda: now[0])
    return now


def of_elsewhere(machine="another"):
    """Makes the lock one of a machine that knows nothing of this one's processes."""
    lock = current(FOLDER)
    path = lease._path(FOLDER, lock.number)
    path.put(lease._written(dataclasses.replace(lock, machine=machine)))


def test_a_second_writer_is_refused_with_the_first_ones_name(faulty):
    with locked(FOLDER) as check:
        check()
        assert is_written_to(FOLDER) is True
        with pytest.raises(BlockingIOError, match=r"writing to memory://leased/scores: process \d"):
            with locked(FOLDER):
                pass
        check()
    assert is_written_to(FOLDER) is False
    with locked(FOLDER):
        assert FOLDER.names() == ["_lock-000002.json"]  # The one before is gone.


def test_a_dead_ones_lock_runs_out_and_it_writes_no_more(faulty, clock):
    with locked(FOLDER) as first:
        of_elsewhere()
        clock[0] += lease.LEASE_SECONDS - 1
        with pytest.raises(BlockingIOError), locked(FOLDER):
            pass
        clock[0] += 2
        with locked(FOLDER) as second:
            second()
            clock[0] -= 60  # Whatever its own clock says.
            with pytest.raises(LeaseLost, match="was taken over"):
                first()
            second()
        with pytest.raises(LeaseLost):
            first()
    assert is_written_to(FOLDER) is False  # It did not take the lock of the second one.


def test_the_lock_of_a_process_that_is_gone_from_this_machine_holds_nobody_up(faulty):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with locked(FOLDER):
        lock = current(FOLDER)
        path = lease._path(FOLDER, lock.number)
        path.put(lease._written(dataclasses.replace(lock, process=gone.pid)))
        assert is_written_to(FOLDER) is False
        with locked(FOLDER):
            pass


def test_its_owner_says_that_it_lives(faulty, monkeypatch):
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.2)
    with leased(FOLDER) as held:
        first = current(FOLDER).until
        assert held._ended.wait(0.3) is False
        held.check()
        assert current(FOLDER).until > first


def test_of_two_that_come_at_once_one_gets_it(faulty, monkeypatch):
    monkeypatch.setattr(lease, "_highest", lambda folder: (0, []))
    with leased(FOLDER), pytest.raises(BlockingIOError, match="it came first"), leased(FOLDER):
        pass
