"""The notebooks of the lab, run by hand in a real JupyterLab with no network."""

import shutil

import pytest
from driver import ROOT, LivePanel
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


#: Notebooks without a panel, or with one of a kind that other browser tests move; run with the thorough ones.
_SEEN_ELSEWHERE = ("00", "01", "03", "04", "05", "06", "07", "08", "09", "10", "13")
_NAMES = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.thorough) if each[:2] in _SEEN_ELSEWHERE else each for each in _NAMES]
)
def test_notebook_runs_and_its_panels_move(lab_page, lab_root, name):
    shutil.copy(ROOT / "notebooks" / name, lab_root / name)
    lab_page.open(name)
    lab_page.run_all()
    cells = lab_page.read_notebook()["cells"]
    for place, cell in enumerate(cells):
        if not any(
            "application/vnd.jupyter.widget-view+json" in one.get("data", {}) for one in cell.get("outputs", [])
        ):
            continue
        found = lab_page.show_cell(place).locator(".twinlab-panel").first
        if not found.locator(".twinlab-chart").count():
            continue
        panel = LivePanel(lab_page.page, found).wait()
        lab_page.take_picture(f"notebook_{name[:2]}_before", found)
        before, said = panel.read_picture(), panel.status
        slides = found.get_by_role("slider").count() > 0
        handle = found.get_by_role("slider" if slides else "combobox").first
        handle.focus()
        lab_page.page.keyboard.press("ArrowLeft" if slides else "ArrowDown")
        panel.wait_for_change(before)
        expect(found.get_by_role("status").first).not_to_have_text(said)
        lab_page.take_picture(f"notebook_{name[:2]}_after", found)
    lab_page.assert_clean()
