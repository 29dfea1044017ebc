"""A flag that keeps one release of XLA's CPU compiler right; set before anything is compiled."""

import os

import jaxlib.version

# jaxlib 0.10 compiles row reductions of arrays of 0.8 million elements and more into YNNPACK
# fusions that give wrong sums without a word: the VJP of a LayerNorm for many cotangents was off
# by 20 %. Only matrix products are left to that library. tests/encoders/test_vit.py has the case.
_FLAG = "--xla_cpu_experimental_ynn_fusion_type"
_VALUE = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"


def keep_reductions_right() -> None:
    """Adds the flag to XLA_FLAGS for the releases that need it, unless the user has set it."""
    flags = os.environ.get("XLA_FLAGS", "")
    # By version: a release that does not know a flag stops the process.
    if jaxlib.version.__version__.startswith("0.10.") and _FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_FLAG}={_VALUE}".strip()
