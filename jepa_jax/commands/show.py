"""`jepa-jax show`: a folder of scores in numbers."""

from typing import TYPE_CHECKING, Annotated

import typer

from jepa_jax.commands.options import Scores
from jepa_jax.commands.terminal import plain_errors, say, spelled

if TYPE_CHECKING:
    from jepa_jax.store.run_status import RunStatus


def show(
    scores: Scores,
    status: Annotated[
        bool, typer.Option("--status", help="Only where a run is that writes to it, or the last.")
    ] = False,
) -> None:
    """Show a folder of scores in numbers. Counts, quantiles, the ten lowest and highest."""
    with plain_errors():
        from jepa_jax.store import RunStatus, summarize

        found = RunStatus.read(scores)
        if status and found is None:
            raise ValueError(f"{scores} does not say where a run is: none has written to it")
        if found is not None and (status or found.state == "running"):
            _show_status(found)
        if status:
            return
        summary = summarize(scores)
        left = found.unfinished(summary.rows) if found and found.state != "running" else ""
        if left:
            say(f"note: {left}", "yellow")
    settings = summary.settings
    estimator, encoder = settings.get("estimator", {}), settings.get("encoder", {})
    show = lambda text, style="": say(text, style, result=True)
    show(
        f"{summary.rows} rows of {spelled(settings.get('source'))}, "
        f"{spelled(summary.facts.get('encoder'))} ({encoder.get('embedding')}), "
        f"{estimator.get('method')}, precision {settings.get('precision')}, "
        f"views {settings.get('views')}"
    )
    show(", ".join(f"{n} {name}" for name, n in sorted(summary.counts.items())))
    if len(summary.methods) > 1 or summary.flagged:
        by_method = ", ".join(f"{n} {method}" for method, n in sorted(summary.methods.items()))
        show(f"scores: {by_method}; {summary.flagged} flagged as unlike the calibration's")
    if summary.quantiles:
        show("\nscore quantiles, nats", "bold")
        show("".join(f"{q:>10.0%}" for q in summary.quantiles))
        show("".join(f"{value:>10.2f}" for value in summary.quantiles.values()))
    for title, rows in (("lowest: least typical", summary.lowest), ("highest", summary.highest)):
        if rows:
            show(f"\n{title}", "bold")
            for value, name in rows:
                show(f"{value:12.2f}  {spelled(name)}")
    if summary.failures:
        show("\nwithout a score (the first ones)", "bold")
        for name, kind, error in summary.failures:
            show(f"{spelled(name)}: {spelled(kind)}: {spelled(error)}")


def _show_status(found: "RunStatus") -> None:
    """Where a run is, and its workers."""
    show = lambda text, style="": say(text, style, result=True)
    of = "" if found.total is None else f" of {found.total}"
    show(
        f"{found.state}: {found.doing}, {found.there + found.rows}{of} rows, "
        f"{found.there} of them before; {found.engine}, process {found.process} on "
        f"{spelled(found.host)}, since {found.started}, last heard of {found.updated}",
        "bold",
    )
    left = found.seconds_left
    time_left = "" if left is None or found.state != "running" else f", {_duration(left)} left"
    show(f"{found.recent:.3g} images/s in the last minute, {found.overall:.3g} overall{time_left}")
    counts = ", ".join(f"{n} {name}" for name, n in sorted(found.counts.items()))
    show(counts or ("no row yet" if found.state == "running" else "no new row"))
    for kind, count in found.errors.items():
        show(f"  {count} {spelled(kind)}")
    for w in found.workers:
        show(f"worker {w.number}: {w.state}, {spelled(w.where)}, {w.rows} rows, {w.recent:.3g}/s")
    if found.note:
        show(spelled(found.note))


def _duration(seconds: float) -> str:
    """Seconds as '3 d 4 h', '2 h 5 min' or '40 s'."""
    whole = round(seconds)
    for size, name, part, part_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // part} {part_name}"
    return f"{whole // 60} min" if whole >= 120 else f"{whole} s"
