"""A calibration that is damaged is an error that says so, or what it was."""

import json
import random

import numpy as np
import pytest

from jepa_jax import Calibration, SketchSamples, load_calibration
from jepa_jax.calibration.calibration import ARRAYS, FACTS, _digest, check_folder
from jepa_jax.estimators.sketch.measurement import Measurement


@pytest.fixture
def folder(tmp_path):
    draw = np.random.default_rng(0)
    measured = Measurement(
        draw.normal(size=16), np.tril(draw.normal(size=(16, 3, 3))), {"norm": draw.normal(size=16)}
    )
    facts = {"seconds_an_exact_image": 0.5, "seconds_of_covariates": 0.25, "ids": ["a", "b"]}
    Calibration(SketchSamples(np.eye(3, 8), measured, rank=6), {"rank": 6}, facts).save(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [ARRAYS, FACTS])
def test_a_flipped_bit_is_found_or_changes_nothing(folder, name):
    whole, data = load_calibration(folder), (folder / name).read_bytes()
    draw, errors = random.Random(0), []
    for _ in range(150):
        damaged = bytearray(data)
        damaged[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        (folder / name).write_bytes(damaged)
        try:
            found = load_calibration(folder)
            assert (found.fingerprint, found.facts) == (whole.fingerprint, whole.facts)
        except ValueError as error:
            errors.append(str(error))
    assert len(errors) > 100
    for error in errors:
        assert str(folder) in error
        assert "is not a readable calibration" in error or "do not belong together" in error


@pytest.mark.parametrize("content", ["", "[]", "null", '{"facts": null}', "[" * 100_000, "\ud800"])
def test_facts_that_are_something_else(folder, content):
    (folder / FACTS).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"is not a readable calibration .*: delete it and"):
        load_calibration(folder)


def test_arrays_cut_short(folder):
    data = (folder / ARRAYS).read_bytes()
    for size in (0, 5, 100, len(data) - 1):
        (folder / ARRAYS).write_bytes(data[:size])
        with pytest.raises(ValueError, match="is not a readable calibration"):
            load_calibration(folder)


def test_one_that_was_made_before_the_numerics_had_a_number(folder, encoder):
    """Its locked settings and its file lack what came later."""
    content = json.loads((folder / FACTS).read_text())
    del content["facts_digest"]
    (folder / FACTS).write_text(json.dumps(content))
    found = load_calibration(folder)
    with pytest.raises(ValueError, match="made for something else") as error:
        found.check(encoder)
    assert "numerics" not in str(error.value)


def test_a_folder_with_what_systems_and_kills_leave_is_taken_and_cleaned(folder):
    for name in (".DS_Store", ".jepa-jax-0123456789abcdef.tmp"):
        (folder / name).write_text("x")
    check_folder(folder)
    load_calibration(folder).save(folder)
    assert sorted(p.name for p in folder.iterdir()) == [".DS_Store", FACTS, ARRAYS]
    (folder / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match="holds other things"):
        check_folder(folder)


ODD = (None, [], [None], {}, "", "x", -1, 0.5, 1e308, 10**400, True)


def test_no_value_of_any_field_is_more_than_an_error(folder):
    """Also where the digest of the facts is that of what was put there."""
    whole = json.loads((folder / FACTS).read_text())
    whole["facts"] |= {"images": 16, "passed_over": 0, "asked": 16, "seed": 0, "source": "photos"}
    places = [("locked",), ("facts",), ("fingerprint",), ("facts_digest",), ("locked", "rank")]
    places += [("facts", name) for name in whole["facts"]]
    refused = 0
    for path in places:
        for value in ODD:
            changed = json.loads(json.dumps(whole))
            inner = changed
            for name in path[:-1]:
                inner = inner[name]
            inner[path[-1]] = value
            if path[0] == "facts":
                changed["facts_digest"] = _digest(changed["facts"])
            (folder / FACTS).write_text(json.dumps(changed))
            try:
                load_calibration(folder).candidates()
            except ValueError as error:
                said = str(error)
            else:
                said = ""
            if said:
                assert str(folder) in said or "make another one" in said, (path, value)
                assert "\n" not in said
                refused += 1
    assert refused > len(places) * 6
