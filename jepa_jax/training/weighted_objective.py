"""A training objective: named terms of the embeddings, each with a weight."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jepa_jax.training import objectives

TermFunction = Callable[[Float[Array, "v n k"], PRNGKeyArray], Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class Weight:
    """A weight that goes from `start` to `end` in equal ratios over the training.

    Raises `ValueError` where one of two different ends is not positive.

    >>> from jepa_jax.training.weighted_objective import Weight
    >>> round(float(Weight(1e-4, 1.0).at(0.5)), 6)
    0.01
    """

    start: float
    end: float

    def __post_init__(self):
        if self.start != self.end and min(self.start, self.end) <= 0:
            raise ValueError(
                f"a weight that changes must be positive, got {self.start} to {self.end}"
            )

    @classmethod
    def of(cls, value: "float | list[float] | Weight") -> "Weight":
        """A constant, or [start, end]."""
        if isinstance(value, Weight):
            return value
        if isinstance(value, (int, float)):
            return cls(value, value)
        if len(value) != 2:
            raise ValueError(f"`weight` must be a number or [start, end], got {value}")
        return cls(*value)

    def at(self, progress: float | Float[Array, ""]) -> float | Float[Array, ""]:
        """The weight at a share, 0 to 1, of the training."""
        if self.start == self.end:
            return self.start
        return self.start * (self.end / self.start) ** progress


@dataclasses.dataclass(frozen=True)
class Term:
    """`weight` times a `function` of the views' embeddings (V, N, K) and a key."""

    function: TermFunction
    weight: Weight


Objective = Mapping[str, Term]


def evaluate(
    objective: Objective,
    embeddings: Float[Array, "v n k"],
    key: PRNGKeyArray,
    progress: float | Float[Array, ""] = 1.0,
) -> dict[str, Float[Array, ""]]:
    """`total`, the weighted sum at this share of the training, and every term by its name.

    All terms get the same `key`.

    >>> import jax, jax.numpy as jnp
    >>> from jepa_jax.training.weighted_objective import (evaluate, make_objective)
    >>> objective = make_objective({"invariance": {"weight": 2.0}})
    >>> z = jnp.array([[[0.0]], [[2.0]]])
    >>> {name: float(value) for name, value in evaluate(objective, z, jax.random.key(0)).items()}
    {'total': 2.0, 'invariance': 1.0}
    """
    terms = {name: term.function(embeddings, key) for name, term in objective.items()}
    total = sum(
        (term.weight.at(progress) * terms[name] for name, term in objective.items()),
        start=jnp.zeros((), embeddings.dtype),
    )
    return {"total": total, **terms}


def each_view(function: Callable[..., Float[Array, ""]], **settings) -> TermFunction:
    """The mean of a statistic of each view's batch alone, whose rows are independent.

    `function(embeddings (N, K), key, **settings)`; every view gets the same key.
    """

    def term(embeddings: Float[Array, "v n k"], key: PRNGKeyArray) -> Float[Array, ""]:
        return jax.vmap(lambda view: function(view, key, **settings))(embeddings).mean()

    return term


def _keyless(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda embeddings, key, **settings: function(embeddings, **settings)


TERMS: Mapping[str, Callable[..., TermFunction]] = {
    "invariance": lambda: lambda embeddings, key: objectives.invariance(embeddings),
    "sigreg": functools.partial(each_view, objectives.sigreg),
    "vicreg": functools.partial(each_view, _keyless(objectives.vicreg)),
    "uniformity": functools.partial(each_view, _keyless(objectives.uniformity)),
}


def make_objective(terms: Mapping[str, Mapping]) -> Objective:
    """Terms by name, each with its `weight` and the settings of its function.

    Raises `ValueError` on an unknown term or setting, naming the known ones, and where there is no
    term.
    """
    if not terms:
        raise ValueError(f"an objective must have a term of {', '.join(TERMS)}; got none")
    made = {}
    for name, settings in terms.items():
        if name not in TERMS:
            raise ValueError(f"an objective's terms must be of {', '.join(TERMS)}; got {name!r}")
        settings = dict(settings)
        weight = Weight.of(settings.pop("weight", 1.0))
        known = _settings_of(name)
        if unknown := settings.keys() - known:
            raise ValueError(
                f"`{name}` has the settings weight, {', '.join(sorted(known))}; "
                f"got {', '.join(sorted(unknown))}"
            )
        made[name] = Term(TERMS[name](**settings), weight)
    return made


def _settings_of(term: str) -> set[str]:
    import inspect

    parameters = inspect.signature(getattr(objectives, term)).parameters.values()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
