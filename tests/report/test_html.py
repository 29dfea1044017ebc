"""The report without a browser: what it holds, what it escapes, what it says is missing."""

import base64
import hashlib
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image, ImageOps
from tables import row, write_folder
from typer.testing import CliRunner

from jepa_jax.cli import app
from jepa_jax.data.image_facts import image_facts
from jepa_jax.report import Choice, choose
from jepa_jax.report.html import ReportSettings, write_report
from jepa_jax.report.payload import unpack
from jepa_jax.report.words import describe_run, findings

EVIL = [
    "<script>alert(1)</script>.png",
    '"><img src=x onerror=alert(2)>.png',
    "it's {{ 7 * 7 }} & </script>.png",
    "日本 \\udce9 \U0001f600.png",
]
EVIL_ERROR = "UnreadableImage: <img src=x onerror=alert(3)> </script>{{ config }}"


class Page(HTMLParser):
    """Tags with their attributes, and all text outside of scripts and styles."""

    def __init__(self, path):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self.inside = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in self.raw:
            self.raw[tag].append("")
            self.inside = tag

    def handle_endtag(self, tag):
        if tag == self.inside:
            self.inside = ""

    def handle_data(self, data):
        if self.inside:
            self.raw[self.inside][-1] += data
        else:
            self.text += data

    def with_(self, name, value=None):
        return [a for _, a in self.tags if name in a and value in (None, a[name])]

    def rows(self):
        scripts = [a for tag, a in self.tags if tag == "script"]
        at = next(i for i, a in enumerate(scripts) if a.get("id") == "rows")
        return unpack(self.raw["script"][at])


def image_row(id, score, **more):
    facts = {"width": 20, "height": 10, "bits_per_pixel": 1.5}
    return row(id, score, **(facts | {"embedding": np.float32([1, 0])} | more))


@pytest.fixture
def folder(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    rows = []
    for i in range(30):
        id = f"{'ab'[i % 2]}/{i:02d}.png"
        (photos / id).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20 + i, 10), (8 * i, 0, 99)).save(photos / id)
        angle = float(i)  # No two alike, but the last two.
        vector = np.float32([np.cos(min(angle, 28)), np.sin(min(angle, 28))])
        rows.append(image_row(id, -float(i), embedding=vector, width=20 + i, bits_per_pixel=1 + i))
    rows.append(image_row("b/broken.png", None, embedding=None, error=EVIL_ERROR))
    source = str(photos)
    return write_folder(tmp_path / "scores", rows, ("embedding", "image"), source=source)


@pytest.fixture
def report(folder, tmp_path):
    written = write_report(folder, tmp_path / "report.html", ReportSettings(similarity=0.9999))
    return written, Page(tmp_path / "report.html")


def test_the_page_needs_nothing_from_anywhere(report):
    written, page = report
    content = written.path.read_text(encoding="utf-8")
    for _, attributes in page.tags:
        for name in ("src", "action", "data", "poster", "srcset"):
            assert name not in attributes
        assert attributes.get("href", "#").startswith("#")
    assert "@import" not in content
    assert "url(" not in page.raw["style"][0]
    addresses = set(re.findall(r"https?://[\w./-]+", "".join(page.raw["script"][-1:])))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert written.bytes == len(content.encode())


def test_only_its_own_script_and_style_may_run(report):
    _, page = report
    policy = page.with_("http-equiv", "Content-Security-Policy")[0]["content"]
    assert "default-src 'none'" in policy
    for kind, text in (("script", page.raw["script"][-1]), ("style", page.raw["style"][0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not [a for _, a in page.tags for name in a if name.startswith("on") or name == "style"]


def test_every_row_is_in_it_with_its_numbers(report):
    _, page = report
    rows = page.rows()
    assert len(rows["id"]) == 31
    assert rows["id"][1] == "b/01.png"
    assert rows["score"][1] == -1.0
    assert np.isnan(rows["score"][30])
    assert rows["label"][:3] == ["a", "b", "a"]
    assert rows["error"][30] == EVIL_ERROR
    assert rows["group"].tolist() == [-1] * 28 + [0, 0, -1]
    assert (rows["picture_chunk"] > 0).tolist() == [True] * 30 + [False]
    assert rows["width"][4] == 24


def test_what_stands_out_and_the_commands_for_it(report, folder):
    _, page = report
    text = " ".join(page.text.split())
    for expected in (
        "31 images of",
        "30 with a score, 1 without",
        "1 image has no score",
        "2 images in 1 group of near-identical ones",
        f"jepa-jax select {folder} --failed",
        f"jepa-jax select {folder} --bottom 1%",
        f"jepa-jax select {folder} --near-identical 0.9999",
        "The score follows complexity (Spearman -1.00)",
        "higher means denser",
    ):
        assert expected.lower() in text.lower()


def test_names_and_errors_are_text_and_never_markup(tmp_path):
    rows = [image_row(f"{id[:6]}/{id}", float(i)) for i, id in enumerate(EVIL)]
    rows += [image_row(f"broken {id}", None, error=EVIL_ERROR) for id in EVIL]
    out = write_folder(tmp_path / "s", rows, ("embedding", "image"), source="<b>gone</b>")
    plain = write_folder(
        tmp_path / "p", [image_row(f"x/{i}", float(i)) for i in range(8)], ("embedding", "image")
    )
    pages = []
    for scores in (out, plain):
        write_report(scores, tmp_path / "r.html", ReportSettings(title="<i>title</i>"))
        pages.append(Page(tmp_path / "r.html"))
    evil, ordinary = pages
    assert evil.rows()["id"] == [r["id"] for r in rows]
    kinds = {tag for tag, _ in evil.tags}
    assert not kinds & {"img", "i", "b"}
    # No more scripts than a page without pictures has.
    assert len(evil.raw["script"]) == len(ordinary.raw["script"]) == 3
    assert "<i>title</i>" in evil.text
    assert "<b>gone</b>" in evil.text
    assert "<img src=x onerror=alert(3)>" in evil.text
    assert "{{ config }}" in evil.text


def test_images_that_are_gone_are_said_and_their_rows_listed(folder, tmp_path):
    (tmp_path / "photos").rename(tmp_path / "moved")
    written = write_report(folder, tmp_path / "r.html")
    assert written.pictures == 0
    assert "no longer where they were scored" in written.lacks
    page = Page(tmp_path / "r.html")
    assert "Say where they are with --images." in page.text
    assert len(page.rows()["id"]) == 31
    moved = write_report(folder, tmp_path / "r.html", ReportSettings(str(tmp_path / "moved")))
    assert (moved.pictures, moved.lacks) == (30, "")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_report(folder, tmp_path / "r.html", ReportSettings("nowhere"))


def test_other_images_in_the_same_place_are_said(folder, tmp_path):
    (tmp_path / "other").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "other" / "x.png")
    written = write_report(folder, tmp_path / "r.html", ReportSettings(str(tmp_path / "other")))
    assert "None of the images is in" in written.lacks


def test_a_hub_source_is_not_downloaded_unasked(tmp_path):
    out = write_folder(tmp_path / "s", [row("1", 0.0), row("2", 1.0)], source="hf:owner/photos")
    written = write_report(out, tmp_path / "r.html")
    assert "would be downloaded" in written.lacks


def test_copies_are_found_by_their_hashes_alone_and_named(tmp_path):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (8, 12, 3), np.uint8)).resize((120, 80))
    other = Image.fromarray(rng.integers(0, 256, (80, 120, 3), np.uint8))
    images = {
        "large.png": picture.resize((180, 120)),
        "small.png": picture,
        "mirrored.png": ImageOps.mirror(picture),
        "flipped.png": ImageOps.flip(picture),
        "turned.png": picture.rotate(180),
        "other.png": other,
    }
    rows = [row(id, float(i), **image_facts(image)) for i, (id, image) in enumerate(images.items())]
    out = write_folder(tmp_path / "s", rows, ("image",))
    write_report(out, tmp_path / "r.html", ReportSettings(images=""))
    page = Page(tmp_path / "r.html")
    assert page.rows()["group"].tolist() == [0] * 5 + [-1]
    said = ["", "copy", "mirrored", "upside down", "turned by 180°", ""]
    assert page.rows()["relation"] == said
    assert f"select {out} --near-identical auto" in page.text
    assert "their perceptual hashes differ in at most 31 of 256 bits" in page.text
    chosen = choose(out, Choice(near_identical=0.0)).chosen
    assert chosen.tolist() == [False, True, True, True, True, False]
    with pytest.raises(ValueError, match="holds no embeddings"):
        choose(out, Choice(near_identical=0.98))


def test_few_rows_and_no_scores(tmp_path):
    one = write_folder(tmp_path / "one", [row("a.jpg", 1.0)])
    none = write_folder(tmp_path / "none", [row("a.jpg", None), row("b.jpg", None)])
    assert write_report(one, tmp_path / "1.html").rows == 1
    assert "Nothing does" in Page(tmp_path / "1.html").text
    assert "not looked for" in Page(tmp_path / "1.html").text.lower()
    write_report(none, tmp_path / "0.html")
    assert "2 images have no score" in Page(tmp_path / "0.html").text


def test_only_a_report_is_replaced(folder, tmp_path):
    path = tmp_path / "report.html"
    write_report(folder, path, ReportSettings(thumbnails=0))
    before = path.read_bytes()
    write_report(folder, path, ReportSettings(thumbnails=0))
    assert path.read_bytes() == before
    (tmp_path / "index.html").write_text("<html>my site</html>")
    with pytest.raises(FileExistsError, match=r"index\.html is not a report"):
        write_report(folder, tmp_path / "index.html")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_report(folder, tmp_path)


def test_links_and_labels_of_the_page_are_whole(report):
    _, page = report
    ids = [a["id"] for a in page.with_("id")]
    assert len(ids) == len(set(ids))
    for attribute in ("aria-labelledby", "for"):
        assert {a[attribute] for a in page.with_(attribute)} <= {*ids, "detail-name"}
    assert {a["href"][1:] for a in page.with_("href")} <= set(ids)
    fields = [a for tag, a in page.tags if tag in ("select", "input")]
    labelled = {a["for"] for a in page.with_("for")}
    for field in fields:
        wrapped = field.get("name") == "view" or field.get("id") == "page"
        assert wrapped or field.get("id") in labelled or "aria-label" in field


def test_error_bars_flags_and_methods_are_said():
    scores = np.arange(100.0)
    found = findings(
        scores,
        np.full(100, 2.887),
        failed=[],
        classes=[],
        relations=[],
        repeated=[],
        groups=np.full(100, -1),
        alike="",
        near="auto",
        flagged=scores == 3,
        conditional=np.where(scores == 7, -3.5, 0.0),
    )
    titles = [finding.title for finding in found]
    assert titles == [
        "The least typical 1 %: 1 image, down to 0.00",
        "1 image scores far lower than the images like them",
        "1 image unlike those of the calibration",
        "Scores are estimates: ± 2.89 nats (median standard error)",
    ]
    # The standard deviation of 0 .. 99 is 28.87.
    assert "10 % of the scores' spread" in found[3].text
    assert (found[1].rows, found[2].rows) == ((7,), (3,))


def test_of_few_images_none_is_called_odd_among_its_kind():
    def said(conditional):
        count = len(conditional)
        nothing = {"failed": [], "classes": [], "relations": [], "repeated": []}
        found = findings(
            np.arange(float(count)),
            np.zeros(count),
            **nothing,
            groups=np.full(count, -1),
            alike="",
            near="auto",
            flagged=np.zeros(count, bool),
            conditional=conditional,
        )
        (one,) = [finding for finding in found if "--conditional" in finding.command]
        return one.title, one.text

    many = np.r_[-3.5, np.zeros(99)]
    assert said(many)[0] == "1 image scores far lower than the images like them"
    assert "odd ones of their kind" in said(many)[1]
    # One image less that has a conditional score.
    few = np.r_[-3.5, np.nan, np.zeros(98)]
    title, text = said(few)
    assert title == "1 image scores far lower than the 20 nearest of 99 images"
    assert "of only 99 images those are a large part of all" in text
    assert "kind," not in text


def test_the_page_says_of_how_few_images_the_conditional_scores_are(report):
    text = " ".join(report[1].text.split())
    assert "Of only 30 images those are a large part of all, not one kind" in text
    assert "an odd image of its kind" not in text


def test_the_run_in_words():
    settings = {
        "encoder": {"embedding": "cls", "image_size": 224},
        "estimator": {"method": "sketch"},
        "precision": "tf32",
        "views": 4,
        "refine": {"low": 0.05},
    }
    facts = {"encoder": "e", "started": "2026-01-02T03:04:05", "device": "gpu: X", "version": "1.2"}
    text = " ".join(describe_run(settings, facts))
    for part in ("calibrated regression", "'tf32'", "4 random views", "scored again exactly"):
        assert part in text
    assert text.endswith("They were made on 2026-01-02, on gpu: X, by jepa-jax 1.2.")


def test_the_command(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["report", str(folder), "--near-identical", "0.9999"])
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("report.html: 31 rows, 30 pictures, ")
    without = CliRunner().invoke(app, ["report", str(folder), "--no-images"])
    assert "note: It was made without pictures." in without.stderr
    wrong = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert wrong.exit_code == 2
    assert "not a folder of scores" in wrong.stderr
    both = CliRunner().invoke(app, ["report", str(folder), "--no-images", "--images", "x"])
    assert both.exit_code == 2


def test_a_pipe_in_the_reports_place_is_not_waited_for(tmp_path):
    folder = write_folder(tmp_path / "scores", [row("a.png", 1.0)])
    os.mkfifo(tmp_path / "r.html")
    with pytest.raises(ValueError, match=r"r\.html is a named pipe, not a file"):
        write_report(folder, tmp_path / "r.html", ReportSettings(images=""))
    assert (tmp_path / "r.html").is_fifo()
