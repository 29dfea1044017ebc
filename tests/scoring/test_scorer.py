"""Scores in memory: the same whatever the batch, compiled once a size."""

import chex
import jax
import numpy as np
import pytest

from jepa_jax import Exact, Scorer, jacobian

pytestmark = pytest.mark.usefixtures("compiled_as_ever")


def images_of(encoder, count, size=None):
    size = size or encoder.image_size
    return np.random.default_rng(0).standard_normal((count, size, size, 3)).astype(np.float32)


def test_scores_are_those_of_the_dense_jacobian(encoder, scorer):
    images = images_of(encoder, 4)
    scores = scorer.score(images)

    @jax.jit
    def of_one(state, image):
        operator = jacobian(lambda x: encoder.embed(state, x), image)
        return operator.dense(), operator.value

    for i, image in enumerate(images):
        dense, embedding = of_one(encoder.state, image)
        sigma = np.linalg.svd(np.asarray(dense, np.float64), compute_uv=False)
        # The last two are the final LayerNorm's null directions.
        np.testing.assert_allclose(scores.jepa_score[i], np.log(sigma[:62]).sum(), atol=2e-3)
        np.testing.assert_allclose(scores.embedding[i], embedding, atol=1e-5)
    assert scores.rank.tolist() == [62] * 4
    assert scores.std_error.tolist() == [0] * 4
    assert scores.singular_values is None


@pytest.mark.parametrize("settings", [{"batch_size": 1}, {"batch_size": 8}, {"chunk": 5}, {}])
def test_the_batch_and_the_chunk_do_not_matter(encoder, scorer, settings):
    images = images_of(encoder, 10)
    reference = scorer.score(images).jepa_score  # Batches of 4: the last one is filled up.
    other = Scorer(encoder, Exact(), **settings).score(images).jepa_score
    # Rounding of sums of 62 logs of about 5; a neighbour's influence would be far larger.
    np.testing.assert_allclose(other, reference, atol=2e-4)


def test_order_does_not_matter(encoder, scorer):
    images = images_of(encoder, 7)
    order = np.random.default_rng(1).permutation(7)
    np.testing.assert_allclose(
        scorer.score(images[order]).jepa_score, scorer.score(images).jepa_score[order], atol=2e-4
    )


def test_compiles_once_a_size(encoder, monkeypatch):
    scorer = Scorer(encoder, Exact(), batch_size=4)
    counted = chex.assert_max_traces(scorer._estimate, n=2)
    scorer._compiled = jax.jit(counted, static_argnums=4)
    for count in (1, 9, 4, 6):
        scorer.score(images_of(encoder, count))
    scorer.score(images_of(encoder, 3, encoder.image_size + encoder.config.patch_size))
    scorer.score(images_of(encoder, 1))


def test_no_images_and_spectra(encoder, scorer):
    nothing = scorer.score(images_of(encoder, 0))
    assert nothing.jepa_score.shape == (0,)
    assert nothing.embedding.shape == (0, 64)
    spectral = Scorer(encoder, Exact(spectrum=True)).score(images_of(encoder, 2))
    np.testing.assert_allclose(
        np.log(spectral.singular_values).sum(1), spectral.jepa_score, atol=2e-3
    )


def test_parameters_are_arguments_of_the_program(encoder, scorer):
    text = (
        jax.jit(scorer._estimate, static_argnums=4)
        .lower(
            encoder.state, None, images_of(encoder, 1), jax.random.split(jax.random.key(0), 1), 8
        )
        .as_text()
    )
    # A layer's 64 x 64 weights as a constant would be 8 digits an entry.
    assert "dense_resource" not in text
    assert max(len(line) for line in text.splitlines()) < 8 * 64 * 64


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((28, 28, 3), np.float32), r"shape \(N, height, width, 3\), got \(28, 28, 3\)"),
        (np.zeros((1, 28, 28, 1), np.float32), r"got \(1, 28, 28, 1\)"),
        (np.zeros((1, 28, 28, 3), np.uint8), "must be preprocessed floats .* got uint8"),
        (np.zeros((1, 30, 28, 3), np.float32), "multiples of the patch size 7, got 30 x 28"),
    ],
)
def test_errors_name_what_arrived(annotations_unchecked, scorer, images, message):
    with pytest.raises(ValueError, match=message):
        scorer.score(images)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "fp8"}, r"`precision` must be one of \('highest', 'tf32', .*got 'fp8'"),
        ({"precision": "half"}, "`precision` must be one of"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"chunk": 0}, "`chunk` must be at least 1, got 0"),
    ],
)
def test_settings_are_checked(annotations_unchecked, encoder, settings, message):
    with pytest.raises(ValueError, match=message):
        Scorer(encoder, Exact(), **settings)
