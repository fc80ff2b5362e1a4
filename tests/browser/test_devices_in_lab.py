"""The panel of federated devices in a real JupyterLab: rounds beside the page, by keyboard and for a screen reader."""

import re
import time
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
from device_source import DeviceSource
"""
_REAL = """
people = {"cohort.kind": "simulated", "cohort.n_people": 60, "cohort.n_days": 10, "learn.kind": "federated"}
source = tl.explore_devices(tl.Experiment().with_(people))
"""
_KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def open_panel(page, root, name, *cells):
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells], metadata=_KERNEL)
    nbformat.write(notebook, root / name)
    page.open(name)
    page.run_all()
    page.show_cell(len(cells) - 1)
    return LivePanel(page.page, page.page.locator(".twinlab-panel").first).wait()


@pytest.fixture
def panel(tall_page, lab_root):
    """The panel on 200 made-up devices; a round takes 0.4 s, so that a slow machine still finds it running."""
    made = open_panel(
        tall_page,
        lab_root,
        "devices.ipynb",
        _START,
        "source = DeviceSource(n_people=200, seconds=0.4, dropout=0.2, n_attackers=20, clients_per_round=100)",
        "tl.widgets.FederatedDevices(source)",
    )
    yield made
    tall_page.assert_clean()
    tall_page.stop_kernels()  # a federation that still runs would slow the next test's panel


def say(panel):
    return expect(panel.root.get_by_role("status").first)


def read_round(panel):
    """The round that the title of the map names."""
    words = " ".join(panel.root.locator(".role-title-text").all_text_contents())
    found = re.search(r"Devices in round (\d+) of", words)
    return int(found.group(1)) if found else 0


def wait_until(is_so, page, seconds=20.0):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not become so"
        page.wait_for_timeout(30)


def test_rounds_arrive_one_by_one_stop_and_go_on(panel, tall_page):
    bar = panel.root.get_by_role("progressbar", name="Progress")
    expect(bar).to_be_visible()
    say(panel).to_contain_text("Running 200 devices, 100 a round, fedavg, plain ...")
    wait_until(lambda: read_round(panel) >= 4, panel.page)
    stop = panel.root.get_by_role("button", name="Stop")
    stop.focus()
    panel.page.keyboard.press("Enter")
    say(panel).to_contain_text("Stopped: finished rounds stay.")
    expect(bar).to_be_hidden()
    n_rounds = read_round(panel)
    assert 4 <= n_rounds < 20
    panel.page.wait_for_timeout(800)
    assert read_round(panel) == n_rounds, "it still runs"
    assert stop.evaluate("element => element === document.activeElement"), "the button lost the focus"
    panel.root.get_by_role("button", name="Run", exact=True).press("Space")
    wait_until(lambda: 1 <= read_round(panel) < n_rounds, panel.page)
    tall_page.take_picture("devices_running", panel.root)
    say(panel).to_contain_text(
        "Round 20 of 20: 4.86 bpm, 19 % below the 6.00 of zero budget; verdict: train", timeout=60_000
    )
    expect(bar).to_be_hidden()
    assert read_round(panel) == 20
    tall_page.take_picture("devices_done", panel.root)


def test_a_moved_slider_reruns_at_once_and_nothing_blocks_the_page(panel):
    wait_until(lambda: read_round(panel) == 20, panel.page)
    handle = panel.slider("Dropout")
    panel.press("Dropout", "ArrowRight", 3)
    expect(handle).to_have_attribute("aria-valuetext", re.compile(r"0\.35"))
    say(panel).to_contain_text("Running 200 devices")
    assert handle.evaluate("element => element === document.activeElement"), "the slider lost the focus"
    wait_until(lambda: 0 < read_round(panel) < 20, panel.page)
    panel.choose("Signal", "Steps")
    expect(panel.root.locator(".role-title-text").first).to_contain_text("Steps: error")
    wait_until(lambda: read_round(panel) == 20, panel.page)
    say(panel).to_contain_text("The run before ended at")


@pytest.mark.thorough
def test_a_secure_sum_waits_for_run_and_stands_beside_the_plain_one(panel, tall_page):
    wait_until(lambda: read_round(panel) == 20, panel.page)
    panel.choose("Aggregation", "secure")
    say(panel).to_contain_text("Press Run for 200 devices, 100 a round, fedavg, secure: 2,000 trainings on devices.")
    say(panel).to_contain_text("The pictures show the run before.")
    panel.root.get_by_role("button", name="Run", exact=True).click()
    say(panel).to_contain_text("It reads sums of a group of 20 devices only", timeout=20_000)
    wait_until(lambda: read_round(panel) == 20, panel.page)
    for words in ("Plain: the updates themselves", "Masked: what secure sums send"):
        expect(panel.root.locator("text", has_text=words).first).to_be_visible()
    tall_page.take_picture("devices_secure", panel.root)


def test_a_senseless_mix_is_a_sentence_with_its_neighbour_and_the_picture_stays(panel, tall_page):
    wait_until(lambda: read_round(panel) == 20, panel.page)
    panel.choose("Strategy", "krum: the most central one")
    say(panel).to_contain_text("krum", timeout=10_000)
    wait_until(lambda: "Running" not in panel.status and read_round(panel) == 20, panel.page)
    picture = panel.read_picture()
    panel.choose("Aggregation", "secure")
    say(panel).to_contain_text("choose strategy = 'fedavg', or aggregation = 'plain'")
    tall_page.take_picture("devices_refused", panel.root)
    panel.page.wait_for_timeout(500)
    assert panel.read_picture() == picture
    panel.choose("Aggregation", "plain")
    say(panel).to_contain_text("Round 20 of 20")


def test_names_are_spoken_and_pictures_have_sentences(panel, tall_page):
    wait_until(lambda: read_round(panel) == 20, panel.page)
    names = [handle.get_attribute("aria-label") for handle in panel.root.get_by_role("slider").all()]
    assert names == ["Devices", "Rounds", "Dropout", "Attackers (%)", "Quorum", "Epsilon"]
    for name in ("A round asks", "They send", "Strategy", "Aggregation", "Signal"):
        expect(panel.root.get_by_role("combobox", name=name, exact=True)).to_be_visible()
    for name in ("Run", "Stop"):
        expect(panel.root.get_by_role("button", name=name, exact=True)).to_be_enabled()
    documents = panel.root.locator(".twinlab-chart [role=graphics-document]")
    expect(documents).to_have_count(4)
    for place, words in enumerate(("verdict: train", "20 lie; of the", "In all rounds: ", "each update alone")):
        expect(documents.nth(place)).to_have_attribute("aria-label", re.compile(words))
    spoken = panel.root.locator(".twinlab-chart [role=graphics-symbol]:not([aria-hidden=true])")
    assert spoken.count() < 60, "a screen reader would read every device"


@pytest.mark.thorough
def test_dark_theme_keeps_it_readable(panel, tall_page):
    wait_until(lambda: read_round(panel) == 20, panel.page)
    with tall_page.dark():
        tall_page.take_picture("devices_dark", panel.root)
        for chart in panel.root.locator(".twinlab-chart").all():
            text = chart.locator("text").first
            assert text.evaluate("element => getComputedStyle(element).fill") in ("rgb(34, 34, 34)", "rgb(90, 90, 90)")


@pytest.mark.thorough
def test_a_thousand_devices_are_drawn_round_by_round(tall_page, lab_root):
    panel = open_panel(
        tall_page,
        lab_root,
        "thousand.ipynb",
        _START,
        "source = DeviceSource(n_people=1000, seconds=0.25, dropout=0.2, n_attackers=100)",
        "tl.widgets.FederatedDevices(source, n_rounds=10)",
    )
    wait_until(lambda: read_round(panel) == 10, panel.page, 30)
    panel.root.get_by_role("button", name="Run", exact=True).click()
    wait_until(lambda: read_round(panel) < 10, panel.page)
    seen = set()

    def look():
        seen.add(read_round(panel))
        return 10 in seen

    wait_until(look, panel.page, 30)
    assert len(seen - {0}) >= 5, "the page drew only the last round"
    assert panel.root.locator(".twinlab-chart").nth(1).locator(".mark-symbol path").count() > 1000
    tall_page.take_picture("devices_thousand", panel.root)
    tall_page.assert_clean()


@pytest.mark.thorough
def test_real_devices_under_the_panel(tall_page, lab_root):
    panel = open_panel(
        tall_page, lab_root, "real_devices.ipynb", _START + _REAL, "tl.widgets.FederatedDevices(source, attackers=10)"
    )
    say(panel).to_contain_text("Round 20 of 20", timeout=60_000)
    say(panel).to_contain_text("verdict: ")
    panel.choose("A round asks", "20")
    say(panel).to_contain_text("The run before ended at", timeout=30_000)
    tall_page.take_picture("devices_real", panel.root)
    tall_page.assert_clean()
