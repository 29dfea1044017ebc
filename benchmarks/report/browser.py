"""The report in the system's Chromium: how fast it is there, and a picture of it."""

import base64
import contextlib
import io
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

WIDTH, HEIGHT = 1280, 1330


def there() -> bool:
    """Whether a Chromium and its driver are on the PATH."""
    return all(map(shutil.which, ("chromium", "chromedriver")))


@contextlib.contextmanager
def chromium() -> Iterator:
    """A browser without a window. Raises `FileNotFoundError` where there is none."""
    if not there():
        raise FileNotFoundError("`chromium` and `chromedriver` must be on the PATH")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def _wait(browser, condition: str, every: float) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, 60, every).until(lambda b: b.execute_script(condition))


def opened(page: Path) -> dict[str, float]:
    """Seconds until the page is painted, until it is parsed, and until it is filled."""
    with chromium() as browser:
        began = time.perf_counter()
        browser.get(page.as_uri())
        loaded = time.perf_counter() - began
        _wait(browser, "return document.documentElement.dataset.ready", 0.02)
        filled = time.perf_counter() - began
        paint = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
        painted = browser.execute_script(paint) / 1000
    return {
        "first_paint_seconds": round(painted, 2),
        "loaded_seconds": round(loaded, 2),
        "filled_seconds": round(filled, 2),
    }


def photograph(page: Path, out: Path) -> None:
    """The first screen of `page` as a PNG of 256 colours."""
    with chromium() as browser:
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(page.as_uri())
        filled = (
            "return document.documentElement.dataset.ready && [...document.querySelectorAll("
            "'#summary img, #strip-lowest img')].slice(0, 12).every((i) => i.complete && i.src)"
        )
        _wait(browser, filled, 0.1)
        taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    picture = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)
