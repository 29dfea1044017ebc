"""`jepa-jax show`: a folder of scores in numbers."""

from jepa_jax.commands.options import Scores
from jepa_jax.commands.terminal import plain_errors, say, spelled


def show(
    scores: Scores,
) -> None:
    """Show a folder of scores in numbers. Counts, quantiles, the ten lowest and highest."""
    with plain_errors():
        from jepa_jax.store import summarize

        summary = summarize(scores)
    settings = summary.settings
    estimator, encoder = settings.get("estimator", {}), settings.get("encoder", {})
    show = lambda text, style="": say(text, style, result=True)
    show(
        f"{summary.rows} rows of {spelled(settings.get('source'))}, "
        f"{spelled(summary.facts.get('encoder'))} ({encoder.get('embedding')}), "
        f"{estimator.get('method')}, precision {settings.get('precision')}, "
        f"views {settings.get('views')}"
    )
    show(", ".join(f"{n} {status}" for status, n in sorted(summary.counts.items())))
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
        for name, status, error in summary.failures:
            show(f"{spelled(name)}: {spelled(status)}: {spelled(error)}")
