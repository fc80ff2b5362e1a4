"""The panel of synthetic people in a real JupyterLab: by keyboard alone, and for a screen reader."""

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
from synthetic_source import SyntheticSource
""",
    "source = SyntheticSource(seconds=3)",
    "tl.widgets.SyntheticPeople(source)",
)
_KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
_LISTS = ("What", "Method", "File")


@pytest.fixture(scope="module")
def page(lab, browser, pictures, lab_root):
    """One page and one kernel for the tests of this file."""
    context = browser.new_context(viewport={"width": 1280, "height": 1700}, device_scale_factor=1.5)
    made = LabPage(context.new_page(), lab, pictures)
    notebook = new_notebook(cells=[new_code_cell(source) for source in _CELLS], metadata=_KERNEL)
    nbformat.write(notebook, lab_root / "synthetic.ipynb")
    made.open("synthetic.ipynb")
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


def push(panel, name):
    """Enter on a button."""
    panel.root.get_by_role("button", name=name).focus()
    panel.page.keyboard.press("Enter")


def find_words(panel, words):
    return panel.root.locator(".twinlab-chart text", has_text=words).first


def test_it_moves_by_keyboard_makes_beside_the_page_and_stops(panel, page, lab_root):
    page.take_picture("synthetic", panel.root)
    for name in _LISTS:
        expect(find_list(panel, name)).to_be_visible()
    expect(panel.root.get_by_role("status").first).to_have_attribute("aria-live", "polite")
    documents = panel.root.locator(".twinlab-chart [role=graphics-document]")
    expect(documents).to_have_count(3)
    expect(documents.nth(2)).to_have_attribute("aria-label", re.compile("The nearest to synthetic row 7"))
    spoken = panel.root.locator(".twinlab-chart [role=graphics-symbol]:not([aria-hidden=true])")
    assert spoken.count() < 90, "a screen reader would read every mark"
    panel.press("Epsilon", "End")
    bar = panel.root.get_by_role("progressbar", name="Progress")
    say(panel).to_contain_text("Making: daily table, adaptive marginals, at epsilon 30 ...")
    expect(bar).to_be_visible()
    push(panel, "Stop")
    say(panel).to_contain_text("Stopped; these are the people before.")
    expect(bar).to_be_hidden()
    panel.press("Epsilon", "Home")
    say(panel).to_contain_text("by adaptive marginals: epsilon 0.3 per person.", timeout=20_000)
    expect(find_words(panel, "at epsilon 0.3")).to_be_visible()
    panel.press("Synthetic", "End")
    expect(find_words(panel, "The nearest to synthetic row 5")).to_be_visible()
    push(panel, "Export")
    say(panel).to_contain_text("made-up.csv and made-up.csv.card.json beside it.")
    assert (lab_root / "synthetic" / "made-up.csv").exists()


@pytest.mark.thorough
def test_a_gan_shows_early_looks_and_a_copy_keeps_no_promise(panel, page):
    panel.choose("Method", "GAN")
    expect(find_words(panel, "An early look, after 5 steps")).to_be_visible(timeout=20_000)
    page.take_picture("synthetic_early", panel.root)
    say(panel).to_contain_text("by GAN: epsilon 1 per person.", timeout=20_000)
    press(panel, "Method", "End")
    say(panel).to_contain_text("by copy with noise: no guarantee.", timeout=20_000)
    assert find_list(panel, "Method").evaluate("element => element === document.activeElement"), "the focus is lost"
    push(panel, "Attack in all ways")
    expect(find_words(panel, "linkability")).to_be_visible(timeout=20_000)


@pytest.mark.thorough
def test_hours_are_drawn_as_days(panel, page):
    press(panel, "What", "End")
    say(panel).to_contain_text("by fitted simulator", timeout=20_000)
    expect(find_words(panel, "The nearest to synthetic day 7")).to_be_visible()
    expect(find_list(panel, "Method").locator("option")).to_have_text(["fitted simulator", "copy with noise"])
    page.take_picture("synthetic_days", panel.root)


@pytest.mark.thorough
def test_dark_theme_keeps_it_readable(panel, page):
    with page.dark():
        page.take_picture("synthetic_dark", panel.root)
        for words in ("Real and synthetic", "What the synthetic people give away", "The nearest to synthetic"):
            inked = panel.root.locator(".twinlab-chart text", has_text=words).last
            assert inked.evaluate("element => getComputedStyle(element).fill") == "rgb(34, 34, 34)"
