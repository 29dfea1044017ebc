"""Patterns of paths: 'a/*.tar', and 'shards/{0000..0127}.tar' as WebDataset and shells write it."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

from jepa_jax.object_stores import Address, is_address, place

_MOST = 1_000_000
_NUMBERS = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?")
_LETTERS = re.compile(r"([A-Za-z])\.\.([A-Za-z])(?:\.\.(-?\d+))?")


def is_pattern(name: str) -> bool:
    """Whether a name has anything of a pattern in it."""
    return glob.has_magic(name) or expand_braces(name) != [name]


def expand_braces(pattern: str) -> list[str]:
    """A pattern without its braces, in order: '{08..10}', '{a..c}', '{0..9..3}', '{train,test}'.

    Numbers keep the width of a bound with a leading zero. Braces may lie in others; those that hold
    neither a comma nor a range stay. Raises `ValueError` beyond a million names.

    >>> expand_braces("{train,test}-{08..10}.tar")[:4]
    ['train-08.tar', 'train-09.tar', 'train-10.tar', 'test-08.tar']
    >>> expand_braces("b-{00,{08..09}}.tar"), expand_braces("{x}")
    (['b-00.tar', 'b-08.tar', 'b-09.tar'], ['{x}'])
    """
    names = list(itertools.islice(_expanded(pattern), _MOST + 1))
    if len(names) > _MOST:
        raise ValueError(f"{pattern!r} stands for more than {_MOST} names")
    return names


def matches(pattern: str) -> list[str]:
    """What a pattern matches: of each name that its braces stand for, in order, none twice.

    Raises `FileNotFoundError` where one of them matches nothing: a shard that is missing is not
    passed over.
    """
    names = expand_braces(pattern)
    found, missing = dict[str, None](), []
    for name in names:
        if is_address(name):
            files = _at_store(name)
        elif not os.path.lexists(name) and glob.has_magic(name):
            files = sorted(glob.glob(name, recursive=True))
        else:
            files = [name] if os.path.lexists(name) else []
        if not files:
            missing.append(name)
        found |= dict.fromkeys(files)
    if missing:
        what = f"no file matches {pattern!r}"
        if len(names) > 1:
            what = f"{pattern!r} stands for {len(names)} names, and {len(missing)} match nothing"
        where = "" if is_address(pattern) else f" (looked in {Path.cwd()})"
        raise FileNotFoundError(f"{what}, such as {missing[0]!r}{where}")
    return list(found)


def _at_store(name: str) -> list[str]:
    address = cast(Address, place(name))
    if glob.has_magic(name):
        return [str(found) for found in address.matches()]
    return [name] if address.exists() else []


def pattern_for(folder: str, endings: list[str], *, nested: bool) -> str:
    """The pattern of the files with these endings in a folder, and below it if `nested`.

    >>> pattern_for("in", [".tar"], nested=False), pattern_for("in", [".jpg", ".png"], nested=True)
    ('in/*.tar', 'in/**/*{.jpg,.png}')
    """
    ending = endings[0] if len(endings) == 1 else f"{{{','.join(endings)}}}"
    return os.path.join(glob.escape(folder), "**" if nested else "", f"*{ending}")


def _expanded(pattern: str) -> Iterator[str]:
    return itertools.chain.from_iterable(_pieces(pattern))


def _pieces(pattern: str) -> Iterator[Iterable[str]]:
    """The names that a pattern stands for, in parts: one for each way to fill its first brace."""
    for start, end in _braces(pattern):
        choices = _choices(pattern[start + 1 : end])
        if choices is not None:
            head, tail = pattern[:start], pattern[end + 1 :]
            for choice in choices:
                # The choice may have braces of its own, and what comes after has.
                for middle in _expanded(choice):
                    yield (f"{head}{middle}{rest}" for rest in _expanded(tail))
            return
    yield [pattern]


def _braces(pattern: str) -> Iterator[tuple[int, int]]:
    """The places of every brace and its partner, outermost and first ones first."""
    for start, character in enumerate(pattern):
        if character != "{":
            continue
        depth = 0
        for end in range(start, len(pattern)):
            depth += {"{": 1, "}": -1}.get(pattern[end], 0)
            if depth == 0:
                yield start, end
                break


def _choices(inside: str) -> list[str] | None:
    """What a brace stands for; None where it is no more than text."""
    if match := _NUMBERS.fullmatch(inside):
        first, last, step = match.groups()
        width = max((len(n) for n in (first, last) if re.match(r"-?0\d", n)), default=0)
        return [f"{n:0{width}d}" for n in _range(int(first), int(last), step)]
    if match := _LETTERS.fullmatch(inside):
        first, last, step = match.groups()
        return [chr(n) for n in _range(ord(first), ord(last), step)]
    parts, depth = [""], 0
    for character in inside:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts if len(parts) > 1 else None


def _range(first: int, last: int, step: str | None) -> range:
    size = abs(int(step or 1)) or 1
    if abs(last - first) // size > _MOST:
        raise ValueError(f"{{{first}..{last}}} stands for more than {_MOST} names")
    return range(first, last + 1, size) if last >= first else range(first, last - 1, -size)
