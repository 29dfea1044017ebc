"""Does V-JEPA 2.1 here compute what Meta's code computes? README.md has the result."""
