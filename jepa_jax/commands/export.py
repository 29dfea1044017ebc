"""`jepa-jax export`: a folder of scores for other tools."""

from pathlib import Path
from typing import Annotated

import typer

from jepa_jax.commands.options import Labels, Scores
from jepa_jax.commands.terminal import plain_errors, say, warn_of_formulas


def export(
    scores: Scores,
    fiftyone: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A FiftyOne dataset, with views of the extremes."),
    ] = None,
    issues: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A .csv or .parquet of issues, as cleanvision and cleanlab have them.",
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="All rows as .csv, for spreadsheets.")
    ] = None,
    extremes: Annotated[
        int, typer.Option(min=1, help="--fiftyone: images at either end in views and tags.")
    ] = 100,
    bottom: Annotated[
        str, typer.Option(help="--issues: the lowest that are one, a share '1%' or a number.")
    ] = "1%",
    labels: Labels = "auto",
) -> None:
    """Write scores for other tools: FiftyOne, cleanvision, cleanlab, whatever reads CSV."""
    with plain_errors():
        if fiftyone is None and issues is None and csv is None:
            raise ValueError("nothing to export to: give --fiftyone, --issues or --csv")
        import numpy as np

        from jepa_jax.report import export as exporting
        from jepa_jax.report.fiftyone_dataset import write_fiftyone
        from jepa_jax.report.issues import issue_table
        from jepa_jax.report.labels import read_labels
        from jepa_jax.report.selection import Amount, Bottom, select
        from jepa_jax.store.table import read_scores

        for path, formats in ((csv, (".csv",)), (issues, (".csv", ".parquet"))):
            if path is not None:
                exporting.check_format(path, formats)
        table = read_scores(scores)
        options = table.settings.get("source_options", {})
        named = read_labels(table.ids, labels, table.settings.get("source", ""), options)
        if fiftyone is not None:
            count = write_fiftyone(fiftyone, table, named, extremes=extremes)
            say(f"written: {fiftyone}, {count} samples")
        if issues is not None:
            chosen = select(table.scores, Bottom(Amount.parse(bottom)))
            exporting.write_rows(issues, issue_table(table, chosen))
            say(f"written: {issues}")
            if issues.suffix.lower() == ".csv":  # It is joined by these names.
                columns = table.rows.select(["id", "source"])
                warn_of_formulas(exporting.formulas_in(columns))
        if csv is not None:
            every = np.ones(len(table), bool)
            exporting.write_selection(csv, table, every, named, guarded=True)
            say(f"written: {csv}")
