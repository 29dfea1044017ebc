"""A folder of scores with images in a folder, some names hostile, and what a server answers."""

import pytest
from hostile_names import HOSTILE, OUTSIDE
from PIL import Image
from tables import row, write_folder


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    """Scores 0 to 229, each tenth without one, then hostile names, then ids that lead out."""
    top = tmp_path_factory.mktemp("browse [*]?")
    images = top / "images"
    names = [f"{'ab'[i % 2]}/{i:03d}.png" for i in range(230)] + list(HOSTILE)
    rows = []
    for i, name in enumerate(names):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        if i < 4 or i >= 230:
            Image.new("RGB", (400 + i, 200), (i, 0, 0)).save(images / name, "PNG")
        facts = {"width": 400 + i, "height": 200, "brightness": float(1000 - i)}
        score = None if i % 10 == 9 else float(i)
        rows.append(row(name, score, flagged=i == 7, source=f"{images}/{name}", **facts))
    Image.new("RGB", (9, 9)).save(top / "secret.png")
    Image.new("RGB", (9, 9)).save(images / ".hidden.png")
    rows += [row(name, 1000.0 + i) for i, name in enumerate(OUTSIDE)]
    return write_folder(top / "scores", rows, ("image", "calibrated"), source=str(images))


@pytest.fixture(scope="package")
def rows(folder):
    pytest.importorskip("duckdb")
    from jepa_jax.browse.table_rows import Rows

    opened = Rows(folder)
    yield opened
    opened.close()


@pytest.fixture(scope="package")
def client(rows):
    pytest.importorskip("starlette")
    pytest.importorskip("httpx2")
    from starlette.testclient import TestClient

    from jepa_jax.browse.server import application
    from jepa_jax.report.pictures import Where

    return TestClient(application(rows, Where(), "secret"), base_url="http://127.0.0.1:8017")
