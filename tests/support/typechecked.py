"""How annotations are checked while tests run (`jaxtyping.install_import_hook`)."""

import contextlib
import io
from collections.abc import Iterator
from typing import IO

import jaxtyping
from beartype import BeartypeConf, BeartypeHintOverrides, beartype

typechecked = beartype(
    conf=BeartypeConf(
        # An int is a float, as for a static checker.
        is_pep484_tower=True,
        # A file is what the library of the interpreter says it is, without a `mode` or `name` too.
        hint_overrides=BeartypeHintOverrides({IO[bytes]: io.IOBase}),
    )
)


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """For what the package says itself of arguments that cannot be, as it does for a user."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
