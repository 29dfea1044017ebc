"""Memory of a score, and what keeping less of it costs; README.md has the result."""
