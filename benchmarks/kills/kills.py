"""Which kills: of what run, by which signal, at which moment, all drawn by chance."""

import dataclasses
import random
import signal

KINDS = ("exact", "sketch", "refine")
# Two processes take several times as long to begin: every fourth run is theirs.
PROCESSES = (1, 1, 1, 2)
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# A moment and its share of the kills: from the start of the process to the first row (imports,
# compilation), while rows are scored, amid the write of a shard, after the last row, and while rows
# are scored again exactly.
MOMENTS = {"start": 0.25, "rows": 0.3, "write": 0.2, "end": 0.1, "refine": 0.15}


@dataclasses.dataclass(frozen=True)
class Kill:
    """One kill. `share`: how far into its moment, in [0, 1). `group`: whether the whole group of
    processes is told, as a terminal does, or the command alone."""

    kind: str
    processes: int
    signal: signal.Signals
    moment: str
    share: float
    group: bool

    @property
    def run(self) -> tuple[str, int]:
        """Of which run it is."""
        return self.kind, self.processes


def draw(count: int, seed: int) -> list[Kill]:
    """So many kills in random order; moments by their shares, all else evenly."""
    rng = random.Random(seed)
    moments = [m for m, share in MOMENTS.items() for _ in range(round(share * count))]
    moments = (moments + ["rows"] * count)[:count]
    rng.shuffle(moments)
    kills = []
    for i, moment in enumerate(moments):
        kind = "refine" if moment == "refine" else KINDS[i % len(KINDS)]
        processes = PROCESSES[i // len(KINDS) % len(PROCESSES)]
        number = SIGNALS[i % len(SIGNALS)] if moment == "refine" else rng.choice(SIGNALS)
        kills.append(Kill(kind, processes, number, moment, rng.random(), rng.random() < 0.5))
    return kills
