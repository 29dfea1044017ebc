"""What is locked, what is recorded, and manifests made before."""

import json

import pytest
from tables import FACTS, SETTINGS, row, write_folder

from jepa_jax.report import summarize
from jepa_jax.report.fitted_threshold import check_comparable
from jepa_jax.report.words import describe_run
from jepa_jax.store import read_scores
from jepa_jax.store.folder import MANIFEST
from jepa_jax.store.manifest import check_manifest, make_settings, read_manifest
from jepa_jax.version import NUMERICS, __version__

# As version 0.1.0 wrote it: the version is locked, and nothing says which numerics.
BEFORE = """{
  "settings": {
    "version": "0.1.0",
    "source": "photos",
    "encoder": {"fingerprint": "abc", "embedding": "cls", "image_size": 28},
    "estimator": {"method": "exact", "rank": "structural"},
    "precision": "highest",
    "views": 1,
    "seed": 0,
    "store": [],
    "shard_size": 4
  },
  "facts": {"encoder": "embedded", "started": "2026-01-02T03:04:05+00:00", "device": "cpu: cpu"}
}
"""


@pytest.fixture
def before(tmp_path):
    folder = write_folder(tmp_path / "before", [row("a.png", 1.0)])
    (folder / MANIFEST).write_text(BEFORE)
    return folder


def settings_now(**changed):
    given = {name: SETTINGS[name] for name in SETTINGS if name != "numerics"}
    return make_settings(**(given | changed))


def test_a_folder_made_before_is_continued_compared_and_reported(before, tmp_path):
    check_manifest(before, settings_now(), FACTS | {"version": __version__})
    now = write_folder(tmp_path / "now", [row("b.png", 2.0)])
    check_comparable(read_scores(now), read_scores(before))
    manifest = read_manifest(before)
    assert manifest["settings"]["numerics"] == 1
    assert "version" not in manifest["settings"]
    assert summarize(before).settings["numerics"] == 1
    sentence = describe_run(manifest["settings"], manifest["facts"])[-1]
    assert sentence == "They were made on 2026-01-02, on cpu: cpu, by jepa-jax 0.1.0."


def test_other_numerics_are_refused(before, monkeypatch):
    monkeypatch.setattr("jepa_jax.store.manifest.NUMERICS", NUMERICS + 1)
    with pytest.raises(ValueError, match=f"numerics: 1 before, {NUMERICS + 1} now"):
        check_manifest(before, settings_now(), FACTS)


def test_the_version_is_a_fact_and_each_one_that_wrote_rows_is_kept(before):
    path = before / MANIFEST
    for version in ("0.2.0", "0.2.0", "0.3.0", "0.2.0"):
        check_manifest(before, settings_now(), FACTS | {"version": version, "started": "later"})
    facts = json.loads(path.read_text())["facts"]
    assert facts["version"] == "0.1.0"
    assert [run["version"] for run in facts["continued"]] == ["0.2.0", "0.3.0"]
    written = path.stat().st_mtime_ns
    check_manifest(before, settings_now(), FACTS | {"version": "0.3.0"})
    assert path.stat().st_mtime_ns == written  # Nothing new: nothing is written.


@pytest.mark.parametrize(
    "content",
    [
        "null",
        "[]",
        '{"settings": null, "facts": {}}',
        '{"settings": {}, "facts": []}',
        '{"settings": {}, "facts": {"continued": 3}}',
        "[" * 100_000,
        "\udcff",
    ],
)
def test_what_is_no_manifest(tmp_path, content):
    (tmp_path / MANIFEST).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match="is not a manifest of scores"):
        read_manifest(tmp_path)
