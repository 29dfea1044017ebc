"""Selected rows as a text list, CSV, Parquet, or DataComp's array of uids."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jepa_jax.atomic_files import replace, replace_text
from jepa_jax.data.record import original_name
from jepa_jax.report.spreadsheets import csv_line, is_formula
from jepa_jax.report.uids import uid_array, uids_of
from jepa_jax.store.folder import check_apart
from jepa_jax.store.table import ScoreTable

FORMATS = (".txt", ".csv", ".parquet", ".npy")


def check_format(path: Path, formats: Sequence[str] = FORMATS) -> None:
    """Raises `ValueError` where the extension of `path` is none of the `formats`, or `path` lies in
    a folder of scores: a list there would be read as some of its rows."""
    check_apart(path)
    if path.suffix.lower() not in formats:
        known = ", ".join(formats)
        raise ValueError(f"the extension of {path} must be one of {known}, got {path.suffix!r}")


def write_selection(
    path: Path,
    table: ScoreTable,
    chosen: np.ndarray,
    labels: np.ndarray,
    *,
    conditional: np.ndarray | None = None,
    paths: bool = False,
    guarded: bool = False,
) -> None:
    """Writes the rows of the mask `chosen` to `path`, whole or not at all, by its extension.

    `.txt`: one id a line (`paths`: one path of a file a line). `.csv`, `.parquet`: all columns of
    the scores but lists, `label`, and `conditional_score` where `conditional` has one for every row
    of the table (empty where it is NaN); `guarded`: in a .csv, a text that a spreadsheet would take
    for a formula has an apostrophe before it. `.npy`: DataComp's sorted `u8,u8` array of uids.
    Raises `ValueError` for other extensions and for what a format cannot hold.

    >>> import tempfile
    >>> from jepa_jax.report import ScoreTable
    >>> rows = pa.table({"id": ["a.png", "b.png"], "jepa_score": [-90.0, -210.0]})
    >>> table = ScoreTable(Path("scores"), {}, {}, rows)
    >>> out = Path(tempfile.mkdtemp()) / "odd.csv"
    >>> write_selection(out, table, np.array([False, True]), np.array(["", ""]))
    >>> out.read_text()
    'id,jepa_score\\nb.png,-210.0\\n'
    """
    check_format(path)
    suffix = path.suffix.lower()
    if suffix == ".txt":
        text = text_list(list_names(table, chosen, paths=paths))
        replace(path, lambda file: file.write(text.encode("utf-8", "surrogateescape")))
        return
    rows = _rows(table, chosen, labels, conditional)
    if suffix == ".npy":
        uids = uid_array(_uids(rows))
        replace(path, lambda file: np.save(file, uids))
    else:
        write_rows(path, rows, guarded=guarded)


def write_rows(path: Path, rows: pa.Table, *, guarded: bool = False) -> None:
    """Writes a table to `path`, whole or not at all: .csv, `guarded` or not against formulas, or,
    by any other name, .parquet."""
    if path.suffix.lower() == ".csv":
        replace_text(path, _csv(rows, guarded))
    else:
        replace(path, lambda file: pq.write_table(rows, file, compression="zstd"))


def formulas(table: ScoreTable, chosen: np.ndarray, labels: np.ndarray) -> list[str]:
    """The texts among the selected rows' cells that a spreadsheet takes for formulas.

    In a list they are written as they are all the same: one whose ids are changed names no image.

    >>> rows = pa.table({"id": ["=1+1.png", "b.png"], "jepa_score": [-90.0, -210.0]})
    >>> table = ScoreTable(Path("scores"), {}, {}, rows)
    >>> formulas(table, np.array([True, True]), np.array(["", ""]))
    ['=1+1.png']
    """
    return formulas_in(_rows(table, chosen, labels))


def formulas_in(rows: pa.Table) -> list[str]:
    """The texts among the cells of a table that a spreadsheet takes for formulas.

    >>> formulas_in(pa.table({"id": ["=1+1.png", "b.png"]}))
    ['=1+1.png']
    """
    texts = [column for column in rows.columns if pa.types.is_string(column.type)]
    return [text for column in texts for text in column.to_pylist() if text and is_formula(text)]


def names(table: ScoreTable, chosen: np.ndarray, *, paths: bool = False) -> list[str]:
    """The ids of the rows chosen, or the files that hold them."""
    column = table.rows["source" if paths else "id"]
    return column.filter(pa.array(chosen)).to_pylist()


def list_names(table: ScoreTable, chosen: np.ndarray, *, paths: bool = False) -> list[str]:
    """`names` as they go into a list: paths with the bytes that the files' names have, which need
    not be text (`surrogateescape`), so that the list names the files themselves."""
    found = names(table, chosen, paths=paths)
    return [original_name(name) for name in found] if paths else found


def text_list(names: list[str], *, null: bool = False) -> str:
    r"""Names one a line, or each ended by a NUL character, as `xargs -0` reads them.

    Raises `ValueError` where a name holds what ends it: such a list would name other files.

    >>> text_list(["a.jpg", "b c.jpg"])
    'a.jpg\nb c.jpg\n'
    """
    end = "\0" if null else "\n"
    broken = next((name for name in names if end in name or (not null and "\r" in name)), None)
    if broken is not None:
        other = ".csv or .parquet" if null else "--null, .csv or .parquet"
        raise ValueError(f"{broken!r} does not fit in a list of lines: use {other}")
    return "".join(name + end for name in names)


def _rows(
    table: ScoreTable,
    chosen: np.ndarray,
    labels: np.ndarray,
    conditional: np.ndarray | None = None,
) -> pa.Table:
    """The rows chosen, with their labels and conditional scores where there are any."""
    rows = table.rows
    added: dict[str, pa.Array] = {}
    if any(labels):
        added["label"] = pa.array(labels.tolist(), pa.string())
    if conditional is not None:
        added["conditional_score"] = pa.array(conditional, mask=~np.isfinite(conditional))
    for name, values in added.items():
        if name in rows.column_names:
            rows = rows.drop_columns(name)
        rows = rows.append_column(name, values)
    return rows.filter(pa.array(chosen))


def _uids(rows: pa.Table) -> list[str]:
    if "uid" in rows.column_names:
        return [str(uid) for uid in rows["uid"].to_pylist()]
    return uids_of(rows["id"].to_pylist(), rows["source"].to_pylist())


def _csv(rows: pa.Table, guarded: bool) -> str:
    columns = (column.to_pylist() for column in rows.columns)
    lines = [rows.column_names, *zip(*columns, strict=True)]
    return "".join(csv_line(line, guarded=guarded) for line in lines)
