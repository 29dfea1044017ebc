"""`python -m jepa_jax`: the command line."""

from jepa_jax.cli import console

if __name__ == "__main__":
    console()
