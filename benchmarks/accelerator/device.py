"""The device itself: known answers, and what its products and its memory reach at most."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.accelerator.timing import error_of, seconds_of
from jepa_jax.precisions import PRECISIONS
from jepa_jax.products import product
from jepa_jax.scoring.known_answers import check_device
from jepa_jax.scoring.numerics import numerics
from jepa_jax.xla import default_device, jit


def rows(left: Callable[[], float], tiny: bool, folder: Path) -> Iterator[dict[str, Any]]:
    """What the device is, its known answers and its ceilings by precision."""
    device = default_device()
    if device.platform == "cpu" and not tiny:
        refused = (
            "JAX sees no accelerator: pip install 'jax[cuda13]' or 'jax[tpu]'; --tiny rehearses on "
            "a CPU"
        )
        yield {"what": "refused", "refused": refused}
        return
    memory = device.memory_stats() or {}
    yield {
        "what": "device",
        "platform": device.platform,
        "kind": device.device_kind,
        "memory_bytes": memory.get("bytes_limit"),
    }
    for precision in PRECISIONS:
        row = {"what": "known answers", "precision": precision}
        try:
            yield row | check_device(precision)
        except Exception as error:  # Wrong numbers, or a product that the device refuses.
            yield row | {"failed": error_of(error)}
    side = 128 if tiny else 8192
    x = jax.random.normal(jax.random.key(0), (side, side), jnp.float32)
    for precision in PRECISIONS:
        row = {"what": "products", "precision": precision, "side": side}
        try:
            with numerics(precision):
                run = jit(product).trace(x, x).lower().compile()
            found = seconds_of(lambda run=run: run(x, x).block_until_ready(), left)
            # Of the product that was asked for: a split one does three.
            yield row | found | {"flop_a_second": 2 * side**3 / found["seconds"]}
        except Exception as error:
            yield row | {"failed": error_of(error)}
    long = jnp.ones(2**16 if tiny else 2**28, jnp.float32)
    copy = jit(lambda x: x + 1).trace(long).lower().compile()
    found = seconds_of(lambda: copy(long).block_until_ready(), left)
    yield {"what": "copies"} | found | {"bytes_a_second": 2 * long.nbytes / found["seconds"]}
