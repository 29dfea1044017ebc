"""The page of two runs in a real browser."""

import csv

from browser import (
    EVIL,
    downloaded,
    fill,
    in_a_browser,
    not_reached,
    one,
    texts,
    visit,
    wait_for_count,
)
from tables import row, write_folder

from jepa_jax.report.comparison_page import write_comparison
from jepa_jax.report.pictures import Where

pytestmark = in_a_browser
ARROW = "\N{RIGHTWARDS ARROW}"


def test_two_runs_compared(chromium, tmp_path):
    ids = [f"{'ab'[i % 2]}/{i}.png" for i in range(120)]
    ids[3] = EVIL
    first = write_folder(tmp_path / "1", [row(id, float(i)) for i, id in enumerate(ids)])
    second = write_folder(tmp_path / "2", [row(id, -float(i)) for i, id in enumerate(ids[1:])])
    path = write_comparison(first, second, tmp_path / "c.html", where=Where(images="")).path
    visit(chromium, path)
    wait_for_count(chromium, "120 images")
    assert len(texts(chromium, "#scatter circle")) == 119
    assert not_reached(chromium) == []
    assert texts(chromium, "#strip-fell .value")[0] == "-100.0 points"
    assert texts(chromium, "#strip-rose .move")[0] == f"0.0 % {ARROW} 100.0 %"
    assert texts(chromium, "#results tbody th")[0] == "b/119.png"
    one(chromium, "#results [data-sort='-change']").click()
    assert texts(chromium, "#results tbody th")[0] == "b/1.png"
    assert chromium.switch_to.active_element.text == "Change ▼"
    one(chromium, "#alone button").click()
    wait_for_count(chromium, "1 image")
    one(chromium, "#download").click()
    (line,) = csv.DictReader(downloaded(chromium, "compared.csv").splitlines())
    assert (line["id"], line["score_a"], line["score_b"]) == ("a/0.png", "0", "")
    one(chromium, "#filters [type=reset]").click()
    fill(chromium, "#f-text", "onerror")
    wait_for_count(chromium, "1 image")
    assert texts(chromium, "#results tbody th") == [EVIL]
    assert chromium.get_log("browser") == []
