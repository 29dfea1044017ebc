"""What a few rows know of a spectrum where singular vectors are random.

A Jacobian with uniformly distributed left singular vectors, independent of its spectrum: all that p
fixed rows know of the spectrum is in the singular values of Omega J, so that the best predictor of
the score is a function of these. Here the package's ridge regression with 128 calibration images
stands beside a kernel ridge regression with thousands of simulated ones, real spectra with fresh
singular vectors: what the latter leaves is an indication of what there is not to be had.
"""

from pathlib import Path

import numpy as np

from benchmarks.frontier.metrics import assess
from benchmarks.frontier.spectra import NULL
from jepa_jax import SketchSamples
from jepa_jax.estimators.sketch.measurement import Measurement

INSIDE = "cifar10"
FILE = "spectra_dinov2_vits14.npz"
COUNTS = (12, 24, 48, 96)
CALIBRATION, SIMULATED, REPEATS = 128, 6000, 5
WIDTHS, PENALTIES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2), (1e-4, 1e-3, 1e-2, 1e-1)


def sketches(spectra: np.ndarray, p: int, rng: np.random.Generator) -> np.ndarray:
    """(n, p, p) triangular L with L L^T = Omega J J^T Omega^T, fresh singular vectors each."""
    found = []
    for sigma in spectra:
        rows = np.linalg.qr(rng.standard_normal((len(sigma), p)))[0].T * sigma
        found.append(np.asarray(np.linalg.qr(rows.T, mode="r")).T)
    return np.stack(found)


def features(sketch: np.ndarray) -> np.ndarray:
    """As in `jepa_jax.estimators.sketch.spectrum`."""
    squares = np.square(np.linalg.svd(sketch, compute_uv=False))
    return np.log(np.concatenate([squares, squares.sum(1, keepdims=True)], axis=1))


def kernel_predictor(x: np.ndarray, y: np.ndarray, rng: np.random.Generator):
    """Kernel ridge regression, its width and penalty chosen on a sixth of the data."""
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.preprocessing import StandardScaler

    scaler, mean, spread = StandardScaler().fit(x), y.mean(), y.std()
    z, target = scaler.transform(x), (y - mean) / spread
    order = rng.permutation(len(y))
    held, rest = order[: len(y) // 6], order[len(y) // 6 :]

    def fitted(width: float, penalty: float, on: np.ndarray):
        return KernelRidge(kernel="rbf", gamma=width, alpha=penalty).fit(z[on], target[on])

    def loss(setting: tuple[float, float]) -> float:
        return np.square(fitted(*setting, rest).predict(z[held]) - target[held]).mean()

    best = min(((w, a) for w in WIDTHS for a in PENALTIES), key=loss)
    model = fitted(*best, order)
    return lambda new: model.predict(scaler.transform(new)) * spread + mean


def run(folder: Path) -> dict:
    """Errors of both on images in distribution, for every p."""
    with np.load(folder / FILE) as data:
        groups = {name: data[name][:, :-NULL].astype(np.float64) for name in data}
    rng = np.random.default_rng(0)
    inside = rng.permutation(groups[INSIDE])
    test, others = inside[:100], [v for name, v in groups.items() if name != INSIDE]
    known = np.concatenate([inside[100:], *others])
    live = known.shape[1]
    exact = np.log(test).sum(1)
    rows = []
    for p in COUNTS:
        chosen = rng.permutation(len(known))[:CALIBRATION]
        measured = Measurement(np.log(known[chosen]).sum(1), sketches(known[chosen], p, rng), {})
        calibration = SketchSamples(np.eye(p, live), measured, live).fit(p).calibration
        drawn = known[rng.integers(0, len(known), SIMULATED)]
        kernel = kernel_predictor(features(sketches(drawn, p, rng)), np.log(drawn).sum(1), rng)

        def ridge(x: np.ndarray, c=calibration) -> np.ndarray:
            a = (x - np.asarray(c.centres["spectrum"])) * np.asarray(c.scales["spectrum"])
            return float(c.offset) + a @ np.asarray(c.coefficients, np.float64)

        new = [features(sketches(test, p, rng)) for _ in range(REPEATS)]
        for method, images, predict in (
            ("ridge, the package's", CALIBRATION, ridge),
            ("kernel ridge", SIMULATED, kernel),
        ):
            each = [assess(predict(x), exact, np.repeat(INSIDE, len(exact)), INSIDE) for x in new]
            mean = {key: float(np.mean([e[key] for e in each])) for key in ("sd_share", "spearman")}
            rows.append({"p": p, "speedup": live / p, "method": method, "images": images} | mean)
            print("  ", rows[-1], flush=True)
    facts = {"live": live, "test": len(test), "repeats": REPEATS, "simulated": SIMULATED}
    return facts | {"rows": rows}
