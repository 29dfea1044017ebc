"""Figures without a display."""


def pyplot():
    """`matplotlib.pyplot`, drawing into files."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot

    return matplotlib.pyplot
