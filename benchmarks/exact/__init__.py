"""Seconds of an exact score, by PyTorch, JAX and jepa_jax; README.md has the result."""
