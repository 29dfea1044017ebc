"""The page of a result, and its figure's rows."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.frontier.pages import images
from benchmarks.frontier.rows import LEGEND, Row, accuracy_table, row
from benchmarks.pretrained.images import INSIDE
from benchmarks.pretrained.seconds import LISTING_1
from benchmarks.shared.tables import table

Seconds = Mapping[tuple[str, str], Sequence[float]]


def timed(rows: Sequence[Row], seconds: Seconds) -> list[Row]:
    """The rows whose time was taken, by it: `share` of exact's, the median of ratios in a turn."""
    exact = seconds["Exact", ""]
    found = []
    for r in rows:
        if taken := seconds.get(_key(r)):
            share = statistics.median(a / b for a, b in zip(taken, exact, strict=True))
            found.append(Row(r.method, r.setting, r.cost, share, r.figures))
    return found


def drawn(rows: Sequence[Row], seconds: Seconds) -> list[Row]:
    """The rows of a figure: `timed`, of the sketches those with the largest calibration."""
    found = timed(rows, seconds)
    size = lambda r: int(r.setting.split(", ")[1].split()[0]) if r.method == "Sketch" else 0
    largest = max(map(size, found))
    return [r for r in found if r.method != "Sketch" or size(r) == largest]


def _key(r: Row) -> tuple[str, str]:
    # A sketch's time does not depend on the images that it was calibrated on.
    return r.method, r.setting.split(", ")[0] if r.method == "Sketch" else r.setting


def page(result: dict) -> str:
    """Of `accuracy.run`, with `clocks`, by pixels, where times were taken."""
    rows: list[Row] = result["rows"]
    parts = [
        f"# {result['encoder']} at {result['image_size']} px",
        f"Exact Jacobians of {sum(result['images'].values())} real images: "
        f"{images(result['images'])}; {result['live']} live dimensions. In distribution: {INSIDE}, "
        f"whose scores have a sd of {result['score_sd']:.1f} nats; of all, "
        f"{result['score_sd_pooled']:.1f}. A sketch is calibrated on images of all groups and "
        f"tested on others, every image once, in 8 folds; means over {result['seeds']} draws of "
        "cotangents and folds.",
    ]
    if "clocks" in result:
        parts += [f"![accuracy against time]({result['stem']}.png)", *_clock(result, rows)]
    parts += ["## By products", LEGEND, accuracy_table(rows)]
    parts += [
        "## By groups",
        "Each image held out, calibrated on others of all groups. `within`: the share of images "
        "whose exact score is within so many of their own stated standard errors (.68 and .95 "
        "where these are right).",
        _groups(result["groups"]),
        "Calibrated on all groups but this one: what `flagged` is for.",
        _groups(result["unseen"]),
    ]
    for precision, found in result.get("precisions", {}).items():
        parts += [
            f"## Products in {precision}",
            f"The same, on {found['images']} of the images: exact scores and sketches by products "
            f"in {precision}, both beside the exact score in float32. The largest difference of an "
            f"exact score: {found['largest']:.1f} nats, in distribution "
            f"{found['largest_in_distribution']:.1f}.",
            accuracy_table(found["rows"]),
        ]
    return "\n\n".join(parts)


def _clock(result: dict, rows: Sequence[Row]) -> list[str]:
    clocks: Mapping[str, Seconds] = result["clocks"]
    perfect = dict.fromkeys(SHOWN, None)
    shown = [Row(*LISTING_1, 0, 0, perfect)]
    shown += [r for r in rows if any(_key(r) in seconds for seconds in clocks.values())]
    lines = []
    for r in shown:
        line: list[object] = [r.method, r.setting]
        for seconds in clocks.values():
            taken, listing = seconds.get(_key(r)), seconds[LISTING_1]
            if taken is None:
                line += [None, None]
                continue
            ratios = [a / b for a, b in zip(listing, taken, strict=True)]
            line += [statistics.median(taken), statistics.median(ratios)]
        lines.append(line + [r.figures[name] for name in SHOWN])
    header: list[tuple[str, int]] = [("method", 0), ("setting", 0)]
    for size in clocks:
        header += [(f"s, {size} px", 2), ("times Listing 1", 1)]
    header += [("error's sd / score's sd", 3), ("Spearman", 4), ("pooled", 4), ("AUROC shift", 3)]
    turns = " and ".join(str(len(seconds[LISTING_1])) for seconds in clocks.values())
    return [
        "## By the clock",
        "Seconds of one image in one process on all cores, medians of "
        f"{turns} turns through all methods; ratios are medians of those within a turn. Listing 1 "
        "is in PyTorch, float32, a K x D Jacobian and its SVD. Accuracy is at "
        f"{result['image_size']} px.",
        table(header, lines),
    ]


SHOWN = ("sd_share", "spearman", "spearman_pooled", "largest_auroc_shift")


def _groups(rows: Sequence[Mapping]) -> str:
    header = [("p", 0), ("group", 0), ("images", 0), ("bias", 1), ("rmse", 1)]
    header += [("within 1 error", 2), ("1.96", 2), ("flagged", 2)]
    names = ("p", "group", "images", "bias", "rmse", "coverage_1", "coverage_1.96", "flagged")
    return table(header, [[r[name] for name in names] for r in rows])


def rows_of(record: dict) -> dict:
    """A result that was written, with its rows as they were before."""
    remade = lambda rows: [
        row(r["method"], r["setting"], r["cost"], r["cost"] / r["fraction_of_exact"], r)
        for r in rows
    ]
    found = record | {"rows": remade(record["rows"])}
    found["precisions"] = {
        name: one | {"rows": remade(one["rows"])}
        for name, one in record.get("precisions", {}).items()
    }
    if "clocks" in record:
        found["clocks"] = {
            size: {(r["method"], r["setting"]): r["seconds"] for r in taken}
            for size, taken in record["clocks"].items()
        }
    return found
