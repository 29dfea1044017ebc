"""Time, memory and size of `report` and `select` at 100,000 images; README.md has the result."""
