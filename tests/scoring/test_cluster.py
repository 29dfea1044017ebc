"""A Ray cluster of this machine alone, where Ray is installed (the extra `ray`)."""

import sys

import pyarrow.parquet as pq
import pytest
from streams import colour

from jepa_jax import Exact, Scorer
from jepa_jax.scoring import Ray
from jepa_jax.scoring.cluster_joining import join
from jepa_jax.store import read_manifest


def test_a_cluster_gives_the_rows_of_one_process(encoder, scorer, tmp_path):
    pytest.importorskip("ray")
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(7):
        colour(i).save(photos / f"{i}.png")
    (photos / "3.png").write_bytes(b"no image")
    scorer.run(photos, tmp_path / "local", shard_size=2)
    with Ray("local", workers=1, devices_per_worker=0) as engine:
        elsewhere = Scorer(encoder, Exact(), devices=0)
        summary = elsewhere.run(photos, tmp_path / "ray", engine=engine, shard_size=2)
    assert summary.counts == {"ok": 6, "unreadable": 1}
    found, expected = (pq.read_table(tmp_path / name).to_pylist() for name in ("ray", "local"))
    for one, other in zip(found, expected, strict=True):
        score, right = one.pop("jepa_score"), other.pop("jepa_score")
        assert score == pytest.approx(right, abs=1e-3, nan_ok=True)
        assert one == other
    assert read_manifest(tmp_path / "ray")["facts"]["device"] == "cpu: cpu"


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'jepa-jax\[ray\]'"):
        join("local")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"workers": 0}, "`workers` must be at least 1, got 0"),
        ({"cpus_per_worker": 0}, "`cpus_per_worker` must be at least 1, got 0"),
        ({"devices_per_worker": -1}, "`devices_per_worker` must be at least 0, got -1"),
        ({"on_lost": "wait"}, "`on_lost` must be 'end' or 'skip', got 'wait'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Ray(**settings)
