"""`make demo-real`: a pretrained ViT-S/14 scores photographs and odd images; ends with a report.

The encoder comes from a PyPI package (`benchmarks.shared.real_encoder`, 88 MB), the photographs
from scikit-image's and scikit-learn's. Exact scores at 56 pixels: 2 s an image on two cores.
"""

from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from sklearn.datasets import load_sample_image

from benchmarks.shared import real_encoder
from jepa_jax.commands.report import report
from jepa_jax.commands.score import score
from jepa_jax.commands.show import show

ENCODER, IMAGES = Path("build/real-encoder"), Path("build/demo-images")
OUT = Path("scores-demo-real")
IMAGE_SIZE = 56
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins", "moon", "retina")
TEXTURES = ("brick", "grass", "gravel")
SIDE = 448


def main() -> None:
    """Makes what is missing, scores it, and says where to look."""
    if not (ENCODER / "model.safetensors").exists():
        print("The encoder, from a PyPI package of 90 MB:", flush=True)
        real_encoder.main(["--out", str(ENCODER)])
    for name, image in images().items():
        path = IMAGES / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            image.save(path)
    options = f"--encoder {ENCODER} --image-size {IMAGE_SIZE} --out {OUT} --store image,embedding"
    print(f"\n$ jepa-jax score {IMAGES} {options}\n", flush=True)
    score(
        str(IMAGES), str(ENCODER), OUT, image_size=IMAGE_SIZE, store="image,embedding", processes=1
    )
    print(f"\n$ jepa-jax show {OUT}\n", flush=True)
    show(OUT)
    page = OUT.with_suffix(".html")
    print(f"\n$ jepa-jax report {OUT} --out {page}\n", flush=True)
    report(OUT, out=page)
    print(f"\nOpen {page.resolve()} in a browser. {READING}")


def images() -> dict[str, Image.Image]:
    """By name, KIND/IMAGE: photographs, textures, the same photographs spoiled, and what no camera
    takes."""
    taken = {name: getattr(skimage.data, name)() for name in (*PHOTOGRAPHS, *TEXTURES)}
    taken |= {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
    square = {
        n: ImageOps.fit(Image.fromarray(p).convert("RGB"), (SIDE,) * 2) for n, p in taken.items()
    }
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    found = {f"texture/{n}" if n in TEXTURES else f"photograph/{n}": i for n, i in square.items()}
    for name in ("astronaut", "chelsea", "coffee"):
        image = square[name]
        found[f"spoiled/{name}-inverted"] = ImageOps.invert(image)
        found[f"spoiled/{name}-blurred"] = image.filter(ImageFilter.GaussianBlur(24))
        found[f"spoiled/{name}-upside-down"] = ImageOps.flip(image)
        mixed = 0.4 * np.asarray(image) + 0.6 * noise
        found[f"spoiled/{name}-noisy"] = Image.fromarray(mixed.astype(np.uint8))
    found["drawn/noise"] = Image.fromarray(noise)
    found["drawn/black"] = Image.new("RGB", (SIDE, SIDE))
    found["drawn/white"] = Image.new("RGB", (SIDE, SIDE), "white")
    found["drawn/gradient"] = Image.linear_gradient("L").convert("RGB").resize((SIDE, SIDE))
    board = (np.indices((8, 8)).sum(0) % 2 * 255).astype(np.uint8)
    found["drawn/chessboard"] = (
        Image.fromarray(board).resize((SIDE, SIDE), Image.Resampling.NEAREST).convert("RGB")
    )
    page = Image.new("RGB", (SIDE, SIDE), "white")
    text = "\n".join("lorem ipsum dolor sit amet consectetur" for _ in range(30))
    ImageDraw.Draw(page).multiline_text((12, 8), text, fill="black", font_size=18)
    found["drawn/page-of-text"] = page
    return found


READING = """How to read it: the score is a log-density of what
the encoder was trained on, photographs of the web, so what is odd to it stands first: blank images,
a page of text, textures, a chessboard, noise, inverted photographs. It is not a measure of quality:
the blurred and the noisy photographs score higher than the sharp ones. Look at both ends.
Next, your own images:
  .venv/bin/jepa-jax score FOLDER --encoder build/real-encoder --image-size 112 --out scores"""

if __name__ == "__main__":
    main()
