"""Published rivals, on any `Jacobian`: each an idea of its own, at the settings of its paper."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import matfree.decomp
import matfree.funm
import matfree.stochtrace

from benchmarks.frontier.baselines import Baseline
from jepa_jax import Lanczos, linalg
from jepa_jax.estimators.estimate import JVP_COST
from jepa_jax.estimators.narrow import dot, narrow
from jepa_jax.estimators.probes import draw
from jepa_jax.jacobian_operator import Jacobian, jacobian

PAIR = 1 + JVP_COST


def rivals(live: int) -> list[Baseline]:
    """All of them, for so many live dimensions."""
    found = []
    for values in (9, 64):
        count = values + 2
        found.append(
            Baseline(
                "randomised SVD, top values",
                f"k = {values}, 2 more, 2 power iterations",
                3 * count * PAIR,
                lambda j, key, values=values: top_values(j, key, values, 2, 2),
            )
        )
    for rank, steps in ((10, 20), (40, 20)):
        found.append(
            Baseline(
                "Lanczos, Nystrom-preconditioned",
                f"rank {rank}, {steps} steps, 1 probe",
                (rank + steps) * PAIR,
                lambda j, key, how=(rank, steps): preconditioned(j, key, *how),
            )
        )
    traces = {"XTrace": 12, "XNysTrace": 6}
    for name, products in traces.items():
        found.append(
            Baseline(
                f"matfree, leave-one-out {name}",
                "30 steps, 6 samples",
                30 * products * PAIR,
                lambda j, key, name=name: leave_one_out(j, key, name, 30, 6),
            )
        )
    found.append(
        Baseline(
            "Hutch++ on the log",
            "30 steps, 12 products",
            30 * 12 * PAIR,
            lambda j, key: hutch_plus_plus(j, key, 30, 4),
        )
    )
    for count in (24, 48, 96, 191):
        found.append(
            Baseline(
                "scaling law of leading minors",
                f"p = {count}",
                count,
                lambda j, key, count=count: minors(j, key, count),
            )
        )
    found.append(
        Baseline("two moments, upper bound", "exact moments", live, lambda j, key: moments(j)[1])
    )
    found.append(
        Baseline(
            "two moments, middle of the bounds",
            "exact moments, floor 1e-4",
            live,
            lambda j, key: sum(moments(j)) / 2,
        )
    )
    return found


def top_values(j: Jacobian, key: jax.Array, values: int, more: int, powers: int) -> jax.Array:
    """The sum of the logs of the top singular values by a randomised SVD (arXiv 2605.24631)."""
    start = jax.random.normal(key, (values + more, j.shape[1]))
    q = linalg.qr(j.columns(start).T)[0]
    for _ in range(powers):
        q = linalg.qr(j.columns(j.rows(q.T)).T)[0]
    return jnp.log(linalg.svdvals(j.rows(q.T))[:values]).sum()


def preconditioned(j: Jacobian, key: jax.Array, rank: int, steps: int) -> jax.Array:
    """1/2 logdet P + 1/2 tr log(P^-1/2 G P^-1/2), one probe, P = Nystrom's + mu I (2601.05778).

    mu is the smallest of Nystrom's eigenvalues.
    """
    operator, basis = narrow(j), j.live_basis()
    first, second = jax.random.split(key)
    start = linalg.qr(jax.random.normal(first, (operator.size, rank)))[0]
    image = operator.gram(start.T).T
    core = linalg.cholesky(dot(start.T, image) + 1e-6 * jnp.trace(image.T @ start) * jnp.eye(rank))
    factor = linalg.lower_solve(core, image.T).T
    values, vectors = linalg.eigh(dot(factor.T, factor))
    u = dot(factor, vectors) / jnp.sqrt(values)[None]
    least = values[0]
    scale = jnp.sqrt(least / (values + least))
    half = lambda x: (x - dot(u, ((1 - scale) * (u.T @ x))[:, None])[:, 0]) / jnp.sqrt(least)
    whitened = jacobian(lambda x: half(basis.T @ j.columns(x[None])[0]), jnp.zeros(j.shape[1]))
    log_p = jnp.log(values + least).sum() + (operator.size - rank) * jnp.log(least)
    return log_p / 2 + Lanczos(steps, 1)(whitened, second).log_volume


def _log_of(j: Jacobian, steps: int) -> tuple[int, Callable[[jax.Array], jax.Array]]:
    """v -> 1/2 log(G) v on the live dimensions, by matfree's Lanczos steps."""
    operator = narrow(j)
    dense = matfree.funm.dense_funm_sym_eigh(lambda x: jnp.log(jnp.maximum(x, 1e-12)) / 2)
    product = matfree.funm.funm_lanczos_sym(dense, matfree.decomp.tridiag_sym(steps))
    return operator.size, lambda v: product(lambda w: operator.gram(w[None])[0], v)


def leave_one_out(j: Jacobian, key: jax.Array, name: str, steps: int, samples: int) -> jax.Array:
    """matfree's leave-one-out estimates through its public functions.

    XNysTrace needs a positive operator: log h - 1/2 log G, with h^2 twice G's estimated trace.
    """
    size, log = _log_of(j, steps)
    sampler = matfree.stochtrace.sampler_sphere(jnp.zeros(size), num=samples)
    if name == "XTrace":
        integrand = matfree.stochtrace.leave_one_out_xtrace()
        return matfree.stochtrace.estimator_leave_one_out(integrand, sampler)(log, key)
    squares = jnp.square(narrow(j).apply(draw(key, "sphere", samples, size, jnp.float32)))
    shift = jnp.log(2 * squares.sum() / samples) / 2
    integrand = matfree.stochtrace.leave_one_out_xnystrace()
    estimate = matfree.stochtrace.estimator_leave_one_out(integrand, sampler)
    return size * shift - estimate(lambda v: shift * v - log(v), key)


def hutch_plus_plus(j: Jacobian, key: jax.Array, steps: int, count: int) -> jax.Array:
    """The trace on the space of `count` images, and Hutchinson's of the rest (2606.07004)."""
    size, log = _log_of(j, steps)
    many = jax.vmap(log)
    first, second = jax.random.split(key)
    q = linalg.qr(many(draw(first, "rademacher", count, size, jnp.float32)).T)[0]
    rest = draw(second, "rademacher", count, size, jnp.float32)
    rest = rest - dot(dot(rest, q), q.T)
    return jnp.sum(many(q.T) * q.T) + jnp.sum(many(rest) * rest) / count


def minors(j: Jacobian, key: jax.Array, count: int) -> jax.Array:
    """Log-determinants of leading minors of growing size, extrapolated (arXiv 2503.04424).

    In a random basis the k-th pivot is what a row adds to the k - 1 before it; a line in log k,
    fitted to the logs of the pivots from the fourth on, gives those of the rows not taken.
    """
    size = j.live
    omega = linalg.qr(jax.random.normal(key, (size, count)))[0]
    rows = j.rows(dot(j.live_basis(), omega).T)
    pivots = jnp.log(jnp.abs(jnp.diagonal(linalg.qr_r(rows.T))))
    at = jnp.log(jnp.arange(1.0, size + 1))
    x, y = at[3:count], pivots[3:]
    slope = jnp.sum((x - x.mean()) * (y - y.mean())) / jnp.sum(jnp.square(x - x.mean()))
    return pivots.sum() + (y.mean() + slope * (at[count:] - x.mean())).sum()


def moments(j: Jacobian, floor: float = 1e-4) -> tuple[jax.Array, jax.Array]:
    """Bounds of the score from tr G and tr G^2, sigma in [floor, 1] times |J|_F (2601.12612).

    Bai and Golub's of 1996, which two moments attain; both moments exact.
    """
    rows = j.rows(j.live_basis().T)
    gram = jnp.matmul(rows, rows.T, precision=jax.lax.Precision.HIGHEST)
    size, first, second = len(gram), jnp.trace(gram), jnp.square(gram).sum()

    def bound(node: jax.Array) -> jax.Array:
        other = (node * first - second) / (node * size - first)
        matrix = jnp.array([[node, other], [node**2, other**2]])
        weights = linalg.inv(matrix / first) @ jnp.stack([first, second]) / first
        return (weights[0] * jnp.log(node) + weights[1] * jnp.log(other)) / 2

    return bound(floor**2 * first), bound(first)


def run(data, nulls, inside: str) -> list:
    """A row for each."""
    from benchmarks.frontier import methods
    from benchmarks.frontier.metrics import assess
    from benchmarks.frontier.rows import row

    matrices, scores, groups = data
    live = matrices.shape[1] - nulls.shape[2]
    rows = []
    for method, setting, price, score in rivals(live):
        values = methods.scores(score, matrices, nulls, 1)
        rows.append(row(method, setting, price, live, assess(values, scores, groups, inside)))
        print(f"  {rows[-1].line()}", flush=True)
    return rows
