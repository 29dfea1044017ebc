"""`jepa-jax encoders`: what can be loaded."""

from jepa_jax.commands.terminal import say


def encoders() -> None:
    """List the encoders that can be loaded. With their sizes and the cost of a VJP."""
    from jepa_jax.encoders.catalogue import catalogue

    layout = "{:<42} {:<8} {:<10} {:>5} {:>6} {:>7} {:>15} {:>13}"
    head = (
        "encoder",
        "family",
        "embedding",
        "K",
        "patch",
        "pixels",
        "parameters (M)",
        "GFLOP a VJP",
    )
    say(layout.format(*head), "bold", result=True)
    for e in catalogue():
        sizes = (f"{e.parameters / 1e6:.3g}", f"{e.vjp_flops / 1e9:.3g}")
        row = (e.name, e.family, e.embedding, e.k, e.patch, e.pixels, *sizes)
        say(layout.format(*row), result=True)
    say("and any checkpoint folder of these architectures", "dim", result=True)
