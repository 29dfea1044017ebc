"""The kinds of sources of images, one a file: a new one is a file, and a line in `opening.py`."""
