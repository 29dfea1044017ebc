"""Lists that the report's page writes of names that are formulas, lines or markup."""

import csv
import io
import json

from browser import downloaded, in_a_browser, one, visit
from tables import row, write_folder

from jepa_jax.report.html import ReportSettings, write_report

pytestmark = in_a_browser

# What a cell, or a line, must not be: a formula, two lines, another cell.
HOSTILE = ("=1+1.png", "+1.png", "-1.png", "@SUM(A1).png", "\t=1.png", 'a,"b".png', "=a\nb.png")
HOSTILE += (
    "\uff1d1.png",
    "\x1b[31mred\x07.png",
    '"quoted".png',
    "<script>document.title=1</script>",
)


def test_hostile_names_do_nothing_in_the_lists(chromium, tmp_path):
    rows = [row(id, float(i)) for i, id in enumerate(HOSTILE)] + [row("-2.png", None)]
    folder = write_folder(tmp_path / "s", rows)
    path = write_report(folder, tmp_path / "r.html", ReportSettings(images="")).path
    visit(chromium, path)
    one(chromium, "#download").click()
    text = downloaded(chromium, "selected.csv")
    found = list(csv.reader(io.StringIO(text, newline="")))[1:]
    formulas = tuple("=+-@\t\r\n\uff1d")
    assert [cells[0].removeprefix("'") for cells in found] == [r["id"] for r in rows]
    texts_of = [cell for cells in found for cell in cells if not is_number(cell)]
    assert not [cell for cell in texts_of if cell.startswith(formulas)]
    assert found[0][0] == "'=1+1.png"
    # Numbers are numbers, and none is no text.
    assert (found[1][3], found[-1][3]) == ("1", "")
    one(chromium, "#download-ids").click()
    lines = downloaded(chromium, "selected.txt").split("\n")[:-1]
    ids = [json.loads(line) if line.startswith('"') else line for line in lines]
    assert ids == [r["id"] for r in rows]
    assert chromium.title.startswith("JEPA-SCORE of")
    assert chromium.get_log("browser") == []


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
