"""The cores of a computer, and shares of them."""

import os

import numpy as np


def share_cores(count: int) -> list[list[int]]:
    """The cores that this process may run on, in `count` parts of neighbours.

    Raises `ValueError` where there are fewer cores than parts.
    """
    cores = available_cores()
    if count > len(cores):
        raise ValueError(f"`processes` must be at most {len(cores)}, the cores here, got {count}")
    return [part.tolist() for part in np.array_split(cores, count)]


def available_cores() -> list[int]:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
