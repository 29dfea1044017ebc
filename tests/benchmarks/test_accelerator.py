"""`make bench-accelerator`, rehearsed at small sizes: it measures all parts and always ends."""

import json
import math
import time
import types

import pytest
from typechecked import unchecked

from benchmarks.accelerator import deviceless, parts, scores
from benchmarks.accelerator.__main__ import main
from benchmarks.accelerator.page import page, roofline, suggested_elements
from benchmarks.accelerator.subjects import SUBJECTS, encoder_of


@pytest.fixture(scope="module", autouse=True)
def by_shapes_alone():
    """Programs are lowered for calibrations of shapes, where annotations have arrays."""
    with unchecked():
        yield


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("accelerator")
    found = {"tiny": True, "seconds": 1.0, "finished": list(parts.WEIGHTS), "rows": []}
    for part in parts.WEIGHTS:
        own = folder / part
        own.mkdir()
        rows = parts.rows_of(part, 300.0, True, own)
        found["rows"] += [json.loads(json.dumps({"part": part} | row)) for row in rows]
    return found


def test_every_part_measures(record):
    rows = record["rows"]
    assert not [row for row in rows if "failed" in row]
    timed = [row for row in rows if "seconds" in row]
    assert {row["part"] for row in timed} == set(parts.WEIGHTS) - {"decoding"}
    assert all(row["seconds"] > 0 for row in timed)
    assert {"decoding", "scoring", "run"} <= {row["what"] for row in rows}


def test_all_implementations_agree_on_the_score(record):
    """The same weights and image, whoever computes it."""
    exact = {
        (row["method"], row["precision"]): row["scores"][0]
        for row in record["rows"]
        if row["what"] == "score" and row["encoder"] == "ViT-S/14" and row["method"] != "sketch"
    }
    ours = exact["exact", "highest"]
    for name, precision in exact:
        tolerance = 1e-4 if precision in ("highest", "float32") else 0.5
        assert exact[name, precision] == pytest.approx(ours, abs=tolerance), (name, precision)
    assert {name for name, _ in exact} >= {"PyTorch, Listing 1", "PyTorch, jacrev"}


def test_the_page_has_what_was_measured(record):
    shown = page(record)
    for heading in ("The device", "ViT-S/14", "ViT-L/14", "I-JEPA H/14", "Batch and chunk"):
        assert f"## {heading}" in shown
    assert "_ELEMENTS_ACCELERATOR" in shown
    assert "the times mean nothing" in shown
    assert "| PyTorch, Listing 1 | float32 |" in shown


def test_a_part_that_has_no_end_is_ended(monkeypatch):
    began = time.monotonic()
    rows = list(parts.in_a_process("small", 0.5, True))
    assert time.monotonic() - began < 10
    assert rows[-1]["what"] == "ended"


def test_one_command_one_file(tmp_path, capsys):
    main(["--tiny", "--only", "device", "--seconds", "120", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "tiny-cpu.json").read_text())
    assert found["finished"] == ["device"]
    assert found["command"].endswith("--only device --tiny")
    assert {row["what"] for row in found["rows"]} >= {"known answers", "products", "copies"}
    assert (tmp_path / "tiny-cpu.md").read_text().startswith("# cpu")


def test_without_an_accelerator_it_says_so(tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["--only", "device", "--out", str(tmp_path)])
    assert "JAX sees no accelerator" in str(ended.value)
    assert not list(tmp_path.iterdir())


def test_unknown_parts_are_named(capsys):
    with pytest.raises(SystemExit):
        main(["--only", "device,speed"])
    assert "got speed" in capsys.readouterr().err


def test_programs_lower_for_the_platforms():
    """Of each kind one, of a small encoder; all precisions and methods: tests/test_platforms.py."""
    encoder = encoder_of(SUBJECTS["small"], tiny=True)
    for part in ("small", "sizes", "large"):
        assert len(scores.programs(part, encoder.embedding_size, tiny=False)) >= 4
    exact, _, sketch = scores.programs("small", encoder.embedding_size, tiny=False)[:3]
    for program in (exact, sketch):
        scorer = scores.scorer_of(encoder, program)
        traced = scorer.traced(encoder.image_size, encoder.image_size)
        for platform in ("cuda", "tpu"):
            assert "@main" in traced.lower(lowering_platforms=(platform,)).as_text()


def test_the_suggested_size_is_the_smallest_of_the_fast():
    def row(elements, seconds, precision="bf16"):
        return {
            "what": "score",
            "part": "sizes",
            "precision": precision,
            "elements": elements,
            "seconds": seconds,
        }

    rows = [row(2**20, 2.0), row(2**22, 1.04), row(2**24, 1.0), row(2**18, 0.1, "highest")]
    assert suggested_elements(rows, "bf16") == 2**22
    assert suggested_elements(rows, "tf32") is None


def test_a_share_of_the_roofline():
    """2 TFLOP at 1 TFLOP/s are 2 s, 3 GB at 1 GB/s 3 s: of 6 s that is half."""
    rows = [
        {"what": "products", "precision": "bf16", "flop_a_second": 1e12},
        {"what": "copies", "bytes_a_second": 1e9},
    ]
    row = {"precision": "bf16", "flop_an_image": 2e12, "bytes_an_image": 3e9, "seconds": 6.0}
    assert roofline(row, rows) == pytest.approx(0.5)
    assert math.isnan(roofline(row | {"precision": "tf32", "bytes_an_image": None}, rows))


def test_what_a_compiled_program_says_of_its_products():
    """By the types of the operands; lines as XLA writes them."""

    class Compiled:
        def as_text(self):
            call = 'custom_call_target="__cublas$lt$matmul", backend_config={}'
            return f"""
  %a.1 = bf16[8,16]{{1,0}} fusion(%p), kind=kLoop
  %b = bf16[16,4]{{1,0}} parameter(1)
  %c = f32[8,8]{{1,0}} parameter(2)
  %d = (f32[8,4]{{1,0}}, s8[4]{{0}}) custom-call(%a.1, %b), {call}
  %e = (f32[8,8]{{1,0}}, s8[4]{{0}}) custom-call(%c, %c), {call}
  %f = f32[8,8]{{1,0}} dot(%c, %c), lhs_contracting_dims={{1}}
  %g = f32[8,8]{{1,0}} all-reduce(%c), to_apply=%add
"""

        def memory_analysis(self):
            return types.SimpleNamespace(temp_size_in_bytes=2e6, argument_size_in_bytes=1e6)

    found = deviceless.facts(Compiled())
    assert found["products"] == {"bf16": 1, "f32": 1}
    assert (found["other_products"], found["collectives"]) == (1, 1)
    row = {"encoder": "e", "method": "exact", "precision": "bf16", "devices": 1, "batch": 2}
    shown = deviceless.page([row | {"chunk": 3} | found, row | {"chunk": 4, "failed": "no room"}])
    assert "| e | exact | bf16 | 1 | 2 | 3 | 1 bf16, 1 f32 | 1 | 1 | 2 |  |" in shown
    assert "| no room |" in shown
