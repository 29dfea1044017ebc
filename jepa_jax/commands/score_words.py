"""What `jepa-jax score` says of rows that have changed, and at its end."""

from jepa_jax.commands.terminal import say, spelled
from jepa_jax.object_stores import Place


def _images(count: int) -> str:
    return f"{count} image" if count == 1 else f"{count} images"


def say_changed(id: str, *, rescored: bool) -> None:
    what = (
        "it is scored again, and others like it (--changed keep leaves such rows as they are)"
        if rescored
        else "its row is of the file before, and so are those of others like it"
    )
    say(f"{spelled(id)} has another size or time than when it was scored: {what}", "yellow")


def closing(summary, out: Place, changed: str) -> str:
    counts = ", ".join(f"{n} {status}" for status, n in sorted(summary.counts.items()))
    if summary.refined:
        counts += f", {summary.refined} scored again exactly"
    text = f"{counts or 'nothing left to do'} in {summary.seconds:.1f} s"
    if summary.resumed:
        text += f"; {summary.resumed} rows were there"
    if summary.unavailable:
        text += (
            f"; {summary.unavailable} images could not be got, for a reason that may pass: "
            "--retry failed does them again"
        )
    if summary.changed:
        what = (
            "changed since being scored, and scored again"
            if changed == "rescore"
            else "changed since being scored: --changed rescore does them again"
        )
        text += f"; {_images(summary.changed)} {what}"
    return f"{text}. Look at them: jepa-jax show {out}, or jepa-jax report {out}"
