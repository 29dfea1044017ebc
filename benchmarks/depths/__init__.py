"""Scores at several depths in one pass."""
