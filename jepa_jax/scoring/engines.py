"""Where shards are computed. An engine decides nothing else: what one began another can finish."""

from collections.abc import Iterable
from typing import Protocol

from jepa_jax.scoring.work import OnRow, Shard, Task


class Engine(Protocol):
    """Runs one task over shards.

    The caller alone holds the folder's lock, its manifest, the source and the choice of what to
    refine; workers of an engine only do shards.
    """

    def run(self, task: Task, shards: Iterable[Shard], on_row: OnRow) -> None:
        """Does all `shards`; `on_row` is called in this process for every row written.

        Whatever it raises, rows that are done stay in their files.
        """
        ...


class Local:
    """This process, with the scorer's worker processes if it has any."""

    def run(self, task: Task, shards: Iterable[Shard], on_row: OnRow) -> None:
        """All shards, one stream of batches through them."""
        task.work(task, shards, on_row)
