"""Whether the score is a density, where the density is known; README.md has the result."""
