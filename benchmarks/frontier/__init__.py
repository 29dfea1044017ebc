"""Accuracy of a cheap score against its cost; README.md has the result."""
