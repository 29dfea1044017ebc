"""What is locked, what is recorded, and manifests made before."""

import json
from collections import Counter

import pytest
from command_line import invoke
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
        "3",
        "1" * 5000,
        '{"settings": null, "facts": {}}',
        '{"settings": {}, "facts": []}',
        '{"settings": {"source": "x"}, "facts": {"continued": 3}}',
        '{"settings": {"source": "x"}, "facts": {"continued": [3]}}',
        '{"settings": {"source": "x"}, "facts": {"' + "x" * (17 << 20) + '": 1}}',
        "[" * 200_000,
        '{"settings": {"source": "x"}, "facts": {"deep": ' + "[" * 900 + "]" * 900 + "}}",
        '{"settings": {"source": "x", "seed": ' + "9" * 5000 + '}, "facts": {}}',
        "\udcff",
        "",
    ],
    ids=lambda content: content[:20].encode("unicode_escape").decode(),
)
def test_what_is_no_manifest(tmp_path, content):
    (tmp_path / MANIFEST).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match="is not a manifest of scores") as error:
        read_manifest(tmp_path)
    assert str(tmp_path / MANIFEST) in str(error.value)
    assert len(str(error.value)) < 400
    assert "\n" not in str(error.value)


ODD = (None, [], [None], {}, {"x": [1]}, "", "x", "1", -1, 0, 0.5, 1e308, 10**400, True)


def fields_of(content, path=()):
    """The path of every value in a manifest."""
    for name, value in content.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from fields_of(value, (*path, name))


def test_no_value_of_any_field_is_more_than_one_line_of_error(tmp_path):
    """Each one replaced by values of other types and sizes, and left out."""
    rows = [row("a.png", 1.0), row("b.png", 2.0)]
    folder = write_folder(tmp_path / "scores", rows, refine={"low": 0.1}, source_options={"x": 1})
    whole = json.loads((folder / MANIFEST).read_text())
    whole["facts"] |= {"version": "0.1.0", "continued": [{"version": "0.2.0"}]}
    refused, read = Counter(), 0
    for path in fields_of(whole):
        for value in (*ODD, "absent"):
            changed = json.loads(json.dumps(whole))
            inner = changed
            for name in path[:-1]:
                inner = inner[name]
            inner[path[-1]] = value
            if value == "absent":
                del inner[path[-1]]
            (folder / MANIFEST).write_text(json.dumps(changed))
            try:
                summary = summarize(folder)
                describe_run(summary.settings, summary.facts)
                check_comparable(read_scores(folder), read_scores(folder))
                read += 1
            except ValueError as error:
                said = str(error)
            else:
                said = ""
            if said:
                assert said.startswith(f"{folder / MANIFEST} is not a manifest of scores: ")
                assert "\n" not in said
                refused[path] += 1
                continue
            result = invoke("show", folder) if value is None else None
            assert result is None or result.exit_code == 0, (path, result and result.output)
    assert read > 100
    assert refused[("settings",)] == len(ODD) - 1  # Two of them are objects.
    assert all(refused[("settings", name)] >= 8 for name in whole["settings"])


def test_another_method_is_one_line_and_a_lost_manifest_has_a_way_on(tmp_path):
    folder = write_folder(tmp_path / "s", [row("a.png", 1.0)])
    other = settings_now(estimator={"method": "lanczos", "steps": 20, "probes": 4})
    with pytest.raises(ValueError, match="made with other settings") as error:
        check_manifest(folder, other, FACTS)
    assert [line for line in str(error.value).splitlines() if "estimator" in line] == [
        "  estimator.method: 'exact' before, 'lanczos' now"
    ]
    (folder / MANIFEST).unlink()
    with pytest.raises(ValueError, match="put that file back, or give another output folder"):
        check_manifest(folder, other, FACTS)
