"""Maps of patches over the report's pictures, in a real browser."""

import numpy as np
import pytest
from browser import in_a_browser, one, texts, visit, wait
from PIL import Image
from tables import FACTS, row, write_folder

from jepa_jax.report.html import write_report

pytestmark = in_a_browser


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """Pictures of 40 x 20 pixels, of whose middle square (20 of a short edge of 25) maps are."""
    work = tmp_path_factory.mktemp("mapped")
    (work / "in").mkdir()
    rows = []
    for i in range(3):
        Image.new("RGB", (40, 20), "white").save(work / "in" / f"{i}.png")
        patches = [[np.float16(0), np.float16(0)], [np.float16(0), np.float16(4 + i)]]
        rows.append(row(f"{i}.png", float(i), patches=patches))
    facts = FACTS | {"placement": {"cut": "centre", "short_edge": 25, "side": 20}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tables.FACTS", facts)
        folder = write_folder(work / "s", rows, ("patches",), source=str(work / "in"))
    return write_report(folder, work / "r.html").path


def test_a_map_lies_where_the_encoder_looked_and_is_a_table_too(chromium, mapped):
    visit(chromium, mapped)
    card = "#strip-lowest .card"
    wait(chromium, f"const i = document.querySelector('{card} img'); return i.naturalWidth > 0")
    assert not one(chromium, f"{card} canvas").is_displayed()
    one(chromium, "#maps input[value=over]").click()
    assert one(chromium, f"{card} canvas").is_displayed()
    pixels = (
        f"const c = document.querySelector('{card} canvas');"
        "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    # The middle square has 16 of 20 pixels: 12 to 28 across, 2 to 18 down.
    places = [(11, 10), (12, 3), (27, 17), (28, 10), (20, 1)]
    seen = np.array(chromium.execute_script(pixels)).reshape(20, 40, 4)
    found = [seen[y, x] for x, y in places]
    assert [bool(p[3]) for p in found] == [False, True, True, False, False]
    ramp = chromium.execute_script("return JSON.parse(document.getElementById('facts').text).maps")
    for pixel, colour in ((found[1], ramp["colours"][0]), (found[2], ramp["colours"][-1])):
        assert np.abs(pixel[:3] - colour).max() <= 2
    one(chromium, "#maps input[value=alone]").click()
    size = f"const c = document.querySelector('{card} canvas'); return [c.width, c.height]"
    assert chromium.execute_script(size) == [2, 2]
    one(chromium, card).click()
    said = dict(zip(texts(chromium, "#detail dt"), texts(chromium, "#detail dd"), strict=True))
    assert said["Volume"] == ("half of it from 1 of 4 patches; most, 100.0 %, from row 2, column 2")
    assert texts(chromium, "#detail .patches td") == ["0.0", "0.0", "0.0", "100.0"]
    assert one(chromium, "#detail [value=alone]").is_selected()
    assert chromium.get_log("browser") == []
