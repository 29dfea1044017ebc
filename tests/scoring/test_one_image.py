"""One image by itself: its score is that of a run, and `seen` is what the encoder was given."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jepa_jax import Exact, Lanczos, Scorer, load_encoder
from jepa_jax.scoring import score_one
from jepa_jax.scoring.one_image import can_have_patches, seen


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photo")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 28, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    return folder / "a.png"


@pytest.fixture(scope="module")
def scorer():
    return Scorer(load_encoder("embedded"), Exact(shares=True), batch_size=1)


def test_it_is_the_row_of_a_run(photo, scorer, tmp_path):
    found = score_one(scorer, photo, patches=True)
    scorer.run(photo.parent, tmp_path / "scores", store=("embedding", "image", "patches"))
    (row,) = pq.read_table(tmp_path / "scores").to_pylist()
    assert found.status == row["status"] == "ok"
    assert found.jepa_score == row["jepa_score"]  # The same program, bit for bit.
    assert found.rank == row["rank"] == 62
    np.testing.assert_array_equal(found.embedding, np.float32(row["embedding"]))
    np.testing.assert_array_equal(found.patch_shares.astype(np.float16), row["patches"])
    assert {name: row[name] for name in ("width", "height")} == {"width": 28, "height": 40}
    for name, value in found.facts.items():
        assert row[name] == pytest.approx(value, rel=1e-6)


def test_what_is_seen_is_the_image_as_it_was_cropped():
    encoder = load_encoder("embedded")
    side = encoder.image_size
    pixels = np.random.default_rng(1).integers(0, 256, (side, side), np.uint8)
    found = seen(encoder, encoder.preprocess(Image.fromarray(pixels)))
    assert found.shape == (side, side, 3)
    np.testing.assert_array_equal(found, np.repeat(pixels[..., None], 3, -1))


def test_an_image_that_cannot_be_read_is_a_status(scorer, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    found = score_one(scorer, broken, patches=True)
    assert (found.status, found.jepa_score, found.patch_shares) == ("unreadable", None, None)
    assert "UnreadableImage" in found.error


def test_what_is_not_one_image_and_what_has_no_patches_is_refused(scorer, photo):
    with pytest.raises(ValueError, match="must be one image"):
        score_one(scorer, [photo, photo.parent / "other.png"])
    lanczos = Scorer(scorer.encoder, Lanczos(), batch_size=1)
    assert can_have_patches(scorer)
    assert not can_have_patches(lanczos)
    assert not can_have_patches(scorer, views=2)
    with pytest.raises(ValueError, match="got lanczos"):
        score_one(lanczos, photo, patches=True)
    several = Scorer(load_encoder("embedded", embedding="cls@1,cls"), Exact(), batch_size=1)
    with pytest.raises(ValueError, match="one embedding rule"):
        score_one(several, photo)
