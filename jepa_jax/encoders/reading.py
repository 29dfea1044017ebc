"""Checkpoint folders in the layout of the Hugging Face hub: found, read, and checked strictly."""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from jepa_jax.encoders.stored_tensors import Stored

INDEX = "model.safetensors.index.json"
# Weights that are not read: a pickle can run any code when it is opened.
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_OTHER_WEIGHTS = ("flax_model*.msgpack", "tf_model*.h5", "*.onnx", "*.gguf")
# Names that wrappers of PyTorch put before a module's own: `torch.compile`, data parallelism,
# sharding, recomputation.
_WRAPPERS = {"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
FILES = [
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "model.safetensors",
    "model-*.safetensors",
    INDEX,
]


def find(name_or_path: str | Path) -> Path:
    """The folder of a checkpoint: a local one, or a hub repository's, downloaded or cached.

    Raises `FileNotFoundError` where there is neither.
    """
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(f"no config.json in the checkpoint folder {folder}")
        return folder
    if folder.is_file():
        raise FileNotFoundError(
            f"encoder {name_or_path!s} is a file: give the folder that holds it"
        )
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
    raise FileNotFoundError(
        f"no model.safetensors and no {INDEX} in {folder}{_other_weights(folder)}"
    )


def _other_weights(folder: Path) -> str:
    """What weights are there instead, and how they become safetensors."""
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    others = sorted(path.name for pattern in _OTHER_WEIGHTS for path in folder.glob(pattern))
    if pickles:
        return (
            f", but {pickles[0]}: a pickle, which can run any code when it is opened, and is never "
            "opened here. Where you trust it, convert it with PyTorch: `AutoModel.from_pretrained("
            f"{str(folder)!r}).save_pretrained(NEW_FOLDER)`, and copy the other files there"
        )
    if others:
        return f", but {others[0]}: convert it to safetensors with the library that wrote it"
    return ""


def processor_file(folder: Path) -> Path | None:
    """The file that says how images are preprocessed, or None.

    As `transformers` takes them: processor_config.json where it has an image processor, else
    preprocessor_config.json.
    """
    both, single = folder / "processor_config.json", folder / "preprocessor_config.json"
    if both.is_file() and "image_processor" in read_json(both):
        return both
    return single if single.is_file() else None


def fingerprint(folder: Path) -> str:
    """SHA-256 of the configuration, the preprocessing and the weights: what defines the encoder."""
    digest = hashlib.sha256()
    for path in [folder / "config.json", processor_file(folder), *weight_files(folder)]:
        if path is not None and path.is_file():
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
    order (a checkpoint of a larger model holds the encoder under a prefix). What wrappers of
    PyTorch put into names ('_orig_mod.', 'module.') is passed over.

    Raises `ValueError` that lists every tensor missing, left over, or of another shape.
    """
    handles = [_open(file) for file in weight_files(folder)]
    where: dict[str, tuple[Any, str]] = {}  # by the module's own name, the stored one
    for handle in handles:
        for stored in handle.keys():
            name = ".".join(part for part in stored.split(".") if part not in _WRAPPERS)
            if name in where:
                raise ValueError(f"the weights in {folder} have {name} twice, once as {stored}")
            where[name] = handle, stored
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
            handle, stored = where[prefix + name]
            found = tuple(handle.get_slice(stored).get_shape())
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
        ours: stored.assemble(*(_tensor(*where[prefix + name]) for name in stored.shapes))
        for ours, stored in wanted.items()
    }


def _tensor(handle: Any, name: str) -> np.ndarray:
    return handle.get_tensor(name)
