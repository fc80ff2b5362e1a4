"""The panel of attacks against defences: cells that are there show at once, others are computed and can be stopped."""

import itertools
import json
import re

import pytest
from attack_source import ATTACKS, DEFENCES, AttackSource
from waiting import wait_for

import twinlab as tl
from twinlab.errors import SpecificationError
from twinlab.widgets import AttackEverything

LINKING, TAKING_PART = "Whose are these?", "Who took part?"


@pytest.fixture(scope="module")
def only_panel():
    return AttackEverything(AttackSource(), defence="federated")


@pytest.fixture
def panel(only_panel):
    """The panel as it began; making one takes longer than moving it."""
    source = only_panel._matrix
    source.forget()
    only_panel.set(attack=LINKING, defence="federated", knowledge="9 earlier days")
    only_panel.set(target="days 5")
    return only_panel


@pytest.fixture
def source(panel):
    return panel._matrix


def read_frame(panel):
    (frame,) = panel._charts["matrix"].data["frame"]
    return frame


def test_picture_sentence_and_charts_say_the_same(panel, source, monkeypatch):
    monkeypatch.setenv("TWINLAB_HEADLESS", "1")
    bundle, metadata = panel._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["text/plain"] == metadata["image/png"]["alt"] == panel.sentence
    finding = source.attack(LINKING, "federated").finding
    assert panel.sentence.startswith(finding.sentence)
    assert finding.sentence in panel._status.value
    for name, chart in panel._charts.items():
        assert chart.alt_text == panel.pictures[name].sentence
        json.dumps([chart.spec, chart.data], allow_nan=False)


@pytest.mark.parametrize("move", ["widget", "code"])
def test_a_known_cell_shows_at_once_everywhere(panel, source, move):
    before = read_frame(panel)
    if move == "widget":
        panel.widgets["attack"].value = TAKING_PART
        panel.widgets["defence"].value = "noise at the sensor"
    else:
        panel.set(attack=TAKING_PART, defence="noise at the sensor")
    assert panel.values["knowledge"] == "16 shadow models"
    assert [each for _, each in panel.widgets["knowledge"].options] == list(ATTACKS[TAKING_PART])
    assert "against noise at the sensor, strength 1." in panel._status.value
    after = read_frame(panel)
    assert (after["x"] < before["x"], after["y"] > before["y"]) == (True, True)
    for words in (f"About {TAKING_PART}", "About noise at the sensor.", "a curious server; sees readings"):
        assert words in panel._words.value


def test_another_target_is_written_large_and_asks_nobody_again(panel, source):
    n_asked = len(source.asked)
    panel.set(target="days 4")
    assert "days 4: the attacker says person 4, in truth person 4: right, 20% sure." in panel._status.value
    assert panel._charts["guesses"].data["large"][0]["says"] == "days 4: the attacker says person 4"
    panel.set(target="days 3")
    assert "does not say" in panel._status.value
    assert len(source.asked) == n_asked


def test_a_target_stays_over_cells_and_the_surest_is_first(panel):
    assert panel.values["target"] == "days 5"
    panel.set(target="days 7")
    panel.set(defence="nothing")
    assert panel.values["target"] == "days 7"
    panel.set(attack="What did they measure?")
    assert [each for _, each in panel.widgets["target"].options] == ["nobody"]
    assert "says nothing of single people" in panel.pictures["guesses"].sentence
    panel.set(defence="federated + secure sum")
    assert panel.values["target"] == "days 5"


def test_more_knowledge_is_a_new_attack_and_the_matrix_says_that_it_keeps_its_own(panel, source):
    panel.set(knowledge="3 earlier days")
    assert source.finished[-1] == (LINKING, "federated", "3 earlier days")
    assert "strength 0.5" in panel._status.value
    assert "The matrix shows the attacker with 9 earlier days." in panel._status.value
    panel.set(attack=TAKING_PART, knowledge="8 shadow models")
    assert source.finished[-1] == (TAKING_PART, "federated", "8 shadow models")


@pytest.mark.thorough
def test_every_cell_can_be_shown(panel):
    for attack, defence in itertools.product(ATTACKS, DEFENCES):
        panel.set(attack=attack, defence=defence)
        assert f"{attack} " in panel._status.value
        json.dumps([chart.data for chart in panel._charts.values()], allow_nan=False)
        assert panel.choices == panel._shown[0]


def test_beside_a_page_the_last_picture_stays_until_the_attack_is_done(page, panel, source):
    source.seconds = 0.5
    panel.widgets["knowledge"].value = "3 earlier days"
    wait_for(lambda: "Attacking: Whose are these?" in panel._status.value)
    assert "strength 1." in panel._status.value
    assert panel._progress.layout.visibility == "visible"
    wait_for(lambda: not panel._worker.is_busy)
    assert "strength 0.5" in panel._status.value
    assert panel._progress.layout.visibility == "hidden"


def test_stop_ends_the_attack_and_goes_back(page, panel, source):
    source.seconds = 20.0
    panel.widgets["attack"].value = TAKING_PART
    panel.widgets["knowledge"].value = "8 shadow models"
    wait_for(lambda: panel._running is not None)
    panel.stop()
    wait_for(lambda: not panel._worker.is_busy)
    assert panel.values["knowledge"] == "16 shadow models"
    assert "Stopped; the pictures show the cell before." in panel._status.value
    assert len(source.finished) == len(source.asked) - 1
    panel.stop()
    assert "Nothing is running." in panel._status.value


def test_who_moves_on_meanwhile_gets_the_last_choice(page, panel, source):
    source.seconds = 20.0
    panel.widgets["knowledge"].value = "3 earlier days"
    wait_for(lambda: panel._running is not None)
    panel.widgets["defence"].value = "nothing"
    source.seconds = 0.1
    panel.widgets["defence"].value = "federated"  # ordered again after nobody wanted it
    wait_for(lambda: not panel._worker.is_busy)
    assert panel.choices == panel._shown[0]
    assert panel.values["knowledge"] == "3 earlier days"
    panel.widgets["knowledge"].value = "9 earlier days"
    assert panel.choices == panel._shown[0]
    assert "strength 1." in panel._status.value


def test_a_fault_beside_a_page_is_a_sentence_and_the_controls_go_back(page, panel, source, monkeypatch):
    def fail(*_, **__):
        raise SpecificationError("attack: expected more people, got 3; add some")

    monkeypatch.setattr(source, "attack", fail)
    panel.widgets["knowledge"].value = "3 earlier days"
    wait_for(lambda: not panel._worker.is_busy)
    assert "expected more people, got 3; add some" in panel._status.value
    assert panel.values["knowledge"] == "9 earlier days"


def test_a_fault_in_a_cell_is_raised_and_the_controls_go_back(panel, source, monkeypatch):
    monkeypatch.setattr(source, "_make", None)
    with pytest.raises(TypeError):
        panel.set(knowledge="3 earlier days")
    assert panel.values["knowledge"] == "9 earlier days"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"attack": "Who?"}, "attack: expected one of Whose are these?"),
        ({"defence": "hope"}, "defence: expected one of nothing"),
        ({"knowledge": "everything"}, "knowledge: expected one of 3 earlier days"),
        ({"attack": TAKING_PART, "knowledge": "3 earlier days"}, "knowledge: expected one of 8 shadow models"),
        ({"target": "somebody"}, "target: expected one of days 5"),
    ],
)
def test_values_that_the_matrix_lacks_are_refused_and_nothing_moves(panel, source, values, words):
    before = panel.values
    with pytest.raises(SpecificationError, match=re.escape(words)):
        panel.set(**values)
    assert panel.values == before
    assert [each for _, each in panel.widgets["knowledge"].options] == list(ATTACKS[LINKING])
    with pytest.raises(SpecificationError, match=re.escape(words)):
        AttackEverything(source, **{"defence": "federated", **values})


def test_it_is_offered_by_name():
    assert tl.widgets.AttackEverything is AttackEverything
