"""Several training-style views of one image, and their scores made one (Eq. 4)."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageEnhance


@dataclasses.dataclass(frozen=True)
class ViewSettings:
    """The random resized crop, flip and colour of self-supervised training.

    Defaults: the crop and colour of DINOv2's large views. `scale` is the crop's share of the
    image's area and `ratio` its aspect ratio, before it is resized to a square. Colour changes
    with probability `colour`: brightness, contrast and saturation by a factor in 1 -/+ the value,
    hue by a share of its circle.

    >>> from jepa_jax.scoring import ViewSettings, random_view
    >>> still = ViewSettings(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0, colour=0.0)
    >>> image = Image.linear_gradient("L").convert("RGB")
    >>> random_view(image, 256, np.random.default_rng(0), still) == image
    True
    """

    scale: tuple[float, float] = (0.32, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    colour: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.2
    hue: float = 0.1


def random_view(
    image: Image.Image,
    size: int,
    rng: np.random.Generator,
    settings: ViewSettings = ViewSettings(),
) -> Image.Image:
    """One random view of an RGB image, `size` x `size` pixels.

    >>> from jepa_jax.scoring import random_view
    >>> random_view(Image.new("RGB", (40, 30)), 16, np.random.default_rng(0)).size
    (16, 16)
    """
    box = _crop(image.width, image.height, rng, settings)
    view = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    if rng.random() < settings.flip:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < settings.colour:
        for enhance, strength in (
            (ImageEnhance.Brightness, settings.brightness),
            (ImageEnhance.Contrast, settings.contrast),
            (ImageEnhance.Color, settings.saturation),
        ):
            view = enhance(view).enhance(rng.uniform(1 - strength, 1 + strength))
        view = _turn_hue(view, rng.uniform(-settings.hue, settings.hue))
    return view


def _crop(width: int, height: int, rng: np.random.Generator, s: ViewSettings):
    """A random box inside the image; the whole image where none fits in ten tries."""
    for _ in range(10):
        area = width * height * rng.uniform(*s.scale)
        ratio = math.exp(rng.uniform(math.log(s.ratio[0]), math.log(s.ratio[1])))
        w, h = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if w <= width and h <= height:
            left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
            return left, top, left + w, top + h
    return 0, 0, width, height


def _turn_hue(image: Image.Image, turn: float) -> Image.Image:
    """Hue turned by a share of its circle."""
    hue, saturation, value = image.convert("HSV").split()
    hue = hue.point([(h + round(255 * turn)) % 256 for h in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


def combine_views(
    scores: Sequence[float] | Float[np.ndarray, " v"],
    std_errors: Sequence[float] | Float[np.ndarray, " v"] | None = None,
) -> tuple[float, float]:
    """The log-density of the views' scores s_t and its standard error: -log mean_t exp(-s_t).

    Eq. 4 of arXiv 2510.05949: p(x) is proportional to 1 / E_T[1 / prod_k sigma_k(J_f(T(x)))].
    The standard error is the delta method's for the mean over views, with the views' own
    `std_errors` added in. It is an underestimate where one view's weight dwarfs the others', as
    with scores tens of nats apart and few views: compare several `views` before trusting it.

    >>> from jepa_jax.scoring import combine_views
    >>> score, error = combine_views([-10.0, -10.0])
    >>> round(score, 6), error
    (-10.0, 0.0)
    """
    s = np.asarray(scores, np.float64)
    lowest = s.min()
    weights = np.exp(lowest - s)
    mean = weights.mean()
    variance = weights.var(ddof=1) / s.size / mean**2 if s.size > 1 else 0.0
    if std_errors is not None:
        shares = weights / weights.sum()
        variance += float(np.square(shares * np.asarray(std_errors, np.float64)).sum())
    return float(lowest - np.log(mean)), float(np.sqrt(variance))
