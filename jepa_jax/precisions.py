"""The precisions that matrix products may have, by name; `jepa_jax.products` says what they are."""

from typing import Literal, get_args

Precision = Literal["highest", "tf32", "bf16", "tf32x3", "bf16x3"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
