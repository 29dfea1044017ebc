"""The folder that scores are written to and read from; nothing here imports JAX.

One Parquet file a shard and a manifest; read as one table by `read_scores`, in figures by
`summarize`.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from jepa_jax.store.manifest import read_manifest as read_manifest
    from jepa_jax.store.merging import merge as merge
    from jepa_jax.store.run_status import RunStatus as RunStatus
    from jepa_jax.store.run_status import WorkerStatus as WorkerStatus
    from jepa_jax.store.summary import ScoreSummary as ScoreSummary
    from jepa_jax.store.summary import summarize as summarize
    from jepa_jax.store.table import ScoreTable as ScoreTable
    from jepa_jax.store.table import read_embeddings as read_embeddings
    from jepa_jax.store.table import read_scores as read_scores

# On demand: output folders of other kinds (a calibration's) need no tables.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "manifest": ["read_manifest"],
        "merging": ["merge"],
        "run_status": ["RunStatus", "WorkerStatus"],
        "summary": ["ScoreSummary", "summarize"],
        "table": ["ScoreTable", "read_embeddings", "read_scores"],
    },
)
