"""The columns of a row, and the groups of columns that a run may add (`--store`).

A new group is an entry here, and what its values are is one in `jepa_jax.scoring.rows`.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# Types by their names, so that the command line need not import PyArrow.
_COLUMNS: dict[str, str] = {
    "id": "string",
    "source": "string",
    "status": "string",
    "error": "string",
    "jepa_score": "float64",
    "std_error": "float64",
    "bias_bound": "float64",
    "rank": "int32",
    "method": "string",
    "stamp": "string",
}
# What tells that an image's file is another one than when it was scored: for reruns, not for users.
STAMP = "stamp"
# What tells copies of an image: read by who looks for them.
HASH = "perceptual_hash"


@dataclasses.dataclass(frozen=True)
class Group:
    """Columns that come together.

    `meaning`: in words, for those that the user may ask for; "" for those that follow from other
    settings. `one_view`: whether they make sense for a single view alone. `needs`: what the
    estimator is asked to return besides, by the name of its setting, and which ones can, in words.
    """

    columns: dict[str, str]
    meaning: str = ""
    one_view: bool = False
    needs: tuple[str, str] | None = None


GROUPS: dict[str, Group] = {
    "embedding": Group({"embedding": "list<float32>"}, "the vector", one_view=True),
    # The Frobenius norm is its largest values': 65 quantiles do not tell it.
    "spectrum": Group(
        {"spectrum": "list<float32>", "log_frobenius": "float64"},
        "65 quantiles of the log singular values",
        one_view=True,
        needs=("spectrum", "an exact method"),
    ),
    # float16: a few hundred bytes an image, and as exact as a share is of use.
    "patches": Group(
        {"patches": "list<list<float16>>"},
        "a map of the patches' shares in the volume",
        one_view=True,
        needs=("shares", "an exact method or a sketch"),
    ),
    "image": Group(
        {
            "width": "int32",
            "height": "int32",
            **dict.fromkeys(("bits_per_pixel", "brightness", "contrast", "sharpness"), "float32"),
            HASH: "string",
        },
        "size, bits per pixel of a JPEG, brightness, contrast, sharpness, perceptual hash",
    ),
    "views": Group({"views": "list<float64>"}),
    "calibrated": Group({"flagged": "bool"}),
    "adaptive": Group({"products": "int32"}),
    "refined": Group({"sketch_score": "float64", "sketch_std_error": "float64"}),
}
# Those that a user may ask for.
STORABLE = tuple(name for name, group in GROUPS.items() if group.meaning)
# Lists of numbers, hundreds of bytes a row: read one shard at a time by who needs them.
LONG = tuple(
    name
    for group in GROUPS.values()
    for name, kind in group.columns.items()
    if kind.startswith("list<")
)


# Of a row by each further embedding rule, beside the numbers of groups that are not the image's;
# lists are there by the encoder's own rule alone.
_OF_RULE = ("status", "error", "jepa_score", "std_error", "bias_bound", "rank")


def of_rule(column: str, rule: str) -> str:
    """The name of a column of a further embedding rule: 'jepa_score_cls@4'."""
    return f"{column}_{rule}"


def schema(groups: tuple[str, ...], rules: tuple[str, ...] = ()) -> "pa.Schema":
    """The columns of a run that stores these groups, and has scores by these further embedding
    rules."""
    import pyarrow as pa

    def arrow(kind: str) -> "pa.DataType":
        if kind.startswith("list<"):
            return pa.list_(arrow(kind[5:-1]))
        return pa.type_for_alias(kind)

    columns = dict(_COLUMNS)
    for group in groups:
        columns |= GROUPS[group].columns
    own = {name: columns[name] for name in _OF_RULE}
    for group in groups:
        if group != "image":
            own |= {n: kind for n, kind in GROUPS[group].columns.items() if n not in LONG}
    for rule in rules:
        columns |= {of_rule(name, rule): kind for name, kind in own.items()}
    return pa.schema([(name, arrow(kind)) for name, kind in columns.items()])


def check_store(
    store: tuple[str, ...], views: int, returns: Callable[[str], bool], method: str
) -> None:
    """Raises `ValueError` where a run of so many `views` cannot store these groups.

    `returns`: whether its method, called `method`, has the setting of this name (`Group.needs`).
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
        needs = GROUPS[name].needs
        if needs and not returns(needs[0]):
            raise ValueError(f"`store` {name!r} needs {needs[1]}, got {method}")
