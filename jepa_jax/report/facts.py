"""What is known of the images without an encoder, and how far the score follows it."""

import dataclasses

import numpy as np

from jepa_jax.report.correlation import same_order
from jepa_jax.report.statistics import Relation, relation
from jepa_jax.store.table import ScoreTable

JPEG = "bits_per_pixel"


@dataclasses.dataclass(frozen=True)
class Fact:
    """A quantity of an image: `name` on the page, `title`, `unit`, and whether charts of it are
    logarithmic."""

    name: str
    title: str
    unit: str
    logarithmic: bool = False


FACTS = (
    Fact(JPEG, "Complexity", "bits per pixel of a JPEG", True),
    Fact("pixels", "Size", "pixels", True),
    Fact("aspect", "Aspect ratio", "width / height", True),
    Fact("brightness", "Brightness", "mean grey level, 0 to 255"),
    Fact("contrast", "Contrast", "standard deviation of the grey levels"),
    Fact("sharpness", "Sharpness", "variance of the Laplacian of the grey levels", True),
)
# As they are in the folder; the others are made of these.
STORED = ("width", "height", JPEG, "brightness", "contrast", "sharpness")


def values_of(fact: Fact, table: ScoreTable) -> np.ndarray:
    """The fact of every row, NaN where it was not stored."""
    if fact.name in ("pixels", "aspect"):
        width, height = table.numbers("width"), table.numbers("height")
        return width * height if fact.name == "pixels" else width / height
    return table.numbers(fact.name)


def known(table: ScoreTable) -> list[Fact]:
    """The facts that were stored of some row."""
    return [fact for fact in FACTS if np.isfinite(values_of(fact, table)).any()]


def relations(table: ScoreTable) -> list[Relation]:
    """The score against each fact that was stored and differs between images."""
    found = [
        relation(f.name, f.title, f.unit, values_of(f, table), table.scores, f.logarithmic)
        for f in FACTS
    ]
    return [each for each in found if each is not None]


def of_jpeg_size(table: ScoreTable, relations: list[Relation]) -> str:
    """What a JPEG's size already tells of the score, as a sentence of its own."""
    known = next((each for each in relations if each.name == JPEG), None)
    if known is None:
        if JPEG in table.rows.column_names:
            return ""  # Too few images, or all alike.
        return (
            "What a JPEG's size already tells is not known here: score with --store image to see "
            "how far the score follows complexity, size, light and sharpness."
        )
    share = same_order(table.numbers(JPEG), table.scores)
    way, share = ("lower", 1 - share) if share < 0.5 else ("higher", share)
    return (
        f"What a JPEG's size already tells: of two images, the one that takes more bits per pixel "
        f"as a JPEG has the {way} score in {100 * share:.0f} % of pairs (50 % is no relation; "
        f"Spearman {known.spearman:+.2f})."
    )
