"""One embedding and several, by the exact score and by `Projection`, in turn."""

import statistics
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.shared.package_images import real_photograph
from jepa_jax import Exact, Projection, Scorer, load_encoder
from jepa_jax.encoders.vjp_flops import vjp_flops

ESTIMATORS = {"exact": Exact(), "projection": Projection()}


def compare(name: str, side: int, inner: Sequence[str], count: int, repeats: int) -> dict:
    """CPU-seconds an image, the arithmetic's ratio, and `Projection`'s errors."""
    own = load_encoder(name, image_size=side)
    every = load_encoder(name, image_size=side, embedding=",".join([*inner, str(own.rule)]))
    rng = np.random.default_rng(0)
    images = np.stack([own.preprocess(real_photograph(rng)) for _ in range(count)])
    names = [f"photograph {i}" for i in range(count)]
    scorers = {
        (method, which): Scorer(encoder, estimator, batch_size=1)
        for method, estimator in ESTIMATORS.items()
        for which, encoder in (("one", own), ("several", every))
    }
    scores = {key: scorer.score(images[:1], names[:1]) for key, scorer in scorers.items()}
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in scorers}
    for _ in range(repeats):
        for key, scorer in scorers.items():
            began = time.process_time()
            scores[key] = scorer.score(images, names)
            seconds[key].append((time.process_time() - began) / count)
    flops = {str(rule): vjp_flops(own.config, rule, side, side) for rule in every.rules}
    errors = {}
    exact, projected = scores["exact", "several"], scores["projection", "several"]
    for rule in flops:
        truth = exact if rule == str(own.rule) else (exact.inner or {})[rule]
        found = projected if rule == str(own.rule) else (projected.inner or {})[rule]
        errors[rule] = ((found.jepa_score - truth.jepa_score) / found.std_error).tolist()
    return {
        "k": own.embedding_size,
        "std_error": float(projected.std_error[0]),
        "cpu_seconds_an_image": {
            f"{method}, {which}": statistics.median(times)
            for (method, which), times in seconds.items()
        },
        "all_cpu_seconds": {f"{m}, {which}": times for (m, which), times in seconds.items()},
        "gflop_a_vjp": {rule: value / 1e9 for rule, value in flops.items()},
        "sum_of_depths_over_one": sum(flops.values()) / flops[str(own.rule)],
        "errors_over_std_error": errors,
        "exact_scores": {
            **{rule: s.jepa_score.tolist() for rule, s in (exact.inner or {}).items()},
            str(own.rule): exact.jepa_score.tolist(),
        },
    }


def page(found: dict) -> str:
    """The result as a page."""
    seconds, rules = found["cpu_seconds_an_image"], list(found["gflop_a_vjp"])
    exact = seconds["exact, one"]
    lines = [
        f"CPU-seconds an image, K = {found['k']}; several: {', '.join(rules)}",
        "",
        "| | one | several | several / one | several / one exact |",
        "|---|---|---|---|---|",
    ]
    for method in ESTIMATORS:
        one, several = seconds[f"{method}, one"], seconds[f"{method}, several"]
        ratios = f"{several / one:.2f} | {several / exact:.2f}"
        lines.append(f"| {method} | {one:.2f} | {several:.2f} | {ratios} |")
    errors = np.concatenate(list(found["errors_over_std_error"].values()))
    lines += [
        "",
        "By arithmetic, VJPs of each embedding over those of the last: "
        f"{found['sum_of_depths_over_one']:.2f}.",
        "",
        f"Projection's standard error: {found['std_error']:.2f} nats; root mean square of "
        f"{len(errors)} errors over it: {np.sqrt(np.square(errors).mean()):.2f}, the largest "
        f"{np.abs(errors).max():.2f}.",
    ]
    return "\n".join(lines)
