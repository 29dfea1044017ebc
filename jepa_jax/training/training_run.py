"""A training into a folder: its configuration, checkpoints, log and encoder; stop and continue."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flax import nnx

from jepa_jax.encoders.vit import ViT
from jepa_jax.encoders.writing import write_checkpoint
from jepa_jax.store.files import remove_leftovers, replace, replace_text
from jepa_jax.store.folder import check_apart
from jepa_jax.training.checkpoints import Checkpoints
from jepa_jax.training.config import Training, write_model
from jepa_jax.training.hub_configs import hub_config, preprocessor_config
from jepa_jax.training.trainer import Row, train


def run(
    training: Training,
    out: Path,
    *,
    report: Callable[[Row], None] = lambda row: None,
    report_every: int = 50,
    checkpoint_every: int = 500,
) -> nnx.Module:
    """Trains into the folder `out`, continuing what is there; returns the encoder.

    Writes config.json (the tables and the seed), checkpoints/, losses.parquet (one row a report:
    step, losses, learning rate, seconds) and the encoder: a checkpoint folder as `load_encoder`
    reads it for a vision transformer, model.safetensors for `read_model` else.

    Raises `ValueError` where `out` holds a training with another configuration, or lies in a folder
    of scores.
    """
    check_apart(out, itself=True)
    settings = {"seed": training.seed, **training.tables}
    record = out / "config.json"
    model_folder = out / "encoder"
    if record.exists():
        before = _read(record)
        if before != json.loads(json.dumps(settings)):
            differ = [k for k in settings if before.get(k) != json.loads(json.dumps(settings[k]))]
            raise ValueError(
                f"{out} holds a training with another configuration; {', '.join(differ)} differ"
            )
    out.mkdir(parents=True, exist_ok=True)
    remove_leftovers(out)
    replace_text(record, json.dumps(settings, indent=2) + "\n")
    checkpoints = Checkpoints(out / "checkpoints", checkpoint_every)
    log = _Log(out / "losses.parquet", last=max(checkpoints.steps(), default=0))

    def logged(row: Row) -> None:
        log.add(row)
        report(row)

    model = train(
        training.model(),
        training.task,
        training.train_key,
        training.optimizer,
        report=logged,
        report_every=report_every,
        checkpoints=checkpoints,
    )
    if isinstance(model, ViT):
        write_checkpoint(model_folder, hub_config(training), preprocessor_config(training), model)
    else:
        write_model(model_folder, model)
    return model


def _read(record: Path) -> dict[str, Any]:
    """The configuration of a training that was begun."""
    try:
        before = json.loads(record.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{record} is not readable: {error}") from error
    if not isinstance(before, dict):
        raise ValueError(f"{record} must hold a training's configuration, got {before!r:.40}")
    return before


class _Log:
    """Rows of a Parquet file, rewritten at every row; those after step `last` are forgotten."""

    def __init__(self, path: Path, last: int):
        import pyarrow.parquet as pq

        self.path = path
        rows = pq.read_table(path).to_pylist() if path.exists() else []
        self.rows = [row for row in rows if row["step"] <= last]

    def add(self, row: Row) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.rows.append(row)
        table = pa.Table.from_pylist(self.rows)
        replace(self.path, lambda file: pq.write_table(table, file))
