"""Images that are in two of an evaluation's sets: by pixels, or by name where these are gone."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from jepa_jax.calibration import Calibration, load_calibration
from jepa_jax.data.opening import open_again
from jepa_jax.evaluation.features import Features
from jepa_jax.evaluation.scored import ScoredSet
from jepa_jax.evaluation.shared_images import (
    Fingerprints,
    Leakage,
    Shared,
    check_disjoint,
    fingerprints,
)
from jepa_jax.store.folder import CALIBRATION

REFERENCE, INLIERS, CALIBRATED = "reference", "inliers", "calibration"


@dataclasses.dataclass(frozen=True)
class Checked:
    """What sets share: `identical` and `near` pairs of sets; what was not compared by pixels."""

    identical: tuple[Shared, ...]
    near: tuple[Shared, ...]
    unchecked: tuple[str, ...]

    def drop(self, features: Mapping[str, Features]) -> tuple[dict[str, Features], dict[str, int]]:
        """The features without the tested images that another set has, and how many those are."""
        kept, dropped = dict(features), {}
        for shared in self.identical:
            gone = {pair[0] for pair in shared.identical}
            before = kept[shared.first]
            kept[shared.first] = before.take(
                [i for i, id in enumerate(before.ids) if id not in gone]
            )
            lost = len(before) - len(kept[shared.first])
            dropped[shared.first] = dropped.get(shared.first, 0) + lost
        return kept, {name: count for name, count in dropped.items() if count}


def check_sets(
    images: Mapping[str, Any],
    tables: Mapping[str, ScoredSet],
    *,
    limit: int | None = None,
    sketched: bool = False,
    calibration: Calibration | None = None,
    allow_identical: bool = False,
) -> Checked:
    """The images that sets share, `REFERENCE` and `INLIERS` among them.

    `images`: set's name to the source of its images; `tables`: to its scores, for sets that have
    them, whose images alone count. `sketched`: scores of a sketch are among the methods, whose
    calibration images count as the reference's.

    Raises `Leakage` where a tested image is in another set, unless `allow_identical`.
    """
    found, unchecked = {}, []
    for name, source in images.items():
        given = tables.get(name)
        ids = None if given is None else given.features.ids
        try:
            found[name] = fingerprints(source, limit=None if ids else limit, only=ids)
        except (ValueError, OSError) as error:
            if given is None:
                raise
            unchecked.append(
                f"{name}: its images cannot be read, compared by source and id ({error})"
            )
            continue
        if ids is not None and len(found[name]) < len(ids):
            lacking = len(ids) - len(found[name])
            unchecked.append(f"{name}: {lacking} of its scored images can no longer be read")
    reference = _some(found, [REFERENCE])
    if sketched:
        calibrated, note = _calibration(calibration, tables.values(), images[REFERENCE])
        reference |= {CALIBRATED: calibrated} if calibrated is not None else {}
        unchecked += note
    outliers = [name for name in images if name not in (REFERENCE, INLIERS)]
    shared = check_disjoint(reference, _some(found, [INLIERS]), _some(found, outliers))
    shared += _by_name(tables, outliers, found)
    identical = [s for s in shared if s.identical]
    if identical and not allow_identical:
        raise Leakage(identical)
    return Checked(tuple(identical), tuple(s for s in shared if s.near), tuple(unchecked))


def _some(found: Mapping[str, Fingerprints], names: Sequence[str]) -> dict[str, Fingerprints]:
    return {name: found[name] for name in names if name in found}


def _calibration(
    calibration: Calibration | None, tables: Iterable[ScoredSet], reference: Any
) -> tuple[Fingerprints | None, list[str]]:
    """Fingerprints of the images that a sketch was calibrated on, and a note where unknown."""
    if calibration is None:
        folders = [t.folder / CALIBRATION for t in tables if t.method == "sketch"]
        there = [folder for folder in folders if folder.is_dir()]
        if not there:
            return None, [
                "calibration: which images the sketch was calibrated on is not known; give it "
                "(--calibration), so that they can be checked"
            ]
        calibration = load_calibration(there[0])
    facts = calibration.facts
    ids, scored_from = facts.get("ids", []), facts.get("source", "")
    again = partial(open_again, scored_from, facts.get("source_options", {}))
    for opened in (again, lambda: reference) if ids else ():
        try:
            prints = fingerprints(opened(), only=ids)
        except (ValueError, OSError):
            continue
        if len(prints) >= len(ids):
            return prints, []
    return None, [f"calibration: its images cannot be read from {scored_from!r}"]


def _by_name(
    tables: Mapping[str, ScoredSet], outliers: Sequence[str], checked: Mapping[str, Fingerprints]
) -> list[Shared]:
    """Images of the same id in the same source, for pairs of sets that pixels could not tell."""
    pairs = [(INLIERS, REFERENCE)]
    pairs += [(name, other) for name in outliers for other in (REFERENCE, INLIERS)]
    shared = []
    for first, second in pairs:
        if first in checked and second in checked:
            continue
        a, b = tables.get(first), tables.get(second)
        if a is None or b is None or a.settings.get("source", "") != b.settings.get("source", ""):
            continue
        both = sorted(set(a.features.ids) & set(b.features.ids))
        if both:
            shared.append(Shared(first, second, tuple((i, i) for i in both), ()))
    return shared
