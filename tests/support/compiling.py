"""Compiling the tests' programs without XLA's optimisations, which change nothing but rounding.

They take most of a test's time. `quick_jit` is for what the library is compared with, run once on
small arrays. What the library compiles itself is compiled as its users have it where its numbers
are the subject; quickly in the modules that use the fixture `compiled_quickly`, whose subject is
what commands, folders and processes do.
"""

import functools

import jax
import jaxlib.version

_SOONER: dict[str, bool | int] = {"xla_backend_optimization_level": 0}
# By version: an option that a release does not know is an error.
if jaxlib.version.__version__.startswith("0.10."):
    _SOONER["xla_cpu_use_fusion_emitters"] = False

quick_jit = functools.partial(jax.jit, compiler_options=_SOONER)
# The same for a process.
QUICK_FLAGS = " ".join(f"--{name}={value}" for name, value in _SOONER.items()).lower()
