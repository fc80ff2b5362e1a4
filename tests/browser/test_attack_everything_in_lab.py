"""The panel of attacks against defences in a real JupyterLab: by keyboard alone, and for a screen reader."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

_LISTS = ("Attack", "Defence", "Attacker has", "Guess about")


@pytest.fixture(scope="module")
def page(open_cells):
    """One page and one kernel for the tests of this file, as wide as a narrow window."""
    cells = (
        "from attack_source import AttackSource",
        "source = AttackSource(seconds=3)",
        "tl.widgets.AttackEverything(source, defence='federated')",
    )
    return open_cells("attacks.ipynb", *cells, width=900, height=1700)


def test_every_list_goes_to_its_ends_by_keyboard_and_known_cells_show_at_once(panel, page):
    page.take_picture("attacks", panel.root)
    for name in ("Attack", "Defence", "Guess about"):
        options = panel.find_list(name).locator("option").all_text_contents()
        start = panel.find_list(name).evaluate("element => element.selectedOptions[0].textContent")
        for key, wanted in (("End", options[-1]), ("Home", options[0])):
            panel.press_list(name, key)
            expect(panel.find_list(name).locator("option:checked")).to_have_text(wanted)
            words = {"Attack": wanted, "Defence": f"against {wanted},", "Guess about": f"{wanted}: the attacker says"}
            panel.say().to_contain_text(words[name])
            assert panel.find_list(name).evaluate("element => element === document.activeElement"), "the focus is lost"
        panel.find_list(name).select_option(label=start)
    panel.say().to_contain_text("Whose are these?")
    panel.say().to_contain_text("against federated,")


def test_more_knowledge_runs_beside_the_page_and_can_be_stopped(panel, page):
    bar = panel.root.get_by_role("progressbar", name="Progress")
    panel.press_list("Attacker has", "Home")
    panel.say().to_contain_text("Attacking: Whose are these? Against federated, knowing 3 earlier days ...")
    expect(bar).to_be_visible()
    panel.push("Stop")
    panel.say().to_contain_text("Stopped; the pictures show the cell before.")
    expect(bar).to_be_hidden()
    expect(panel.find_list("Attacker has").locator("option:checked")).to_have_text("9 earlier days")
    panel.press_list("Attacker has", "Home")
    panel.say().to_contain_text("strength 0.5", timeout=20_000)
    panel.say().to_contain_text("The matrix shows the attacker with 9 earlier days.")
    expect(bar).to_be_hidden()
    page.take_picture("attacks_less_known", panel.root)


def test_what_may_be_known_follows_the_attack_and_names_are_spoken(panel, page):
    panel.choose("Attack", "Who took part?")
    expect(panel.find_list("Attacker has").locator("option")).to_have_text(["8 shadow models", "16 shadow models"])
    for name in _LISTS:
        expect(panel.find_list(name)).to_be_visible()
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
    options = panel.find_list("Attack").locator("option").all_text_contents()
    panel.press_list("Attack", "Home")
    panel.press_list("Attack", "ArrowDown")
    expect(panel.find_list("Attack").locator("option:checked")).to_have_text(options[1])
    panel.press_list("Attack", "ArrowUp")
    expect(panel.find_list("Attack").locator("option:checked")).to_have_text(options[0])
    assert panel.find_list("Attack").evaluate("element => element === document.activeElement"), "the focus is lost"
