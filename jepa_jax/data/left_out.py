"""What a source has and leaves out: said with counts, never in silence."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class LeftOut:
    """Files, rows or columns of one kind that a source does not read.

    `kind`: an extension, or in words; `example`: the first one; `reason`: what they are or would
    need, "" where nothing says that they could be images.
    """

    kind: str
    count: int
    example: str
    reason: str = ""

    def __str__(self) -> str:
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.count} {self.kind} (such as {self.example!r}){reason}"


@dataclass
class Tally:
    """Counts of what is left out, by kind and reason.

    >>> tally = Tally()
    >>> for name in ("a.heic", "b.heic"):
    ...     tally.add(".heic", name, "convert it")
    >>> [str(entry) for entry in tally.entries()]
    ["2 .heic (such as 'a.heic'): convert it"]
    """

    _counts: dict[tuple[str, str], int] = field(default_factory=dict)
    _examples: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, kind: str, example: str, reason: str = "", count: int = 1) -> None:
        """One more, or `count`."""
        key = kind, reason
        self._counts[key] = self._counts.get(key, 0) + count
        self._examples.setdefault(key, example)

    def entries(self) -> tuple[LeftOut, ...]:
        """Those with a reason first, then by their number."""
        order = sorted(self._counts, key=lambda key: (not key[1], -self._counts[key], key))
        return tuple(
            LeftOut(kind, self._counts[kind, reason], self._examples[kind, reason], reason)
            for kind, reason in order
        )


def left_out(source: Any) -> tuple[LeftOut, ...]:
    """What a source says that it leaves out; nothing for one that does not say."""
    said = getattr(source, "left_out", None)
    entries: Any = said() if callable(said) else ()
    return tuple(entries)


def as_lines(entries: tuple[LeftOut, ...]) -> list[str]:
    """Lines of text: one for each that could be images, one for all others."""
    lines = [str(entry) for entry in entries if entry.reason]
    others = [f"{entry.count} {entry.kind}" for entry in entries if not entry.reason]
    return lines + ([", ".join(others)] if others else [])


def as_facts(entries: tuple[LeftOut, ...]) -> list[dict[str, Any]]:
    """The entries as a manifest keeps them."""
    return [asdict(entry) for entry in entries]
