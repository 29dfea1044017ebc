"""A calibration of an encoder: saved, loaded, refused for anything else."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load, load_file, save

from jepa_jax.atomic_files import remove_leftovers
from jepa_jax.calibration.choosing import NOISE, Candidate, candidates, choose
from jepa_jax.checked_json import Fields, checked, read_json, whole
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.estimators.sketch.estimator import Sketch
from jepa_jax.estimators.sketch.fitting import SketchSamples
from jepa_jax.estimators.sketch.measurement import Measurement
from jepa_jax.object_stores import Place, place
from jepa_jax.precisions import Precision
from jepa_jax.store.files import make_folder, put, put_text
from jepa_jax.store.folder import check_ours
from jepa_jax.store.manifest import differing_settings
from jepa_jax.version import NUMERICS

ARRAYS, FACTS = "calibration.safetensors", "calibration.json"
# What reading files that are not as they were written may raise.
_DAMAGE = (
    *(SafetensorError, OSError, ValueError, TypeError, KeyError, IndexError, AttributeError),
    *(MemoryError, OverflowError, RecursionError),
)
_Seconds = Annotated[float, Field(ge=0, description="seconds, a number of at least 0")]
_Number = Annotated[int, whole(0, 2**62)]
_Text = Annotated[str, Field(description="text")]


class _Locked(Fields):
    rank: Annotated[int, whole(1, 2**31)]


class _Facts(Fields):
    seconds_an_exact_image: _Seconds = 0.0
    seconds_of_covariates: _Seconds = 0.0
    error_of_seconds: _Seconds = 0.0
    images: _Number = 0
    passed_over: _Number = 0
    asked: _Number = 0
    seed: Annotated[int, whole(-(2**62), 2**62)] = 0
    source: _Text = ""
    source_options: Annotated[dict[str, Any], Field(default_factory=dict, description="an object")]
    ids: Annotated[list[str], Field(default_factory=list, description="a list of texts")]


class _Content(Fields):
    locked: Annotated[_Locked, Field(description="an object")]
    facts: Annotated[_Facts, Field(description="an object")]
    fingerprint: _Text
    facts_digest: _Text = ""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Exact scores, sketches and features of calibration images, and what they hold for.

    `locked`: encoder (fingerprint, embedding rule, image size) and precision, outside of which it
    is refused. `facts`: source, ids, seconds an exact image, device, versions.

    >>> import numpy as np
    >>> from jepa_jax import Calibration, SketchSamples
    >>> from jepa_jax.estimators.sketch.measurement import Measurement
    >>> sizes = np.geomspace(0.5, 2, 20)  # 20 Jacobians, each a multiple of the identity
    >>> measured = Measurement(8 * np.log(sizes), sizes[:, None, None] * np.eye(4), {})
    >>> samples = SketchSamples(np.eye(4, 8), measured, rank=8)
    >>> seconds = {"seconds_an_exact_image": 1.0, "seconds_of_covariates": 0.1}
    >>> chosen = Calibration(samples, {"rank": 8}, seconds).choose(target_spearman=0.98)
    >>> chosen.name, chosen.seconds
    ('sketch, 4 cotangents', 0.6)
    """

    samples: SketchSamples
    locked: dict[str, Any]
    facts: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the measurements and of what they hold for."""
        digest = hashlib.sha256(json.dumps(self.locked, sort_keys=True).encode())
        for name, array in sorted(_arrays(self.samples).items()):
            digest.update(name.encode() + array.tobytes())
        return digest.hexdigest()

    def check(self, encoder: Encoder, precision: Precision = "highest") -> None:
        """Raises `ValueError` where it was made for something else, showing both values."""
        wanted = locked_settings(encoder, precision)
        # Those that were made before the number of the numerics was locked are of the first.
        locked = {"numerics": 1} | self.locked
        differing = differing_settings({key: locked.get(key) for key in wanted}, wanted)
        changed = [
            f"{key}: {was!r} in the calibration, {now!r} now"
            for key, (was, now) in differing.items()
        ]
        if changed:
            raise ValueError(
                "the calibration was made for something else; make another one "
                "(jepa-jax calibrate)\n  " + "\n  ".join(changed)
            )

    def sketch(self, encoder: Encoder, cotangents: int, precision: Precision = "highest") -> Sketch:
        """The sketch of so many VJPs, for the encoder and precision that it was made for."""
        self.check(encoder, precision)
        most = len(self.samples.cotangents)
        if cotangents > most:
            raise ValueError(
                f"`cotangents` must be at most {most}, as many were measured, got {cotangents}"
            )
        return Sketch(self.samples.fit(cotangents).calibration)

    def candidates(self) -> list[Candidate]:
        """Every method that was compared, the fastest first, `Exact` among them."""
        names = ("seconds_an_exact_image", "seconds_of_covariates")
        missing = [name for name in names if name not in self.facts]
        if missing:
            raise ValueError(
                f"the calibration does not say {missing[0]!r} among its facts: make another one "
                "(jepa-jax calibrate)"
            )
        return candidates(self.samples, **{name: self.facts[name] for name in names})

    def choose(self, target_spearman: float = 0.98, *, refinable: bool = False) -> Candidate:
        """The fastest candidate whose measured rank correlation reaches the target.

        Times within their measured error are equal (a tenth of them at least, a half at most), and
        the cost in VJPs then decides. `refinable`: only `Exact` and sketches.
        """
        noise = min(max(NOISE, self.facts.get("error_of_seconds", 0.0)), 0.5)
        return choose(self.candidates(), target_spearman, noise=noise, refinable=refinable)

    def save(self, folder: str | Place) -> None:
        """Writes calibration.safetensors and calibration.json into `folder`, made if need be."""
        folder = place(folder)
        make_folder(folder)
        content = {"locked": self.locked, "facts": self.facts, "fingerprint": self.fingerprint}
        content["facts_digest"] = _digest(self.facts)
        if isinstance(folder, Path):
            remove_leftovers(folder)
        put(folder / ARRAYS, save(_arrays(self.samples)))
        put_text(folder / FACTS, json.dumps(content, indent=2) + "\n")


def load_calibration(folder: str | Place) -> Calibration:
    """A saved calibration; `FileNotFoundError` or `ValueError` says what is wrong with it.

    >>> import tempfile
    >>> import numpy as np
    >>> from jepa_jax import Calibration, SketchSamples, load_calibration
    >>> from jepa_jax.estimators.sketch.measurement import Measurement
    >>> measured = Measurement(np.arange(16.0), np.ones((16, 1, 1)), {})
    >>> made = Calibration(SketchSamples(np.eye(1, 4), measured, rank=4), {"rank": 4}, {})
    >>> folder = tempfile.mkdtemp()
    >>> made.save(folder)
    >>> load_calibration(folder).fingerprint == made.fingerprint
    True
    """
    folder = place(folder)
    for name in (ARRAYS, FACTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"no {name} in {folder}: not a calibration")
    try:
        content = read_json(folder / FACTS)
        rank = checked(_Content, content).locked.rank
        facts = content["facts"]
        if content.get("facts_digest", _digest(facts)) != _digest(facts):
            raise ValueError(f"the facts in {FACTS} are not those that were written")
        stored = folder / ARRAYS
        arrays = load_file(stored) if isinstance(stored, Path) else load(stored.read_bytes())
        packed = arrays["sketch"]
        most = arrays["cotangents"].shape[0]
        sketch = np.zeros((len(packed), most, most), packed.dtype)
        sketch[(slice(None), *np.tril_indices(most))] = packed
        named = lambda prefix: {
            name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)
        }
        measured = Measurement(arrays["score"], sketch, named("covariate."), named("other."))
        samples = SketchSamples(arrays["cotangents"], measured, rank)
        found = Calibration(samples, dict(content["locked"]), dict(facts))
        fingerprint = found.fingerprint
    except _DAMAGE as error:
        raise ValueError(
            f"{folder} is not a readable calibration ({type(error).__name__}: {error}): delete it "
            "and make another one (jepa-jax calibrate)"
        ) from error
    if fingerprint != content.get("fingerprint"):
        raise ValueError(f"{folder}: {ARRAYS} and {FACTS} do not belong together")
    return found


def check_folder(folder: Place) -> None:
    """Raises `FileExistsError` or `NotADirectoryError` where a calibration cannot be put."""
    check_ours(folder, lambda name: name in (ARRAYS, FACTS))


def locked_settings(encoder: Encoder, precision: Precision) -> dict[str, Any]:
    """What a calibration holds for, beside its rank."""
    return {
        "numerics": NUMERICS,
        "fingerprint": encoder.fingerprint,
        "embedding": str(encoder.rule),
        "image_size": encoder.image_size,
        "precision": precision,
    }


def _digest(facts: Any) -> str:
    """SHA-256 of the facts as JSON."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _arrays(samples: SketchSamples) -> dict[str, np.ndarray]:
    """The arrays of a calibration's file, by name; sketches as their lower triangles."""
    measured = samples.measured
    lower = np.tril_indices(len(samples.cotangents))
    arrays: dict[str, Any] = {
        "cotangents": samples.cotangents,
        "score": np.asarray(measured.score),
        "sketch": np.asarray(measured.sketch)[(slice(None), *lower)],
    }
    arrays |= {f"covariate.{name}": a for name, a in measured.covariates.items()}
    arrays |= {f"other.{name}": a for name, a in (measured.others or {}).items()}
    return {name: np.ascontiguousarray(np.asarray(a)) for name, a in arrays.items()}
