"""Checkpoint folders in the layout of the Hugging Face hub: found, and which files define one."""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from jepa_jax.checked_json import Fields, checked, of_file, read_json
from jepa_jax.encoders.families import FAMILIES
from jepa_jax.encoders.family import full_config
from jepa_jax.encoders.image_processor import NAMES
from jepa_jax.error_lines import first_line

INDEX = "model.safetensors.index.json"
# Weights that are not read: a pickle can run any code when it is opened.
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_OTHER_WEIGHTS = ("flax_model*.msgpack", "tf_model*.h5", "*.onnx", "*.gguf")
FILES = ["config.json", *NAMES, "model.safetensors", "model-*.safetensors", INDEX]
_PICKLE = (
    "a pickle, which can run any code when it is opened, and is never opened here. Where you trust "
    "it, convert it with PyTorch: "
)
_CONVERT = (
    "`transformers.AutoModel.from_pretrained({!r}).save_pretrained(NEW_FOLDER)`, and copy the "
    "preprocessor_config.json there"
)

_FROM_STATE = (
    "`model.load_state_dict(torch.load(PATH, weights_only=True))` of the model in `transformers`, "
    "then `model.save_pretrained(NEW_FOLDER)`; of one made by timm, "
    "`timm.models.save_for_hf(model, NEW_FOLDER, safe_serialization=True)`; of LeJEPA or "
    "stable-pretraining, docs/families.md has the lines"
)


class _Index(Fields):
    # Tensors to the files that hold them, beside the index.
    weight_map: Annotated[
        dict[str, Annotated[str, Field(pattern=r"^[^/\\\x00]+\.safetensors$")]],
        Field(min_length=1, description="names of tensors with names of .safetensors files"),
    ]


def find(name_or_path: str | Path) -> Path:
    """The folder of a checkpoint: a local one, or a hub repository's, downloaded or cached.

    Raises `FileNotFoundError` where there is neither.
    """
    try:
        folder = Path(name_or_path).expanduser()
        there = folder.is_dir()
    except (RuntimeError, OSError) as error:  # No such user's home; a name that is too long.
        raise FileNotFoundError(f"encoder {str(name_or_path)[:80]!r}: {error}") from error
    if there:
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(
                f"no config.json in the checkpoint folder {folder}{_other_weights(folder)}"
            )
        return folder
    if any(folder.match(pattern) for pattern in _PICKLES) and not there:
        raise FileNotFoundError(f"encoder {name_or_path!s} is {_PICKLE}{_from_state(folder.name)}")
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
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=FILES))
    except GatedRepoError as error:
        raise FileNotFoundError(
            f"encoder {name!r}: the hub gives it to who has accepted its licence: do so on "
            f"https://huggingface.co/{name}, then `hf auth login`"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise FileNotFoundError(
            f"encoder {name!r}: no such folder here, not in the hub's cache, and the hub did not "
            f"give it ({type(error).__name__}: {first_line(error)})"
        ) from error
    if not any((folder / file).is_file() for file in ("model.safetensors", INDEX)):
        raise FileNotFoundError(
            f"encoder {name!r}: the hub has no model.safetensors of it; if it has a "
            f"pytorch_model.bin, that is {_PICKLE}{_CONVERT.format(name)}"
        )
    return folder


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint folder, one or the shards of an index."""
    single, index = folder / "model.safetensors", folder / INDEX
    if single.is_file():
        return [single]
    if index.is_file():
        content = read_json(index)
        with of_file(index):
            named = set(checked(_Index, content).weight_map.values())
        files = [folder / name for name in sorted(named)]
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
        how = _CONVERT.format(str(folder))
        if not pickles[0].startswith("pytorch_model"):
            how = _from_state(pickles[0])
        return f", but {pickles[0]}: {_PICKLE}{how}"
    if others:
        return f", but {others[0]}: convert it to safetensors with the library that wrote it"
    return ""


def _from_state(file: str) -> str:
    """How PyTorch makes a checkpoint folder of this pickle of a state."""
    for family in FAMILIES:
        if file in family.published and family.conversion:
            hub = json.dumps(full_config(family, family.published[file]))
            return f"{family.conversion}, and as config.json there {hub}"
    return _FROM_STATE


def fingerprint(folder: Path, processor: Path | None) -> str:
    """SHA-256 of the configuration, the preprocessing and the weights: what defines the encoder.

    `processor`: the file that says how images are preprocessed, if there is one.
    """
    digest = hashlib.sha256()
    for path in [folder / "config.json", processor, *weight_files(folder)]:
        if path is not None and path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
