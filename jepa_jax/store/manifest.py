"""The manifest of a scores folder: what it locks, and how two of them are compared.

`settings` are locked: what a row depends on, and how rows lie in the files. A run with other ones
is refused. `facts` (which device, which version, when) are only recorded; those of reruns by
another version or device come after them, under "continued".
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jepa_jax.object_stores import Address, Place, place
from jepa_jax.store.files import put_text
from jepa_jax.store.folder import MANIFEST, shard_paths
from jepa_jax.version import NUMERICS

# Facts that every run has of its own.
_OF_ONE_RUN = ("started", "continued", "known_answers", "precision_choice")
# What of the settings may differ between folders whose scores are compared: where images are, how
# rows are stored, and the seed, which draws views and probes and shifts no score.
_FREE = (
    *("source", "shard_size", "store", "estimator.spectrum", "seed", "part.index", "part.of"),
    "encoder.inner",
)
# The setting that differs between folders that are merged.
PART = "part"


def make_settings(
    *,
    source: str,
    encoder: Mapping[str, Any],
    estimator: Mapping[str, Any],
    precision: str,
    views: int,
    seed: int,
    store: Sequence[str],
    shard_size: int,
    refine: Mapping[str, Any] | None = None,
    source_options: Mapping[str, Any] | None = None,
    part: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The settings that a manifest locks.

    `encoder`: fingerprint, embedding rule and image size, and further (`inner`) rules where there
    are some; `estimator`: its method and settings, or
    a hash of its calibration; `refine`: shares of the rows scored again exactly (and at which
    precision, where that is not the run's), and `source_options`: how the source was opened, where
    there is something to say; `part`: which of how many parts of a run the folder has.
    """
    settings = {
        "numerics": NUMERICS,
        "source": source,
        "encoder": dict(encoder),
        "estimator": dict(estimator),
        "precision": precision,
        "views": views,
        "seed": seed,
        "store": list(store),
        "shard_size": shard_size,
    }
    optional = {"refine": refine, "source_options": source_options, PART: part}
    return settings | {name: dict(value) for name, value in optional.items() if value}


def check_manifest(
    out: Place,
    settings: dict[str, Any],
    facts: dict[str, Any],
    *,
    of_first: Mapping[str, Any] | None = None,
) -> None:
    """Writes the manifest of a new run, or checks that a rerun has the same settings.

    A rerun whose `facts` are others adds its own; `of_first` are facts of a new run alone.
    `ValueError` lists each locked setting that differs, with both values.
    """
    settings, facts = _as_read(settings), _as_read(facts)
    before = refuse_other_settings(out, settings, facts)
    if before is None:  # Nothing is there that other settings could contradict.
        _write(out, {"settings": settings, "facts": facts | _as_read(dict(of_first or {}))})
        return
    runs = [before["facts"], *before["facts"].get("continued", [])]
    if not any(_lasting(run) == _lasting(facts) for run in runs):
        before["facts"]["continued"] = [*runs[1:], facts]
        _write(out, before)


def refuse_other_settings(
    out: Place, settings: dict[str, Any], facts: dict[str, Any], *, but: tuple[str, ...] = ()
) -> dict[str, Any] | None:
    """The manifest of a folder that has rows, None of one that has none.

    `ValueError` where the rows were made with other settings, but for those named in `but` and
    what is below them.
    """
    if not shard_paths(out):
        return None
    if not (out / MANIFEST).exists():
        raise ValueError(
            f"{out} holds scores but no {MANIFEST}: what made them is unknown; put that file back, "
            "or give another output folder"
        )
    before = read_manifest(out)
    differing = differing_settings(before["settings"], _as_read(settings))
    if "estimator.method" in differing:  # Each method has settings of its own.
        method = differing["estimator.method"]
        differing = {k: v for k, v in differing.items() if not k.startswith("estimator.")}
        differing["estimator.method"] = method
    changed = [
        f"{key}: {was!r} before, {now!r} now"
        for key, (was, now) in differing.items()
        if key.partition(".")[0] not in but
    ]
    if changed:
        if before["facts"].get("encoder") != facts.get("encoder"):
            # Of fingerprints alone a reader learns nothing.
            name, other = before["facts"].get("encoder"), facts.get("encoder")
            changed.insert(0, f"encoder: {name} before, {other} now")
        raise ValueError(
            f"{out} was made with other settings; give another output folder, or the same settings"
            "\n  " + "\n  ".join(changed)
        )
    return before


def _as_read(content: dict[str, Any]) -> dict[str, Any]:
    """With the types that JSON gives back."""
    return json.loads(json.dumps(content))


def _lasting(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What would be the same for another run by the same version and device."""
    return {name: value for name, value in facts.items() if name not in _OF_ONE_RUN}


def _write(out: Place, content: dict[str, Any]) -> None:
    put_text(out / MANIFEST, json.dumps(content, indent=2) + "\n")


def read_manifest(out: str | Place) -> dict[str, Any]:
    """The manifest of a scores folder; `FileNotFoundError` or `ValueError` where there is none.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from jepa_jax.store import read_manifest
    >>> out = Path(tempfile.mkdtemp())
    >>> manifest = '{"settings": {"source": "photos/"}, "facts": {}}'
    >>> _ = (out / "_manifest.json").write_text(manifest)
    >>> read_manifest(out)["settings"]
    {'source': 'photos/'}
    """
    path = place(out) / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"no {MANIFEST} in {out}: not a folder of scores")
    # Not above: pydantic takes longer to import than all that a folder of other files needs.
    from jepa_jax.store.manifest_form import read

    try:
        content = read(path)
    except ValueError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path} is not a manifest of scores: {reason}") from error
    settings, facts = content["settings"], content["facts"]
    if "numerics" not in settings and "version" in settings:
        # Made when the version was locked in its place, which stood at 1 until then.
        facts = {"version": settings["version"], **facts}
        settings = {"numerics": 1} | {k: v for k, v in settings.items() if k != "version"}
    return {"settings": settings, "facts": facts}


def is_scores_folder(source: Any) -> bool:
    """Whether `source` is a folder that `score` made."""
    return isinstance(source, (str, Path, Address)) and _has_manifest(source)


def _has_manifest(source: str | Place) -> bool:
    try:
        folder = place(source)
    except ValueError:  # An address of another kind.
        return False
    return (folder / MANIFEST).is_file()


def incomparable_settings(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Of two folders' settings those that differ and shift scores, by name, with both values."""
    return {
        key: values
        for key, values in differing_settings(one, other).items()
        if key not in _FREE and not key.startswith("source_options.")
    }


def differing_settings(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """The settings that differ, by their dotted names, with both values (None where one has none).

    >>> differing_settings({"encoder": {"size": 112}, "seed": 0}, {"encoder": {"size": 224}})
    {'encoder.size': (112, 224), 'seed': (0, None)}
    """
    flat, others = _flat(one), _flat(other)
    return {
        key: (flat.get(key), others.get(key))
        for key in sorted(flat.keys() | others.keys())
        if flat.get(key) != others.get(key)
    }


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat
