"""A checkpoint with a file changed at random loads or is refused by name: never anything else."""

import copy
import json
import random
import shutil
import time

import pytest

from jepa_jax import load_encoder
from jepa_jax.encoders.loading import EMBEDDED

MUTATIONS = 60  # A file.
SECONDS = 2

VALUES = [
    None,
    True,
    "",
    "a" * 100_000,
    0,
    -1,
    1,
    3,
    7,
    28,
    64,
    5000,
    20_000,
    10**8,
    10**400,
    -(10**30),
    0.5,
    1e308,
    -1e-308,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    [1, 2, 3],
    {"height": 28, "width": 28},
    {"shortest_edge": 4096},
    {"a": {"b": [None]}},
]


def deep(levels):
    value = None
    for _ in range(levels):
        value = [value]
    return value


def places(content, where=()):
    """The paths of all values within."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        yield (*where, key)
        if isinstance(value, dict | list):
            yield from places(value, (*where, key))


def mutated(content, rng):
    """The file's text with one to three values dropped, replaced, or added; or damaged as text."""
    content = copy.deepcopy(content)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        *way, last = rng.choice([*places(content), ("auto_map",)])
        holder = content
        for step in way:
            holder = holder[step]
        value = copy.deepcopy(rng.choice(VALUES))
        match rng.randrange(8):
            case 0 if len(content) > 1 and last in holder:
                del holder[last]
            case 1:
                holder[last] = deep(rng.choice([1, 50, 300]))
            case 2 if isinstance(holder, dict):
                holder[rng.choice(["size", "do_pad", "mlp_ratio", "é\x00"])] = value
            case _:
                holder[last] = value
    text = json.dumps(content).encode()
    match rng.randrange(10):
        case 0:
            return text[: rng.randrange(len(text))]
        case 1:
            at = rng.randrange(len(text))
            return text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :]
        case 2:
            return text.replace(b"null", b"[" * 200_000 + b"]" * 200_000)
    return text


def clip(folder):
    """A folder whose config.json is that of a whole CLIP model; the weights are none of it."""
    tower = {"hidden_size": 64, "num_hidden_layers": 4, "image_size": 28, "patch_size": 7}
    config = {"model_type": "clip", "projection_dim": 16, "vision_config": tower}
    (folder / "config.json").write_text(json.dumps(config))


def index(folder):
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    content = {
        "metadata": {"total_size": 1},
        "weight_map": {"layernorm.bias": "model-1.safetensors"},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))


def both(folder):
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": settings}))


def refusal_of(folder):
    """What is said against it; None where it loads. Another exception fails the test."""
    try:
        load_encoder(folder)
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("name", "prepared"),
    [
        ("config.json", None),
        ("config.json", clip),
        ("preprocessor_config.json", None),
        ("processor_config.json", both),
        ("model.safetensors.index.json", index),
    ],
)
def test_a_mutated_file_loads_or_is_refused_by_name(tmp_path, name, prepared):
    folder = shutil.copytree(EMBEDDED, tmp_path / "checkpoint")
    if prepared:
        prepared(folder)
    original = json.loads((folder / name).read_text())
    load_encoder("embedded")  # What is imported at the first is not timed.
    rng = random.Random(f"{name} {prepared and prepared.__name__}")
    refused = 0
    for _ in range(MUTATIONS):
        text = mutated(original, rng)
        (folder / name).write_bytes(text)
        start = time.process_time()
        refusal = refusal_of(folder)
        assert time.process_time() - start < SECONDS, text[:300]
        if refusal is not None:
            refused += 1
            # Weights that no longer fit are said not to fit config.json.
            assert name in refusal or "config.json" in refusal, text[:300]
            assert len(refusal) < 5000, text[:300]
    assert refused > MUTATIONS // 4


@pytest.mark.parametrize("edit", ["truncated", "header", "values", "empty"])
def test_damaged_weights_load_or_are_refused_by_name(tmp_path, edit):
    folder = shutil.copytree(EMBEDDED, tmp_path / "checkpoint")
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    rng = random.Random(edit)
    for _ in range(10):
        text = bytearray(whole)
        if edit == "truncated":
            text = text[: rng.randrange(len(text))]
        elif edit == "empty":
            text = bytearray(rng.randrange(12))
        else:
            low, high = (0, header) if edit == "header" else (header, len(text))
            for _ in range(4):
                text[rng.randrange(low, high)] = rng.randrange(256)
        file.write_bytes(text)
        refusal = refusal_of(folder)
        assert refusal is None or str(folder) in refusal
