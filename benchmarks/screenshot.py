"""The README's picture of a report, made from scratch.

    python benchmarks/screenshot.py [--out benchmarks/results/report.png] [--keep FOLDER]

Cuts photographs of scikit-image that are CC0 or in the public domain into a folder with classes,
puts what goes wrong in practice among them (copies, blank and noisy images, broken files), scores
it with the embedded encoder, writes the report and photographs its first screen in Chromium.
`--keep` keeps the images, the scores and the report.
"""

import argparse
import base64
import io
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from jepa_jax import Exact, Scorer, load_encoder
from jepa_jax.report.html import write_report

PHOTOS = {
    "people": ("astronaut", "camera"),
    "animals": ("chelsea", "horse"),
    "things": ("coffee", "rocket"),
    "sky": ("hubble_deep_field",),
    "medicine": ("retina", "cell"),
    "textures": ("brick", "grass", "gravel"),
}
CUTS = 14
WIDTH, HEIGHT = 1280, 1330


def make_images(folder: Path) -> None:
    """The folder of classes, and what goes wrong among them."""
    import skimage.data

    rng = np.random.default_rng(0)
    for label, names in PHOTOS.items():
        (folder / label).mkdir(parents=True)
        for name in names:
            pixels = getattr(skimage.data, name)()
            pixels = 255 * pixels.astype(np.uint8) if pixels.dtype == bool else pixels
            photo = Image.fromarray(pixels).convert("RGB")
            photo.thumbnail((1000, 1000))
            photo.save(folder / label / f"{name}.jpg", quality=90)
            for i in range(CUTS):
                width, height = (int(rng.uniform(0.4, 0.8) * n) for n in photo.size)
                left = int(rng.integers(photo.width - width))
                top = int(rng.integers(photo.height - height))
                cut = photo.crop((left, top, left + width, top + height))
                cut.save(folder / label / f"{name}-{i:02d}.jpg", quality=int(rng.integers(60, 95)))
    cat = Image.open(folder / "animals" / "chelsea.jpg")
    cup = Image.open(folder / "things" / "coffee.jpg")
    cat.save(folder / "animals" / "IMG_0042.jpg", quality=70)
    cat.resize((300, 200)).save(folder / "people" / "IMG_0042 (small).jpg", quality=80)
    cup.save(folder / "things" / "coffee (copy).jpg", quality=75)
    cup.filter(ImageFilter.GaussianBlur(20)).save(folder / "things" / "out-of-focus.jpg")
    ImageOps.invert(cat).save(folder / "animals" / "negative.jpg")
    Image.new("RGB", (640, 480), "white").save(folder / "people" / "scan-blank.jpg")
    Image.new("RGB", (640, 480), "black").save(folder / "sky" / "lens-cap.jpg")
    noise = rng.integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(noise).save(folder / "things" / "sensor-fault.png")
    data = (folder / "things" / "rocket.jpg").read_bytes()
    (folder / "things" / "half-uploaded.jpg").write_bytes(data[: len(data) // 3])
    (folder / "people" / "empty.jpg").write_bytes(b"")
    (folder / "sky" / "really-a-page.jpg").write_bytes(b"<!DOCTYPE html><h1>404</h1>")


def photograph(page: Path, out: Path) -> None:
    """The first screen of `page` as a PNG of 256 colours."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.wait import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(page.as_uri())
        filled = (
            "return document.documentElement.dataset.ready && [...document.querySelectorAll("
            "'#summary img, #strip-lowest img')].slice(0, 12).every((i) => i.complete && i.src)"
        )
        WebDriverWait(browser, 60, 0.1).until(lambda b: b.execute_script(filled))
        taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    finally:
        browser.quit()
    picture = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)


def main() -> None:
    """The command line of this script; see its docstring."""
    parser = argparse.ArgumentParser(description="The README's picture of a report.")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/report.png"))
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    out = args.out.absolute()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.keep or Path(temporary)
        work.mkdir(exist_ok=True)
        os.chdir(work)  # Short names in the picture.
        if not Path("photos").exists():
            make_images(Path("photos"))
        scorer = Scorer(load_encoder("embedded"), Exact())
        print(scorer.run("photos", "scores", store=("embedding", "image")).counts)
        print(write_report("scores", "report.html"))
        photograph(Path("report.html").absolute(), out)
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
