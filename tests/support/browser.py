"""A page in the system's Chromium, by Selenium."""

import shutil

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
in_a_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on the PATH"
)
# A name that is markup, a command and a quotation.
EVIL = "it's \"<img src=x onerror=document.title='hacked'>\" & $(touch x).png"


def visit(browser, path):
    browser.get(path.as_uri())
    wait(browser, "return document.documentElement.dataset.ready")
    browser.execute_script("document.documentElement.style.scrollBehavior = 'auto'")


def wait(browser, script):
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, 20, 0.05).until(lambda b: b.execute_script(script))


def one(browser, selector):
    return browser.find_element("css selector", selector)


def texts(browser, selector):
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
    return browser.execute_script(script, selector)


def fill(browser, selector, text):
    field = one(browser, selector)
    field.clear()
    field.send_keys(text)


def wait_for_count(browser, expected):
    wait(browser, f"return document.getElementById('count').textContent.startsWith('{expected} ')")


def shown_values(browser):
    return [float(text.split()[0]) for text in texts(browser, "#results .card .value")]


def downloaded(browser, name):
    from selenium.webdriver.support.wait import WebDriverWait

    path = browser.downloads / name
    WebDriverWait(browser, 20, 0.05).until(lambda _: path.exists() and path.stat().st_size)
    text = path.read_bytes().decode()
    path.unlink()
    return text


def not_reached(browser):
    """The boxes of wide tables that the keyboard cannot reach, or without a name of their own: what
    axe-core calls "scrollable-region-focusable" and "landmark-unique"."""
    return browser.execute_script(
        "const boxes = [...document.querySelectorAll('.scroll')];"
        "const name = (e) => e.getAttribute('aria-label')"
        " || document.getElementById(e.getAttribute('aria-labelledby'))?.textContent;"
        "const names = boxes.map(name);"
        "return boxes.filter((e, i) => e.tabIndex !== 0 || e.getAttribute('role') !== 'region'"
        " || !names[i] || names.indexOf(names[i]) !== i).map((e) => e.outerHTML.slice(0, 200))"
    )
