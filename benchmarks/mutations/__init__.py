"""Damaged and odd images: does one crash, hang or lose its row? README.md has the command."""
