"""The panel of synthetic people in a real JupyterLab: by keyboard alone, and for a screen reader."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

_LISTS = ("What", "Method", "File")


@pytest.fixture(scope="module")
def page(open_cells):
    """One page and one kernel for the tests of this file."""
    cells = (
        "from synthetic_source import SyntheticSource",
        "source = SyntheticSource(seconds=3)",
        "tl.widgets.SyntheticPeople(source)",
    )
    return open_cells("synthetic.ipynb", *cells, width=1280, height=1700)


def test_it_moves_by_keyboard_makes_beside_the_page_and_stops(panel, page, lab_root):
    page.take_picture("synthetic", panel.root)
    for name in _LISTS:
        expect(panel.find_list(name)).to_be_visible()
    expect(panel.root.get_by_role("status").first).to_have_attribute("aria-live", "polite")
    documents = panel.root.locator(".twinlab-chart [role=graphics-document]")
    expect(documents).to_have_count(3)
    expect(documents.nth(2)).to_have_attribute("aria-label", re.compile("The nearest to synthetic row 7"))
    spoken = panel.root.locator(".twinlab-chart [role=graphics-symbol]:not([aria-hidden=true])")
    assert spoken.count() < 90, "a screen reader would read every mark"
    panel.press("Epsilon", "End")
    bar = panel.root.get_by_role("progressbar", name="Progress")
    panel.say().to_contain_text("Making: daily table, adaptive marginals, at epsilon 30 ...")
    expect(bar).to_be_visible()
    panel.push("Stop")
    panel.say().to_contain_text("Stopped; these are the people before.")
    expect(bar).to_be_hidden()
    panel.press("Epsilon", "Home")
    panel.say().to_contain_text("by adaptive marginals: epsilon 0.3 per person.", timeout=20_000)
    expect(panel.find_words("at epsilon 0.3")).to_be_visible()
    panel.press("Synthetic", "End")
    expect(panel.find_words("The nearest to synthetic row 5")).to_be_visible()
    panel.push("Export")
    panel.say().to_contain_text("made-up.csv and made-up.csv.card.json beside it.")
    assert (lab_root / "synthetic" / "made-up.csv").exists()


@pytest.mark.thorough
def test_a_gan_shows_early_looks_and_a_copy_keeps_no_promise(panel, page):
    panel.choose("Method", "GAN")
    expect(panel.find_words("An early look, after 5 steps")).to_be_visible(timeout=20_000)
    page.take_picture("synthetic_early", panel.root)
    panel.say().to_contain_text("by GAN: epsilon 1 per person.", timeout=20_000)
    panel.press_list("Method", "End")
    panel.say().to_contain_text("by copy with noise: no guarantee.", timeout=20_000)
    assert panel.find_list("Method").evaluate("element => element === document.activeElement"), "the focus is lost"
    panel.push("Attack in all ways")
    expect(panel.find_words("linkability")).to_be_visible(timeout=20_000)


@pytest.mark.thorough
def test_hours_are_drawn_as_days(panel, page):
    panel.press_list("What", "End")
    panel.say().to_contain_text("by fitted simulator", timeout=20_000)
    expect(panel.find_words("The nearest to synthetic day 7")).to_be_visible()
    expect(panel.find_list("Method").locator("option")).to_have_text(["fitted simulator", "copy with noise"])
    page.take_picture("synthetic_days", panel.root)


@pytest.mark.thorough
def test_dark_theme_keeps_it_readable(panel, page):
    with page.dark():
        page.take_picture("synthetic_dark", panel.root)
        for words in ("Real and synthetic", "What the synthetic people give away", "The nearest to synthetic"):
            inked = panel.root.locator(".twinlab-chart text", has_text=words).last
            assert inked.evaluate("element => getComputedStyle(element).fill") == "rgb(34, 34, 34)"
