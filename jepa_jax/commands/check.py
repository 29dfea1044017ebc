"""`jepa-jax check`: what to know of a checkpoint before its scores are believed."""

from typing import Annotated

import typer

from jepa_jax.commands.options import AtAnyCost, Embedding, ImageSize
from jepa_jax.commands.terminal import plain_errors, say, spelled

_MARKS = {"ok": "ok", "failed": "FAILED", "not checked": "not checked", "said": ""}
_STYLES = {"ok": "green", "failed": "red", "not checked": "yellow", "said": ""}


def check(
    encoder: Annotated[
        str, typer.Argument(help="'embedded', a checkpoint folder, or a hub name (see `encoders`).")
    ],
    images: Annotated[
        str | None,
        typer.Option(help="Images to check with, as SOURCE of `score` (default: bundled ones)."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The first N that can be read.")] = 4,
    image_size: ImageSize = None,
    embedding: Embedding = None,
    at_any_cost: AtAnyCost = False,
) -> None:
    """Check an encoder: parity with PyTorch, null directions, condition, what to ask for.

    Ends with status 1 where something is not as it should be. What PyTorch, transformers or timm
    are needed for, and is not checked without them, is said.
    """
    with plain_errors() as command:
        command.stopped = "stopped: what is printed holds"
        from jepa_jax.checking.findings import check as found_by
        from jepa_jax.checking.findings import sample_images
        from jepa_jax.commands.estimators import check_one_embedding
        from jepa_jax.data import open_source
        from jepa_jax.encoders import load_encoder  # Not `commands.loading`: it hides PyTorch.

        loaded = load_encoder(encoder, embedding=embedding, image_size=image_size)
        check_one_embedding(loaded, {"check": True})
        pictures = sample_images()[:limit] if images is None else []
        for record in open_source(images) if images is not None else ():
            try:
                pictures.append(record.load())
            except Exception as error:  # Of images alone: others do.
                say(f"left out: {spelled(record.id)}: {spelled(error)}", "yellow")
            if len(pictures) == limit:
                break
        say(f"{loaded.name} ({loaded.rule}, K = {loaded.embedding_size}, {loaded.image_size} px)")
        failed, unchecked = [], []
        for finding in found_by(loaded, pictures, at_any_cost=at_any_cost):
            expected = f"  ({finding.expected})" if finding.expected else ""
            line = f"{_MARKS[finding.status]:<12} {finding.name + ':':<21} {finding.measured}"
            say(line + expected, _STYLES[finding.status], result=True)
            failed += [finding.name] * (finding.status == "failed")
            unchecked += [finding.name] * (finding.status == "not checked")
        if unchecked:
            say(f"not checked: {', '.join(unchecked)}", "yellow")
        if failed:
            say(f"FAILED: {', '.join(failed)}: do not trust its scores", "red")
            raise typer.Exit(1)
