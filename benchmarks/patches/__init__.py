"""Whether the share of a patch in the volume says what masking it does to the score."""
