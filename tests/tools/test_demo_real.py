"""`make demo-real`: its images, and the whole of it by a small encoder."""

from pathlib import Path

import pytest
from tiny_checkpoint import write_tiny_checkpoint

pytest.importorskip("skimage")
from tools import demo_real


def test_images_are_of_four_kinds_and_differ():
    images = demo_real.images()
    assert {name.partition("/")[0] for name in images} == {
        "photograph",
        "texture",
        "spoiled",
        "drawn",
    }
    assert {(image.mode, image.size) for image in images.values()} == {("RGB", (448, 448))}
    assert len({image.tobytes() for image in images.values()}) == len(images) > 30


def test_from_nothing_to_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    few = dict(list(demo_real.images().items())[:3])
    monkeypatch.setattr(demo_real, "images", lambda: few)
    monkeypatch.setattr(demo_real, "IMAGE_SIZE", 14)
    built = []

    def build(arguments):
        built.append(arguments)
        write_tiny_checkpoint(Path(arguments[1]))

    monkeypatch.setattr(demo_real.real_encoder, "main", build)
    demo_real.main()
    demo_real.main()  # Goes on with what is there.
    assert built == [["--out", "build/real-encoder"]]
    assert "3 ok" in capsys.readouterr().out
    assert (tmp_path / "scores-demo-real.html").exists()
