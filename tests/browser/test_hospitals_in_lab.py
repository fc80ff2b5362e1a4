"""The panel of hospitals together in a real JupyterLab: by keyboard alone, and for a screen reader."""

import re
from pathlib import Path

import nbformat
import pytest
from driver import LabPage, LivePanel
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

_TESTS = Path(__file__).resolve().parents[1]
_CELLS = (
    f"""
import sys
sys.path[:0] = [{str(_TESTS.parent)!r}, {str(_TESTS / "widgets")!r}]
import twinlab as tl
from hospital_source import HospitalSource
""",
    "source = HospitalSource(seconds=3)",
    "tl.widgets.HospitalsTogether(source, is_private=True)",
)
_KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
_LISTS = ("Question", "May collude", "Hospitals", "Smallest", "Patients", "Shares of")


@pytest.fixture(scope="module")
def page(lab, browser, pictures, lab_root):
    """One page and one kernel for the tests of this file."""
    context = browser.new_context(viewport={"width": 1280, "height": 1900}, device_scale_factor=1.5)
    made = LabPage(context.new_page(), lab, pictures)
    notebook = new_notebook(cells=[new_code_cell(source) for source in _CELLS], metadata=_KERNEL)
    nbformat.write(notebook, lab_root / "hospitals.ipynb")
    made.open("hospitals.ipynb")
    yield made
    made.stop_kernels()
    context.close()


@pytest.fixture
def panel(page):
    """The panel, made anew."""
    page.run_all()
    page.show_cell(len(_CELLS) - 1)
    yield LivePanel(page.page, page.page.locator(".twinlab-panel").first).wait()
    assert not [
        out for cell in page.read_cells() for out in cell["outputs"] if out["output_type"] in ("error", "stream")
    ]
    page.assert_clean()


def say(panel):
    return expect(panel.root.get_by_role("status").first)


def find_list(panel, name):
    return panel.root.get_by_role("combobox", name=name, exact=True)


def press(panel, name, key):
    """A key on a list, as a reader without a mouse."""
    find_list(panel, name).focus()
    panel.page.keyboard.press(key)


def find_words(panel, words):
    return panel.root.locator(".twinlab-chart text", has_text=words).first


def test_the_panel_moves_by_keyboard_to_its_ends_and_names_are_spoken(panel, page):
    page.take_picture("hospitals", panel.root)
    for name in _LISTS:
        expect(find_list(panel, name)).to_be_visible()
    status = panel.root.get_by_role("status").first
    expect(status).to_have_attribute("aria-live", "polite")
    documents = panel.root.locator(".twinlab-chart [role=graphics-document]")
    expect(documents).to_have_count(2)
    expect(documents.nth(0)).to_have_attribute("aria-label", re.compile(r"Admission risk.*Age \(odds ratio per 10\)"))
    expect(documents.nth(1)).to_have_attribute("aria-label", re.compile("What the city hospital holds"))
    spoken = panel.root.locator(".twinlab-chart [role=graphics-symbol]:not([aria-hidden=true])")
    assert spoken.count() < 90, "a screen reader would read every mark"
    say(panel).to_contain_text("epsilon 1 a patient.")
    panel.press("Epsilon", "End")
    say(panel).to_contain_text("epsilon 10 a patient.")
    panel.press("Epsilon", "Home")
    say(panel).to_contain_text("nothing is found together. Rows: expected at least 10")
    expect(find_words(panel, "There is nothing to draw")).to_be_visible()
    panel.press("Epsilon", "End")
    expect(find_words(panel, "city hospital holds")).to_be_visible()
    press(panel, "Question", "End")
    say(panel).to_contain_text("Histogram:")
    assert find_list(panel, "Question").evaluate("element => element === document.activeElement"), "the focus is lost"


@pytest.mark.thorough
def test_other_hospitals_are_made_beside_the_page_and_can_be_stopped(panel, page):
    bar = panel.root.get_by_role("progressbar", name="Progress")
    press(panel, "Hospitals", "End")
    say(panel).to_contain_text("Making 7 hospitals, the smallest with 120 patients")
    expect(bar).to_be_visible()
    panel.root.get_by_role("button", name="Stop").focus()
    panel.page.keyboard.press("Enter")
    say(panel).to_contain_text("Stopped; these are the hospitals before.")
    expect(bar).to_be_hidden()
    expect(find_list(panel, "Hospitals").locator("option:checked")).to_have_text("3")
    press(panel, "Hospitals", "End")
    expect(find_words(panel, "island")).to_be_visible(timeout=20_000)
    expect(find_list(panel, "May collude").locator("option")).to_have_text(["1", "2", "3"])
    expect(bar).to_be_hidden()
    press(panel, "Shares of", "End")
    expect(find_words(panel, "island holds")).to_be_visible()
    page.take_picture("hospitals_many", panel.root)


@pytest.mark.thorough
def test_every_list_goes_to_its_ends_by_keyboard(panel, page):
    for name in ("Question", "Shares of"):
        options = find_list(panel, name).locator("option").all_text_contents()
        for key, wanted in (("End", options[-1]), ("Home", options[0])):
            press(panel, name, key)
            expect(find_list(panel, name).locator("option:checked")).to_have_text(wanted)
            assert find_list(panel, name).evaluate("element => element === document.activeElement"), "the focus is lost"
        panel.page.keyboard.press("ArrowDown")
        expect(find_list(panel, name).locator("option:checked")).to_have_text(options[1])
    panel.choose("Question", "survival")
    say(panel).to_contain_text("Survival: all together 69% at 360 days")
    page.take_picture("hospitals_survival", panel.root)


@pytest.mark.thorough
def test_dark_theme_keeps_it_readable(panel, page):
    with page.dark():
        page.take_picture("hospitals_dark", panel.root)
        for words in ("Admission risk", "What the city hospital holds"):
            inked = panel.root.locator(".twinlab-chart text", has_text=words).last
            assert inked.evaluate("element => getComputedStyle(element).fill") == "rgb(34, 34, 34)"
