"""Several devices of one process: a batch is cut over them, and everything else is on each.

A device computes what it would compute alone, on its own images: no number goes from one to another
(`jax.shard_map`; the compiled program has no collective), so that a score does not change by a bit
with their number. Devices of several processes or machines are an engine's business
(`jepa_jax.scoring.engines`).
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jepa_jax.xla import default_devices, jit

_BATCH = "batch"


class Devices:
    """The first `count` devices of this process, all of them by default; 0: computed elsewhere.

    Where JAX is set to one device (`jax.default_device`), that is the only one. Raises `ValueError`
    where there are fewer.

    >>> Devices(1).count
    1
    """

    def __init__(self, count: int | None = None):
        there = [] if count == 0 else default_devices()
        if count is not None and not 0 <= count <= len(there):
            kind = there[0].device_kind
            raise ValueError(
                f"`devices` must be from 0 to {len(there)}, the devices of this process "
                f"({there[0].platform}: {kind}), got {count}"
            )
        self.devices = there[:count]
        if self.devices:
            self._mesh = Mesh(np.array(self.devices), (_BATCH,))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Devices) and self.devices == other.devices

    def __hash__(self) -> int:
        return hash(tuple(self.devices))

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.devices)

    @property
    def kind(self) -> str:
        """Platform and kind, as in a manifest."""
        return f"{self.devices[0].platform}: {self.devices[0].device_kind}"

    def on_each(self, tree: Any) -> Any:
        """The arrays of a tree, whole on every device."""
        if self.count <= 1:
            return tree
        return jax.device_put(tree, NamedSharding(self._mesh, PartitionSpec()))

    def program(
        self, function: Callable[..., Any], whole: int, batched: int, static: int = 0
    ) -> Callable[..., Any]:
        """`function` of so many arguments that are `whole` on each device, then those of which
        each has a share of the first axis, then `static` ones: compiled. Its results have the batch
        as first axis.
        """
        arrays = whole + batched
        static_argnums = tuple(range(arrays, arrays + static))
        if self.count <= 1:
            return jit(function, static_argnums=static_argnums)
        specs = (PartitionSpec(),) * whole + (PartitionSpec(_BATCH),) * batched

        def cut(*arguments: Any) -> Any:
            local = jax.shard_map(
                lambda *given: function(*given, *arguments[arrays:]),
                mesh=self._mesh,
                in_specs=specs,
                out_specs=PartitionSpec(_BATCH),
                check_vma=False,  # The package's primitives have no rules for it.
            )
            return local(*arguments[:arrays])

        # Said here, so that arrays of the host go to the devices in shares.
        shardings = tuple(NamedSharding(self._mesh, spec) for spec in specs)
        return jit(cut, static_argnums=static_argnums, in_shardings=shardings)

    def each(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` computed by every device of the same arguments: results with a first axis of
        the devices."""
        if self.count == 1:
            compiled = jit(function)
            return lambda *arguments: jax.tree.map(lambda a: a[None], compiled(*arguments))

        def all_of_it(*arguments: Any) -> Any:
            return jax.shard_map(
                lambda *arrays: jax.tree.map(lambda a: a[None], function(*arrays)),
                mesh=self._mesh,
                in_specs=PartitionSpec(),
                out_specs=PartitionSpec(_BATCH),
                check_vma=False,
            )(*arguments)

        return jit(all_of_it)
