"""The columns of a row, and the groups of columns that a run may add (`--store`).

A new group is an entry here, and what its values are is one in `jepa_jax.scoring.rows`.
"""

import dataclasses

import pyarrow as pa

_COLUMNS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "source": pa.string(),
    "status": pa.string(),
    "error": pa.string(),
    "jepa_score": pa.float64(),
    "std_error": pa.float64(),
    "rank": pa.int32(),
    "method": pa.string(),
}


@dataclasses.dataclass(frozen=True)
class Group:
    """Columns that come together.

    `meaning`: in words, for those that the user may ask for; "" for those that follow from other
    settings. `one_view`: whether they make sense for a single view alone. `exact`: whether they
    need a method that knows all singular values.
    """

    columns: dict[str, pa.DataType]
    meaning: str = ""
    one_view: bool = False
    exact: bool = False


GROUPS: dict[str, Group] = {
    "embedding": Group({"embedding": pa.list_(pa.float32())}, "the vector", one_view=True),
    # The Frobenius norm is its largest values': 65 quantiles do not tell it.
    "spectrum": Group(
        {"spectrum": pa.list_(pa.float32()), "log_frobenius": pa.float64()},
        "65 quantiles of the log singular values",
        one_view=True,
        exact=True,
    ),
    "image": Group(
        {"width": pa.int32(), "height": pa.int32(), "bits_per_pixel": pa.float32()},
        "size, and bits per pixel of a JPEG",
    ),
    "views": Group({"views": pa.list_(pa.float64())}),
    "calibrated": Group({"flagged": pa.bool_()}),
    "refined": Group({"sketch_score": pa.float64(), "sketch_std_error": pa.float64()}),
}
# Those that a user may ask for.
STORABLE = tuple(name for name, group in GROUPS.items() if group.meaning)
# Lists of numbers, hundreds of bytes a row: read one shard at a time by who needs them.
LONG = tuple(
    name
    for group in GROUPS.values()
    for name, kind in group.columns.items()
    if pa.types.is_list(kind)
)


def schema(groups: tuple[str, ...]) -> pa.Schema:
    """The columns of a run that stores these groups."""
    columns = dict(_COLUMNS)
    for group in groups:
        columns |= GROUPS[group].columns
    return pa.schema(list(columns.items()))


def check_store(store: tuple[str, ...], views: int, spectrum: bool, method: str) -> None:
    """Raises `ValueError` where a run of so many `views` cannot store these groups.

    `spectrum`: whether its method, called `method`, can give the singular values.
    """
    unknown = [group for group in store if group not in STORABLE]
    if unknown:
        raise ValueError(f"`store` must be of {STORABLE}, got {unknown}")
    single = [f"{name!r}" for name in STORABLE if GROUPS[name].one_view]
    if views > 1 and any(GROUPS[name].one_view for name in store):
        raise ValueError(
            f"`store` of {' or '.join(single)} needs `views=1`: several views have several"
        )
    for name in store:
        if GROUPS[name].exact and not spectrum:
            raise ValueError(f"`store` {name!r} needs an exact method, got {method}")
