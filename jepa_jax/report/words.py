"""A run and what stands out in its scores, in sentences."""

import dataclasses
from typing import Any

import numpy as np

from jepa_jax.estimators.methods import HOW
from jepa_jax.report.conditional import FEW, K
from jepa_jax.report.perceptual_hashes import MOST_BITS
from jepa_jax.report.statistics import ClassSummary, Failure, Relation

# A correlation with complexity or size worth a word, and a class's shift.
_STRONG, _FAR = 0.5, 1.0
# Standard deviations below its neighbours' scores; of normal ones 1 in 700 is lower.
_ALONE = 3.0
_FEW_MEAN = f"Conditional scores mean little below {FEW} images."


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something to look at: a `title`, what it means, where it is on the page (`anchor`, or a
    `filter` of the explorer), the arguments of `jepa-jax select` that act on it, and examples."""

    title: str
    text: str
    anchor: str = ""
    filter: dict[str, Any] | None = None
    command: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()


def number(count: int, what: str, plural: str = "") -> str:
    """'1 image', '1,200 images'."""
    return f"{count:,} {what if count == 1 else plural or what + 's'}"


def shown(value: float) -> str:
    """A score with as many digits as tell scores apart."""
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def figures(value: float) -> str:
    """A quantity of an image: whole numbers from 1,000 on, three digits below."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def describe_run(settings: dict[str, Any], facts: dict[str, Any]) -> list[str]:
    """What the scores are and how they were made."""
    encoder, estimator = settings.get("encoder", {}), settings.get("estimator", {})
    method = estimator.get("method", "?")
    views = settings.get("views", 1)
    how = HOW.get(method, f"by the method {method}")
    lines = [
        "The score is JEPA-SCORE: the sum of the log singular values of the encoder's input "
        "Jacobian, in nats. Higher means denser: more like what the encoder was trained on. It "
        "ranks images of one run; its zero has no meaning.",
        f"The encoder was {facts.get('encoder', 'not named')}, its embedding "
        f"{encoder.get('embedding', '?')!r}, at {encoder.get('image_size', '?')} pixels.",
        f"The scores were computed {how} ({method}), with matrix products of "
        f"precision {settings.get('precision', '?')!r}.",
    ]
    if estimator.get("rank") == "clip":
        lines.append("All singular values count, none below 1e-6 (Listing 1 of the paper).")
    if views > 1:
        lines.append(f"Each score averages {views} random views of its image (Eq. 4 of the paper).")
    if settings.get("refine"):
        lines.append(
            "The rows at the ends of the ranking, and flagged ones, were scored again exactly; the "
            "column 'method' says which."
        )
    made = [f"on {facts['started'][:10]}" if facts.get("started") else ""]
    made += [f"on {facts['device']}" if facts.get("device") else ""]
    made += [f"by jepa-jax {facts['version']}" if facts.get("version") else ""]
    if any(made):
        lines.append(f"They were made {', '.join(filter(None, made))}.")
    return lines


def findings(
    scores: np.ndarray,
    std_errors: np.ndarray,
    *,
    failed: list[Failure],
    classes: list[ClassSummary],
    relations: list[Relation],
    repeated: list[tuple[float, int]],
    groups: np.ndarray,
    alike: str,
    near: str,
    flagged: np.ndarray,
    conditional: np.ndarray,
) -> list[Finding]:
    """What stands out, the most actionable first."""
    found: list[Finding] = []
    order = np.flatnonzero(np.isfinite(scores))
    order = order[np.argsort(scores[order], kind="stable")]
    values = scores[order]
    if failed:
        count = sum(failure.count for failure in failed)
        kinds = "; ".join(f"{failure.count:,} {failure.kind}" for failure in failed[:3])
        rest = number(sum(failure.count for failure in failed[3:]), "other")
        more = f"; {rest}" if len(failed) > 3 else ""
        verb = "has" if count == 1 else "have"
        found.append(
            Finding(
                f"{number(count, 'image')} {verb} no score",
                f"{kinds}{more}.",
                anchor="failures",
                filter={"show": "failed"},
                command=("--failed",),
            )
        )
    if len(values) >= 10:
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        few = max(1, -(-len(values) // 100))
        bound = float(values[few - 1])
        equal = int((values <= bound).sum()) - few
        tied = f" {number(equal, 'more image')} score just the same." if equal else ""
        found.append(
            Finding(
                f"The least typical 1 %: {number(few, 'image')}, down to {shown(values[0])}",
                f"They score {shown(bound)} or less; half of all images are between {shown(low)} "
                f"and {shown(high)}, around {shown(middle)}.{tied} Look at the most typical ones, "
                "too: some odd images score high.",
                filter={"high": bound, "sort": "score"},
                command=("--bottom", "1%"),
                rows=_few(order[: few + equal]),
            )
        )
    found += _of_neighbours(conditional)
    found += _repeats(scores, repeated, groups, alike, near)
    if flagged.any():
        count = int(flagged.sum())
        found.append(
            Finding(
                f"{number(count, 'image')} unlike those of the calibration",
                "Their predicted scores, and the error bars on them, are less certain.",
                filter={"show": "flagged"},
                command=("--flagged",),
                rows=_few(order[flagged[order]]),
            )
        )
    found += _of_classes(classes)
    found += _cautions(values, std_errors[np.isfinite(scores)], relations)
    return found


def _of_neighbours(conditional: np.ndarray) -> list[Finding]:
    """Images that score far lower than others like them."""
    order = np.argsort(conditional, kind="stable")
    far = order[: int((conditional < -_ALONE).sum())]
    if not len(far):
        return []
    verb = "scores" if len(far) == 1 else "score"
    than, means = "images like them", "odd ones of their kind, whatever that kind scores."
    count = int(np.isfinite(conditional).sum())
    if count < FEW:
        than = f"{K} nearest of {count} images"
        means = f"of only {count} images those are a large part of all, not one kind. {_FEW_MEAN}"
    return [
        Finding(
            f"{number(len(far), 'image')} {verb} far lower than the {than}",
            f"More than {_ALONE:g} standard deviations below the {K} images whose embeddings are "
            f"nearest: {means}",
            filter={"sort": "conditional"},
            command=("--conditional", "--between", "-inf", f"{-_ALONE:g}"),
            rows=_few(far),
        )
    ]


def _few(rows: np.ndarray) -> tuple[int, ...]:
    """Examples that fit in a line."""
    return tuple(rows[:4].tolist())


def alike(threshold: float, hashed: bool) -> str:
    """What links near-identical images; "" where they are not looked for."""
    ways = []
    if threshold:
        ways.append(f"their embeddings have a cosine similarity of {threshold:g} or more")
    if hashed:
        ways.append(
            f"their perceptual hashes differ in at most {MOST_BITS} of 256 bits, as they are or "
            "mirrored"
        )
    return ", or ".join(ways)


def _repeats(
    scores: np.ndarray,
    repeated: list[tuple[float, int]],
    groups: np.ndarray,
    alike: str,
    near: str,
) -> list[Finding]:
    """Near-identical images by embeddings and hashes, and equal ones by their scores."""
    found: list[Finding] = []
    members = int((groups >= 0).sum())
    if members:
        count = int(groups.max()) + 1
        found.append(
            Finding(
                f"{number(members, 'image')} in {number(count, 'group')} of near-identical ones",
                f"{alike[0].upper()}{alike[1:]}. The command selects all but the largest image of "
                "each group.",
                anchor="near-identical",
                filter={"show": "near-identical", "sort": "group"},
                command=("--near-identical", near),
                rows=_few(np.concatenate([np.flatnonzero(groups == g)[:2] for g in range(2)])),
            )
        )
    if repeated:
        score, count = repeated[0]
        others = number(sum(n for _, n in repeated[1:]), "more image")
        more = (
            f" {others} share {number(len(repeated) - 1, 'other score')}." if repeated[1:] else ""
        )
        found.append(
            Finding(
                f"{number(count, 'image')} share the score {shown(score)} to the last digit",
                "After cropping and resizing they are the same to the encoder: copies, or blank."
                f"{more}",
                filter={"low": score, "high": score},
                command=("--between", repr(score), repr(score)),
                rows=_few(np.flatnonzero(scores == score)),
            )
        )
    return found


def _of_classes(classes: list[ClassSummary]) -> list[Finding]:
    far = [c for c in classes if len(classes) > 1 and c.quantiles and c.shift <= -_FAR]
    if not far:
        return []
    names = ", ".join(f"“{c.label or 'no class'}”" for c in far[:3])
    more = f" and {len(far) - 3} more" if len(far) > 3 else ""
    return [
        Finding(
            f"{number(len(far), 'class', 'classes')} well below the others: {names}{more}",
            "Their median score is more than a standard deviation below that of all images. The "
            "lowest images of all will be mostly theirs; choose within classes to avoid that.",
            anchor="classes",
            command=("--bottom", "1%", "--per-class"),
            rows=tuple(far[0].lowest),
        )
    ]


def _cautions(
    values: np.ndarray, std_errors: np.ndarray, relations: list[Relation]
) -> list[Finding]:
    found = []
    strong = [r for r in relations if abs(r.spearman) >= _STRONG]
    if strong:
        most = max(strong, key=lambda r: abs(r.spearman))
        found.append(
            Finding(
                f"The score follows {most.title.lower()} (Spearman {most.spearman:+.2f})",
                "Part of the ranking is about that, not about what the images show. Compare images "
                f"of like {most.title.lower()} before you throw any away.",
                anchor="image",
            )
        )
    error = float(np.median(std_errors)) if len(std_errors) else 0.0
    spread = float(np.std(values)) if len(values) else 0.0
    if error > 0 and spread > 0:
        found.append(
            Finding(
                f"Scores are estimates: ± {shown(error)} nats (median standard error)",
                f"That is {100 * error / spread:.0f} % of the scores' spread. Images closer "
                "together than that cannot be told apart.",
                anchor="distribution",
            )
        )
    return found
