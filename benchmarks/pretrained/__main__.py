"""Accuracy against wall clock on a pretrained encoder, its real images and its resolution.

    python -m benchmarks.pretrained record --encoder FOLDER --image-size 112 --stamps STAMPS
        --jacobians FOLDER [--images 400] [--precision highest] [--part 0/2]
    python -m benchmarks.pretrained accuracy --jacobians FOLDER [--lower FOLDER ...]
        [--calibration 128,256] [--seeds 2] [--out FOLDER]
    python -m benchmarks.pretrained lower --jacobians FOLDER --lower FOLDER ... [--most 200]
    python -m benchmarks.pretrained seconds --encoder FOLDER --image-size 112 --jacobians FOLDER
        [--repeats 5] [--without-others] [--out FOLDER]

`record` measures the exact Jacobian of every image, K VJPs each, and keeps a file of it; a killed
one goes on where it was, and parts may run beside each other. `accuracy` runs every method on them;
`--lower` are recordings at another precision, which `lower` adds to a result that is there. It
writes NAME-SIZE.md and .json. `seconds` adds the time of every method on the encoder itself, beside
Listing 1 in PyTorch, and the figure.
"""

import argparse
import json
import time
from pathlib import Path

from benchmarks.shared.results import folder_of, write

NAME = "vits14"


def record(args: argparse.Namespace) -> None:
    """Exact Jacobians, kept for the other commands; continues."""
    from benchmarks.pretrained import images, recording
    from jepa_jax import load_encoder

    encoder = load_encoder(args.encoder, image_size=args.image_size)
    found = images.records(args.stamps, args.images, args.image_size)
    part, parts = (int(number) for number in args.part.split("/"))
    recording.record(encoder, found, args.jacobians, args.precision, (part, parts))


def accuracy(args: argparse.Namespace) -> None:
    """Every method on the recorded Jacobians."""
    from benchmarks.pretrained import accuracy
    from benchmarks.pretrained.recording import read, said_of

    began = time.perf_counter()
    sizes = tuple(int(size) for size in args.calibration.split(","))
    of = said_of(args.jacobians)
    exact = read(args.jacobians)
    found = accuracy.run(exact, sizes, args.seeds)
    lower = {}
    for folder in args.lower:
        precision = said_of(folder)["precision"]
        lower[precision] = accuracy.lower_precision(
            exact, read(folder), precision, sizes[-1], args.seeds
        )
    found |= {"encoder": args.name, "image_size": of["image_size"], "precisions": lower}
    found |= {"accuracy_seconds": time.perf_counter() - began}
    command = (
        f"python -m {__package__} accuracy --jacobians FOLDER"
        f"{' --lower FOLDER' * len(args.lower)} --calibration {args.calibration} "
        f"--seeds {args.seeds}"
    )
    save(args.out, found, {"accuracy": command})


def lower(args: argparse.Namespace) -> None:
    """Recordings at other precisions, added to what `accuracy` wrote."""
    from benchmarks.pretrained import accuracy
    from benchmarks.pretrained.recording import read, said_of

    stem = args.out / f"{args.name}-{said_of(args.jacobians)['image_size']}"
    before = json.loads(stem.with_suffix(".json").read_text())
    exact = read(args.jacobians)
    for folder in args.lower:
        precision = said_of(folder)["precision"]
        found = accuracy.lower_precision(exact, read(folder), precision, args.most, args.seeds)
        before["precisions"][precision] = found
    command = (
        f"python -m {__package__} lower --jacobians FOLDER --lower{' FOLDER' * len(args.lower)} "
        f"--most {args.most} --seeds {args.seeds}"
    )
    save(args.out, before, before["commands"] | {"lower precisions": command})


def seconds(args: argparse.Namespace) -> None:
    """The time of every method, added to what `accuracy` wrote; at this image size or another."""
    from PIL import Image

    from benchmarks.frontier.drawing import draw
    from benchmarks.pretrained import pages
    from benchmarks.pretrained import seconds as clocks
    from benchmarks.pretrained.accuracy import COUNTS
    from benchmarks.pretrained.recording import read, said_of
    from jepa_jax import load_encoder
    from jepa_jax.scoring.numerics import numerics

    stem = args.out / f"{args.name}-{said_of(args.jacobians)['image_size']}"
    before = json.loads(stem.with_suffix(".json").read_text())
    encoder = load_encoder(args.encoder, image_size=args.image_size)
    # What is in the image does not matter for the time.
    image = encoder.preprocess(Image.effect_noise((256, 256), 50).convert("RGB"))
    with numerics("highest"):
        sketches = clocks.calibration_of(read(args.jacobians), COUNTS)
        found = clocks.clock(
            encoder, Path(args.encoder), image, sketches, args.repeats, not args.without_others
        )
    command = (
        f"python -m {__package__} seconds --encoder {args.name} --image-size {args.image_size} "
        f"--jacobians FOLDER --repeats {args.repeats}" + " --without-others" * args.without_others
    )
    before["clocks"] = before.get("clocks", {}) | {
        str(args.image_size): [
            {"method": method, "setting": setting, "seconds": taken}
            for (method, setting), taken in found.items()
        ]
    }
    name = f"seconds at {args.image_size} px"
    save(args.out, before, before["commands"] | {name: command})
    result = pages.rows_of(before)
    panels = {
        f"{args.name}, times at {size} px": pages.drawn(result["rows"], seconds)
        for size, seconds in result["clocks"].items()
    }
    draw(stem.with_suffix(".png"), panels, "time / time of exact")


def save(out: Path, found: dict, commands: dict[str, str]) -> None:
    """The result and its page."""
    from benchmarks.frontier.rows import plain
    from benchmarks.pretrained import pages

    stem = f"{found['encoder']}-{found['image_size']}"
    record = plain(found) | {"commands": commands, "stem": stem}
    for head in ("command", "machine", "versions"):
        record.pop(head, None)
    shown = pages.page(pages.rows_of(record))
    write(out, stem, "; ".join(commands.values()), record, shown, libraries=("matfree", "torch"))
    print(shown)


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        f"python -m {__package__}", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(required=True)
    for work in (record, accuracy, lower, seconds):
        command = commands.add_parser(work.__name__, help=work.__doc__)
        command.set_defaults(work=work)
        command.add_argument(
            "--jacobians", type=Path, required=True, help="a folder of what is recorded"
        )
        command.add_argument("--name", default=NAME, help="the encoder's, in the results")
        command.add_argument("--out", type=Path, default=folder_of(__package__), help="a folder")
        if work in (record, seconds):
            command.add_argument("--encoder", required=True, help="a name of the hub, or a folder")
            command.add_argument("--image-size", type=int, default=112, help="pixels")
        if work is record:
            command.add_argument(
                "--stamps", type=Path, required=True, help="of Debian's tuxpaint-stamps-default"
            )
            command.add_argument("--images", type=int, default=400, help="of all groups")
            command.add_argument("--precision", default="highest")
            command.add_argument("--part", default="0/1", help="i/n: every n-th, from the i-th")
        if work is accuracy:
            command.add_argument(
                "--lower", type=Path, nargs="*", default=[], help="recordings at other precisions"
            )
            command.add_argument("--calibration", default="128,256", help="numbers of images")
            command.add_argument("--seeds", type=int, default=2)
        if work is lower:
            command.add_argument(
                "--lower", type=Path, nargs="+", required=True, help="at other precisions"
            )
            command.add_argument("--most", type=int, default=200, help="images to calibrate on")
            command.add_argument("--seeds", type=int, default=2)
        if work is seconds:
            command.add_argument("--repeats", type=int, default=5, help="turns to time")
            command.add_argument(
                "--without-others", action="store_true", help="Listing 1, exact and sketches alone"
            )
    args = parser.parse_args(arguments)
    args.work(args)


if __name__ == "__main__":
    main()
