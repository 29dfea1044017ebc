"""Calibrations of an encoder: measured as the scorer scores, saved, refused, chosen from."""

import json

import jax
import numpy as np
import pytest
from streams import records

from jepa_jax import Exact, Lanczos, Scorer, load_encoder
from jepa_jax.calibration import batches, calibrate, load_calibration, measuring
from jepa_jax.encoders.encoder_jacobian import jacobian_of
from jepa_jax.estimators.sketch.measurement import Measurement
from jepa_jax.scoring.rows import Prepared


def exact_scores(scorer, encoder, ids):
    by_id = {r.id: r for r in records(70)}
    images = np.stack([encoder.preprocess(by_id[i].load()) for i in ids])
    return scorer.score(images).jepa_score


def test_measures_the_exact_scores_of_images_over_the_whole_source(calibration, encoder, scorer):
    ids = calibration.facts["ids"]
    assert len(ids) == len(set(ids)) == 40 - calibration.facts["passed_over"]
    assert ids[0] == "image-000"
    assert ids[-1] > "image-066"
    found = calibration.samples.measured.score
    np.testing.assert_allclose(found, exact_scores(scorer, encoder, ids), atol=5e-4)
    assert calibration.samples.rank == 62


def test_a_sketch_scores_new_images_within_its_error(calibration, encoder, scorer):
    sketch = calibration.sketch(encoder, 16)
    held_out = [
        f"image-{i:03d}" for i in range(70) if f"image-{i:03d}" not in calibration.facts["ids"]
    ]
    images = np.stack([encoder.preprocess(r.load()) for r in records(70) if r.id in held_out])
    scores = Scorer(encoder, sketch, batch_size=4).score(images)
    residuals = scores.jepa_score - scorer.score(images).jepa_score
    fit = calibration.samples.fit(16)
    assert np.sqrt(np.mean(residuals**2)) < 0.1 * np.std(fit.scores)
    # These images were not drawn like the calibration's: the errors hold but for a factor.
    assert scores.std_error is not None
    assert scores.flagged is not None
    assert np.mean(np.abs(residuals) < 3 * scores.std_error) > 0.7
    assert scores.flagged.dtype == bool
    assert scores.rank.tolist() == [62] * len(images)
    alone = Scorer(encoder, sketch, batch_size=1).score(images[:2])
    np.testing.assert_allclose(alone.jepa_score, scores.jepa_score[:2], atol=2e-3)


def test_the_score_of_a_sketch_has_its_derivative_in_the_image(calibration, encoder):
    """Its covariates among it: that of differences in float64."""
    image = encoder.preprocess(records(70)[7].load())

    def score(sketch, state, image):
        return sketch(jacobian_of(encoder, state, image)).log_volume

    sketch = calibration.sketch(encoder, 4)
    gradient = jax.jit(jax.grad(score, argnums=2))(sketch, encoder.state, image)
    direction = np.random.default_rng(0).standard_normal(image.shape) / np.sqrt(image.size)
    with jax.enable_x64(True):
        run = jax.jit(score)
        wide = jax.tree.map(lambda a: a.astype(np.float64), (sketch, encoder.state))
        up, down = (float(run(*wide, image + sign * 1e-4 * direction)) for sign in (1, -1))
    # Of a gradient in float32 whose largest components are 10.
    expected = (up - down) / 2e-4
    assert np.vdot(gradient, direction) == pytest.approx(expected, abs=1e-3)


def test_saved_and_loaded_it_is_the_same(calibration, encoder, tmp_path):
    calibration.save(tmp_path / "c")
    again = load_calibration(tmp_path / "c")
    assert again.fingerprint == calibration.fingerprint
    assert again.facts == json.loads(json.dumps(calibration.facts))
    one, two = calibration.samples.fit(9), again.samples.fit(9)
    np.testing.assert_array_equal(one.predictions, two.predictions)
    assert again.sketch(encoder, 9).cost(64, 1) == (9.0, 0.0)


def test_it_is_refused_for_anything_else(calibration, encoder):
    other = load_encoder("embedded", embedding="mean")
    with pytest.raises(ValueError, match="embedding: 'cls' in the calibration, 'mean' now"):
        calibration.sketch(other, 8)
    larger = load_encoder("embedded", image_size=2 * encoder.image_size)
    with pytest.raises(ValueError, match="image_size: 28 in the calibration, 56 now"):
        calibration.sketch(larger, 8)
    with pytest.raises(ValueError, match="precision: 'highest' in the calibration, 'tf32' now"):
        calibration.check(encoder, "tf32")
    with pytest.raises(ValueError, match="`cotangents` must be at most 31, as many were measured"):
        calibration.sketch(encoder, 32)


def test_chooses_the_cheapest_that_reaches_the_target(calibration):
    candidates = calibration.candidates()
    seconds = [c.seconds for c in candidates]
    assert seconds == sorted(seconds)
    exact = next(c for c in candidates if c.name == "exact")
    sketch = next(c for c in candidates if c.name == "sketch, 24 cotangents")
    own = calibration.facts["seconds_of_covariates"]
    assert own > 0
    assert sketch.seconds == pytest.approx(exact.seconds * 24 / 62 + own)
    names = {c.name for c in candidates}
    assert {"exact", "lanczos", "hutchinson", "sketch, 24 cotangents"} <= names
    lanczos = next(c for c in candidates if c.name == "lanczos")
    # 20 steps and 4 probes: one VJP and one JVP each.
    assert lanczos.cost == 80 * 2.5
    assert isinstance(lanczos.estimator(), Lanczos)
    for target in (0.5, 0.9, 0.99):
        chosen = calibration.choose(target)
        assert chosen.spearman >= target
        # Times within their error are equal, at most half as long again.
        assert all(c.spearman < target for c in candidates if 1.5 * c.seconds < chosen.seconds)
    assert isinstance(calibration.choose(1).estimator(), Exact)
    with pytest.raises(ValueError, match=r"`target_spearman` must be in \(0, 1\], got 1.5"):
        calibration.choose(1.5)


def test_the_compared_random_methods_are_close_to_the_real_ones(calibration, encoder):
    """On the square root of J J^T they see the singular values that they see on J."""
    ids = calibration.facts["ids"][:6]
    by_id = {r.id: r for r in records(70)}
    images = np.stack([encoder.preprocess(by_id[i].load()) for i in ids])
    real = Scorer(encoder, Lanczos()).score(images)
    compared = calibration.samples.measured.others["lanczos"][:6]
    assert np.abs(real.jepa_score - compared).max() < 6 * real.std_error.max()


def test_errors(calibration, encoder, tmp_path):
    with pytest.raises(ValueError, match="`images` must be at least 16, got 3"):
        calibrate(encoder, records(70), images=3)
    with pytest.raises(ValueError, match="at least 16 images, records has 10"):
        calibrate(encoder, records(10, broken=tuple(range(10)), log=(read := [])), images=20)
    assert not read  # Before anything is scored.
    with pytest.raises(ValueError, match="at least 16 images, records gave 15"):
        calibrate(encoder, records(16, broken=(1,)), images=20, batch_size=4)
    with pytest.raises(FileNotFoundError, match=r"no calibration\.safetensors"):
        load_calibration(tmp_path)
    calibration.save(tmp_path)
    content = json.loads((tmp_path / "calibration.json").read_text())
    content["locked"]["image_size"] = 99
    (tmp_path / "calibration.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="do not belong together"):
        load_calibration(tmp_path)
    (tmp_path / "calibration.json").write_text("{")
    with pytest.raises(ValueError, match="is not a readable calibration"):
        load_calibration(tmp_path)


def test_at_another_precision_what_is_measured_is_that_precisions_own(calibration, encoder):
    """Exact scores are float32's; sketches and covariates are as a score will find them."""
    other = calibrate(encoder, records(70, broken=(4,)), images=40, precision="bf16")
    plain, found = calibration.samples.measured, other.samples.measured
    np.testing.assert_array_equal(calibration.samples.cotangents, other.samples.cotangents)
    np.testing.assert_array_equal(plain.score, found.score)
    squares = [m.sketch @ m.sketch.transpose(0, 2, 1) for m in (plain, found)]
    for one, two in [squares, (plain.covariates["tokens"], found.covariates["tokens"])]:
        difference = np.abs(two - one).max() / np.abs(one).max()
        assert 1e-4 < difference < 0.05  # Products of 8 bits.
    assert other.locked["precision"] == "bf16"
    scored = Scorer(encoder, other.sketch(encoder, 12, "bf16"), precision="bf16", batch_size=8)
    images = np.stack(
        [encoder.preprocess(r.load()) for r in records(70) if r.id == other.facts["ids"][0]]
    )
    assert abs(scored.score(images).jepa_score[0] - found.score[0]) < 30


def test_inputs_of_several_sizes_are_measured_in_batches_of_one(encoder, monkeypatch):
    measured = []

    class Measuring(batches.Measuring):
        """Each score is the image's first value."""

        def __call__(self, names, images):
            measured.append((images.shape[1:3], names))
            scores, n = images[:, 0, 0, 0], len(images)
            return Measurement(scores, np.eye(64)[None].repeat(n, 0), {}, {}), 62

        def until_timed(self):
            return [(1.0, 1.0)]

    def prepared(record, *args, **settings):
        number = int(record.id.removeprefix("image-"))
        side = 28 + 7 * (number % 3)
        return Prepared(record, [np.full((28, side, 3), number, np.float32)])

    monkeypatch.setattr(measuring, "Measuring", Measuring)
    monkeypatch.setattr(batches, "prepare", prepared)
    monkeypatch.setattr(batches, "MOST_SIZES", 2)
    found = calibrate(encoder, records(36), images=36, batch_size=5)
    sizes = {name: size for size, names in measured for name in names}
    assert sizes == {f"image-{i:03d}": (28, 28 + 7 * (i % 3)) for i in range(36) if i % 3 < 2}
    assert max(len(names) for _, names in measured) == 5
    assert found.facts["ids"] == [name for _, names in measured for name in names]
    expected = [int(name.removeprefix("image-")) for name in found.facts["ids"]]
    assert found.samples.measured.score.tolist() == expected
    assert found.facts["passed_over"] == 12
