"""The attacker's panel, with the real mirror behind it."""

import itertools
import json
import re

import pytest

import twinlab as tl
from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import simulate
from twinlab.errors import SpecificationError, TrustBoundaryError
from twinlab.pipeline import mirror as module
from twinlab.pipeline.mirror import hold_mirror
from twinlab.widgets import TheMirror


@pytest.fixture(scope="module")
def cohort():
    return simulate(draw_people(12, 3), 30, 3).cohort.select(signals=("steps", "heart_rate_bpm"))


@pytest.fixture(scope="module")
def mirror(cohort):
    return hold_mirror(cohort)


@pytest.fixture(scope="module")
def real(cohort):
    values = cohort.values.copy()
    return hold_mirror(Cohort("r", cohort.person_ids, cohort.start, cohort.signals, values, origin="measured"))


@pytest.fixture(scope="module")
def only_panel(mirror):
    return TheMirror(mirror)


@pytest.fixture
def panel(only_panel):
    """The panel as it began; making one takes longer than moving it."""
    first = {name: control.value for name, control in only_panel.controls.items()}
    only_panel.set(**first)
    return only_panel


def test_picture_sentence_and_chart_say_the_same(panel, mirror, monkeypatch):
    monkeypatch.setenv("TWINLAB_HEADLESS", "1")
    bundle, metadata = panel._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["text/plain"] == metadata["image/png"]["alt"] == panel.picture.sentence == panel._chart.alt_text
    assert f"{mirror.attack(7).finding.value:.0%} of {mirror.n_people} people named rightly" in bundle["text/plain"]
    assert panel.values["signal"] == "heart_rate_bpm"
    json.dumps(panel._chart.data, allow_nan=False)


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        ({"n_days": 3}, "3 days of all signals without names:"),
        ({"released": "steps"}, "7 days of steps without names:"),
        ({"defence": "totals"}, "without names, day totals only:"),
        ({"defence": "noise", "epsilon": 30.0}, "noise of epsilon 30 a day:"),
        ({"signal": "steps"}, "Drawn: steps."),
    ],
)
def test_a_move_is_told_everywhere(panel, moved, words):
    before = panel.picture.sentence
    for name, value in moved.items():
        panel.widgets[name].value = value
    assert words in panel.picture.sentence != before
    assert words in panel._status.value
    assert panel._chart.alt_text == panel.picture.sentence == panel.draw().to_dict()["description"]


def test_another_person_repaints_and_asks_nobody_again(panel, mirror, monkeypatch):
    monkeypatch.setattr(module, "let_attack", None)  # an attack would fail
    person = mirror.person_ids[4]
    panel.set(person_id=person)
    assert f"The nameless days of {person} are given to" in panel.picture.sentence
    assert panel._chart.data["label_0"][0]["words"] == f"in truth {person}"
    with pytest.raises(TypeError):
        panel.set(n_days=11)


def test_a_signal_that_is_not_released_is_not_shown(panel):
    panel.set(released="steps", signal="heart_rate_bpm")
    assert "Drawn: steps." in panel.picture.sentence
    assert "Heart rate is not released" in panel._status.value
    panel.set(released="all")
    assert "not released" not in panel._status.value


def test_the_number_of_days_changes_the_maps_in_place(panel):
    panel.set(n_days=2)
    assert max(row["day"] for row in panel._chart.data["map_0"]) == 2
    panel.set(n_days=14)
    assert max(row["day"] for row in panel._chart.data["map_3"]) == 14


def test_every_choice_can_be_drawn(panel):
    for released, defence in itertools.product(("all", "steps"), ("nothing", "totals", "noise")):
        panel.set(released=released, defence=defence)
        assert panel._chart.data["map_1"]
        assert panel.picture.sentence in panel._status.value


def test_of_people_who_exist_no_day_is_shown(real, cohort):
    panel = TheMirror(real, defence="totals")
    assert not {"person_id", "signal", "epsilon"} & set(panel.controls)
    assert set(panel._chart.spec["datasets"]) == {"bars"}
    assert "These people exist" in panel._head.value
    panel.set(n_days=5, defence="nothing")
    assert set(panel._chart.data) == {"bars"}
    shown = json.dumps([panel._chart.spec, panel._chart.data, panel._chart.signals, panel._status.value])
    assert not any(person in shown for person in cohort.person_ids)
    with pytest.raises(TrustBoundaryError, match="These people exist"):
        TheMirror(real, cohort.person_ids[0])
    with pytest.raises(TrustBoundaryError, match="These people exist"):
        TheMirror(real, signal="steps")
    with pytest.raises(SpecificationError, match="defence: expected one of nothing, totals"):
        TheMirror(real, defence="noise")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"n_days": 15}, "n_days: expected a whole number from 2 to 14"),
        ({"released": "mood"}, "released: expected one of all, steps"),
        ({"defence": "magic"}, "defence: expected one of nothing"),
        ({"person_id": "somebody"}, "person_id: expected one of person-"),
        ({"epsilon": 0.0}, "epsilon: expected"),
    ],
)
def test_values_outside_the_limits_are_refused_not_moved(panel, mirror, values, words):
    with pytest.raises(SpecificationError, match=re.escape(words)):
        panel.set(**values)
    with pytest.raises(SpecificationError, match=re.escape(words)):
        TheMirror(mirror, **values)


def test_an_epsilon_between_the_steps_becomes_a_step(mirror):
    panel = TheMirror(mirror, defence="noise", epsilon=42.0)
    assert panel.values["epsilon"] == 42.0
    assert "epsilon 42 a day" in panel.picture.sentence


def test_it_is_offered_by_name():
    assert tl.widgets.TheMirror is TheMirror
