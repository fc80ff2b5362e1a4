import json
import re

import pytest

import twinlab as tl
from twinlab.errors import SpecificationError


@pytest.fixture(scope="module")
def lesson():
    return tl.SensorLesson(tl.load_cohort(tl.Experiment(cohort=tl.ShippedCohort())))


@pytest.fixture
def panel(lesson):
    return tl.widgets.NoiseAtTheSensor(lesson)


def test_picture_and_sentence_are_of_the_same_draw(panel, monkeypatch):
    monkeypatch.setenv("TWINLAB_HEADLESS", "1")
    bundle, metadata = panel._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["text/plain"] == metadata["image/png"]["alt"] == panel.picture.sentence
    assert "hopeless with 1,000" in bundle["text/plain"]


def test_every_move_draws_new_noise_and_tells_everybody(panel):
    before = panel.picture.sentence
    panel.widgets["epsilon"].value = 8.0
    assert panel.picture.sentence != before
    assert panel.picture.sentence == panel._chart.alt_text
    assert "epsilon 8 a reading" in panel._status.value
    assert panel._chart.signals["verdict"] in panel.picture.sentence
    assert panel.draw().to_dict()["description"] == panel.picture.sentence
    json.dumps(panel._chart.data, allow_nan=False)


def test_more_people_or_a_larger_epsilon_end_the_hopelessness(panel):
    panel.set(epsilon=8.0, n_people=1000, wanted_error=5.0)
    assert "1,000 are enough" in panel.picture.sentence
    panel.set(epsilon=0.05)
    assert "hopeless with 1,000" in panel.picture.sentence
    panel.set(wanted_error=0.1)
    assert "billion people" in panel.picture.sentence
    assert panel.picture.data["goal"].empty, "a mark that far away is off the chart"


def test_a_signal_brings_its_own_wanted_error(panel, lesson):
    panel.set(signal="steps")
    assert panel.values["wanted_error"] == lesson.suggest_error("steps")
    assert "steps/h" in panel.picture.sentence
    panel.set(signal="heart_rate_bpm", wanted_error=2.0)
    assert panel.values["wanted_error"] == 2.0


@pytest.mark.parametrize("signal", ["steps", "sleep_min", "intensity", "glucose_mg_dl"])
@pytest.mark.parametrize("mechanism", ["laplace", "duchi", "piecewise", "hybrid"])
def test_every_signal_and_mechanism_can_be_drawn(lesson, signal, mechanism):
    panel = tl.widgets.NoiseAtTheSensor(lesson, signal, 0.05, 10, None, mechanism)
    assert f"by {mechanism}" in panel.picture.sentence
    assert panel.draw().to_dict()["datasets"]["means"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"mechanism": "gauss"}, "mechanism: expected one of hybrid"),
        ({"signal": "mood"}, "signal: expected one of steps"),
    ],
)
def test_values_outside_the_limits_are_refused_not_moved(panel, lesson, values, words):
    with pytest.raises(SpecificationError, match=re.escape(words)):
        panel.set(**values)
    with pytest.raises(SpecificationError, match=re.escape(words)):
        tl.widgets.NoiseAtTheSensor(lesson, **values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epsilon": 0}, "epsilon: expected 0.0001 to 30"),
        ({"n_people": 10**7}, "n_people: expected 1 to 100000"),
        ({"wanted_error": 0.0}, "wanted_error: expected more than 0"),
    ],
)
def test_numbers_that_the_source_refuses_are_refused(panel, lesson, values, words):
    with pytest.raises(SpecificationError, match=f"{next(iter(values))}: expected one of"):
        panel.set(**values)
    with pytest.raises(SpecificationError, match=re.escape(words)):
        tl.widgets.NoiseAtTheSensor(lesson, **values)


def test_a_number_between_the_steps_becomes_a_step(lesson):
    panel = tl.widgets.NoiseAtTheSensor(lesson, epsilon=0.42, n_people=47, wanted_error=6.5)
    assert panel.values["epsilon"] == 0.42
    assert "of 47 people" in panel.picture.sentence
    assert [words for words, _ in panel.controls["n_people"].options][-2:] == ["50,000", "100,000"]


def test_nothing_to_measure_is_refused():
    class Empty:
        signals = ()

    with pytest.raises(SpecificationError, match="at least one signal"):
        tl.widgets.NoiseAtTheSensor(Empty())
