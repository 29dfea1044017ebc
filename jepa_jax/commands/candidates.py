"""The table of methods that a calibration measured."""

from jepa_jax.commands.terminal import say


def print_candidates(calibration, total: int | None) -> None:
    """The table of methods: what each costs and what it was measured to be worth."""
    layout = "{:<22} {:>10} {:>10} {:>12} {:>10} {:>12}"
    head = ("method", "cost, VJPs", "images/s", "time", "Spearman", "error, nats")
    say(layout.format(*head), "bold")
    for c in calibration.candidates():
        time = "" if total is None else _duration(total * c.seconds)
        sizes = (f"{c.cost:.0f}", f"{1 / c.seconds:.3g}", time)
        say(layout.format(c.name, *sizes, f"{c.spearman:.4f}", f"{c.rmse:.2f}"))
    images = len(calibration.samples.measured.score)
    say(
        f"measured on {images} images (a sketch: each predicted from the "
        "others); times follow from the exact one's and the covariates', a JVP counted as 1.5 VJPs",
        "dim",
    )


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
