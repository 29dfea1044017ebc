"""The report in a real browser: it fills itself without errors, filters, sorts, and is reachable
by keyboard."""

import csv
import shlex

import numpy as np
import pytest
from browser import (
    EVIL,
    downloaded,
    fill,
    in_a_browser,
    not_reached,
    one,
    shown_values,
    texts,
    visit,
    wait,
    wait_for_count,
)
from PIL import Image
from tables import row, write_folder
from typer.testing import CliRunner

from jepa_jax.cli import app
from jepa_jax.report.html import ReportSettings, write_report

pytestmark = in_a_browser

CLASSES = ("cats", "dogs", "it's <b>")
NONE, TIMES, ARROW = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}", "\N{RIGHTWARDS ARROW}"


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    work = tmp_path_factory.mktemp("browser")
    photos = work / "photos"
    rows = []
    for i in range(230):
        id = f"{CLASSES[i % 3]}/{i:03d}.png"
        if i == 100:
            id = f"cats/{EVIL}"
        (photos / id).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30 + i), (i, 255 - i, 60)).save(photos / id)
        angle = 0.02 * max(i, 2)  # The first three are copies.
        rows.append(
            row(
                id,
                # Descending, with gaps that floats do not round away.
                100.0 - i / 3,
                std_error=1.5,
                width=40,
                height=30 + i,
                bits_per_pixel=1 + i / 100,
                brightness=i,
                embedding=np.float32([np.cos(angle), np.sin(angle)]),
                flagged=i == 7,
                method="exact" if i < 5 else "sketch",
            )
        )
    failure = {"error": "UnreadableImage: truncated <b>PNG</b> file"}
    rows += [row(f"dogs/broken-{i}.png", None, **failure) for i in range(4)]
    groups = ("embedding", "image", "calibrated")
    return write_folder(work / "it's scores", rows, groups, source=str(photos))


@pytest.fixture(scope="module")
def report(scores):
    path = scores.parent / "report.html"
    write_report(scores, path, ReportSettings(similarity=0.99999))
    return path


@pytest.fixture
def page(chromium, report):
    visit(chromium, report)
    yield chromium
    # Nothing on the way may have been an error or a refused load.
    assert chromium.get_log("browser") == []


def test_it_opens_filled_and_without_errors(page):
    assert page.title.startswith("JEPA-SCORE of")
    assert not one(page, "#trouble").is_displayed()
    assert texts(page, "#count") == ["234 images of 234, 230 of them with a picture here"]
    assert len(texts(page, "#histogram rect.bar")) >= 12
    # 46 bars' whiskers, caps on both sides: std_error is above 0.
    assert len(texts(page, "#histogram .whisker")) == 3 * len(texts(page, "#histogram rect.bar"))
    assert len(texts(page, "[data-relation] circle")) == 4 * 230
    assert texts(page, "#groups h3") == ["Group 1: 3 images"]
    assert texts(page, "#strip-lowest .value")[0] == "23.67 ± 1.50"
    assert texts(page, "#strip-highest .value")[0] == "100.0 ± 1.50"
    assert len(texts(page, "#strip-sample .card")) == 24


def test_pictures_are_decoded_when_they_come_into_view(page):
    page.execute_script("window.scrollTo(0, 0)")
    far = "return document.querySelectorAll('#results img[src]').length"
    assert page.execute_script(far) == 0
    page.execute_script("document.querySelector('#results').scrollIntoView()")
    wait(
        page,
        "const image = document.querySelector('#results img');"
        "return image.complete && image.naturalWidth > 0 && image.src.startsWith('data:image/')",
    )


def test_filter_by_class_range_and_name(page):
    from selenium.webdriver.support.select import Select

    wait_for_count(page, "234 images")
    Select(one(page, "#f-label")).select_by_visible_text("dogs (80)")
    wait_for_count(page, "80 images")
    fill(page, "#f-low", "90")
    # 100 - i / 3 >= 90: i up to 30, of which 1, 4, ... 28 are dogs.
    wait_for_count(page, "10 images")
    assert all(value >= 90 for value in shown_values(page))
    fill(page, "#f-text", "dogs/02")
    wait_for_count(page, "3 images")
    one(page, "#filters [type=reset]").click()
    wait_for_count(page, "234 images")
    Select(one(page, "#f-show")).select_by_value("flagged")
    wait_for_count(page, "1 image")


def test_sort_in_both_views(page):
    from selenium.webdriver.support.select import Select

    values = shown_values(page)
    assert values == sorted(values)
    Select(one(page, "#f-sort")).select_by_value("-score")
    wait(page, "return document.querySelector('#results .value').textContent.startsWith('100')")
    one(page, "input[value=table]").click()
    assert len(texts(page, "#results tbody tr")) == 100
    heads = texts(page, "#results th")
    assert heads[:3] == ["Picture", "Name", "Score ▼"]
    assert {"± error", "Class", "Complexity", "Size", "Method", "Status"} <= set(heads)
    one(page, "#results th [data-sort=score]").click()
    column = [float(t) for t in texts(page, "#results tbody td:nth-child(3)") if t != NONE]
    assert column[0] == 23.67
    assert column == sorted(column)
    assert one(page, "#results th[aria-sort]").get_attribute("aria-sort") == "ascending"
    # The header was made anew; the keyboard's place on it is kept.
    assert page.switch_to.active_element.text == "Score ▲"
    # 234 rows, 100 a page; rows without a score come last.
    one(page, "#next").click()
    one(page, "#next").click()
    assert len(texts(page, "#results tbody tr")) == 34
    assert texts(page, "#results tbody td:nth-child(3)")[-4:] == [NONE] * 4
    assert not one(page, "#next").is_enabled()


def test_what_stands_lowest_among_images_like_it(page):
    from selenium.webdriver.support.select import Select

    assert len(texts(page, "#strip-alone .card")) == 24
    # The number that the images are in order of, and the score beside it.
    leads = [float(text.removesuffix(" sd")) for text in texts(page, "#strip-alone .value")]
    assert leads == sorted(leads)
    beside = texts(page, "#strip-alone .near")
    assert beside[:2] == ["among its 20 nearest", "score 23.67 ± 1.50"]
    assert texts(page, "#strip-lowest .near") == []
    Select(one(page, "#f-sort")).select_by_value("-conditional")
    assert texts(page, "#results .value")[0] == f"+{-leads[0]:.2f} sd"
    Select(one(page, "#f-sort")).select_by_value("conditional")
    assert [float(text[:-3]) for text in texts(page, "#results .value")[:24]] == leads
    one(page, "input[value=table]").click()
    at = texts(page, "#results thead th").index("Conditional ▲") + 1
    column = texts(page, f"#results tbody tr > :nth-child({at})")
    values = [float(text) for text in column]
    assert values == sorted(values)
    # Scores fall with the angle: the lowest of all, at the end of the line, are far below those
    # near them. 100 - i / 3, its neighbours the 20 before: (-10.5 / 3) / (5.766 / 3).
    assert values[0] == pytest.approx(-1.82, abs=0.005)
    one(page, "#results tbody th button").click()
    wait(page, "return document.getElementById('detail').open")
    said = dict(zip(texts(page, "#detail dt"), texts(page, "#detail dd"), strict=True))
    assert said["Conditional score"] == "-1.82 standard deviations from images like it"


def test_sort_by_a_fact_and_choose_columns(page):
    one(page, "input[value=table]").click()
    head = "#results th [data-sort=brightness]"
    one(page, head).click()
    assert one(page, "#results th[aria-sort]").text == "Brightness ▲"
    at = texts(page, "#results thead th").index("Brightness ▲") + 1
    column = f"#results tbody tr > :nth-child({at})"
    assert texts(page, column)[:3] == ["0", "1", "2"]
    one(page, "#results th [data-sort='-brightness']").click()
    assert texts(page, column)[:3] == ["229", "228", "227"]
    one(page, "#field-columns summary").click()
    boxes = page.find_elements("css selector", "#columns input")
    for box in boxes:
        if box.find_element("xpath", "..").text in ("Picture", "Brightness"):
            box.click()
    heads = texts(page, "#results thead th")
    assert heads[:2] == ["Name", "Score"]
    assert not {"Picture", "Brightness ▼"} & set(heads)
    # From the table of facts: the order that its button names.
    one(page, "#image [aria-label='Brightness, highest first']").click()
    assert texts(page, "#results tbody th button")[0] == "dogs/229.png"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"f-low": "40.5", "f-high": "61"}, 62),
        ({"f-show": "failed"}, 4),
        ({"f-show": "flagged"}, 1),
        ({"f-label": "it's <b> (76)"}, 76),
        ({"f-text": "it's \"<IMG", "f-show": "scored"}, 1),
    ],
)
def test_the_command_shown_selects_what_is_shown(page, filters, expected):
    from selenium.webdriver.support.select import Select

    for field, value in filters.items():
        if field == "f-label":
            Select(one(page, "#f-label")).select_by_visible_text(value)
        elif field == "f-show":
            Select(one(page, "#f-show")).select_by_value(value)
        else:
            fill(page, f"#{field}", value)
    wait_for_count(page, f"{expected} image{'s' if expected > 1 else ''}")
    command = shlex.split(one(page, "#command").text)
    assert command[:2] == ["jepa-jax", "select"]
    result = CliRunner().invoke(app, command[1:])
    assert result.exit_code == 0, result.output
    selected = result.stdout.splitlines()
    assert len(selected) == expected
    one(page, "input[value=table]").click()
    names = set(texts(page, "#results th.name button"))
    assert names <= set(selected)
    assert len(names) == min(expected, 100)


def test_the_list_can_be_downloaded(page):
    from selenium.webdriver.support.select import Select

    Select(one(page, "#f-label")).select_by_visible_text("cats (78)")
    fill(page, "#f-text", "onerror")
    wait_for_count(page, "1 image")
    one(page, "#download").click()
    (found,) = csv.DictReader(downloaded(page, "selected.csv").splitlines())
    assert found["id"] == f"cats/{EVIL}"
    assert float(found["score"]) == 100 - 100 / 3
    assert found["source"].endswith(f"photos/cats/{EVIL}")
    assert (found["class"], found["width"], found["brightness"]) == ("cats", "40", "100")
    one(page, "#download-ids").click()
    assert downloaded(page, "selected.txt") == f"cats/{EVIL}\n"


def test_a_finding_leads_to_its_images(page):
    one(page, "#summary .findings li:first-child button.primary").click()
    wait_for_count(page, "4 images")
    assert page.switch_to.active_element.text == "All images"
    assert texts(page, "#results .why") == ["UnreadableImage: truncated <b>PNG</b> file"] * 4


def test_details_by_keyboard_alone(page):
    from selenium.webdriver.common.keys import Keys

    first = one(page, "#strip-highest button.card")
    first.send_keys(Keys.ENTER)
    wait(page, "return document.getElementById('detail').open")
    facts = dict(zip(texts(page, "#detail dt"), texts(page, "#detail dd"), strict=True))
    assert facts["Score"] == "100.0 ± 1.50 nats"
    assert facts["Rank"].startswith("230 of 230 from the lowest; 100.00 % score lower")
    assert facts["Size"] == f"40 {TIMES} 30 pixels"
    assert facts["Near-identical"] == "group 1"
    assert texts(page, "#detail .wide h3") == ["Near-identical: 2 images besides this one"]
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert texts(page, "#detail h2") == ["dogs/001.png"]
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not page.execute_script("return document.getElementById('detail').open")
    # Back where the keyboard was.
    same = "return document.activeElement === document.querySelector('#strip-highest button.card')"
    assert page.execute_script(same)


def test_names_never_become_markup(page):
    fill(page, "#f-text", "onerror")
    wait_for_count(page, "1 image")
    one(page, "#results .card").click()
    wait(page, "return document.getElementById('detail').open")
    assert texts(page, "#detail h2") == [f"cats/{EVIL}"]
    assert page.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    assert page.title.startswith("JEPA-SCORE of")


def test_every_table_that_scrolls_can_be_reached_by_keyboard(page):
    one(page, "input[value=table]").click()
    boxes = page.execute_script("return document.querySelectorAll('.scroll').length")
    # Histogram, classes, facts and their four tables, failures, all images, the manifest.
    assert boxes == 10
    assert not_reached(page) == []


def test_every_control_has_a_name_and_can_be_reached(page):
    unnamed = page.execute_script(
        "return [...document.querySelectorAll('button, select, input, a')].filter((e) =>"
        " !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))"
        ".map((e) => e.outerHTML)"
    )
    assert unnamed == []
    order = "return [...document.querySelectorAll('[tabindex]')].map((e) => e.tabIndex)"
    assert set(page.execute_script(order)) <= {-1, 0}
    pictures = "return [...document.querySelectorAll('svg[role=img]')].every((s) => s.ariaLabel)"
    assert page.execute_script(pictures)
    levels = [
        int(name[1])
        for name in page.execute_script(
            "return [...document.querySelectorAll('main h2, main h3')].map((h) => h.tagName)"
        )
    ]
    assert levels[0] == 2


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_legible_in_either_scheme(page, width, scheme):
    emulate = page.execute_cdp_cmd
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    feature = {"name": "prefers-color-scheme", "value": scheme}
    emulate("Emulation.setDeviceMetricsOverride", size)
    emulate("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        colours = page.execute_script(
            "return ['.findings p', '.hint', '#classes thead th', 'button.primary', 'a.button',"
            " '.card .file', '.badge'].map((s) => { const e = document.querySelector(s);"
            " let b = e; while (getComputedStyle(b).backgroundColor === 'rgba(0, 0, 0, 0)')"
            " b = b.parentElement;"
            " return [s, getComputedStyle(e).color, getComputedStyle(b).backgroundColor]; })"
        )
    finally:
        emulate("Emulation.clearDeviceMetricsOverride", {})
        emulate("Emulation.setEmulatedMedia", {"features": []})
    for selector, text, background in colours:
        # WCAG 2.2, 1.4.3: at least 4.5 to 1 for text.
        assert contrast(text, background) >= 4.5, selector


def contrast(one, other):
    """WCAG's contrast ratio of two CSS colours 'rgb(r, g, b)'."""
    lights = []
    for colour in (one, other):
        channels = np.array([float(c) for c in colour[colour.index("(") + 1 : -1].split(",")[:3]])
        linear = channels / 255
        linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
        lights.append(linear @ [0.2126, 0.7152, 0.0722])
    return (max(lights) + 0.05) / (min(lights) + 0.05)
