"""Joining a Ray cluster, or beginning one of this machine alone."""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any


def join(address: str | None) -> tuple[Any, bool]:
    """The module `ray`, connected, and whether that was done here.

    Raises `ImportError` without the extra `jepa-jax[ray]`, `ValueError` where no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Nothing is sent to anyone.
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("the engine needs Ray: pip install 'jepa-jax[ray]'") from error
    if ray.is_initialized():
        return ray, False
    check_address(os.environ.get("RAY_ADDRESS") if address is None else address)
    there = address not in (None, "local") or "RAY_ADDRESS" in os.environ
    with _own_signals(), warnings.catch_warnings():
        # Of processes that are Ray's own a moment later: JAX warns of what it sees forked.
        warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called")
        ray.init(
            address=address,
            include_dashboard=None if there else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    # A paragraph on stdout for every process that is lost, `log_to_driver` or not; there is no
    # setting for it. The engine says of it what a user needs.
    worker = sys.modules.get("ray._private.worker")
    if hasattr(worker, "print_to_stdstream"):
        setattr(worker, "print_to_stdstream", lambda *said, **how: None)  # noqa: B010
    return ray, True


def check_address(address: str | None) -> None:
    """Raises `ValueError` for one that is none, or where nobody answers: Ray itself tries for a
    minute, and writes a log meanwhile."""
    if not address or address in ("local", "auto") or "://" in address:
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(
            "`address` must be HOST:PORT, as `ray start --head` says it, 'auto' or 'local', got "
            f"{address!r}"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise ValueError(f"no Ray cluster answers at {address}: {error}") from error


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray sets a handler of SIGTERM of its own; that of the command stays."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
