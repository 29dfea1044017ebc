"""One writer of a folder on an object store, which knows no locks: a file with owner and expiry.

The file of the highest number is the lock (`_lock-000007.json`). It says until when it holds, and
its owner says so anew while it lives; a dead one's runs out, and at once where its process was of
this machine and is gone. Who takes a lock over makes the file of the next number, which one alone
can; the owner before finds that file when it next looks, and writes no more.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator

from jepa_jax.object_stores import Address
from jepa_jax.store.files import create, exists, names, put, read

LEASE_SECONDS = 120.0
"""So long a lock holds without its owner. Clocks may differ by much less."""

_LOCK = re.compile(r"_lock-(\d{6,})\.json")


class LeaseLost(OSError):
    """Another process has taken the folder over: this one was silent for too long."""


@dataclasses.dataclass(frozen=True)
class Lock:
    """A lock as its file has it: who holds it, and until when (seconds since 1970); `until` is 0
    when it is given back."""

    number: int
    token: str
    until: float
    host: str
    process: int
    began: float
    machine: str

    def is_held(self) -> bool:
        """Whether its owner may still write."""
        if time.time() >= self.until:
            return False
        if self.machine != _machine():
            return True
        import psutil  # Only here: what looks at folders on disks starts without it.

        try:
            return abs(psutil.Process(self.process).create_time() - self.began) < 1
        except psutil.Error:
            return False

    def __str__(self) -> str:
        until = datetime.datetime.fromtimestamp(self.until, datetime.UTC)
        return f"process {self.process} on {self.host}, until {until:%H:%M:%S} UTC if it is dead"


def is_lock(name: str) -> bool:
    """Whether a file of this name is a lock."""
    return _LOCK.fullmatch(name) is not None


def current(folder: Address) -> Lock | None:
    """The lock of a folder; None where there is none, or what is none."""
    number, _ = _highest(folder)
    return None if number == 0 else _read(folder, number)


class Lease:
    """A folder's lock, held by this process: `hold` it, and `check` before every write."""

    def __init__(self, folder: Address, lock: Lock):
        self.folder, self._lock = folder, lock
        self._lost = threading.Event()
        self._ended = threading.Event()

    def check(self) -> None:
        """Raises `LeaseLost` where the folder is no longer this process's."""
        if self._lost.is_set() or time.time() >= self._lock.until or not self._is_ours():
            self._lost.set()
            raise LeaseLost(
                f"{self.folder} was taken over by another process while this one was silent: it "
                "writes no more; what is written stays, and the same command continues"
            )

    def _is_ours(self) -> bool:
        number = self._lock.number
        found = _read(self.folder, number)
        is_same = found is not None and found.token == self._lock.token
        return is_same and not exists(_path(self.folder, number + 1))

    def _keep(self) -> None:
        """The thread: says anew that the owner lives."""
        while not self._ended.wait(LEASE_SECONDS / 4):
            # A store that fails now may not the next time; without it the lock runs out.
            with contextlib.suppress(OSError, ValueError):
                if time.time() >= self._lock.until or not self._is_ours():
                    self._lost.set()
                    return
                self._renewed(time.time() + LEASE_SECONDS)

    def _renewed(self, until: float) -> None:
        lock = dataclasses.replace(self._lock, until=until)
        put(_path(self.folder, lock.number), _written(lock))
        self._lock = lock

    def release(self) -> None:
        """Gives the folder back."""
        self._ended.set()
        with contextlib.suppress(OSError, ValueError):
            if not self._lost.is_set() and self._is_ours():
                self._renewed(0.0)


@contextlib.contextmanager
def leased(folder: Address) -> Iterator[Lease]:
    """The folder for this process alone; `BlockingIOError`, with the owner, where it has one."""
    highest, before = _highest(folder)
    lock = _read(folder, highest) if highest else None
    if lock is not None and lock.is_held():
        raise BlockingIOError(f"another process is writing to {folder}: {lock}")
    mine = _new(highest + 1)
    try:
        create(_path(folder, mine.number), _written(mine))
    except FileExistsError as error:
        raise BlockingIOError(f"another process is writing to {folder}: it came first") from error
    with contextlib.suppress(OSError):
        for number in before:  # From the oldest on: an owner looks for the one after its own.
            _path(folder, number).remove()
    lease = Lease(folder, mine)
    threading.Thread(target=lease._keep, daemon=True, name="lease").start()
    try:
        yield lease
    finally:
        lease.release()


def _new(number: int) -> Lock:
    import psutil

    own = psutil.Process()
    return Lock(
        number=number,
        token=secrets.token_hex(8),
        until=time.time() + LEASE_SECONDS,
        host=socket.gethostname(),
        process=own.pid,
        began=own.create_time(),
        machine=_machine(),
    )


def _path(folder: Address, number: int) -> Address:
    return folder / f"_lock-{number:06d}.json"


def _highest(folder: Address) -> tuple[int, list[int]]:
    """The highest number of a lock, 0 where there is none, and all numbers."""
    found = sorted(int(m[1]) for name in names(folder) if (m := _LOCK.fullmatch(name)))
    return (found[-1] if found else 0), found


def _read(folder: Address, number: int) -> Lock | None:
    try:
        found = json.loads(read(_path(folder, number)))
        return Lock(**found | {"number": number})
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _written(lock: Lock) -> bytes:
    return (json.dumps(dataclasses.asdict(lock), indent=1) + "\n").encode()


def _machine() -> str:
    """What tells this machine, and its world of processes, from others; not from the hostname
    alone, which containers may share."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            parts.append(file.read().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.blake2b(" ".join(parts).encode(), digest_size=8).hexdigest()
