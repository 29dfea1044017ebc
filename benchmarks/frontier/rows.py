"""One method at one setting: its cost and its figures; tables of such rows."""

import dataclasses
from collections.abc import Mapping, Sequence

from benchmarks.shared.tables import table


@dataclasses.dataclass(frozen=True)
class Row:
    """One method at one setting: its cost in VJP units, as a share of exact, and its figures."""

    method: str
    setting: str
    cost: float
    share: float
    figures: Mapping[str, object]

    def line(self) -> str:
        """For the terminal."""
        f = self.figures
        return (
            f"{self.method:26} {self.setting:26} {1 / self.share:6.1f}x  sd {f['sd']:6.2f}  "
            f"Spearman {f['spearman']:.4f} / {f['spearman_pooled']:.4f}"
        )

    def record(self) -> dict:
        """For JSON."""
        plain = {"method": self.method, "setting": self.setting, "cost": self.cost}
        return plain | {"fraction_of_exact": self.share} | dict(self.figures)


def row(method: str, setting: str, cost: float, exact: float, figures: Mapping[str, object]) -> Row:
    """A `Row` whose cost is a share of `exact`."""
    return Row(method, setting, float(cost), float(cost / exact), figures)


# Heading, key of the figures, digits.
COLUMNS = (
    ("bias", "bias", 1),
    ("sd", "sd", 1),
    ("sd / score's sd", "sd_share", 3),
    ("Spearman", "spearman", 4),
    ("pooled", "spearman_pooled", 4),
    ("Kendall", "kendall", 3),
    ("rmse, all", "rmse", 1),
    ("rmse predicted", "predicted_rmse", 1),
    ("within 1 error", "coverage_1", 2),
    ("1.96", "coverage_1.96", 2),
    ("std_error / real", "error_ratio", 2),
    ("in bounds", "bracketed", 2),
    ("largest shift", "largest_shift", 2),
    ("AUROC shift", "largest_auroc_shift", 3),
)


def accuracy_table(
    rows: Sequence[Row], before: Sequence[tuple[str, int]] = (), values=lambda row: ()
) -> str:
    """Accuracy against cost; `before` and `values` add columns in front of the accuracy."""
    header = [("method", 0), ("setting", 0), ("VJP units", 0), ("of exact", 3), ("speedup", 1)]
    lines = [
        [r.method, r.setting, r.cost, r.share, 1 / r.share, *values(r)]
        + [r.figures.get(key) for _, key, _ in COLUMNS]
        for r in rows
    ]
    return table([*header, *before, *[(name, digits) for name, _, digits in COLUMNS]], lines)


LEGEND = (
    "Cost in VJPs, a JVP counted as 1.5; exact: one VJP a live dimension. In nats and in "
    "distribution, unless said: `bias` and `sd` of the error, the latter also over the exact "
    "score's own sd. Rank correlations in distribution, and pooled over all groups. `rmse "
    "predicted`: of leave-one-out on the calibration, for `rmse, all`. `within 1 error`: the share "
    "of images whose error is within `std_error` (.68 where this is right; for methods with random "
    "probes, the error less its mean). `std_error / real`: stated over real size of the random "
    "error alone, from two keys an image. `in bounds`: the share of images whose exact score is "
    "within `bias_bound` below the estimate (Hutchinson: of it), give or take two `std_error`. "
    "`largest shift`: of any group's mean error from that in distribution, in the score's sd. "
    "`AUROC shift`: the largest of any group's."
)


def plain(value):
    """`value` with all rows as their records."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value.record() if isinstance(value, Row) else value
