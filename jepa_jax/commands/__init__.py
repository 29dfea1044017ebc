"""The commands of `jepa-jax`, one a file: thin layers over the library."""
