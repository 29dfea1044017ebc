"""`jepa-jax encoders`: what can be loaded."""

from jepa_jax.commands.terminal import say

_NOTES = """\
null: directions that the score leaves out, in closed form.
argument: whether the reasons for which a score tells of density hold: justified (a latent target
  and a term against collapse), contrastive (as for CLIP), control (trained for something else).
pickle: the hub has no safetensors under this name; convert it where you trust it:
  transformers.AutoModel.from_pretrained(NAME).save_pretrained(FOLDER), and copy its
  preprocessor_config.json there. Of one that is a file, NAME.pt, `--encoder NAME.pt` says how.
gated: accept its licence on its page, then `hf auth login`.
All was compared with PyTorch on random weights under the names of the published files: `check`
compares the published ones. Its page on the hub is what holds of a licence.
And any checkpoint folder of these architectures."""


def encoders() -> None:
    """List the encoders that can be loaded. With sizes, the cost of a VJP, and what is known."""
    from jepa_jax.encoders.catalogue import catalogue

    layout = "{:<47} {:<10} {:<9} {:>5} {:>5} {:>6} {:>12} {:>8} {:>4}  {:<11} {}"
    head = (
        "encoder",
        "family",
        "embedding",
        "K",
        "patch",
        "pixels",
        "parameters",
        "GFLOP",
        "null",
        "argument",
        "licence",
    )
    say(layout.format(*head), "bold", result=True)
    for e in catalogue():
        sizes = (f"{e.parameters / 1e6:.3g} M", f"{e.vjp_flops / 1e9:.3g}")
        known = ("", "comes with the package")
        if e.facts is not None:
            marks = ["gated"] * e.facts.gated + ["pickle"] * (not e.facts.safetensors)
            known = (e.facts.argument, ", ".join([e.facts.licence, *marks]))
        row = (e.name, e.family, e.embedding, e.k, e.patch, e.pixels, *sizes, e.null, *known)
        say(layout.format(*row), result=True)
    say(_NOTES, "dim", result=True)
