"""Which bases of a bidiagonalisation must be orthogonalised anew: both, the smaller side's, none.

Real spectra (tests/fixtures), random singular vectors, float32: what the quadrature of the score
moves by from that with both bases kept orthonormal, which costs memory for both sides.
"""

from pathlib import Path

import numpy as np

SPECTRA = Path(__file__).parents[2] / "tests" / "fixtures" / "spectra.npz"
NULL = 2  # The last values of every row: float32 noise in the null directions.
STEPS, STARTS = 100, 8


def random_basis(size: int, rng: np.random.Generator) -> np.ndarray:
    """A uniformly distributed orthogonal matrix."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return q * np.sign(np.diagonal(r))


def without(basis: list[np.ndarray], vector: np.ndarray) -> np.ndarray:
    """`vector` less its part within orthonormal vectors; twice, for what cancellation leaves."""
    rows = np.array(basis, np.float32)
    for _ in range(2):
        vector = vector - rows.T @ (rows @ vector)
    return vector


def quadrature(matrix: np.ndarray, start: np.ndarray, keep: tuple[bool, bool]) -> float:
    """n v^T log(sqrt(T^T T)) v by the Gauss rule of `STEPS` nodes, T = `matrix`.

    Golub and Kahan's recurrence in float32. `keep`: whether the vectors on T's right side, and on
    its left, are orthogonalised anew.
    """
    v = start / np.linalg.norm(start)
    u, beta = np.zeros(len(matrix), np.float32), np.float32(0)
    right, left, diagonal, above = [], [], [], []
    for _ in range(STEPS):
        right.append(v)
        u = matrix @ v - beta * u
        if keep[1] and left:
            u = without(left, u)
        alpha = np.linalg.norm(u)
        u = u / alpha
        left.append(u)
        v = matrix.T @ u - alpha * v
        if keep[0]:
            v = without(right, v)
        beta = np.linalg.norm(v)
        v = v / beta
        diagonal.append(alpha)
        above.append(beta)
    b = np.diag(np.array(diagonal, np.float64)) + np.diag(np.array(above[:-1], np.float64), 1)
    _, nodes, vectors = np.linalg.svd(b)
    return float(len(start) * (np.square(vectors[:, 0]) * np.log(nodes)).sum())


def run() -> dict:
    """For every spectrum: its condition, its score, and the largest moves over random starts."""
    rng = np.random.default_rng(0)
    rows = []
    with np.load(SPECTRA) as data:
        spectra = [(name, sigma[:-NULL]) for name in data for sigma in data[name]]
    for name, sigma in spectra:
        sigma = sigma.astype(np.float64)
        bases = random_basis(len(sigma), rng), random_basis(len(sigma), rng)
        matrix = (bases[0] * sigma @ bases[1]).astype(np.float32)
        starts = rng.standard_normal((STARTS, len(sigma))).astype(np.float32)
        found = {
            how: np.array([quadrature(matrix, start, keep) for start in starts])
            for how, keep in (
                ("both", (True, True)),
                ("one side", (True, False)),
                ("neither", (False, False)),
            )
        }
        rows.append(
            {
                "encoder": name,
                "condition": float(sigma[0] / sigma[-1]),
                "score": float(np.log(sigma).sum()),
                "quadrature": float(found["both"].mean()),
                "one_side_moves": float(abs(found["one side"] - found["both"]).max()),
                "neither_moves": float(abs(found["neither"] - found["both"]).max()),
            }
        )
        print(f"  {rows[-1]}", flush=True)
    return {"steps": STEPS, "starts": STARTS, "rows": rows}
