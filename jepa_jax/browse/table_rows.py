"""Rows of a scores folder, filtered and sorted by DuckDB where they lie: in its shards.

What a user asks for is never SQL: names are looked up among the folder's own columns, all else is
a bound parameter.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from jepa_jax.browse.view import PAGE, STATUS, View
from jepa_jax.data.record import encodable
from jepa_jax.object_stores import Address, Place
from jepa_jax.report.facts import FACTS
from jepa_jax.store.folder import shard_index, shard_path, shard_paths
from jepa_jax.store.manifest import read_manifest
from jepa_jax.store.schema import LONG

_TITLES = {"jepa_score": "Score", "std_error": "± error", "rank": "Singular values"}
_TITLES |= {fact.name: fact.title for fact in FACTS}
# Of the files bound to $files; their names and the rows' numbers in them tell rows apart.
_FROM = (
    "from read_parquet($files, union_by_name = true, filename = true, file_row_number = true, "
    "hive_partitioning = false) "
)
# As `ScoreTable.scores` has it.
_SCORE = "case when status = 'ok' and isfinite(jepa_score) then jepa_score end"
_DERIVED = {"pixels": "width::double * height", "aspect": "width::double / nullif(height, 0)"}
_KEPT_COUNTS = 256
_BATCH = 4096
# Of a shard: what is more is no row of any.
_MOST_ROWS = 2**31


@dataclasses.dataclass(frozen=True)
class Overview:
    """A folder's rows as a whole, at one time: `statuses`, how many rows have each; the sorted
    `scores`; `known`: the numbers that some row has, in the order of the columns."""

    statuses: dict[str, int]
    scores: np.ndarray
    known: tuple[str, ...]

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(self.statuses.values())

    def lower(self, score: float | None) -> tuple[int, float] | None:
        """How many scores are lower than this one, and their percentage of the others."""
        if score is None:
            return None
        below = int(np.searchsorted(self.scores, score))
        return below, 100 * below / max(1, len(self.scores) - 1)


class Rows:
    """The rows of a scores folder on a disk. Threads may share it.

    A run that goes on may add shards meanwhile: every page is of those that are there. Memory: 8
    bytes a row, and at most 1 GB of DuckDB's, which sorts on disk what is more.

    Raises `FileNotFoundError` or `ValueError` where `folder` is no folder of scores.
    """

    def __init__(self, folder: Place):
        if isinstance(folder, Address):
            raise ValueError(f"{folder}: rows are sorted on a disk, where they lie: copy it")
        self.folder = Path(os.path.abspath(folder))
        if encodable(str(self.folder)) != str(self.folder):
            raise ValueError(f"{str(self.folder)!r}: DuckDB takes names in UTF-8 alone")
        manifest = read_manifest(self.folder)
        self.settings: dict[str, Any] = manifest["settings"]
        self.facts: dict[str, Any] = manifest["facts"]
        if not shard_paths(self.folder):
            raise ValueError(f"{self.folder} holds no scores yet")
        self._lock = threading.Lock()
        self._seen: tuple[Any, Overview] | None = None
        self._counts: dict[Any, int] = {}
        self._temporary = tempfile.TemporaryDirectory(prefix="jepa-jax-browse-")
        self._database = duckdb.connect(
            config={"memory_limit": "1GB", "temp_directory": self._temporary.name}
        )
        try:
            self._restrict()
            self.numbers = self._numbers()
        except BaseException:
            self.close()
            raise

    def _restrict(self) -> None:
        """Nothing but the folder's own files is read, and nothing written, whatever is asked."""
        here = f"{self.folder}/"
        self._database.execute("set allowed_directories = [$1, $2]", [here, _escaped(here)])
        self._database.execute("set enable_external_access = false; set lock_configuration = true")

    def close(self) -> None:
        """Frees what was sorted on disk."""
        self._database.close()
        self._temporary.cleanup()

    def title(self, name: str) -> str:
        """What a number is called."""
        return _TITLES.get(name, name)

    def overview(self) -> Overview:
        """The rows as a whole, as of now."""
        mark = self._mark()
        with self._lock:
            if self._seen is None or self._seen[0] != mark:
                self._counts.clear()
                self._seen = mark, self._look()
            return self._seen[1]

    def count(self, view: View) -> int:
        """How many rows a view has on all its pages."""
        overview, (where, values) = self.overview(), self._where(view)
        key = where, tuple(values.items())
        with self._lock:
            if not where:
                return overview.rows
            if key not in self._counts:
                if len(self._counts) >= _KEPT_COUNTS:
                    self._counts.clear()
                ((self._counts[key],),) = self._fetch(f"select count(*) {_FROM} {where}", values)
            return self._counts[key]

    def page(self, view: View) -> list[dict[str, Any]]:
        """The rows of a page, with `shard` and `row`, by which `one` finds each."""
        where, values = self._where(view)
        # The keys first: what else a row has is read of these rows alone.
        keys = self._fetch(
            f"select filename, file_row_number {_FROM} {where} {self._order(view)} "
            f"limit {PAGE} offset {(view.page - 1) * PAGE}",
            values,
        )
        found = self._rows(keys)
        return [found[key] for key in keys if key in found]

    def one(self, shard: int, row: int) -> dict[str, Any] | None:
        """One row with all its columns but the long ones; None where there is none."""
        path = shard_path(self.folder, shard)
        if row >= _MOST_ROWS or path not in shard_paths(self.folder):
            return None
        key = str(path), row
        return self._rows([key]).get(key)

    def each(self, view: View) -> Iterator[tuple[Any, ...]]:
        """The names of the columns, then every row of a view on all its pages, in its order."""
        where, values = self._where(view)
        cursor = self._cursor(
            f"select {self._columns()} {_FROM} {where} {self._order(view)}", self._files(), values
        )
        yield tuple(column[0] for column in cursor.description or ())
        while lines := cursor.fetchmany(_BATCH):
            yield from lines

    def _numbers(self) -> dict[str, str]:
        """By their names the numbers of a row, as SQL; NaN is none."""
        types = {name: kind for name, kind, *_ in self._fetch(f"describe select * {_FROM}")}
        found = {"jepa_score": _SCORE}
        for name, kind in types.items():
            if name in found or name in ("filename", "file_row_number"):
                continue
            if kind in ("FLOAT", "DOUBLE"):
                found[name] = f"case when isfinite({_quoted(name)}) then {_quoted(name)} end"
            elif kind in ("INTEGER", "BIGINT", "UINTEGER", "UBIGINT", "SMALLINT", "TINYINT"):
                found[name] = _quoted(name)
        if {"width", "height"} <= found.keys():
            found |= _DERIVED
        self.has_flags = types.get("flagged") == "BOOLEAN"
        self._long = tuple(name for name in LONG if name in types)
        return found

    def _look(self) -> Overview:
        statuses = dict(self._fetch(f"select status, count(*) as n {_FROM} group by 1 order by 1"))
        # Of an exact method all errors are 0.
        told = self.numbers | {"std_error": f"nullif({self.numbers.get('std_error', 'null')}, 0)"}
        counts = ", ".join(f"count({told[name]})" for name in self.numbers)
        ((*known,),) = self._fetch(f"select {counts} {_FROM}")
        scores = self._cursor(f"select {_SCORE} as s {_FROM} where s is not null", self._files())
        return Overview(
            statuses,
            np.sort(np.asarray(scores.fetchnumpy()["s"], np.float64)),
            tuple(name for name, count in zip(self.numbers, known, strict=True) if count),
        )

    def _where(self, view: View) -> tuple[str, dict[str, Any]]:
        """The condition of a view, and what its parameters stand for."""
        parts, values = [], {}
        if view.show == "scored":
            parts.append(f"({_SCORE}) is not null")
        elif view.show == "failed":
            parts.append(f"({_SCORE}) is null")
        elif view.show == "flagged":
            parts.append("coalesce(flagged, false)" if self.has_flags else "false")
        elif view.show.startswith(STATUS):
            parts.append("status = $status")
            values["status"] = view.show.removeprefix(STATUS)
        for name, sign in (("low", ">="), ("high", "<=")):
            if getattr(view, name) is not None:
                parts.append(f"({self.numbers[view.of]}) {sign} ${name}")
                values[name] = getattr(view, name)
        if view.text:
            parts.append("contains(lower(id), lower($text))")
            values["text"] = view.text
        return ("where " + " and ".join(parts) if parts else ""), values

    def _order(self, view: View) -> str:
        name, descends = view.sort.removeprefix("-"), view.sort.startswith("-")
        way = "desc" if descends else "asc"
        if name == "order":
            return f"order by filename {way}, file_row_number {way}"
        key = "id" if name == "id" else self.numbers[name]
        return f"order by {key} {way} nulls last, filename, file_row_number"

    def _columns(self) -> str:
        kept = ("filename", "file_row_number", *self._long)
        return f"* exclude ({', '.join(map(_quoted, kept))})"

    def _rows(self, keys: list[tuple[str, int]]) -> dict[tuple[str, int], dict[str, Any]]:
        """The rows of some keys."""
        if not keys:
            return {}
        cursor = self._cursor(
            f"select filename, file_row_number, {self._columns()} {_FROM} where (filename, "
            "file_row_number) in (select unnest($names), unnest($numbers)::bigint)",
            sorted({_escaped(name) for name, _ in keys}),
            {"names": [name for name, _ in keys], "numbers": [number for _, number in keys]},
        )
        names = [column[0] for column in cursor.description or ()][2:]
        return {
            (name, number): dict(zip(names, values, strict=True))
            | {"shard": shard_index(Path(name)), "row": number}
            for name, number, *values in cursor.fetchall()
        }

    def _files(self) -> list[str]:
        return [_escaped(str(path)) for path in shard_paths(self.folder)]

    def _mark(self) -> Any:
        """Another one when shards have come or changed: their files are replaced."""
        return os.stat(self.folder).st_mtime_ns

    def _fetch(self, sql: str, values: Mapping[str, Any] = {}) -> list[tuple[Any, ...]]:
        return self._cursor(sql, self._files(), values).fetchall()

    def _cursor(
        self, sql: str, files: list[str], values: Mapping[str, Any] = {}
    ) -> duckdb.DuckDBPyConnection:
        return self._database.cursor().execute(sql, {"files": files, **values})


def _quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _escaped(path: str) -> str:
    """A path that DuckDB takes for a pattern, and that matches itself alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)
