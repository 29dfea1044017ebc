"""Detecting outliers, beside label-free baselines, without leakage; README.md has the result."""
