"""`jepa-jax show`: a folder of scores in numbers."""

from jepa_jax.commands.options import Scores
from jepa_jax.commands.terminal import plain_errors, results


def show(
    scores: Scores,
) -> None:
    """Show a folder of scores: counts by status, quantiles, the ten lowest and highest."""
    with plain_errors():
        from jepa_jax.store import summarize

        summary = summarize(scores)
    settings = summary.settings
    results.print(
        f"{summary.rows} rows of {settings['source']}, {summary.facts['encoder']} "
        f"({settings['encoder']['embedding']}), {settings['estimator']['method']}, "
        f"precision {settings['precision']}, views {settings['views']}",
        markup=False,
    )
    results.print(", ".join(f"{n} {status}" for status, n in sorted(summary.counts.items())))
    if len(summary.methods) > 1 or summary.flagged:
        by_method = ", ".join(f"{n} {method}" for method, n in sorted(summary.methods.items()))
        results.print(f"scores: {by_method}; {summary.flagged} flagged as unlike the calibration's")
    if summary.quantiles:
        results.print("\nscore quantiles, nats", style="bold")
        results.print("".join(f"{q:>10.0%}" for q in summary.quantiles))
        results.print("".join(f"{value:>10.2f}" for value in summary.quantiles.values()))
    for title, rows in (("lowest: least typical", summary.lowest), ("highest", summary.highest)):
        if rows:
            results.print(f"\n{title}", style="bold")
            for value, name in rows:
                results.print(f"{value:12.2f}  {name}", markup=False)
    if summary.failures:
        results.print("\nwithout a score (the first ones)", style="bold")
        for name, status, error in summary.failures:
            results.print(f"{name}: {status}: {error}", markup=False)
