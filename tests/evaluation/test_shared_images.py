"""Leakage is found by pixels: other names and formats do not hide it."""

import errno
import io

import numpy as np
import pytest
from PIL import Image

from jepa_jax.data import Record, storage
from jepa_jax.evaluation import Leakage, check_disjoint, fingerprints


def picture(seed: int, side: int = 40) -> Image.Image:
    """Smooth enough for a JPEG to be nearly the same."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    return small.resize((side, side), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return Image.open(buffer).convert("RGB")


def prints(name: str, *images: Image.Image):
    return fingerprints(
        [Record(f"{name}-{i}", name, lambda im=im: im) for i, im in enumerate(images)]
    )


def test_files_of_other_names_and_formats_are_the_same_image(tmp_path):
    for folder, extension in (("a", "png"), ("b", "bmp")):
        (tmp_path / folder).mkdir()
        picture(1).save(tmp_path / folder / f"{folder}.{extension}")
    (tmp_path / "b" / "broken.png").write_bytes(b"no image")
    a, b = (fingerprints(tmp_path / folder) for folder in "ab")
    assert a.hashes == b.hashes
    assert (a.ids, b.ids) == (("a.png",), ("b.bmp",))


def test_a_storage_that_fails_is_no_unreadable_image(monkeypatch):
    monkeypatch.setattr(storage, "RETRY_SECONDS", (0.0, 0.0, 0.0))
    tries = []

    def load(fails: int) -> Image.Image:
        tries.append(1)
        if len(tries) <= fails:
            raise OSError(errno.EIO, "Input/output error")
        return picture(1)

    assert len(fingerprints([Record("a", "disk", lambda: load(3))])) == 1
    tries.clear()
    with pytest.raises(storage.StorageFailed, match="failed in 4 tries at disk"):
        fingerprints([Record("a", "disk", lambda: load(4))])


def test_identical_near_and_different():
    reference = prints("reference", picture(1), picture(2), picture(3))
    inliers = prints("inliers", picture(4), jpeg(picture(2)), picture(3).resize((80, 80)))
    outliers = prints("outliers", picture(5), picture(1))
    found = check_disjoint({"reference": reference}, {"inliers": inliers}, {"odd": outliers})
    assert [(s.first, s.second, s.identical, s.near) for s in found] == [
        ("inliers", "reference", (), (("inliers-1", "reference-1"), ("inliers-2", "reference-2"))),
        ("odd", "reference", (("outliers-1", "reference-0"),), ()),
    ]


def test_inliers_are_compared_with_outliers_and_outliers_not_with_each_other():
    one = prints("one", picture(1))
    found = check_disjoint({"reference": prints("r", picture(2))}, {"inliers": one}, {"odd": one})
    assert [(s.first, s.second) for s in found] == [("odd", "inliers")]
    reference, inliers = (
        {"reference": prints("r", picture(2))},
        {"inliers": prints("i", picture(3))},
    )
    assert check_disjoint(reference, inliers, {"odd": one, "other": one}) == []


def test_the_error_names_sets_and_images():
    found = check_disjoint(
        {"reference": prints("r", picture(1))}, {"inliers": prints("i", picture(1))}, {}
    )
    with pytest.raises(ValueError, match=r"1 of 'inliers' are in 'reference' too.*'i-0' = 'r-0'"):
        raise Leakage(found)


def test_only_the_ids_wanted():
    records = [Record(str(i), "memory", lambda i=i: picture(i)) for i in range(4)]
    assert fingerprints(records, only=["1", "3"]).ids == ("1", "3")
    assert fingerprints(records, limit=2).ids == ("0", "1")
