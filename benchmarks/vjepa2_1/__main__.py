"""Does V-JEPA 2.1 here compute what Meta's code computes?

    python -m benchmarks.vjepa2_1 --checkout FOLDER [--weights FILE | --shape NAME] [--out FOLDER]

`--checkout`: a clone of facebookresearch/vjepa2 (run at 204698b). `--weights`: a published .pt by
its own name, which PyTorch opens (`weights_only`), converted as docs/families.md says; `--shape`:
the name of one, for random weights of its shape; without both, random weights of a small one. Every
hidden layer and the normed tokens of an image, an oblong one and a clip, in float32 and float64.
Writes NAME.json, and NAME.md. Needs PyTorch and einops; of timm, Meta's code takes a function that
evaluation does not call.
"""

import argparse
import json
import sys
import tempfile
import types
from pathlib import Path

from benchmarks.shared.results import folder_of, write


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--checkout", type=Path, required=True, help="of facebookresearch/vjepa2")
    parser.add_argument("--weights", type=Path, help="a published .pt, by its own name")
    parser.add_argument("--shape", help="the name of a published .pt: random weights of its shape")
    parser.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
    args = parser.parse_args(arguments)

    import safetensors.torch
    import torch

    from benchmarks.vjepa2_1 import comparison

    sys.path.insert(0, str(args.checkout))
    sys.modules["timm.models.layers"] = types.SimpleNamespace(drop_path=None)  # type: ignore
    if args.weights:
        key = "ema_encoder" if "_dist_" in args.weights.name else "target_encoder"
        hub = comparison.published(args.weights.name)
        state = torch.load(args.weights, map_location="cpu", weights_only=True)[key]
    else:
        hub = comparison.published(args.shape) if args.shape else comparison.SMALL
        state = comparison.random_state(hub)
    with tempfile.TemporaryDirectory() as own:
        folder = Path(own)
        safetensors.torch.save_file(state, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(hub))
        found = comparison.compare(folder, hub, state)
    name, command = "random", f"python -m {__package__} --checkout vjepa2"
    if args.weights:
        name, command = args.weights.stem, f"{command} --weights {args.weights.name}"
    elif args.shape:
        name, command = f"random-{Path(args.shape).stem}", f"{command} --shape {args.shape}"
    page = comparison.page(found)
    record = {"config": hub, "largest_difference": found}
    write(args.out, name, command, record, page, libraries=("torch",), digits=3)
    print(page)


if __name__ == "__main__":
    main()
