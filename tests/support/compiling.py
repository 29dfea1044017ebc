"""How XLA compiles in the tests: without its optimisations, which change nothing but rounding.

They take most of a test's time. `conftest.py` sets the flags, for its process and those that tests
start. Where a test's subject is the numbers as a user gets them, its module takes the fixture
`compiled_as_ever`.
"""

import functools

import jax
import jaxlib.version

# By option: its value here, and XLA's own.
_OPTIONS: dict[str, tuple[bool | int, bool | int]] = {
    "xla_backend_optimization_level": (0, 3),
    "xla_llvm_disable_expensive_passes": (True, False),
    "xla_cpu_parallel_codegen_split_count": (1, 32),
}
# By version: an option that a release does not know is an error.
if jaxlib.version.__version__.startswith("0.10."):
    _OPTIONS["xla_cpu_use_fusion_emitters"] = (False, True)

QUICK_FLAGS = " ".join(f"--{name}={quick}" for name, (quick, _) in _OPTIONS.items()).lower()
full_jit = functools.partial(
    jax.jit, compiler_options={name: full for name, (_, full) in _OPTIONS.items()}
)
