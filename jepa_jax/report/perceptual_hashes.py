"""Copies by their perceptual hashes: pictures that differ in few bits, as they are or mirrored."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int, UInt

# Of 256 bits. Copies differ in fewer (benchmarks/duplicates), other pictures in half of them.
MOST_BITS = 31
# What a picture is of another one, by code; 0 where their hashes do not say it.
RELATIONS = ("", "copy", "mirrored", "upside down", "turned by 180°")

# Bits of a part by which pairs are looked up. 16 parts and at most 31 bits: in one part two hashes
# differ in one bit or none.
_PART = 16
_PROBES = np.array([0, *(1 << bit for bit in range(_PART))], np.uint16)
# Pairs that are compared at a time: 150 MB.
_MOST_PAIRS = 2_000_000


def hash_words(
    hashes: Sequence[str | None],
) -> tuple[Int[np.ndarray, " m"], UInt[np.ndarray, "m 4"]]:
    """Which rows have a hash (`jepa_jax.data.image_facts`), and their bits: of frequencies that are
    even in both directions, odd across, odd downwards, odd in both. Mirroring changes the sign of
    those that are odd in its direction.

    A text that is not of 64 hexadecimal digits is no hash.
    """
    rows, bits = [], []
    for row, text in enumerate(hashes):
        try:
            data = bytes.fromhex(text or "")
        except ValueError:
            continue
        if len(data) == 32:
            rows.append(row)
            bits.append(data)
    flat = np.unpackbits(np.frombuffer(b"".join(bits), np.uint8))
    # Rows and columns of frequencies, each split into half of it and its parity.
    split = flat.reshape(-1, 8, 2, 8, 2).transpose(0, 2, 4, 1, 3).reshape(-1, 4, 64)
    words = np.packbits(split, axis=-1).view(np.uint64).reshape(-1, 4)
    return np.array(rows, int), words


def differing_bits(
    a: UInt[np.ndarray, "n 4"], b: UInt[np.ndarray, "n 4"]
) -> Int[np.ndarray, "n 4"]:
    """In how many bits hashes differ, with b as it is, mirrored, upside down, and turned by 180°.

    A mirrored picture's own hash may differ from that by a few bits: those near the median.
    """
    even, across, down, both = np.bitwise_count(a ^ b).astype(np.int16).T
    # An inverted word of 64 bits differs where it did not.
    return np.stack(
        [
            even + across + down + both,
            even + (64 - across) + down + (64 - both),
            even + across + (64 - down) + (64 - both),
            even + (64 - across) + (64 - down) + both,
        ],
        axis=1,
    )


def relation(a: UInt[np.ndarray, "n 4"], b: UInt[np.ndarray, "n 4"]) -> Int[np.ndarray, " n"]:
    """What each picture a is of b: its place in `RELATIONS`."""
    apart = differing_bits(a, b)
    return np.where(apart.min(1) <= MOST_BITS, 1 + apart.argmin(1), 0)


def copies(words: UInt[np.ndarray, "n 4"]) -> Iterator[Int[np.ndarray, "2 m"]]:
    """Every pair of rows whose hashes differ in at most `MOST_BITS`, as they are or mirrored.

    A pair may come more than once; of rows of equal hashes, each with the first of them alone.
    Exact: by the pigeonhole principle, candidates are those that differ in one bit at most of one
    of 16 parts; about n^2 / 270 of them, where bits are random.
    """
    words, first, same = np.unique(words, axis=0, return_index=True, return_inverse=True)
    same = same.reshape(-1)
    again = np.flatnonzero(first[same] != np.arange(len(same)))
    yield np.stack([first[same[again]], again])
    # Every fourth bit of a word, so that none of the parts has the lowest frequencies alone.
    bits = np.unpackbits(words.view(np.uint8).reshape(-1, 4, 8), axis=-1)
    parts = np.packbits(bits.reshape(-1, 4, _PART, 4).transpose(1, 3, 0, 2), axis=-1)
    parts = parts.view(np.uint16)[..., 0]
    even = np.ascontiguousarray(words[:, 0])
    for word in range(4):
        for keys in parts[word]:
            for a, b in _candidates(keys, inverted=word > 0):
                # The first word is the same in all orders: half of the others fail by it alone.
                near = np.bitwise_count(even[a] ^ even[b]) <= MOST_BITS
                a, b = a[near], b[near]
                near = differing_bits(words[a], words[b]).min(1) <= MOST_BITS
                yield np.stack([first[a[near]], first[b[near]]])


def _candidates(
    keys: UInt[np.ndarray, " n"], inverted: bool
) -> Iterator[tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]]:
    """Pairs of rows whose keys differ in one bit at most, or, `inverted` too, are so after it."""
    order = np.argsort(keys, kind="stable").astype(np.int32)
    keys = keys[order]
    starts = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=1 << _PART))])
    for flip in (0, (1 << _PART) - 1) if inverted else (0,):
        for probe in _PROBES:
            wanted = keys ^ probe ^ np.uint16(flip)
            # Of a pair of two keys the smaller looks up the larger; of equal keys, every later row.
            low = np.maximum(starts[wanted], np.arange(1, len(keys) + 1))
            counts = np.maximum(starts[wanted + np.int64(1)] - low, 0)
            ends = np.cumsum(counts)
            begin = 0
            while begin < len(keys):
                before = ends[begin] - counts[begin]
                end = max(begin + 1, int(np.searchsorted(ends, before + _MOST_PAIRS, "right")))
                some = begin + np.flatnonzero(counts[begin:end])
                here = counts[some]
                a = np.repeat(some, here)
                b = np.arange(len(a)) + np.repeat(low[some] - (ends[some] - here - before), here)
                yield order[a], order[b]
                begin = end
