"""The panel in a real JupyterLab: what a reader with a keyboard, and one with a screen reader, meets."""

import re
from pathlib import Path

import nbformat
import pytest
from driver import LabPage, LivePanel
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

_TESTS = Path(__file__).resolve().parents[1]
_START = f"""
import sys
sys.path[:0] = [{str(_TESTS.parent)!r}, {str(_TESTS / "widgets")!r}]
import twinlab as tl
from source import SyntheticSource
"""
_KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def write_notebook(root, name, *cells):
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells], metadata=_KERNEL)
    nbformat.write(notebook, root / name)
    return name


_CELLS = (_START, "panel = tl.widgets.MeetYourTwin(SyntheticSource(1.5))", "panel")


def find_panel(lab_page):
    lab_page.show_cell(2)
    return LivePanel(lab_page.page, lab_page.page.locator(".twinlab-panel").first).wait()


@pytest.fixture(scope="module")
def panel_page(lab, browser, pictures, lab_root):
    """One page and one kernel for the tests of this file: a kernel takes seconds to start."""
    context = browser.new_context(viewport={"width": 1280, "height": 1040}, device_scale_factor=2)
    page = LabPage(context.new_page(), lab, pictures)
    page.open(write_notebook(lab_root, "panel.ipynb", *_CELLS))
    yield page
    page.stop_kernels()
    context.close()


@pytest.fixture
def panel(panel_page):
    """The panel, made anew."""
    panel_page.run_all()
    yield find_panel(panel_page)
    panel_page.assert_clean()


def test_sliders_move_the_chart_by_keyboard(panel, panel_page):
    panel_page.take_picture("panel_before", panel.root)

    before, said = panel.read_picture(), panel.status
    panel.press("Walk (min)", "ArrowRight", 4)
    panel.wait_for_change(before)
    expect(panel.slider("Walk (min)")).to_have_attribute("aria-valuetext", "50")
    expect(panel.root.get_by_role("status")).to_contain_text("walking 50 min now")
    expect(panel.chart.locator(".role-title-text").nth(1)).to_have_text("Effect of walking 50 min now, bpm")
    assert panel.status != said

    before = panel.read_picture()
    panel.press("Now", "ArrowRight", 6)
    panel.wait_for_change(before)
    panel_page.take_picture("panel_after", panel.root)

    before = panel.read_picture()
    panel.choose("Signal", "Steps")
    panel.wait_for_change(before)
    assert panel.read_titles()[0].startswith("Steps of ada")

    panel.choose("Person", "bea")
    expect(panel.root.get_by_role("status")).to_contain_text("Steps of bea")
    assert panel.read_titles()[0].startswith("Steps of bea")


def test_every_slider_reaches_its_ends_and_says_where_it_is(panel, panel_page):
    ends = {
        "Now": ("Mon 20 Apr 09:00", "Tue 07 Apr 00:00", "Sun 26 Apr 23:00"),
        "Look ahead (h)": ("12", "1", "24"),
        "Starts in (h)": ("0", "0", "12"),
        "Walk (min)": ("30", "0", "120"),
    }
    handles = panel.root.get_by_role("slider")
    assert {handle.get_attribute("aria-label") for handle in handles.all()} == set(ends)
    for name, (start, low, high) in ends.items():
        spoken = panel.slider(name)
        expect(spoken).to_have_attribute("aria-valuetext", start)
        panel.press(name, "Home")
        expect(spoken).to_have_attribute("aria-valuetext", low)
        panel.press(name, "End")
        expect(spoken).to_have_attribute("aria-valuetext", high)


def test_faults_become_sentences_and_go_away(panel, panel_page):
    status = panel.root.get_by_role("status")
    panel.press("Walk (min)", "End")
    expect(status).to_contain_text("Something went wrong inside twinlab (KeyError)")
    assert "61.7" not in panel.root.inner_text()  # an unforeseen error may carry a person's values
    panel.press("Walk (min)", "ArrowLeft")
    expect(status).to_have_text("this twin has never seen a walk of 115 min; choose a shorter one")
    panel_page.take_picture("panel_fault", panel.root)
    panel.press("Walk (min)", "ArrowLeft")
    expect(status).to_contain_text("walking 110 min now")


def test_work_shows_its_progress_and_names_are_spoken(panel, panel_page):
    panel.choose("Person", "cem")
    bar = panel.root.get_by_role("progressbar", name="Progress")
    expect(bar).to_be_visible()
    expect(bar).to_have_attribute("aria-valuenow", re.compile("[2-9]0"))
    expect(panel.root.get_by_role("status")).to_contain_text("Heart rate of cem")
    expect(bar).to_be_hidden()
    expect(panel.chart.locator("[role=graphics-document]").first).to_have_attribute("aria-label", panel.status)
    expect(panel.chart.locator("summary")).to_have_attribute("aria-label", "Save this chart as a picture")
    expect(panel.root.get_by_role("status")).to_have_attribute("aria-live", "polite")


def test_dark_theme_keeps_the_chart_readable(panel, panel_page):
    with panel_page.dark():
        panel_page.take_picture("panel_dark", panel.root)
        title = panel.chart.locator(".role-title-text text").first
        assert title.evaluate("element => getComputedStyle(element).fill") == "rgb(34, 34, 34)"


def test_charts_share_one_vega_and_outlive_the_one_that_asked(lab_page, lab_root):
    """The chart that asked for Vega is closed before the answer; the others ask again and draw."""
    make = """
import altair as alt, pandas as pd, threading
from twinlab.widgets.live import LiveChart
chart = alt.Chart(pd.DataFrame({"x": [1, 2], "y": [1, 2]}), title="shared").mark_line().encode(x="x", y="y")
first, second, third = LiveChart(chart), LiveChart(chart), LiveChart(chart)
first.on_msg(first._answer, remove=True)  # this one never answers
threading.Timer(1.5, first.close).start()
"""
    lab_page.open(write_notebook(lab_root, "shared.ipynb", _START, make, "first", "second", "third"))
    lab_page.run_all()
    expect(lab_page.page.locator(".twinlab-chart .role-title-text", has_text="shared")).to_have_count(2)
    lab_page.assert_clean()


def test_page_comes_back_with_its_kernel_and_untrusted_without(lab_page, lab_root):
    lab_page.open(write_notebook(lab_root, "again.ipynb", *_CELLS))
    lab_page.run_all()
    panel = find_panel(lab_page)
    panel.press("Walk (min)", "ArrowRight", 4)
    expect(panel.root.get_by_role("status")).to_contain_text("walking 50 min")
    lab_page.save()
    lab_page.open("again.ipynb")
    panel = find_panel(lab_page)
    expect(panel.root.get_by_role("status")).to_contain_text("walking 50 min")

    lab_page.stop_kernels()
    copy = nbformat.read(lab_root / "again.ipynb", 4)
    copy.cells[0].source += "\n# somebody else's notebook: not trusted here"
    for cell in copy.cells:
        cell.metadata.pop("trusted", None)
    nbformat.write(copy, lab_root / "received.ipynb")
    lab_page.open("received.ipynb")
    picture = lab_page.show_cell(2).locator("img")
    expect(picture).to_be_visible()
    assert picture.evaluate("element => element.naturalWidth") > 600
    lab_page.assert_clean()
