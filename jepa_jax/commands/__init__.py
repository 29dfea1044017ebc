"""The commands of `jepa-jax`, one a file: thin layers over the library."""

import os

# That PyTorch is not there is as it should be. Before `check` imports `transformers`, whoever runs
# it.
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
