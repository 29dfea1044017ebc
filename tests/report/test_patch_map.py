"""Maps of patches as pictures: colours in order, and only maps of ours are replaced."""

import numpy as np
import pytest
from PIL import Image

from jepa_jax.report.patch_map import check_map_path, colours, drawing, legend, write_map

SHARES = np.array([[0.0, 1.0], [2.0, 5.0]])


def test_colours_grow_lighter_with_the_share():
    found = colours(np.linspace(3, 4, 50)[None])[0].astype(float)
    lightness = found @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) >= 0).all()
    assert lightness[-1] - lightness[0] > 150
    assert (colours(np.full((2, 3), 0.7)) == colours(np.zeros((1, 1)))).all()  # One share for all.


def test_a_patch_of_the_map_has_its_colour_over_the_image():
    grey = np.full((28, 28, 3), 100, np.uint8)
    picture = np.asarray(drawing(grey, SHARES, "a.png"))
    scale, gap, line = 16, 16, 22
    left, top, side = 2 * gap + 28 * scale, gap + line, 14 * scale
    for (i, j), colour in np.ndenumerate(colours(SHARES)[..., 0]):
        pixel = picture[top + i * side + side // 2, left + j * side + side // 2]
        assert pixel[0] == pytest.approx(0.35 * 100 + 0.65 * colour, abs=1)
    assert (picture[top + 5, gap + 5] == 100).all()  # The image beside it, as it is.


def test_the_legend_says_what_the_numbers_are():
    assert "8 directions that each of 2 x 2 patches has: 0 to 5, evenly 2" in legend(SHARES)


def test_a_map_is_replaced_and_nothing_else(tmp_path):
    path, image = tmp_path / "maps" / "map.png", tmp_path / "image.png"
    Image.new("RGB", (8, 8)).save(image)
    seen = np.zeros((8, 8, 3), np.uint8)
    for shares in (SHARES, SHARES[::-1]):
        check_map_path(path, image)
        write_map(path, seen, shares, "a very long name " * 40)
    with Image.open(path) as written:
        assert written.info["Software"].startswith("jepa-jax")
    with pytest.raises(FileExistsError, match="not a map of ours"):
        check_map_path(image, image)
    with pytest.raises(FileExistsError, match="not a map of ours"):
        check_map_path(path, path)  # A map that is itself scored.
    with pytest.raises(ValueError, match=r"must end in \.png"):
        check_map_path(tmp_path / "map.jpg", image)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(IsADirectoryError):
        check_map_path(tmp_path / "folder.png", image)
