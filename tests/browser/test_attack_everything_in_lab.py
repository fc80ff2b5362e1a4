"""The panel of attacks against defences in a real JupyterLab: by keyboard alone, and for a screen reader."""

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
from attack_source import AttackSource
""",
    "source = AttackSource(seconds=3)",
    "tl.widgets.AttackEverything(source, defence='federated')",
)
_KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
_LISTS = ("Attack", "Defence", "Attacker has", "Guess about")


@pytest.fixture(scope="module")
def page(lab, browser, pictures, lab_root):
    """One page and one kernel for the tests of this file, as wide as a narrow window."""
    context = browser.new_context(viewport={"width": 900, "height": 1700}, device_scale_factor=1.5)
    made = LabPage(context.new_page(), lab, pictures)
    notebook = new_notebook(cells=[new_code_cell(source) for source in _CELLS], metadata=_KERNEL)
    nbformat.write(notebook, lab_root / "attacks.ipynb")
    made.open("attacks.ipynb")
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


def test_every_list_goes_to_its_ends_by_keyboard_and_known_cells_show_at_once(panel, page):
    page.take_picture("attacks", panel.root)
    for name in ("Attack", "Defence", "Guess about"):
        options = find_list(panel, name).locator("option").all_text_contents()
        start = find_list(panel, name).evaluate("element => element.selectedOptions[0].textContent")
        for key, wanted in (("End", options[-1]), ("Home", options[0])):
            press(panel, name, key)
            expect(find_list(panel, name).locator("option:checked")).to_have_text(wanted)
            words = {"Attack": wanted, "Defence": f"against {wanted},", "Guess about": f"{wanted}: the attacker says"}
            say(panel).to_contain_text(words[name])
            assert find_list(panel, name).evaluate("element => element === document.activeElement"), "the focus is lost"
        find_list(panel, name).select_option(label=start)
    say(panel).to_contain_text("Whose are these?")
    say(panel).to_contain_text("against federated,")


def test_more_knowledge_runs_beside_the_page_and_can_be_stopped(panel, page):
    bar = panel.root.get_by_role("progressbar", name="Progress")
    press(panel, "Attacker has", "Home")
    say(panel).to_contain_text("Attacking: Whose are these? Against federated, knowing 3 earlier days ...")
    expect(bar).to_be_visible()
    panel.root.get_by_role("button", name="Stop").focus()
    panel.page.keyboard.press("Enter")
    say(panel).to_contain_text("Stopped; the pictures show the cell before.")
    expect(bar).to_be_hidden()
    expect(find_list(panel, "Attacker has").locator("option:checked")).to_have_text("9 earlier days")
    press(panel, "Attacker has", "Home")
    say(panel).to_contain_text("strength 0.5", timeout=20_000)
    say(panel).to_contain_text("The matrix shows the attacker with 9 earlier days.")
    expect(bar).to_be_hidden()
    page.take_picture("attacks_less_known", panel.root)


def test_what_may_be_known_follows_the_attack_and_names_are_spoken(panel, page):
    panel.choose("Attack", "Who took part?")
    expect(find_list(panel, "Attacker has").locator("option")).to_have_text(["8 shadow models", "16 shadow models"])
    for name in _LISTS:
        expect(find_list(panel, name)).to_be_visible()
    status = panel.root.get_by_role("status").first
    expect(status).to_have_attribute("aria-live", "polite")
    documents = panel.root.locator(".twinlab-chart [role=graphics-document]")
    expect(documents).to_have_count(2)
    expect(documents.nth(0)).to_have_attribute("aria-label", re.compile("Who took part\\? nothing 42%"))
    expect(documents.nth(1)).to_have_attribute("aria-label", re.compile("against: federated: .* right"))
    spoken = panel.root.locator(".twinlab-chart [role=graphics-symbol]:not([aria-hidden=true])")
    assert spoken.count() < 90, "a screen reader would read every mark"


def test_an_attack_that_says_nothing_of_people_says_so_and_the_next_draws_again(panel, page):
    panel.choose("Attack", "What did they measure?")
    expect(panel.root.locator("text", has_text="This attack says nothing of single people.")).to_be_visible()
    panel.choose("Defence", "federated + secure sum")
    expect(panel.root.locator("text", has_text="in truth person 5")).to_be_visible()


def test_dark_theme_keeps_it_readable(panel, page):
    with page.dark():
        page.take_picture("attacks_dark", panel.root)
        for chart in panel.root.locator(".twinlab-chart").all():
            title = chart.locator(".role-title-text text").first
            assert title.evaluate("element => getComputedStyle(element).fill") == "rgb(34, 34, 34)"


def test_arrows_move_a_list_and_not_the_notebook(panel):
    options = find_list(panel, "Attack").locator("option").all_text_contents()
    press(panel, "Attack", "Home")
    press(panel, "Attack", "ArrowDown")
    expect(find_list(panel, "Attack").locator("option:checked")).to_have_text(options[1])
    press(panel, "Attack", "ArrowUp")
    expect(find_list(panel, "Attack").locator("option:checked")).to_have_text(options[0])
    assert find_list(panel, "Attack").evaluate("element => element === document.activeElement"), "the focus is lost"
