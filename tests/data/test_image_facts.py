"""Facts of images whose grey levels are known."""

import imagehash
import numpy as np
import pytest
from PIL import Image

from jepa_jax.data.image_facts import image_facts


def facts_of(levels):
    return image_facts(Image.fromarray(np.asarray(levels, np.uint8)).convert("RGB"))


def test_light_contrast_and_sharpness_of_an_edge():
    levels = np.zeros((10, 8))
    levels[:, 4:] = 200
    found = facts_of(levels)
    assert (found["width"], found["height"]) == (8, 10)
    assert (found["brightness"], found["contrast"]) == (100, 100)
    # The Laplacian is 200 and -200 on either side of the edge, a quarter of the pixels.
    assert found["sharpness"] == 200**2 / 4


def test_sharpness_falls_with_blur_and_does_not_depend_on_how_often_the_image_is_tiled():
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (64, 64), np.uint8))
    soft = image.resize((32, 32)).resize((64, 64))
    assert image_facts(soft)["sharpness"] < image_facts(image)["sharpness"] / 4


def test_a_large_image_is_measured_at_the_scale_of_a_small_one():
    small = np.kron(np.random.default_rng(0).integers(0, 256, (32, 50)), np.ones((8, 8)))
    large = np.kron(small, np.ones((3, 3)))  # 1200 pixels wide: reduced by 3.
    expected, found = facts_of(small), facts_of(large)
    for name in ("brightness", "contrast", "sharpness"):
        assert found[name] == pytest.approx(expected[name])


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (2, 3)])
def test_images_of_few_pixels_have_facts_too(size):
    found = image_facts(Image.new("L", size, 7))
    assert (found["brightness"], found["contrast"], found["sharpness"]) == (7, 0, 0)


def test_the_hash_of_a_picture_is_imagehash_s_and_a_blank_one_has_none():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8))
    assert image_facts(picture)["perceptual_hash"] == str(imagehash.phash(picture, 16))
    assert image_facts(Image.new("RGB", (40, 30), "red"))["perceptual_hash"] is None


def test_what_no_jpeg_can_hold_has_no_bits_per_pixel():
    found = image_facts(Image.new("L", (70_000, 1), 7))
    assert found["bits_per_pixel"] is None
    assert (found["width"], found["brightness"]) == (70_000, 7)
