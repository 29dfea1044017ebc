"""Finding what does not belong in a messy data set; README.md has the result."""
