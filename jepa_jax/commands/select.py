"""`jepa-jax select`: from scores to a list of images, or a folder of them."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from jepa_jax.commands.options import Labels, Scores
from jepa_jax.commands.terminal import plain_errors, say, spelled, warn_of_formulas


class _Side(StrEnum):
    low = "low"
    high = "high"
    both = "both"


def select(
    scores: Scores,
    bottom: Annotated[
        str | None, typer.Option(help="The least typical: a share '1%' or a number '500'.")
    ] = None,
    top: Annotated[
        str | None, typer.Option(help="The most typical: a share '1%' or a number '500'.")
    ] = None,
    between: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="Scores from LOW to HIGH; -inf and inf are none."),
    ] = None,
    two_sided: Annotated[
        str | None, typer.Option(help="The farthest from the median, on either side.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Scores of typical images, to fit a threshold on.")
    ] = None,
    false_positive_rate: Annotated[
        str, typer.Option(help="--reference: share of such images that the threshold may take.")
    ] = "1%",
    side: Annotated[
        _Side, typer.Option(help="--reference: what is taken, below or above its thresholds.")
    ] = _Side.low,
    failed: Annotated[bool, typer.Option("--failed", help="Images without a score.")] = False,
    flagged: Annotated[
        bool, typer.Option("--flagged", help="Images unlike the calibration's.")
    ] = False,
    near_identical: Annotated[
        str | None,
        typer.Option(help="All but one of images this alike: 'auto', or a cosine such as 0.98."),
    ] = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Shares, numbers and medians of each class.")
    ] = False,
    conditional: Annotated[
        bool,
        typer.Option(
            "--conditional", help="By the score among the images most alike, not the score itself."
        ),
    ] = False,
    label: Annotated[
        list[str] | None, typer.Option("--class", help="Only of this class; may be repeated.")
    ] = None,
    match: Annotated[str, typer.Option(help="Only images with this text in their id.")] = "",
    labels: Labels = "auto",
    invert: Annotated[
        bool, typer.Option("--invert", help="Take what would be left: what to keep.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="List to write: .txt, .csv, .parquet, .npy (DataComp uids)."),
    ] = None,
    paths: Annotated[
        bool, typer.Option("--paths", help="Lists name files instead of ids.")
    ] = False,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="On standard output, names end in NUL.")
    ] = False,
    copy_to: Annotated[Path | None, typer.Option(help="Copy the images into this folder.")] = None,
    link_to: Annotated[Path | None, typer.Option(help="Link the images from this folder.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Copy or link; without it, only say what would be.")
    ] = False,
) -> None:
    """Select images by score. A list on standard output or in a file, or a folder of the images.

    No image is deleted or overwritten; a list that is there is replaced. What is chosen, and how
    many have no score, is said on standard error.
    """
    with plain_errors():
        from jepa_jax.report import export
        from jepa_jax.report.choice import Choice, choose
        from jepa_jax.store.table import read_scores

        if out is not None:
            export.check_format(out)
        if copy_to is not None and link_to is not None:
            raise ValueError("--copy-to and --link-to exclude each other")
        table = read_scores(scores)
        rule = _rule(
            table,
            labels,
            bottom=bottom,
            top=top,
            between=between,
            two_sided=two_sided,
            reference=reference,
            rate=false_positive_rate,
            side=side.value,
            per_class=per_class,
        )
        if conditional and (rule is None or reference is not None):
            raise ValueError("--conditional needs --bottom, --top, --between or --two-sided")
        similarity = _similarity(near_identical)
        if rule is None and not (failed or flagged or similarity is not None):
            raise ValueError(
                "nothing to select by: give one of --bottom, --top, --between, --two-sided, "
                "--reference, --failed, --flagged, --near-identical"
            )
        choice = Choice(
            *(rule, per_class, failed, flagged, similarity, tuple(label or ()), match, invert),
            conditional=conditional,
        )
        selected = choose(table, choice, label_from=labels)
        if table.unfinished:
            say(f"note: {table.unfinished}", "yellow")
        say(_summary(selected, failed))
        if selected.conditional is not None:
            _warn_of_few(selected.conditional)
        if out is not None:
            export.write_selection(
                *(out, table, selected.chosen, selected.labels),
                conditional=selected.conditional,
                paths=paths,
            )
            say(f"written: {out}")
            if out.suffix.lower() == ".csv":
                warn_of_formulas(export.formulas(table, selected.chosen, selected.labels))
        folder = copy_to or link_to
        if folder is not None:
            _transfer(selected, folder, link=link_to is not None, yes=yes)
        if out is None and folder is None:
            # Names are written as they are, never wrapped or coloured; a terminal would obey some.
            names = export.list_names(table, selected.chosen, paths=paths)
            if sys.stdout.isatty():
                names = [spelled(name) for name in names]
            listed = export.text_list(names, null=null)
            sys.stdout.flush()
            sys.stdout.buffer.write(listed.encode("utf-8", "surrogateescape"))
            sys.stdout.buffer.flush()


def _rule(table, labels: str, *, reference: Path | None, rate: str, side: str, **given):
    """The rule that the options name; None if none does, an error if several do."""
    from jepa_jax.report.selection import Amount, Between, Bottom, Top, TwoSided

    per_class = given.pop("per_class")
    named = [name for name, value in given.items() if value is not None]
    named += ["reference"] if reference is not None else []
    if len(named) > 1:
        options = ", ".join("--" + name.replace("_", "-") for name in named)
        raise ValueError(f"{options} exclude each other: give one of them")
    if reference is not None:
        return _fitted(table, reference, rate, side, per_class)
    if given["between"] is not None:
        return Between(*given["between"])
    kinds = {"bottom": Bottom, "top": Top, "two_sided": TwoSided}
    return next(
        (kinds[name](Amount.parse(given[name])) for name in kinds if given[name] is not None), None
    )


def _fitted(table, reference: Path, rate: str, side: str, per_class: bool):
    """The rule fitted on another folder's scores; says what it is."""
    from jepa_jax.report.fitted_threshold import check_comparable, describe, fit_outside, shared_ids
    from jepa_jax.report.selection import Amount
    from jepa_jax.store.table import read_scores

    if per_class:
        raise ValueError("--reference fits one threshold for all: it excludes --per-class")
    if reference.resolve() == table.folder.resolve():
        raise ValueError(
            f"--reference {reference} is the folder selected from: use --bottom {rate}, or score "
            "other images that are known to be typical"
        )
    other = read_scores(reference)
    check_comparable(table, other)
    share = Amount.parse(rate).share
    if share is None:
        raise ValueError(f"--false-positive-rate must be a share such as '1%', got {rate!r}")
    rule = fit_outside(other.scores, share, side)  # pyright: ignore[reportArgumentType]
    say(f"of images like those of {reference}, at most {float(share):.4g} score {describe(rule)}")
    both = shared_ids(table, other)
    if both:
        say(
            f"warning: {both} images are in both folders; the rate holds for new images only",
            "yellow",
        )
    return rule


def _similarity(text: str | None) -> float | None:
    """'auto' as 0, a number as it is."""
    if text is None or text == "auto":
        return None if text is None else 0.0
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise ValueError(
            f"--near-identical must be 'auto' or a cosine above 0 and at most 1, got {text!r}"
        )
    return value


def _summary(selected, failed: bool) -> str:
    """How many are chosen, of how many, from which number to which, and what has no score."""
    span = _span("scores", selected.table.scores[selected.chosen])
    if selected.conditional is not None:
        span = _span("conditional scores", selected.conditional[selected.chosen]) + span
    text = f"{int(selected.chosen.sum())} selected of {selected.scored} scored images{span}"
    missing = ", ".join(f"{n} {status}" for status, n in sorted(selected.failed.items()))
    if missing:
        text += f"; without a score: {missing} ({'included' if failed else '--failed adds them'})"
    return text


def _span(what: str, values) -> str:
    """', scores 0 to 1'; nothing without values."""
    import numpy as np

    values = values[np.isfinite(values)]
    return f", {what} {values.min():.6g} to {values.max():.6g}" if len(values) else ""


def _warn_of_few(conditional) -> None:
    import numpy as np

    from jepa_jax.report.conditional import FEW, K

    count = int(np.isfinite(conditional).sum())
    if count < FEW:
        say(
            f"warning: of {count} images the {K} nearest are a large part of all, not those of one "
            f"kind: conditional scores mean little below {FEW} images",
            "yellow",
        )


def _transfer(selected, folder: Path, *, link: bool, yes: bool) -> None:
    """Says what a copy or link would do, and does it if told to."""
    from jepa_jax.report.export import names
    from jepa_jax.report.transfer import plan_transfer, transfer
    from jepa_jax.store.table import read_stamps

    ids = names(selected.table, selected.chosen)
    sources = names(selected.table, selected.chosen, paths=True)
    every = read_stamps(selected.table.folder)
    stamps = [stamp for stamp, chosen in zip(every, selected.chosen, strict=True) if chosen]
    plan = plan_transfer(ids, sources, folder, link=link, stamps=stamps)
    verb, past = ("link", "linked") if link else ("copy", "copied")
    size = "" if link else f", {plan.bytes / 1e6:.1f} MB"
    notes = [f"{len(plan.todo)} files to {verb} into {folder}{size}"]
    notes += [f"{len(plan.done)} are there"] if plan.done else []
    notes += [f"{plan.renamed} renamed, their names being taken"] if plan.renamed else []
    if plan.missing:
        notes.append(f"{len(plan.missing)} gone, such as {spelled(plan.missing[0])}")
    if plan.changed:
        notes.append(
            f"{len(plan.changed)} have changed since they were scored, such as "
            f"{spelled(plan.changed[0])}"
        )
    say("; ".join(notes))
    if plan.missing and not plan.missing[0].is_absolute():
        say("paths are relative to the folder that `score` was run in")
    if not yes:
        for source, target in plan.todo[:5]:
            say(f"  {spelled(source)} -> {spelled(target)}")
        if len(plan.todo) > 5:
            say(f"  and {len(plan.todo) - 5} more")
        say(f"a dry run: nothing was done; add --yes to {verb}")
        return
    transfer(plan, link=link)
    say(f"{len(plan.todo)} {past}")
