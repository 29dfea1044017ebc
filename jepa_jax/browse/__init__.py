"""A local page of a scores folder that is too large for one file: `jepa-jax browse`."""
