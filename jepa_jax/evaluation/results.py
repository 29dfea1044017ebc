"""An evaluation's results as files: JSON, and every image's scores."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from jepa_jax.atomic_files import replace, replace_text
from jepa_jax.evaluation.evaluation import Evaluation


def write_json(record: dict[str, Any], path: str | Path, digits: int = 5) -> None:
    """JSON, whole or not at all: floats of so many digits, and null for what is not a number."""
    replace_text(path, json.dumps(_plain(record, digits), indent=1) + "\n")


def _plain(value: Any, digits: int) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v, digits) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v, digits) for v in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value


def write_image_scores(evaluation: Evaluation, path: str | Path) -> None:
    """Every tested image's score by every method, as Parquet: `set`, `id`, a column a method."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tested = ["inliers", *evaluation.comparison.outliers]
    columns: dict[str, Any] = {
        "set": [name for name in tested for _ in range(len(evaluation.features[name]))],
        "id": [id for name in tested for id in evaluation.features[name].ids],
    }
    for method in evaluation.comparison.methods:
        columns[method.name] = np.concatenate([method.scores[name] for name in tested])
    table = pa.table(columns)
    replace(path, lambda file: pq.write_table(table, file, compression="zstd"))
