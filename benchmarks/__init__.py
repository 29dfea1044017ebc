"""What measured the figures of this project: one folder a question, README.md lists them.

Run from the repository's root: `python -m benchmarks.NAME`. No part of the installed package.
"""
