"""Every detector against its formula, on data whose answer is known."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, spearmanr

from jepa_jax.evaluation import (
    KNN,
    Column,
    ConditionalScore,
    CorrectedScore,
    EmbeddingNorm,
    Features,
    Flow,
    GaussianMixture,
    IsolationForest,
    Mahalanobis,
    PCAResidual,
    compare,
    cross_scores,
    default_detectors,
)


def images(embedding, **columns) -> Features:
    return Features(tuple(str(i) for i in range(len(embedding))), np.asarray(embedding), columns)


def scalars(**columns) -> Features:
    count = len(next(iter(columns.values())))
    return Features(tuple(str(i) for i in range(count)), None, columns)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_mahalanobis_is_its_formula(rng):
    reference, tested = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3)), rng.normal(size=(5, 3))
    found = Mahalanobis(shrinkage="none").fit(images(reference)).score(images(tested))
    centred = tested - reference.mean(0)
    inverse = np.linalg.inv(np.cov(reference.T, bias=True))
    expected = -np.einsum("ni,ij,nj->n", centred, inverse, centred)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    # An identity, what is shrunk towards, stays as it is.
    round_ = rng.normal(size=(4000, 3))
    shrunk = Mahalanobis().fit(images(round_)).score(images(tested))
    np.testing.assert_allclose(shrunk, -np.square(tested - round_.mean(0)).sum(1), rtol=0.1)


def test_mahalanobis_of_normalised_embeddings_does_not_see_their_length(rng):
    reference, tested = rng.normal(size=(300, 3)), rng.normal(size=(5, 3))
    fitted = Mahalanobis(normalized=True).fit(images(reference))
    found = fitted.score(images(tested))
    np.testing.assert_allclose(fitted.score(images(7 * tested)), found, rtol=1e-9)
    on_sphere = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (reference, tested)]
    plain = Mahalanobis().fit(images(on_sphere[0])).score(images(on_sphere[1]))
    np.testing.assert_allclose(found, plain, rtol=1e-9)
    assert np.isfinite(fitted.score(images(np.zeros((1, 3))))).all()


def test_a_score_given_the_kind_finds_what_is_odd_within_it(rng):
    """Two kinds of different scores: an image that is odd for its kind stands between them."""
    kind = np.repeat([[1.0, 0.0], [0.0, 1.0]], 100, axis=0)
    known = np.repeat([0.0, 100.0], 100) + rng.normal(size=200)
    reference = images(kind + 0.01 * rng.normal(size=kind.shape), jepa_score=known)
    tested = images([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], jepa_score=np.array([0.0, 100.0, 50.0]))
    typical, other, odd = ConditionalScore(k=50).fit(reference).score(tested)
    assert abs(typical) < 1
    assert abs(other) < 1
    assert odd < -20
    with pytest.raises(ValueError, match="needs at least 300 reference images, got 200"):
        ConditionalScore(k=300).fit(reference)
    for settings in ({"given": "size"}, {"k": 1}):
        with pytest.raises(ValueError, match="must be"):
            ConditionalScore(**settings)


def test_shrinkage_holds_with_fewer_images_than_dimensions(rng):
    """Without it, the distance of new images of the same distribution is out of all proportion."""
    seen, fresh = rng.normal(size=(50, 49)), rng.normal(size=(500, 49))
    ratio = {}
    for shrinkage in ("none", "ledoit-wolf"):
        fitted = Mahalanobis(shrinkage).fit(images(seen))
        ratio[shrinkage] = fitted.score(images(fresh)).mean() / fitted.score(images(seen)).mean()
    assert ratio["none"] > 30
    assert ratio["ledoit-wolf"] < 1.5


def test_knn_is_brute_force(rng):
    reference, tested = rng.normal(size=(40, 6)), rng.normal(size=(7, 6))
    unit = lambda z: z / np.linalg.norm(z, axis=1, keepdims=True)
    distance = 1 - unit(tested) @ unit(reference).T
    for k in (1, 5, 40):
        found = KNN(k).fit(images(reference)).score(images(tested))
        np.testing.assert_allclose(found, -np.sort(distance, axis=1)[:, k - 1], atol=1e-12)
    with pytest.raises(ValueError, match="needs at least 41 reference images, got 40"):
        KNN(41).fit(images(reference))


def test_pca_residual_is_the_distance_to_the_plane(rng):
    axes = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    plane = rng.normal(size=(400, 2)) @ axes[:2] + 7
    fitted = PCAResidual().fit(images(plane))
    off = plane[:3] + np.array([[0.5], [2.0], [0.0]]) * axes[2]
    np.testing.assert_allclose(fitted.score(images(off)), [-0.5, -2, 0], atol=1e-9)


def test_mixture_finds_the_modes_and_the_gap(rng):
    centres = np.array([[-5.0, 0, 0], [5, 0, 0]])
    reference = centres[rng.integers(2, size=600)] + rng.normal(size=(600, 3))
    fitted = GaussianMixture().fit(images(reference))
    tested = images([[-5.0, 0, 0], [5, 0, 0], [0, 0, 0]])
    left, right, gap = fitted.score(tested)
    assert min(left, right) > gap + 5
    # One Gaussian sees no gap: the centre of all is the most typical there.
    single = GaussianMixture(components=(1,)).fit(images(reference)).score(tested)
    assert single.argmax() == 2


def test_flow_is_a_log_density(rng):
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    reference, tested = (rng.multivariate_normal([3, 1], covariance, n) for n in (1000, 300))
    flow = Flow(layers=2, width=16, epochs=30, learning_rate=5e-3)
    found = flow.fit(images(reference)).score(images(tested))
    truth = multivariate_normal([3, 1], covariance).logpdf(tested)
    assert spearmanr(found, truth).statistic > 0.97
    # In whitened coordinates: the true density times the whitening's volume, sqrt(det S) = .6.
    assert abs((found - truth).mean() - np.log(0.6)) < 0.1


def test_isolation_forest(rng):
    reference = rng.normal(size=(300, 4))
    scores = IsolationForest().fit(images(reference)).score(images([[0.0] * 4, [6.0] * 4]))
    assert scores[0] > scores[1]
    assert ((scores >= -1) & (scores <= 0)).all()


def test_columns_and_sides():
    reference = scalars(jepa_score=np.array([1.0, 2.0, 30.0]))
    tested = scalars(jepa_score=np.array([0.0, 2.0, 5.0]))
    score = lambda detector: detector.fit(reference).score(tested).tolist()
    assert score(Column()) == [0, 2, 5]
    assert score(Column(two_sided=True)) == [-2, 0, -3]
    assert score(Column(descending=True)) == [0, -2, -5]
    fitted = Column().fit(reference)
    assert fitted.outlier_score(tested).tolist() == [0, -2, -5]
    with pytest.raises(ValueError, match=r"no column 'depth'; there are \['jepa_score'\]"):
        Column("depth").fit(reference)


def test_embedding_norm():
    reference, tested = images([[3.0, 4.0], [0, 6], [7, 0]]), images([[0.0, 1.0], [8, 6]])
    assert EmbeddingNorm().fit(reference).score(tested).tolist() == [1, 10]
    assert EmbeddingNorm(two_sided=True).fit(reference).score(tested).tolist() == [-5, -4]


def test_the_corrected_score_is_a_log_density(rng):
    """f(x) = x^3 + x elementwise, f(x) normal: log p(x) = sum log f' + log N(f(x))."""
    x = rng.normal(size=(2000, 2))
    z, slope = x**3 + x, 3 * x**2 + 1
    score = np.log(slope).sum(1)
    for mean, kind, tolerance in ((0, "normal", 1e-12), (2, "fitted", 0.15)):
        # Embeddings elsewhere, and normal there: only the fitted form knows where.
        embedded = 0.5 * rng.normal(size=(2000, 2)) + mean if kind == "fitted" else z
        reference = images(embedded, jepa_score=score)
        tested = images(z[:5] * (0.5 if kind == "fitted" else 1) + mean, jepa_score=score[:5])
        found = CorrectedScore(kind).fit(reference).score(tested)
        expected = score[:5] - np.square(z[:5]).sum(1) / 2
        # Of the squared distance, the fitted covariance errs by a few percent.
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=10 * tolerance)
    with pytest.raises(ValueError, match="must be one of"):
        CorrectedScore("uniform")


def test_cross_scores_see_no_image_twice(rng):
    """An exact copy is its own nearest neighbour only where it was fitted on."""
    set_ = images(rng.normal(size=(30, 4)))
    inside = KNN(1).fit(set_).score(set_)
    np.testing.assert_allclose(inside, 0, atol=1e-12)
    assert (cross_scores(KNN(1), set_) < -1e-3).all()
    with pytest.raises(ValueError, match=r"between 2 and 30 \(the images\), got 1"):
        cross_scores(KNN(1), set_, folds=1)


def drawn(rng, count: int, shift: float = 0.0) -> Features:
    """Correlated embeddings and columns, some of them heavy-tailed."""
    z = rng.normal(shift, 1, (count, 12)) @ np.linspace(0.2, 2, 144).reshape(12, 12)
    z += 0.3 * rng.standard_t(3, z.shape)
    columns = {n: rng.standard_t(3, count) + shift for n in ("jepa_score", "log_frobenius")}
    return images(z, **columns, bits_per_pixel=rng.gamma(2, size=count))


def test_the_same_distribution_twice_is_at_a_half_for_every_method(rng):
    small = Flow(layers=2, width=8, dimensions=4, epochs=10)
    detectors = (*default_detectors(flow=False), small)
    # Nineteen intervals at once: each at 1 - .05 / 19.
    found = compare(
        drawn(rng, 400),
        drawn(rng, 300),
        {"same": drawn(rng, 300)},
        detectors=detectors,
        confidence=1 - 0.05 / len(detectors),
    )
    assert len(found.methods) == len(detectors)
    for method in found.methods:
        low, high = method.assessments["same"].intervals["auroc"]
        assert low <= 0.5 <= high, method.name
        assert high - low < 0.2, method.name


def test_what_cannot_be_fitted_is_left_out_with_the_reason(rng):
    embedded, bare = images(rng.normal(size=(30, 3))), images(rng.normal(size=(30, 3)))
    found = compare(
        embedded,
        bare,
        {"far": images(rng.normal(5, 1, (30, 3)))},
        detectors=[Mahalanobis(), KNN(50), Column("jepa_score")],
    )
    assert [m.name for m in found.methods] == ["Mahalanobis, Ledoit-Wolf"]
    assert found.left_out == {
        "k-NN cosine, k = 50": "k-NN cosine, k = 50 needs at least 50 reference images, got 30",
        "JEPA-SCORE, one-sided": "no set has jepa_score",
    }
    record = found.record()
    assert record["methods"][0]["outliers"]["far"]["auroc"]["value"] > 0.99
    with pytest.raises(ValueError, match="must have names of their own"):
        compare(embedded, bare, {"inliers": bare})
    with pytest.raises(ValueError, match="the set 'far' is empty"):
        compare(embedded, bare, {"far": bare.take([])})


def test_features_must_fit_together(rng):
    with pytest.raises(ValueError, match="`jepa_score` must have one row for each of 2 ids"):
        Features(("a", "b"), None, {"jepa_score": np.zeros(3)})
    with pytest.raises(ValueError, match="`embedding` must be finite"):
        Features(("a",), np.array([[np.inf]]))
