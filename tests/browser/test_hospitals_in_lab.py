"""The panel of hospitals together in a real JupyterLab: by keyboard alone, and for a screen reader."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

_LISTS = ("Question", "May collude", "Hospitals", "Smallest", "Patients", "Shares of")


@pytest.fixture(scope="module")
def page(open_cells):
    """One page and one kernel for the tests of this file."""
    cells = (
        "from hospital_source import HospitalSource",
        "source = HospitalSource(seconds=3)",
        "tl.widgets.HospitalsTogether(source, is_private=True)",
    )
    return open_cells("hospitals.ipynb", *cells, width=1280, height=1900)


def test_the_panel_moves_by_keyboard_to_its_ends_and_names_are_spoken(panel, page):
    page.take_picture("hospitals", panel.root)
    for name in _LISTS:
        expect(panel.find_list(name)).to_be_visible()
    status = panel.root.get_by_role("status").first
    expect(status).to_have_attribute("aria-live", "polite")
    documents = panel.root.locator(".twinlab-chart [role=graphics-document]")
    expect(documents).to_have_count(2)
    expect(documents.nth(0)).to_have_attribute("aria-label", re.compile(r"Admission risk.*Age \(odds ratio per 10\)"))
    expect(documents.nth(1)).to_have_attribute("aria-label", re.compile("What the city hospital holds"))
    spoken = panel.root.locator(".twinlab-chart [role=graphics-symbol]:not([aria-hidden=true])")
    assert spoken.count() < 90, "a screen reader would read every mark"
    panel.say().to_contain_text("epsilon 1 a patient.")
    panel.press("Epsilon", "End")
    panel.say().to_contain_text("epsilon 10 a patient.")
    panel.press("Epsilon", "Home")
    panel.say().to_contain_text("nothing is found together. Rows: expected at least 10")
    expect(panel.find_words("There is nothing to draw")).to_be_visible()
    panel.press("Epsilon", "End")
    expect(panel.find_words("city hospital holds")).to_be_visible()
    panel.press_list("Question", "End")
    panel.say().to_contain_text("Histogram:")
    assert panel.find_list("Question").evaluate("element => element === document.activeElement"), "the focus is lost"


@pytest.mark.thorough
def test_other_hospitals_are_made_beside_the_page_and_can_be_stopped(panel, page):
    bar = panel.root.get_by_role("progressbar", name="Progress")
    panel.press_list("Hospitals", "End")
    panel.say().to_contain_text("Making 7 hospitals, the smallest with 120 patients")
    expect(bar).to_be_visible()
    panel.push("Stop")
    panel.say().to_contain_text("Stopped; these are the hospitals before.")
    expect(bar).to_be_hidden()
    expect(panel.find_list("Hospitals").locator("option:checked")).to_have_text("3")
    panel.press_list("Hospitals", "End")
    expect(panel.find_words("island")).to_be_visible(timeout=20_000)
    expect(panel.find_list("May collude").locator("option")).to_have_text(["1", "2", "3"])
    expect(bar).to_be_hidden()
    panel.press_list("Shares of", "End")
    expect(panel.find_words("island holds")).to_be_visible()
    page.take_picture("hospitals_many", panel.root)


@pytest.mark.thorough
def test_every_list_goes_to_its_ends_by_keyboard(panel, page):
    for name in ("Question", "Shares of"):
        options = panel.find_list(name).locator("option").all_text_contents()
        for key, wanted in (("End", options[-1]), ("Home", options[0])):
            panel.press_list(name, key)
            expect(panel.find_list(name).locator("option:checked")).to_have_text(wanted)
            assert panel.find_list(name).evaluate("element => element === document.activeElement"), "the focus is lost"
        panel.page.keyboard.press("ArrowDown")
        expect(panel.find_list(name).locator("option:checked")).to_have_text(options[1])
    panel.choose("Question", "survival")
    panel.say().to_contain_text("Survival: all together 69% at 360 days")
    page.take_picture("hospitals_survival", panel.root)


@pytest.mark.thorough
def test_dark_theme_keeps_it_readable(panel, page):
    with page.dark():
        page.take_picture("hospitals_dark", panel.root)
        for words in ("Admission risk", "What the city hospital holds"):
            inked = panel.root.locator(".twinlab-chart text", has_text=words).last
            assert inked.evaluate("element => getComputedStyle(element).fill") == "rgb(34, 34, 34)"
