"""Small pictures of some rows: which ones, and how they are found again and made."""

import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
from PIL import Image, features

from jepa_jax.clip_frames import split_frames
from jepa_jax.data import Folder, Record, Source, decode
from jepa_jax.data.memory import DECODING
from jepa_jax.data.record import original_name
from jepa_jax.data.sources.filelist import FileList, ListFile
from jepa_jax.object_stores import place

# Of every priority, so that none takes all the room.
_EXTREMES, _GROUPS, _OF_A_GROUP, _SAMPLE, _FLAGGED = 120, 40, 6, 120, 60
_CONDITIONAL = 60
LOWEST_OF_A_CLASS, HIGHEST_OF_A_CLASS = 4, 2
# Side in pixels: large where few are shown, so that a screen of high resolution is sharp.
_LARGE, _SMALL, _MOST_LARGE = 256, 160, 700
# All thumbnails together: 4/3 of it in base64 leaves room for the rows below 30 MB.
MOST_BYTES = 18_000_000
_MOST_AHEAD = 64


def sample(scores: np.ndarray, count: int = _SAMPLE) -> np.ndarray:
    """The rows of the report's random sample: uniform among those with a score, in their order."""
    rows = np.flatnonzero(np.isfinite(scores))
    chosen = np.random.default_rng(0).choice(len(rows), min(count, len(rows)), replace=False)
    return rows[np.sort(chosen)]


def rows_to_show(
    scores: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    flagged: np.ndarray,
    most: int,
    conditional: np.ndarray | None = None,
) -> np.ndarray:
    """The rows that get a picture, at most so many, the most needed first.

    Both extremes of all scores, and of the `conditional` ones; members of the largest
    near-identical groups; both extremes of each class; flagged rows; a random sample; then, to
    leave no range of scores and no class without pictures, rows taken in turn from each class and
    each tenth of its scores.
    """
    scored = np.flatnonzero(np.isfinite(scores))
    order = scored[np.argsort(scores[scored], kind="stable")]
    parts = [order[:_EXTREMES], order[::-1][:_EXTREMES]]
    if conditional is not None:
        rows = np.argsort(conditional, kind="stable")  # NaN comes last.
        rows = rows[np.isfinite(conditional[rows])]
        parts += [rows[:_CONDITIONAL], rows[::-1][:_CONDITIONAL]]
    parts += [np.flatnonzero(groups == group)[:_OF_A_GROUP] for group in range(_GROUPS)]
    _, codes = np.unique(labels.astype(str), return_inverse=True)
    by_class = order[np.argsort(codes[order], kind="stable")]
    sizes = np.bincount(codes[order], minlength=codes.max(initial=0) + 1)
    members = np.split(by_class, np.cumsum(sizes)[:-1])
    # Of thousands of classes the smallest would take it all.
    for rows in sorted(members, key=len, reverse=True)[: max(1, most // 12)]:
        parts += [rows[:LOWEST_OF_A_CLASS], rows[::-1][:HIGHEST_OF_A_CLASS]]
    parts += [order[flagged[order]][:_FLAGGED], sample(scores), _in_turn(members)]
    every = np.concatenate(parts).astype(int)
    _, first = np.unique(every, return_index=True)
    return every[np.sort(first)][:most]


def _in_turn(members: list[np.ndarray]) -> np.ndarray:
    """All rows, taken in turn from each class and each tenth of its scores, at random in these."""
    rng = np.random.default_rng(0)
    turn = np.concatenate([np.zeros(0)] + [_turns(len(rows), rng) for rows in members])
    rows = np.concatenate([np.zeros(0, int), *members])
    return rows[np.lexsort((rng.random(len(rows)), turn))]


def _turns(count: int, rng: np.random.Generator) -> np.ndarray:
    """In which turn each of `count` sorted rows comes: one a tenth and turn, at random."""
    tenth = np.arange(count) * 10 // max(count, 1)
    order = np.lexsort((rng.random(count), tenth))
    start = np.searchsorted(tenth, np.arange(10))
    turn = np.empty(count)
    turn[order] = np.arange(count) - start[tenth]
    return turn


def make_thumbnails(
    source: Source,
    ids: Sequence[str],
    rows: Sequence[int],
    *,
    workers: int = 4,
    most_bytes: int = MOST_BYTES,
    stamps: Sequence[str | None] = (),
    on_changed: Callable[[int], object] = lambda row: None,
    on_row: Callable[[object], None] | None = None,
) -> dict[int, bytes]:
    """Thumbnails of `rows`, most needed first, by row; WebP, or JPEG where Pillow has no WebP.

    The images are found in `source` by id, in one pass that ends with the last one found. Rows
    whose image is not found, or cannot be read now, have no thumbnail; where all together are more
    than `most_bytes`, the least needed go. `stamps`, of every row as it was scored: rows whose file
    is another one now have none either, and `on_changed` is told the row. Memory: the thumbnails
    and `workers` decoded images.
    """
    side = _LARGE if len(rows) <= _MOST_LARGE else _SMALL
    made: dict[int, bytes] = {}
    work = partial(thumbnail, source=source, side=side)
    found = _unchanged(_find(source, ids, rows), stamps, on_changed)
    for row, picture in _ahead(found, work, workers):
        if picture is not None:
            made[row] = picture
        if on_row is not None:
            on_row(row)
    total, kept = 0, {}
    for row in rows:
        total += len(made.get(row, b""))
        if row in made and total <= most_bytes:
            kept[row] = made[row]
    return kept


def _find(source: Source, ids: Sequence[str], rows: Sequence[int]) -> Iterator[tuple[int, Record]]:
    """The record of each row: the one at its place if that has its id, else the first that has."""
    waiting: dict[str, list[int]] = {}
    for row in sorted(int(row) for row in rows):
        waiting.setdefault(ids[row], []).append(row)
    left = len(rows)
    for index, record in enumerate(source):
        same_id = waiting.get(record.id)
        if not same_id:
            continue
        in_place = index < len(ids) and ids[index] == record.id
        row = index if in_place else same_id[0]
        if row not in same_id:
            continue  # A row of the same id that needs no picture.
        same_id.remove(row)
        yield row, record
        left -= 1
        if not left:
            return


def _unchanged(
    found: Iterator[tuple[int, Record]],
    stamps: Sequence[str | None],
    on_changed: Callable[[int], object],
) -> Iterator[tuple[int, Record]]:
    """The records whose files are those that were scored, as far as that is known."""
    for row, record in found:
        before = stamps[row] if stamps else None
        now = None if before is None else record.stamp()
        if now is None or now == before:
            yield row, record
        else:
            on_changed(row)


def _ahead(
    found: Iterator[tuple[int, Record]], work: Callable[[Record], bytes | None], workers: int
) -> Iterator[tuple[int, bytes | None]]:
    """`work` of every record in threads, a bounded number ahead."""
    pending: deque[tuple[int, Future[bytes | None]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="thumbnail") as pool:
        for row, record in found:
            pending.append((row, pool.submit(work, record)))
            if len(pending) >= _MOST_AHEAD:
                first, future = pending.popleft()
                yield first, future.result()
        while pending:
            first, future = pending.popleft()
            yield first, future.result()


def thumbnail(record: Record, *, source: Source, side: int) -> bytes | None:
    """The picture of one record of `source`, of at most `side` pixels: WebP, or JPEG where Pillow
    has no WebP; None where it cannot be read now, though it could be scored."""
    with DECODING.hold():
        return _picture(record, source, side)


def _picture(record: Record, source: Source, side: int) -> bytes | None:
    try:
        # Of files the path is known, and a JPEG is decoded no larger than needed.
        is_file = isinstance(source, (Folder, FileList, ListFile))
        path = place(original_name(record.source))
        image = decode(path, longest_side=2 * side) if is_file else record.load()
    except Exception:
        try:
            image = record.load()
        except Exception:
            return None
    frames = split_frames(image)  # Of a clip the one in the middle is shown.
    image = frames[len(frames) // 2]
    # A panorama of 1 : 50 would be a line of three pixels.
    least = max(1, side // 8)
    scale = side / max(image.size)
    width, height = (max(min(least, n), round(min(1, scale) * n)) for n in image.size)
    if scale < 1:
        image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2)
    buffer = io.BytesIO()
    if features.check("webp"):
        image.save(buffer, "WEBP", quality=72, method=3)
    else:
        image.save(buffer, "JPEG", quality=72)
    return buffer.getvalue()
