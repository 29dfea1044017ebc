"""The recordings of exact Jacobians, and the page made of them."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.frontier.rows import plain, row
from benchmarks.pretrained import images, pages, recording
from benchmarks.pretrained.seconds import LISTING_1
from jepa_jax import Exact, Scorer, load_encoder


@pytest.fixture
def stamps(tmp_path):
    """One image in each folder, and a mirrored one of each."""
    for _, folders, _ in images.STAMPS:
        for folder in folders:
            (tmp_path / folder).mkdir(parents=True)
            for name in ("a", "a_mirror"):
                Image.new("RGB", (8, 8), "red").save(tmp_path / folder / f"{name}.png")
    return tmp_path


def test_more_images_are_those_of_fewer_and_others(monkeypatch, stamps):
    monkeypatch.setattr(images, "PACKAGED", {"odd": 3})
    all_of_them = images.records(stamps, 100, 14)
    assert len(all_of_them) == sum(len(folders) for _, folders, _ in images.STAMPS) + 3
    assert [r.id for r in images.records(stamps, 4, 14)] == [r.id for r in all_of_them[:4]]
    assert not any("mirror" in r.id for r in all_of_them)
    with pytest.raises(FileNotFoundError, match="no folder animals"):
        images.records(stamps / "nowhere", 4, 14)


def test_what_is_recorded_is_the_exact_jacobian(monkeypatch, stamps, tmp_path, capsys):
    monkeypatch.setattr(images, "PACKAGED", {"odd": 3})
    encoder = load_encoder("embedded")
    found = images.records(stamps, 3, encoder.image_size)
    (stamps / "food" / "a.png").write_bytes(b"none")
    folder = tmp_path / "recorded"
    for part in range(2):
        recording.record(encoder, found, folder, part=(part, 2))
    said = capsys.readouterr().out
    recorded = recording.read(folder)
    loaded = {r.id: r.load for r in found}
    assert said.count("nats") == len(recorded.ids) == 2  # One cannot be read.
    pixels = np.stack([encoder.preprocess(loaded[str(i)]()) for i in recorded.ids])
    scores = Scorer(encoder, Exact()).score(pixels)
    np.testing.assert_allclose(recorded.scores, scores.jepa_score, atol=2e-3)
    live = encoder.embedding_size - recorded.nulls.shape[2]
    values = np.linalg.svd(recorded.roots.astype(np.float64), compute_uv=False)[:, :live]
    np.testing.assert_allclose(np.log(values).sum(1), recorded.scores, atol=2e-3)
    with pytest.raises(ValueError, match="holds Jacobians of"):
        recording.record(encoder, found, folder, "bf16")


def test_a_page_says_times_beside_accuracy():
    figures = dict.fromkeys(pages.SHOWN, 0.5)
    rows = [
        row("Exact", "", 10, 10, figures),
        row("Sketch", "p = 2, 64 calibration images", 2, 10, figures),
        row("Sketch", "p = 2, 8 calibration images", 2, 10, figures),
        row("Hutchinson", "degree 3", 20, 10, figures),
    ]
    seconds = {
        LISTING_1: [4.0, 8.0, 6.0],
        ("Exact", ""): [2.0, 4.0, 3.0],
        ("Sketch", "p = 2"): [0.5, 1.0, 0.5],
    }
    timed = [(r.method, r.share) for r in pages.timed(rows, seconds)]
    assert timed == [("Exact", 1), ("Sketch", 0.25), ("Sketch", 0.25)]
    assert pages.drawn(rows, seconds) == pages.timed(rows[:2], seconds)
    result = {"encoder": "e", "image_size": 8, "images": {"animals": 3}, "live": 10, "seeds": 1}
    result |= {"score_sd": 1.0, "score_sd_pooled": 2.0, "rows": rows, "stem": "e-8"}
    result |= {"groups": [], "unseen": []}
    taken = [{"method": m, "setting": s, "seconds": t} for (m, s), t in seconds.items()]
    result["clocks"] = {"8": taken, "16": taken}
    shown = pages.page(pages.rows_of(plain(result)))
    assert "| Listing 1 (PyTorch) |  | 6.00 | 1.0 | 6.00 | 1.0 |" in shown
    assert "| Sketch | p = 2, 64 calibration images | 0.50 | 8.0 | 0.50 | 8.0 |" in shown
    assert "| Exact |  | 3.00 | 2.0 | 3.00 | 2.0 |" in shown
