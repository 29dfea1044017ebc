"""Random views of grey images for training: a small affine map, colour, brightness, noise."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How far a view may be from its image: half-ranges of uniform choices, one each a view.

    `rotation`: radians. `log_scale`: log of the zoom. `shear`: its tangent. `shift`: pixels.
    `log_gain`: log of one gain of all channels. `log_colour`: log of a gain of each channel, their
    mean taken out. `offset` and `noise` are whole ranges from 0, in units where white is 1: an
    added brightness, and the standard deviation of Gaussian noise of every pixel and channel.
    `blur`: a whole range from 0, in pixels: the standard deviation of a Gaussian blur.

    No gain by default: f(g x) = f(x) means J(g x) = J(x) / g, and so a score that rises as an
    image fades, by K log(1/g).
    """

    rotation: float = 0.1
    log_scale: float = 0.06
    shear: float = 0.08
    shift: float = 1.0
    log_gain: float = 0.0
    log_colour: float = 0.2
    offset: float = 0.0
    noise: float = 0.3
    blur: float = 0.0


def views(
    images: Float[Array, "n h w"], key: PRNGKeyArray, augmentation: Augmentation
) -> Float[Array, "n h w 3"]:
    """One random view of each grey image of values in [0, 1], as RGB in [0, 1].

    view = clip(gain_c * blur(warp(image)) + offset + noise), with the affine warp about the centre,
    bilinear, black outside. Pure in `key`; the views of one call are independent.

    Cost: four gathers of N H W values, 3 N H W normal numbers.
    """
    return jax.vmap(_view, (0, 0, None))(images, jax.random.split(key, len(images)), augmentation)


def _view(image: Float[Array, "h w"], key: PRNGKeyArray, a: Augmentation) -> Float[Array, "h w 3"]:
    warp_key, light_key, colour_key, noise_key = jax.random.split(key, 4)
    grey = _warp(image, jax.random.uniform(warp_key, (5,), minval=-1.0), a)
    if a.blur:
        grey = _blur(grey, a.blur * jax.random.uniform(jax.random.fold_in(light_key, 1)))
    gain, offset, noise = jax.random.uniform(light_key, (3,))
    colour = jax.random.uniform(colour_key, (3,), minval=-1.0)
    # Their mean is the gain's part: invariance to contrast is a setting of its own.
    colour -= colour.mean()
    gains = jnp.exp(a.log_gain * (2 * gain - 1) + a.log_colour * colour)
    rgb = grey[..., None] * gains[None, None] + a.offset * offset
    rgb += a.noise * noise * jax.random.normal(noise_key, rgb.shape)
    return jnp.clip(rgb, 0, 1)


def _warp(image: Float[Array, "h w"], u: Float[Array, "5"], a: Augmentation) -> Array:
    """The image under the affine map that five numbers in [-1, 1] choose."""
    angle, scale, shear = a.rotation * u[0], jnp.exp(a.log_scale * u[1]), a.shear * u[2]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    matrix = jnp.array([[cos, -sin], [sin, cos]]) @ jnp.array([[1.0, shear], [0.0, 1.0]]) / scale
    height, width = image.shape
    centre = jnp.array([(height - 1) / 2, (width - 1) / 2])
    pixels = [jnp.arange(n, dtype=image.dtype) for n in image.shape]
    grid = jnp.stack(jnp.meshgrid(*pixels, indexing="ij"), -1)
    source = (grid - centre[None, None]) @ matrix.T + (centre + a.shift * u[3:])[None, None]
    return jax.scipy.ndimage.map_coordinates(image, [source[..., 0], source[..., 1]], order=1)


def _blur(image: Float[Array, "h w"], sigma: Float[Array, ""]) -> Array:
    """The image under a Gaussian of `sigma` pixels, as wide as the image; black outside.

    Each side is a product with the matrix of the kernel: small images, any sigma.
    """

    sigma = jnp.maximum(sigma, 1e-3)

    def along(size: int) -> Array:
        places = jnp.arange(size, dtype=image.dtype)
        weight = lambda apart: jnp.exp(-0.5 * (apart / sigma) ** 2)
        total = 2 * weight(jnp.arange(1, 2 * size, dtype=image.dtype)).sum() + 1
        return weight(places[:, None] - places[None]) / total

    product = functools.partial(jnp.matmul, precision="highest")
    rows, columns = along(image.shape[0]), along(image.shape[1])
    return product(rows, product(image, columns.T))
