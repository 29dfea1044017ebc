"""What image processors have in common: the settings, by the names of `transformers`."""

import dataclasses
from typing import Any

Lengths = dict[str, int]
"""Of pixels: {"height", "width"}, or {"shortest_edge"} and perhaps "longest_edge"."""


@dataclasses.dataclass(frozen=True)
class ProcessorSettings:
    """Resize, crop in the middle, rescale, normalise: whether, and how."""

    size: Lengths | None
    crop_size: Lengths | None
    do_resize: bool
    resample: int
    do_center_crop: bool
    do_rescale: bool
    rescale_factor: float
    do_normalize: bool
    image_mean: Any
    image_std: Any

    @classmethod
    def arguments(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """The fields, of `settings` that have all, and others.

        `default_to_square` (true where it is not said): a size that is one number is of both sides,
        and not of the shorter one.
        """
        known = {field.name for field in dataclasses.fields(cls)} & settings.keys()
        chosen = {name: settings[name] for name in known}
        square = settings.get("default_to_square", True)
        for name, of_both in (("size", square), ("crop_size", True)):
            if isinstance(length := chosen.get(name), int):
                sides = ("height", "width") if of_both else ("shortest_edge",)
                chosen[name] = dict.fromkeys(sides, length)
        return chosen

    def resized_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Width and height of an image of this width and height after the resize."""
        if not self.do_resize:
            return shape
        assert self.size is not None
        edge, most = self.size.get("shortest_edge"), self.size.get("longest_edge")
        if edge is None:
            return self.size["width"], self.size["height"]
        low, high = min(shape), max(shape)
        short, exact = edge, float(edge)
        if most is not None and high / low * edge > most:
            exact = most * low / high
            short = round(exact)
            if low == short:
                return shape
        width, height = (short if n == low else int(exact * n / low) for n in shape)
        return width, height
