"""The measurement as a page: what each part found, against the device's own ceilings."""

import math
from typing import Any

import numpy as np

from benchmarks.shared.tables import table

Row = dict[str, Any]
# Sizes within this share of the fastest are as good: the smallest of them needs the least memory.
_AS_GOOD = 0.95
_PRODUCTS = {"tensorfloat32": "tf32"}


def page(record: dict[str, Any]) -> str:
    """All of it, as far as it has been measured."""
    rows = record["rows"]
    device = next((row for row in rows if row["what"] == "device"), {})
    lines = [f"# {device.get('kind', 'A device')}", ""]
    if record["tiny"]:
        lines += ["A rehearsal at small sizes: the times mean nothing.", ""]
    lines += [
        f"{record['seconds']:.0f} s for the parts {', '.join(record['finished'])}. Weights are "
        "random: times and memory are those of real ones, scores are not.",
        "",
        "## The device",
        "",
        table(
            ["precision", ("known answers: largest error", 6), ("products, TFLOP/s", 1)],
            [_of_device(precision, rows) for precision in _precisions(rows)],
        ),
    ]
    for row in _of(rows, "copies"):
        lines += ["", f"Reading and writing memory: {row['bytes_a_second'] / 1e9:.0f} GB/s."]
    for encoder in dict.fromkeys(row["encoder"] for row in _of(rows, "score")):
        mine = [r for r in _of(rows, "score") if r["encoder"] == encoder and r["part"] != "sizes"]
        lines += ["", f"## {encoder}", "", _scores(mine, rows)]
        failed = [f"{_label(r)}: {r['failed']}" for r in mine if "failed" in r]
        lines += ["", *(f"- not measured: {text}" for text in failed)] * bool(failed)
    if any(row["part"] == "sizes" for row in _of(rows, "score")):
        lines += ["", "## Batch and chunk", "", *_sizes(rows)]
    if _of(rows, "decoding"):
        lines += ["", "## With decoding on the host", "", *_decoding(rows)]
    ends = [r for r in rows if r["what"] in ("ended", "failed")]
    lines += ["", *(f"- {r['part']} {_end(r)}" for r in ends)] * bool(ends)
    return "\n".join(lines)


def _of(rows: list[Row], what: str) -> list[Row]:
    return [row for row in rows if row["what"] == what]


def _end(row: Row) -> str:
    if row["what"] == "failed":
        return f"failed: {row['error']}"
    return f"was ended after {row['after_seconds']:.0f} s: what follows of it is missing"


def _precisions(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(r["precision"] for r in _of(rows, "known answers")))


def _of_device(precision: str, rows: list[Row]) -> list[object]:
    answers = next(r for r in _of(rows, "known answers") if r["precision"] == precision)
    names = ("layer_norm", "attention", "product", "log_volume")
    error = answers.get("failed") or max(float(answers[name]) for name in names)
    return [precision, error, ceiling(precision, rows) / 1e12]


def ceiling(precision: str, rows: list[Row]) -> float:
    """FLOP/s of the device's own products at a precision; NaN where that was not measured."""
    name = _PRODUCTS.get(precision, precision)
    found = [r.get("flop_a_second") for r in _of(rows, "products") if r["precision"] == name]
    return float(found[0]) if found and found[0] else math.nan


def roofline(row: Row, rows: list[Row]) -> float:
    """The share that a score has of what the device allows: the seconds that its products take at
    the products' ceiling, or its memory traffic at the memory's if that is longer, of its own.

    The traffic is the compiler's count, of arrays that may be in a cache: where it is what bounds,
    the share may pass 1.
    """
    if "flop_an_image" not in row or "seconds" not in row:
        return math.nan
    memory = next((r["bytes_a_second"] for r in _of(rows, "copies")), math.nan)
    least = [row["flop_an_image"] / ceiling(row["precision"], rows)]
    if row.get("bytes_an_image"):
        least.append(row["bytes_an_image"] / memory)
    known = [seconds for seconds in least if math.isfinite(seconds)]
    return max(known) / row["seconds"] if known else math.nan


def _label(row: Row) -> str:
    return f"{row['method']}, {row['precision']}, batch {row['batch']}"


def _scores(mine: list[Row], rows: list[Row]) -> str:
    seconds = {_label(r): r["seconds"] for r in mine if "seconds" in r}
    listing1 = next((s for name, s in seconds.items() if "Listing 1" in name), math.nan)
    best = min((s for name, s in seconds.items() if "PyTorch" in name), default=math.nan)
    exact = next(
        (r["scores"] for r in mine if (r["method"], r["precision"]) == ("exact", "highest")
         and "scores" in r),
        None,
    )  # fmt: skip
    lines = []
    for row in mine:
        if "seconds" not in row:
            continue
        own = row["seconds"]
        products = row.get("flop_an_image", math.nan) / own / ceiling(row["precision"], rows)
        lines.append(
            [
                row["method"],
                row["precision"],
                f"{row['batch']} x {row['chunk']}" if "chunk" in row else "1",
                1 / own,
                listing1 / own,
                best / own,
                products,
                roofline(row, rows),
                (row.get("planned_bytes") or math.nan) / 1e9,
                _difference(row, exact),
            ]
        )
    head = ["method", "precision", "images x cotangents", ("images/s", 2), ("times Listing 1", 1)]
    head += [("times the best PyTorch", 1), ("of the products' ceiling", 2), ("of the roofline", 2)]
    return table([*head, ("GB", 2), ("less float32's score, nats", 3)], lines)


def _difference(row: Row, exact: list[float] | None) -> float:
    """Of an exact score from float32's, the mean over the images that both have."""
    if exact is None or row["method"] == "sketch":
        return math.nan
    count = min(len(exact), len(row["scores"]))
    return float(np.mean(np.subtract(row["scores"][:count], exact[:count])))


def suggested_elements(rows: list[Row], precision: str) -> int | None:
    """The fewest elements of an activation whose rate is within 5 % of the fastest's."""
    found = [
        r
        for r in _of(rows, "score")
        if r.get("part") == "sizes" and r["precision"] == precision and "seconds" in r
    ]
    if not found:
        return None
    fastest = min(r["seconds"] for r in found)
    return min(r["elements"] for r in found if r["seconds"] <= fastest / _AS_GOOD)


def _sizes(rows: list[Row]) -> list[str]:
    mine = [r for r in _of(rows, "score") if r["part"] == "sizes" and "seconds" in r]
    head = ["precision", "images", "cotangents", ("log2 elements", 1), ("images/s", 2), ("GB", 2)]
    lines = [
        table(
            head,
            [
                [
                    r["precision"],
                    r["batch"],
                    r["chunk"],
                    math.log2(r["elements"]),
                    1 / r["seconds"],
                    (r.get("planned_bytes") or math.nan) / 1e9,
                ]
                for r in sorted(mine, key=lambda r: (r["precision"], r["seconds"]))
            ],
        )
    ]
    for precision in dict.fromkeys(r["precision"] for r in mine):
        elements = suggested_elements(rows, precision)
        assert elements is not None
        lines += [
            "",
            f"`_ELEMENTS_ACCELERATOR` in `jepa_jax/scoring/batch_sizes.py` for {precision}: "
            f"2**{math.log2(elements):.1f}, the fewest within 5 % of the fastest.",
        ]
    return lines


def _decoding(rows: list[Row]) -> list[str]:
    size = next(r["pixels"] for r in _of(rows, "files"))
    device = next((r["images_a_second"] for r in _of(rows, "scoring")), math.nan)
    lines = [
        ["decoding and preprocessing", r["threads"], r["images_a_second"]]
        for r in _of(rows, "decoding")
    ]
    lines += [["the device alone", None, device]]
    lines += [["a run", r["threads"], r["images_a_second"]] for r in _of(rows, "run")]
    return [
        f"JPEGs of {size[0]} x {size[1]}, a sketch in bf16.",
        "",
        table(["what", "threads", ("images/s", 1)], lines),
    ]
