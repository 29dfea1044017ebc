"""Compiling the tests' own programs: what the library is compared with, run once on small arrays.

XLA's optimisations take most of a test's time and change nothing but rounding. What the library
compiles itself is compiled as its users have it.
"""

import functools

import jax
import jaxlib.version

_SOONER: dict[str, bool | int] = {"xla_backend_optimization_level": 0}
# By version: an option that a release does not know is an error.
if jaxlib.version.__version__.startswith("0.10."):
    _SOONER["xla_cpu_use_fusion_emitters"] = False

quick_jit = functools.partial(jax.jit, compiler_options=_SOONER)
