"""Scores folders written by hand, with scores that are known."""

from pathlib import Path
from typing import Any

from jepa_jax.store.folder import shard_path
from jepa_jax.store.manifest import check_manifest
from jepa_jax.store.schema import schema
from jepa_jax.store.shards import write_rows

SETTINGS: dict[str, Any] = {
    "numerics": 1,
    "source": "photos",
    "encoder": {"fingerprint": "abc", "embedding": "cls", "image_size": 28},
    "estimator": {"method": "exact", "rank": "structural"},
    "precision": "highest",
    "views": 1,
    "seed": 0,
    "store": [],
    "shard_size": 4,
}
FACTS = {"encoder": "embedded", "started": "2026-01-02T03:04:05+00:00", "device": "cpu: cpu"}


def row(id: str, score: float | None, **more) -> dict[str, Any]:
    """A row of `score`; unreadable without one."""
    return {
        "id": id,
        "source": f"photos/{id}",
        "status": "ok" if score is not None else "unreadable",
        "error": None if score is not None else "UnreadableImage: empty file",
        "jepa_score": score,
        "std_error": None if score is None else 0.0,
        "rank": None if score is None else 62,
        "method": "exact",
    } | more


def write_folder(
    out: Path, rows: list[dict[str, Any]], groups: tuple[str, ...] = (), **settings
) -> Path:
    """A scores folder of these rows, as `score` writes it, four rows a shard."""
    out.mkdir(parents=True)
    check_manifest(out, SETTINGS | settings, FACTS)
    for start in range(0, len(rows), 4):
        part = rows[start : start + 4]
        write_rows(shard_path(out, start // 4), part, schema(groups))
    return out
