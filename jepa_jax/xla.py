"""What keeps one release of XLA's CPU compiler right, whenever this package is imported.

jaxlib 0.10 compiles row reductions of arrays of 0.8 million elements and more into YNNPACK fusions
that give wrong sums without a word: the VJP of a LayerNorm for many cotangents was off by 20 %. An
option of the compiler leaves only matrix products to that library (tests/test_xla.py has the case).
It is set for the process where JAX has not begun yet. Where it has, the package's own programs are
compiled with the option, by `jit` here, and the user's own are refused with the remedy.
"""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import jaxlib.version

_OPTION = "xla_cpu_experimental_ynn_fusion_type"
_VALUE = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
# Whether JAX had begun without the option when this package was imported.
_late = False


def keep_reductions_right() -> None:
    """Adds the option to XLA_FLAGS for the releases that need it, unless the user has set it."""
    global _late
    flags = _flags()
    # By version: a release that does not know a flag stops the process.
    if not jaxlib.version.__version__.startswith("0.10.") or _OPTION in flags:
        return
    _late = _jax_has_begun()
    os.environ["XLA_FLAGS"] = f"{flags} --{_OPTION}={_VALUE}".strip()


def _flags() -> str:
    """The user's flags: XLA_FLAGS, or what is in the file that it names."""
    flags = os.environ.get("XLA_FLAGS", "").strip()
    if not flags or flags.startswith("-"):
        return flags
    try:
        return " ".join(Path(flags).read_text().split())
    except (OSError, ValueError):  # XLA passes over it, too.
        return ""


def _jax_has_begun() -> bool:
    """Whether this process's XLA has read its flags already."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bridge is not None and bridge.backends_are_initialized()


def jit(function: Callable[..., Any], **settings: Any) -> Callable[..., Any]:
    """`jax.jit(function, **settings)`, whose programs are right in a process that was late, too.

    There it must be the outermost: it may hold `jax.jit` and `jax.grad`, and raises `RuntimeError`
    within them.
    """
    import jax

    if not _late:
        return jax.jit(function, **settings)
    # A platform that is not the CPU passes over the option.
    compiled = jax.jit(function, compiler_options={_OPTION: _VALUE}, **settings)
    within = jax.jit(function, **settings)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _ours().value:  # Part of a program that has the option.
            return within(*args, **kwargs)
        # One operation after the other (`jax_disable_jit`), each would be a program without it.
        with _ours()(True), jax.disable_jit(False):
            try:
                return compiled(*args, **kwargs)
            except ValueError as error:
                if "`compiler_options` can only be passed to top-level" not in str(error):
                    raise
        raise RuntimeError(
            "jepa_jax.xla.jit must be outermost in a process that began JAX before it imported "
            "jepa_jax: put jax.jit and jax.grad inside of it, or import jepa_jax first"
        )

    def trace(*args: Any, **kwargs: Any) -> Any:
        with _ours()(True), jax.disable_jit(False):
            return compiled.trace(*args, **kwargs)

    setattr(call, "trace", trace)  # noqa: B010
    return call


@functools.cache
def _ours() -> Any:
    """Whether the program that is being traced is compiled by `jit` of this file.

    Part of what JAX keeps traces by: what was traced within such a program is traced again, and
    checked, where it is called by itself.
    """
    import jax

    return cast(Any, jax).make_user_context(False)


def check_reductions() -> None:
    """Raises `RuntimeError` where a program that is traced now would be compiled wrongly.

    Called where user code enters the package's mathematics: `jacobian` and the encoders' methods.
    """
    if not _late or _ours().value:
        return

    if default_device().platform == "cpu":
        raise RuntimeError(
            "JAX had begun before jepa_jax was imported, too late to keep jaxlib "
            f"{jaxlib.version.__version__} from compiling wrong sums on a CPU. Import jepa_jax "
            "before JAX computes anything, or start the process with "
            f"XLA_FLAGS=--{_OPTION}={_VALUE}, or compile with jepa_jax.xla.jit in the place of "
            "jax.jit (scores by Scorer are right as they are)"
        )


def default_devices() -> list[Any]:
    """The devices of this process that programs may run on: all of JAX's platform, or what
    `jax.default_device` says, a device or a platform."""
    import jax

    device = cast(Any, jax.config).jax_default_device
    if isinstance(device, str):  # The name of a platform.
        return jax.local_devices(backend=device)
    return jax.local_devices() if device is None else [device]


def default_device() -> Any:
    """The device that programs run on where nothing else is said (`jax.default_device`)."""
    return default_devices()[0]
