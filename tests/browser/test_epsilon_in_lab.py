"""The panel that turns epsilon in a real JupyterLab: work beside the page, by keyboard and for a screen reader."""

import re
from pathlib import Path

import nbformat
import pytest
from driver import LivePanel
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

_TESTS = Path(__file__).resolve().parents[1]
_START = f"""
import sys
sys.path[:0] = [{str(_TESTS.parent)!r}, {str(_TESTS / "widgets")!r}]
import twinlab as tl
from curve_source import CurveSource
"""
_KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def open_panel(page, root, name, *cells):
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells], metadata=_KERNEL)
    nbformat.write(notebook, root / name)
    page.open(name)
    return run_panel(page, len(cells) - 1)


def run_panel(page, place):
    page.run_all()
    page.show_cell(place)
    return LivePanel(page.page, page.page.locator(".twinlab-panel").first).wait()


@pytest.fixture
def panel(tall_page, lab_root):
    """The panel on a curve that takes 4 s; a twin takes 0.8 s and an audit as long."""
    made = open_panel(
        tall_page,
        lab_root,
        "epsilon.ipynb",
        _START,
        "source = CurveSource(seconds=0.8)",
        "tl.widgets.TuneEpsilon(source)",
    )
    yield made
    tall_page.assert_clean()


def read_rule(panel):
    """Where on the page the rule at the chosen epsilon stands, and what the words beside it say."""
    return panel.chart.locator("svg").first.inner_html()


def say(panel):
    return expect(panel.root.get_by_role("status").first)


def test_the_curve_grows_stops_and_goes_on(panel, tall_page):
    bar = panel.root.get_by_role("progressbar", name="Progress")
    expect(bar).to_be_visible()
    say(panel).to_contain_text("Tracing the curve ...")
    points = panel.chart.locator(".mark-symbol path")
    expect.set_options(timeout=20_000)
    panel.page.wait_for_function(
        "chart => chart.querySelectorAll('.mark-symbol path[aria-label*=verdict]').length >= 4",
        arg=panel.chart.element_handle(),
    )
    tall_page.take_picture("epsilon_tracing", panel.root)
    stop = panel.root.get_by_role("button", name="Stop")
    stop.focus()
    panel.page.keyboard.press("Enter")
    say(panel).to_contain_text("Stopped: what is drawn so far stays.")
    expect(bar).to_be_hidden()
    n_points = points.count()
    panel.page.wait_for_timeout(1500)
    assert points.count() == n_points, "the curve still grows"
    assert stop.evaluate("element => element === document.activeElement"), "the button lost the focus"
    tall_page.take_picture("epsilon_stopped", panel.root)
    panel.root.get_by_role("button", name="Trace the curve").press("Space")
    say(panel).to_contain_text("Trained just now, with fresh noise.", timeout=30_000)
    expect(panel.root.get_by_text("AUDIT: CONSISTENT")).to_be_visible(timeout=10_000)
    expect(bar).to_be_hidden()
    tall_page.take_picture("epsilon_done", panel.root)


def test_the_slider_moves_the_rule_at_once_and_the_diamond_comes_later(panel, tall_page):
    say(panel).to_contain_text("Trained just now, with fresh noise.", timeout=30_000)
    handle = panel.slider("Epsilon")
    expect(handle).to_have_attribute("aria-valuetext", "1.00")
    before = panel.read_picture()
    panel.press("Epsilon", "ArrowRight", 4)
    panel.wait_for_change(before)
    expect(panel.chart.locator("text", has_text="epsilon 1.58: 6.60 bpm").first).to_be_visible()
    say(panel).to_contain_text("Training a private twin at epsilon 1.58")  # it did not wait for the training
    say(panel).not_to_contain_text("Trained just now")
    tall_page.take_picture("epsilon_moved", panel.root)
    say(panel).to_contain_text("Trained just now, with fresh noise.")
    expect(handle).to_have_attribute("aria-valuetext", "1.58")
    assert handle.evaluate("element => element === document.activeElement"), "the slider lost the focus"
    titles = panel.root.locator(".role-title-text").all_text_contents()
    assert "Epsilon 1.58 at delta 1e-04 for a person" in titles
    expect(panel.root.locator("text", has_text="0 spent, 1.58 for the next run").first).to_be_visible()
    panel.press("Epsilon", "Home")
    expect(handle).to_have_attribute("aria-valuetext", "0.100")
    say(panel).to_contain_text("Epsilon 0.1: 6.97 bpm")
    panel.press("Epsilon", "End")
    expect(handle).to_have_attribute("aria-valuetext", "8.00")
    say(panel).to_contain_text("verdict: train")


def test_names_are_spoken_and_what_does_not_matter_is_said(panel, tall_page):
    names = [handle.get_attribute("aria-label") for handle in panel.root.get_by_role("slider").all()]
    assert names == ["Epsilon"]
    for name in ("Trace the curve", "Train a twin", "Stop"):
        expect(panel.root.get_by_role("button", name=name)).to_be_enabled()
    for name in ("Signal", "Starts from", "Noise", "Hides", "Accountant"):
        expect(panel.root.get_by_role("combobox", name=name, exact=True)).to_be_visible()
    documents = panel.root.locator(".twinlab-chart [role=graphics-document]")
    expect(documents).to_have_count(3)
    expect(documents.nth(1)).to_have_attribute("aria-label", re.compile("A coin toss becomes at most 73 %", re.I))
    expect(documents.nth(2)).to_have_attribute("aria-label", re.compile("nothing is charged"))
    panel.choose("Noise", "on answers")
    say(panel).to_contain_text("Start, unit and accountant do not matter here.")
    say(panel).to_contain_text("verdict: do not ask", timeout=30_000)
    tall_page.take_picture("epsilon_answers", panel.root)


@pytest.mark.thorough
def test_dark_theme_keeps_it_readable(panel, tall_page):
    expect(panel.root.get_by_text("AUDIT: CONSISTENT")).to_be_visible(timeout=30_000)
    with tall_page.dark():
        tall_page.take_picture("epsilon_dark", panel.root)
        title = panel.chart.locator(".role-title-text text").first
        assert title.evaluate("element => getComputedStyle(element).fill") == "rgb(34, 34, 34)"


def test_real_people_pay_when_a_button_is_pressed_and_not_before(tall_page, lab_root):
    panel = open_panel(
        tall_page,
        lab_root,
        "real.ipynb",
        _START,
        "source = CurveSource(is_free=False)",
        "tl.widgets.TuneEpsilon(source)",
    )
    say(panel).to_contain_text("To trace the curve: Together epsilon 3.1 a person")
    panel.press("Epsilon", "ArrowRight", 2)
    say(panel).to_contain_text("To train a twin here: epsilon 1.26.")
    tall_page.take_picture("epsilon_real", panel.root)
    expect(panel.root.get_by_text("Epsilon 0 of 10 spent").first).to_be_visible()
    panel.root.get_by_role("button", name="Train a twin").click()
    say(panel).to_contain_text("Trained just now, with fresh noise.")
    expect(panel.root.get_by_text("Epsilon 1.26 of 10 spent").first).to_be_visible()
    tall_page.assert_clean()
