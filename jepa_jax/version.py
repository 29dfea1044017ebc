"""The version, and the number of the numerics, alone: read by the build without importing more."""

__version__ = "0.1.0"

NUMERICS = 1
"""Raised when the same image and settings come to another score: scores are then not mixed."""
