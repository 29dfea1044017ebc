"""A training into a folder: its configuration, checkpoints, log and encoder; stop and continue."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

from flax import nnx

from jepa_jax.atomic_files import remove_leftovers, replace, replace_text
from jepa_jax.checked_json import read_json
from jepa_jax.encoders.vision_transformer import ViT
from jepa_jax.encoders.writing import write_checkpoint
from jepa_jax.store.folder import check_apart, check_ours
from jepa_jax.training.checkpoints import Checkpoints
from jepa_jax.training.config import Training, write_model
from jepa_jax.training.hub_configs import hub_config, preprocessor_config
from jepa_jax.training.tensorboard import check_folder, writing
from jepa_jax.training.trainer import Row, train

_RECORD = "config.json"
_OURS = (_RECORD, "checkpoints", "losses.parquet", "encoder")


def run(
    training: Training,
    out: Path,
    *,
    report: Callable[[Row], None] = lambda row: None,
    report_every: int = 50,
    checkpoint_every: int = 500,
    tensorboard: Path | None = None,
) -> nnx.Module:
    """Trains into the folder `out`, continuing what is there; returns the encoder.

    Writes config.json (the tables and the seed), checkpoints/, losses.parquet (one row a report:
    step, losses, learning rate, seconds) and the encoder: a checkpoint folder as `load_encoder`
    reads it for a vision transformer, model.safetensors for `read_model` else. `tensorboard`: a
    folder for the same rows as TensorBoard reads them.

    Raises `ValueError` where `out` holds a training with another configuration, or lies in a folder
    of scores, and `FileExistsError` where it holds other things.
    """
    check_apart(out, itself=True)
    check_ours(out, lambda name: name in _OURS)
    if tensorboard is not None:
        check_folder(tensorboard, out)
    settings = {"seed": training.seed, **training.tables}
    record = out / _RECORD
    model_folder = out / "encoder"
    if not record.exists():  # It is what is written first: the rest would be someone else's.
        check_ours(out, lambda name: False)
    else:
        before = read_json(record)
        if before != json.loads(json.dumps(settings)):
            differ = [k for k in settings if before.get(k) != json.loads(json.dumps(settings[k]))]
            raise ValueError(
                f"{out} holds a training with another configuration; {', '.join(differ)} differ"
            )
    out.mkdir(parents=True, exist_ok=True)
    remove_leftovers(out)
    replace_text(record, json.dumps(settings, indent=2) + "\n")
    checkpoints = Checkpoints(out / "checkpoints", checkpoint_every)
    last = max(checkpoints.steps(), default=0)
    log = _Log(out / "losses.parquet", last)
    with contextlib.ExitStack() as stack:
        told = [log.add, report]
        if tensorboard is not None:
            told.append(stack.enter_context(writing(tensorboard, list(log.rows), last)))

        def logged(row: Row) -> None:
            for tell in told:
                tell(row)

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


class _Log:
    """Rows of a Parquet file, rewritten at every row; those after step `last` are forgotten."""

    def __init__(self, path: Path, last: int):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        try:
            rows = pq.read_table(path).to_pylist() if path.exists() else []
            self.rows = [row for row in rows if row["step"] <= last]
        except (pa.ArrowException, OSError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is not a readable log of a training ({error}): delete it, and the "
                "training continues without the rows before"
            ) from error

    def add(self, row: Row) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.rows.append(row)
        table = pa.Table.from_pylist(self.rows)
        replace(self.path, lambda file: pq.write_table(table, file))
