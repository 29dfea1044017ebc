"""How annotations are checked while tests run (`jaxtyping.install_import_hook`)."""

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import IO

import jaxtyping
from beartype import BeartypeConf, BeartypeHintOverrides, beartype

_checked = beartype(
    conf=BeartypeConf(
        # An int is a float, as for a static checker.
        is_pep484_tower=True,
        # A file is what the library of the interpreter says it is, without a `mode` or `name` too.
        hint_overrides=BeartypeHintOverrides({IO[bytes]: io.IOBase}),
    )
)

# By what it is of, and how it is annotated.
_local: dict[tuple, Callable] = {}


def typechecked(function: Callable) -> Callable:
    """`function`, which takes arguments alone and does nothing, with a check of their types.

    A function within a function is defined anew at every call of that, many times in a trace; what
    checks it is made once.
    """
    if "<locals>" not in function.__qualname__:
        return _checked(function)
    names, annotations = function.__code__.co_varnames, tuple(function.__annotations__.items())
    key = (function.__module__, function.__qualname__, names, annotations)
    if key not in _local:
        _local[key] = _checked(function)
    return _local[key]


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """For what the package says itself of arguments that cannot be, as it does for a user."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
