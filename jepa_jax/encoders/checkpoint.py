"""Checkpoint folders in the layout of the Hugging Face hub: found, read, and checked strictly."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from flax import nnx
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

INDEX = "model.safetensors.index.json"
FILES = [
    "config.json",
    "preprocessor_config.json",
    "model.safetensors",
    "model-*.safetensors",
    INDEX,
]


@dataclasses.dataclass(frozen=True)
class Stored:
    """One parameter of ours as a checkpoint stores it: its tensors' names and shapes.

    `assemble` makes our array of theirs, in order; `disassemble` makes theirs of ours, exactly.
    """

    shapes: dict[str, tuple[int, ...]]
    assemble: Callable[..., np.ndarray] = lambda x: x
    disassemble: Callable[[np.ndarray], Sequence[np.ndarray]] = lambda x: [x]


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> dict[str, Stored]:
    """Our (kernel, bias) of a PyTorch `Linear`: its weight is stored transposed."""
    return joined([name], inputs, outputs, bias)


def joined(names: list[str], inputs: int, outputs: int, bias: bool = True) -> dict[str, Stored]:
    """Our (kernel, bias) of several PyTorch `Linear`s of one input, side by side."""
    kernel = Stored(
        {f"{n}.weight": (outputs, inputs) for n in names},
        lambda *weights: np.concatenate([w.T for w in weights], axis=1),
        lambda x: [w.T for w in np.split(x, len(names), axis=1)],
    )
    if not bias:
        return {"kernel": kernel}
    biases = Stored(
        {f"{n}.bias": (outputs,) for n in names},
        lambda *b: np.concatenate(b),
        lambda x: np.split(x, len(names)),
    )
    return {"kernel": kernel, "bias": biases}


def norm(name: str, width: int) -> dict[str, Stored]:
    """Our (scale, bias) of a PyTorch `LayerNorm`."""
    return {
        "scale": Stored({f"{name}.weight": (width,)}),
        "bias": Stored({f"{name}.bias": (width,)}),
    }


def patches(
    name: str, size: int, channels: int, width: int, bias: bool = True
) -> dict[str, Stored]:
    """Our patch projection of a PyTorch `Conv2d` whose stride is its kernel size."""
    kernel = Stored(
        {f"{name}.weight": (width, channels, size, size)},
        lambda w: w.transpose(2, 3, 1, 0).reshape(-1, width),
        lambda x: [x.reshape(size, size, channels, width).transpose(3, 2, 0, 1)],
    )
    return {"kernel": kernel} | ({"bias": Stored({f"{name}.bias": (width,)})} if bias else {})


def batched(name: str, *shape: int) -> Stored:
    """Our array of this shape, stored with leading axes of length one: (1, 1, d) or (1, t, d)."""
    stored = (1,) * (3 - len(shape)) + shape
    return Stored({name: stored}, lambda x: x.reshape(shape), lambda x: [x.reshape(stored)])


def flatten(tree: dict, prefix: str = "") -> dict[str, Stored]:
    """{"a": {"b": x}} as {"a.b": x}."""
    flat: dict[str, Stored] = {}
    for key, value in tree.items():
        flat |= (
            flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat


def find(name_or_path: str | Path) -> Path:
    """The folder of a checkpoint: a local one, or a hub repository's, downloaded or cached.

    Raises `FileNotFoundError` where there is neither.
    """
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(f"no config.json in the checkpoint folder {folder}")
        return folder
    name = str(name_or_path)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith((".", "/")):
        raise FileNotFoundError(
            f"encoder {name!r} is neither a folder, nor 'embedded', nor a hub name such as "
            "'facebook/dinov2-small' (`jepa-jax encoders` lists some)"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=FILES))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise FileNotFoundError(
            f"encoder {name!r}: no such folder here, not in the hub's cache, and the hub did not "
            f"give it ({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error


def read_json(path: Path) -> dict:
    """A JSON object; `ValueError` names a file that does not hold one."""
    try:
        content = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint folder, one or the shards of an index."""
    single, index = folder / "model.safetensors", folder / INDEX
    if single.is_file():
        return [single]
    if index.is_file():
        files = [folder / name for name in sorted(set(read_json(index)["weight_map"].values()))]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise FileNotFoundError(f"{index} names files that are not there: {missing}")
        return files
    raise FileNotFoundError(f"no model.safetensors and no {INDEX} in {folder}")


def fingerprint(folder: Path) -> str:
    """SHA-256 of the configuration, the preprocessing and the weights: what defines the encoder."""
    digest = hashlib.sha256()
    for path in [
        folder / "config.json",
        folder / "preprocessor_config.json",
        *weight_files(folder),
    ]:
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _open(file: Path):
    """A safetensors file; `ValueError` names one that is damaged, half downloaded say."""
    try:
        return safe_open(file, framework="numpy")
    except SafetensorError as error:
        raise ValueError(f"{file} is not a complete safetensors file: {error}") from error


def read_parameters(
    folder: Path,
    wanted: dict[str, Stored],
    ignored: Iterable[str],
    prefixes: Iterable[str] = ("",),
) -> dict[str, np.ndarray]:
    """Our parameters by name, in the checkpoint's own dtype.

    `wanted` maps our names to stored tensors. `ignored` are regular expressions of stored names
    that are not part of the encoder. `prefixes` are what stored names may begin with, tried in
    order (a checkpoint of a larger model holds the encoder under a prefix).

    Raises `ValueError` that lists every tensor missing, left over, or of another shape.
    """
    handles = [_open(file) for file in weight_files(folder)]
    where = {name: handle for handle in handles for name in handle.keys()}
    shapes = {name: shape for stored in wanted.values() for name, shape in stored.shapes.items()}
    prefix = max(prefixes, key=lambda p: sum(p + name in where for name in shapes))

    missing = [prefix + name for name in shapes if prefix + name not in where]
    known = {prefix + name for name in shapes}
    extra = [
        name
        for name in where
        if name not in known
        and not any(re.fullmatch(p, name.removeprefix(prefix)) for p in ignored)
    ]
    wrong = []
    for name, shape in shapes.items():
        if prefix + name in where:
            found = tuple(where[prefix + name].get_slice(prefix + name).get_shape())
            if found != shape:
                wrong.append(f"{prefix + name} {found}, expected {shape}")
    problems = [
        f"{len(names)} {what}: {', '.join(sorted(names))}"
        for what, names in (("missing", missing), ("left over", extra), ("of another shape", wrong))
        if names
    ]
    if problems:
        raise ValueError(
            f"the weights in {folder} do not fit its config.json\n  " + "\n  ".join(problems)
        )
    return {
        ours: stored.assemble(*(where[prefix + n].get_tensor(prefix + n) for n in stored.shapes))
        for ours, stored in wanted.items()
    }


def write_checkpoint(
    folder: Path | str, hub_config: dict, preprocessor_config: dict, model: nnx.Module
) -> None:
    """Writes a `ViT` as a checkpoint folder that `load_encoder` and `transformers` load.

    `hub_config` is the content of config.json (its `model_type` names the family) and
    `preprocessor_config` that of preprocessor_config.json; the weights keep their dtype, in one
    model.safetensors under the family's names. The folder is made; files in it are replaced.

    Raises `ValueError` where the model's parameters are not those of `hub_config`.
    """
    # Here, because the families are written in terms of this file.
    from jepa_jax.encoders.encoder import stored_parameters

    arrays = {
        ".".join(map(str, path)): np.asarray(parameter[...])
        for path, parameter in nnx.to_flat_state(nnx.state(model, nnx.Param))
    }
    wanted = stored_parameters(hub_config)
    if arrays.keys() != wanted.keys():
        odd = sorted(arrays.keys() ^ wanted.keys())
        raise ValueError(f"`hub_config` and `model` differ in the parameters {odd}")
    tensors = {}
    for ours, stored in wanted.items():
        try:
            parts = stored.disassemble(arrays[ours])
        except ValueError as error:
            raise ValueError(f"`{ours}` {arrays[ours].shape} does not fit `hub_config`") from error
        for (name, shape), part in zip(stored.shapes.items(), parts, strict=True):
            if part.shape != shape:
                raise ValueError(
                    f"`hub_config` needs `{name}` of shape {shape}, the model gives {part.shape}"
                )
            # safetensors writes the buffer, whatever the strides say.
            tensors[name] = np.ascontiguousarray(part)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in (
        ("config.json", hub_config),
        ("preprocessor_config.json", preprocessor_config),
    ):
        (folder / file).write_text(json.dumps(content, indent=2) + "\n")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
