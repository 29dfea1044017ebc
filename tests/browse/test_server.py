"""What the local server answers, whom, and that no name in a folder does anything."""

import csv
import io
import socket
from html.parser import HTMLParser

import pytest
from hostile_names import HOSTILE, MARKUP, OUTSIDE
from PIL import Image


class Page(HTMLParser):
    """The tags of a page, and the texts in them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def get(client, path, status=200, **more):
    answer = client.get(f"/secret/{path}", **more)
    assert answer.status_code == status
    return answer


def test_a_page_of_rows_and_the_next(client):
    page = Page(get(client, "?sort=-jepa_score").text)
    assert "239 images of 239" in page.texts
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a" and "/image/" in attrs["href"]]
    assert len(links) == 100
    (following,) = [attrs["href"] for tag, attrs in page.tags if attrs.get("rel") == "next"]
    assert following == "/secret/?sort=-jepa_score&page=2"
    following = Page(client.get(following).text)
    names = [text for text in following.texts if text.endswith(".png")]
    # On the first page are nine others, and the scores from 228 down to 128.
    assert names[0] == "b/127.png"
    # The last page stands for those behind it.
    last = Page(get(client, "?sort=-jepa_score&page=999").text)
    assert "b/127.png" not in last.texts
    assert "b/229.png" in last.texts


def test_details_of_an_image(client):
    page = Page(get(client, "image/0/2?low=1").text)
    said = " ".join(" ".join(page.texts).split())
    assert "Rank 3 of 216 images from the lowest; 0.93 % score lower" in said
    assert "Brightness 998 (mean grey level, 0 to 255)" in said
    assert ("a", {"class": "button", "href": "/secret/?low=1.0"}) in page.tags
    get(client, "image/59/3", 404)
    get(client, "image/0/99999999999999999999", 404)


def test_pictures_are_those_of_the_rows(client):
    small, large = (
        Image.open(io.BytesIO(get(client, f"picture/0/3{q}").content)) for q in ("", "?size=large")
    )
    assert (small.size, large.size) == ((160, 79), (403, 200))
    get(client, "picture/1/0", 404)  # Its file is not there.


def test_no_page_has_markup_of_a_name(client):
    for view in ("table", "gallery"):
        page = Page(get(client, f"?view={view}&low=230").text)
        assert {name for name in HOSTILE if name in page.texts} == set(HOSTILE)
        pictures = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
        assert len(pictures) == 9
        assert all(source.startswith("/secret/picture/") for source in pictures)
        assert not [attrs for _, attrs in page.tags if any(name[:2] == "on" for name in attrs)]
    said = get(client, "", params={"text": MARKUP, "sort": MARKUP}, status=400).text
    assert "&lt;img src=x" in said
    assert ("input", MARKUP) in [
        (tag, attrs.get("value")) for tag, attrs in Page(get(client, f"?text={MARKUP}").text).tags
    ]


def test_ids_that_lead_out_of_the_source_have_no_picture(client, rows):
    from jepa_jax.browse.view import View

    found = rows.page(View(low=1000.0))
    assert [row["id"] for row in found] == list(OUTSIDE)
    for row in found:
        get(client, f"picture/{row['shard']}/{row['row']}", 404)
    for path in ("picture/../0", "picture/0/..%2f..%2fsecret.png", "picture/secret.png"):
        get(client, path, 404)


def test_what_is_shown_as_csv_for_spreadsheets(client):
    answer = get(client, "selected.csv?low=230&high=999&sort=-jepa_score")
    assert answer.headers["content-disposition"] == 'attachment; filename="selected.csv"'
    found = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [line["id"] for line in found] == [
        *("'; drop table x; --.png", "\x1b[31mred.png", "a\nb.png", "'=1+1.png", MARKUP)
    ]
    assert (found[0]["jepa_score"], found[0]["bias_bound"], found[0]["width"]) == (
        *("234.0", "", "634"),
    )
    every = get(client, "selected.csv").text
    assert len(list(csv.reader(io.StringIO(every, newline="")))) == 240


def test_only_this_machine_by_its_own_name_and_only_by_get(client):
    for host in ("evil.example", "127.0.0.1.evil.example", "", "[::1]"):
        assert client.get("/secret/", headers={"host": host}).status_code == 400
    assert client.get("/secret/", headers={"host": "localhost:8017"}).status_code == 200
    for method in ("post", "put", "delete", "patch", "options"):
        for path in ("", "image/0/0", "picture/0/0", "selected.csv"):
            assert getattr(client, method)(f"/secret/{path}").status_code == 405
    for path in ("/", "/image/0/0", "/picture/0/0", "/secre/", "/secret/secret/"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert path.startswith("/secret/") or "secret" not in answer.text


def test_every_answer_forbids_scripts_and_other_sites(client):
    for path in ("", "image/0/0", "picture/0/0", "selected.csv", "nothing", "?sort=x"):
        headers = client.get(f"/secret/{path}").headers
        policy = dict(
            part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == policy["script-src"] == "'none'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["img-src"] == policy["form-action"] == "'self'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_damaged_shard_is_a_page_that_says_so(tmp_path):
    pytest.importorskip("duckdb")
    from starlette.testclient import TestClient
    from tables import row, write_folder

    from jepa_jax.browse.server import application
    from jepa_jax.browse.table_rows import Rows
    from jepa_jax.report.pictures import Where

    folder = write_folder(tmp_path / "s", [row(str(i), float(i)) for i in range(8)])
    opened = Rows(folder)
    client = TestClient(application(opened, Where("")), base_url="http://localhost")
    assert "It was made without pictures." in client.get("/").text
    (folder / "scores-000001.parquet").write_bytes(b"PAR1 <b>none</b> PAR1")
    answer = client.get("/")
    assert answer.status_code == 500
    assert "The scores cannot be read" in answer.text
    assert "<b>" not in answer.text
    opened.close()


def test_the_port_of_another_is_one_message(rows):
    pytest.importorskip("starlette")
    from jepa_jax.browse.server import HOST, Server
    from jepa_jax.report.pictures import Where

    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"port {port} of this machine cannot be had"):
            Server(rows, Where(""), port)
    server = Server(rows, Where(""), 0)
    assert server._socket.getsockname()[0] == "127.0.0.1"
    server._socket.close()
