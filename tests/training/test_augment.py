import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage

from jepa_jax.training import augment
from jepa_jax.training.augment import Augmentation

views = jax.jit(augment.views, static_argnums=2)
NONE = dict.fromkeys(Augmentation.__dataclass_fields__, 0.0)


def smooth_images(count):
    y, x = np.mgrid[:28, :28] / 27
    phases = np.arange(count)[:, None, None]
    return jnp.asarray(0.5 + 0.4 * np.sin(5 * x + phases) * np.cos(4 * y), jnp.float32)


def test_no_augmentation_is_the_image_itself():
    images = smooth_images(3)
    found = views(images, jax.random.key(0), Augmentation(**NONE))
    # Bilinear interpolation at the pixels' own places: float32 rounding of coordinates up to 28.
    np.testing.assert_allclose(found, np.repeat(images[..., None], 3, -1), atol=1e-5)


def test_a_shift_moves_the_image_by_less_than_its_range():
    images = jnp.zeros((64, 28, 28)).at[:, 14, 14].set(1.0)
    found = views(images, jax.random.key(0), Augmentation(**NONE | {"shift": 2.0}))[..., 0]
    found = np.asarray(found)
    rows = (found.sum(2) * np.arange(28)).sum(1) - 14
    columns = (found.sum(1) * np.arange(28)).sum(1) - 14
    for moved in (rows, columns):
        assert np.abs(moved).max() < 2 + 1e-4
        # Uniform on [-2, 2]: a standard deviation of 1.15; of 64 draws, known within a tenth.
        assert 0.85 < moved.std() < 1.45


def test_a_blur_is_that_of_scipy():
    images = smooth_images(4)
    found = views(images, jax.random.key(0), Augmentation(**NONE | {"blur": 3.0}))[..., 0]
    # Which sigma each view has is not told: the nearest of many.
    sigmas = np.linspace(0.01, 3, 300)
    for image, view in zip(np.asarray(images), np.asarray(found), strict=True):
        blurred = [
            scipy.ndimage.gaussian_filter(image, sigma, mode="constant", truncate=12)
            for sigma in sigmas
        ]
        errors = np.abs(np.array(blurred) - view).max((1, 2))
        assert errors.min() < 5e-3
        assert errors.max() > 0.2


def test_colour_jitter_keeps_the_overall_brightness():
    images = jnp.full((16, 28, 28), 0.4)
    found = views(images, jax.random.key(0), Augmentation(**NONE | {"log_colour": 0.2}))
    np.testing.assert_allclose(jnp.log(found[:, 14, 14] / 0.4).sum(-1), 0, atol=1e-5)
    assert found[:, 14, 14].std(-1).min() > 0


def test_views_are_images_and_their_randomness_is_the_keys():
    images = smooth_images(4)
    strong = Augmentation(noise=1.0, offset=0.5)
    one, again, other = (views(images, jax.random.key(i), strong) for i in (0, 0, 1))
    assert one.shape == (4, 28, 28, 3)
    assert one.min() >= 0
    assert one.max() <= 1
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
