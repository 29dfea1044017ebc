"""The figures as a page."""

from benchmarks.precision.comparison import FITTED
from benchmarks.precision.groups import GROUPS
from benchmarks.shared.tables import table

_COLUMNS = (
    ("images", "images", 0),
    ("bias", "bias", 3),
    ("sd", "sd", 3),
    ("largest", "largest", 3),
    ("Spearman", "spearman", 5),
    ("Kendall", "kendall", 4),
    ("AUROC shift", "auroc_shift", 3),
    ("sd after a line", "sd_after_a_line", 3),
    ("within 2 of its errors", "within_two_errors", 2),
)


def page(found: dict) -> str:
    """Every precision in a row, and again by condition number and by group."""
    encoder, rows = found["encoder"], found["precisions"]
    conditions = [
        [name, half, r[f"bias_{half}_conditioned"], r[f"sd_{half}_conditioned"]]
        for name, r in rows.items()
        for half in ("well", "ill")
    ]
    groups = [
        [name, group, r[f"bias_{group}"], r[f"sd_{group}"], r[f"spearman_{group}"]]
        for name, r in rows.items()
        for group in GROUPS
    ]
    return "\n".join(
        [
            f"# Exact scores at lower precision, {encoder['image_size']} px, embedding "
            f"{encoder['embedding']}",
            "",
            f"{found['images']} images of three groups ({', '.join(GROUPS)}); float32's scores "
            f"have a standard deviation of {found['sd_of_scores']:.1f} nats, of photographs "
            f"{found['sd_of_scores_of_photographs']:.1f}. Errors are nats, against `highest`.",
            "",
            table(
                ["precision", *((head, digits) for head, _, digits in _COLUMNS)],
                [[name, *(r[key] for _, key, _ in _COLUMNS)] for name, r in rows.items()],
            ),
            "",
            f"The line is of `--correct {FITTED}`: fitted on {FITTED} random images, and what it "
            "leaves on the others, over 20 draws; blank where there are too few images.",
            "",
            "By the condition number of the Jacobian, above and below its median, "
            f"10^{found['median_condition']:.1f}:",
            "",
            table(["precision", "conditioned", ("bias", 3), ("sd", 3)], conditions),
            "",
            "By group:",
            "",
            table(["precision", "group", ("bias", 3), ("sd", 3), ("Spearman", 5)], groups),
        ]
    )
