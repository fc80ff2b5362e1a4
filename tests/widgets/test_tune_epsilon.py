"""The epsilon panel on a made-up source: what it asks for, in which order, and what it says."""

import base64
import json
import threading
import time

import pytest
from curve_source import EPSILONS, CurveSource
from waiting import wait_for

from twinlab.charts.picture import make_svg
from twinlab.errors import BudgetExhaustedError, SpecificationError
from twinlab.pipeline.place import Scenario
from twinlab.widgets import TuneEpsilon, worker
from twinlab.widgets import panel as shell


def test_the_curve_is_traced_then_a_twin_is_trained_and_audited():
    source = CurveSource()
    panel = TuneEpsilon(source, epsilon=2.0)
    assert source.long_work == [("trace", Scenario()), ("train", 2.0), ("audit", 2.0)]
    status = panel._status.value
    assert "Epsilon 2: 6.30 bpm, 5.0 % above the 6.00 of zero budget; verdict: do not train" in status
    assert "Trained just now, with fresh noise." in status
    assert "AUDIT: CONSISTENT</span> 32 checks at epsilon 2 found no fault." in panel._badge.value
    assert panel.pictures["frontier"].data["point"]["mean"].tolist() == [6.3]
    assert panel.pictures["frontier"].data["rules"]["value"].tolist() == [4.5, 6.0]
    assert not panel._worker.is_busy
    assert panel._progress.layout.visibility == "hidden"


def test_a_curve_that_is_there_already_is_not_traced_again_until_the_button_is_pressed():
    source = CurveSource()
    source.traced[Scenario()] = list(EPSILONS)
    panel = TuneEpsilon(source)
    assert [what for what, *_ in source.long_work] == ["train", "audit"]
    panel.press("trace")
    assert [what for what, *_ in source.long_work] == ["train", "audit", "trace", "train"]


def test_the_trace_grows_on_the_chart_point_by_point():
    source, seen = CurveSource(), []
    panel = None
    source.hear = lambda what: seen.append(len(panel._charts["frontier"].data["curve"])) if panel else None
    panel = TuneEpsilon(source)
    panel.press("trace")
    assert seen[: len(EPSILONS)] == list(range(12)) or seen[1 : len(EPSILONS)] == list(range(1, 12))
    assert len(panel._charts["frontier"].data["curve"]) == len(EPSILONS)


def test_a_moved_slider_trains_anew_and_audits_once():
    source = CurveSource()
    panel = TuneEpsilon(source)
    for epsilon in (8.0, 0.5, 8.0):
        panel.set(epsilon=epsilon)
    assert [epsilon for what, epsilon in source.long_work if what == "train"] == [1.0, 8.0, 0.5, 8.0]
    assert [epsilon for what, epsilon in source.long_work if what == "audit"] == [1.0, 8.0, 0.5]
    assert sum(what == "trace" for what, _ in source.long_work) == 1


def test_everything_is_repainted_before_training_starts():
    source = CurveSource()
    panel = TuneEpsilon(source)
    seen = {}

    def look(what):
        if what == "train" and not seen:
            frontier, meaning, budget = (panel._charts[name] for name in ("frontier", "meaning", "budget"))
            seen["rule"] = frontier.data["chosen"][0]["epsilon"]
            seen["diamonds"] = len(frontier.data["point"])
            seen["words"] = frontier.data["chosen"][0]["text"]
            seen["meaning"] = meaning.signals["headline"]
            seen["price"] = budget.data["words"][0]["text"]

    source.hear = look
    panel.widgets["epsilon"].value = 4.0
    assert seen == {
        "rule": 4.0, "diamonds": 0, "words": "epsilon 4: 6.00 bpm", "meaning": "Epsilon 4 at delta 1e-04 for a person",
        "price": "0 spent, 4 for the next run, then 6 left",
    }  # fmt: skip
    assert source.asked.index(("explain", 4.0)) < source.asked.index(("train", 4.0))
    assert panel._charts["frontier"].data["point"] == [{"epsilon": 4.0, "mean": 5.8}]


def test_epsilon_is_what_the_slider_says():
    panel = TuneEpsilon(CurveSource())
    panel.widgets["epsilon"].value = 10**0.05
    assert panel.epsilon == 1.12
    assert panel._source.long_work[-2:] == [("train", 1.12), ("audit", 1.12)]


def test_another_signal_only_repaints():
    source = CurveSource()
    panel = TuneEpsilon(source)
    n_asked = len(source.long_work)
    panel.set(signal="steps")
    assert len(source.long_work) == n_asked
    assert "Steps: error" in panel._status.value
    assert "Trained just now" in panel._status.value


def test_places_units_and_accountants_have_curves_of_their_own():
    source = CurveSource()
    panel = TuneEpsilon(source)
    panel.set(accountant="renyi")
    panel.set(place="sensor")
    assert "Unit and accountant do not matter here" in panel._status.value
    panel.set(accountant="sum of steps")  # does not matter, so nothing is traced
    panel.set(place="answers")
    assert "Start, unit and accountant do not matter here" in panel._status.value
    assert "verdict: do not ask" in panel._status.value
    panel.set(place="training", unit="training row")
    assert "a person with many is protected far less" in panel._status.value
    assert "for a training row" in panel._charts["meaning"].signals["headline"]
    panel.set(start="simulated", unit="person", accountant="tight")
    assert [scenario for what, scenario in source.long_work if what == "trace"] == [
        Scenario(),
        Scenario(accountant="renyi"),
        Scenario(place="sensor"),
        Scenario(place="answers"),
        Scenario(unit="training row"),
        Scenario(start="simulated"),
    ]


def test_a_twin_is_trained_only_where_an_epsilon_of_a_person_can_be_chosen():
    source = CurveSource()
    panel = TuneEpsilon(source, place="answers")
    assert [what for what, *_ in source.long_work] == ["trace"]
    with pytest.raises(SpecificationError, match="expected noise in training and a person"):
        panel.press("train")


def test_verdicts_about_answers_have_shapes_also_when_the_curve_was_empty_at_first():
    panel = TuneEpsilon(CurveSource())
    panel.set(place="answers")
    assert '"do not ask"' in json.dumps(panel._charts["frontier"].spec["layer"])
    panel.set(place="sensor")
    assert '"do not train"' in json.dumps(panel._charts["frontier"].spec["layer"])


def test_real_people_spend_nothing_before_a_button_is_pressed_and_see_the_price():
    source = CurveSource(is_free=False)
    panel = TuneEpsilon(source)
    panel.set(epsilon=2.0)
    panel.set(start="simulated")
    panel.set(place="sensor")
    panel.set(place="training", start="constant")
    assert source.long_work == []
    assert "To trace the curve: Together epsilon 3.1 a person; 10 of 10 is left." in panel._status.value
    assert "To train a twin here: epsilon 2." in panel._status.value
    assert "The curve is not traced yet" in panel._status.value
    panel.press("trace")
    assert source.long_work == [("trace", Scenario())]
    assert panel._charts["budget"].signals["headline"] == "Epsilon 3.1 of 10 spent for each person"
    panel.press("train")
    panel.set(epsilon=8.0)
    panel.set(accountant="renyi")
    assert source.long_work == [("trace", Scenario()), ("train", 2.0), ("audit", 2.0)]  # a press pays once
    assert "without privacy" not in str(panel.pictures["frontier"].data["rules"])


def test_real_people_are_told_the_price_wherever_noise_acts_and_only_the_curve_is_traced_there():
    source = CurveSource(is_free=False)
    panel = TuneEpsilon(source)
    for choice in ({"place": "sensor"}, {"place": "answers"}, {"place": "training", "unit": "training row"}):
        panel.set(**choice)
        assert "To trace the curve: Together epsilon 3.1 a person" in panel._status.value
        assert "To train a twin here" not in panel._status.value
        with pytest.raises(SpecificationError, match="train a twin"):
            panel.press("train")
    assert source.long_work == []
    panel.press("trace")
    assert source.long_work == [("trace", Scenario(unit="training row"))]


def test_a_second_press_pays_nothing_while_the_first_is_at_work(page):
    source = CurveSource(is_free=False, seconds=0.02)
    panel = TuneEpsilon(source)
    wait_for(lambda: not panel._worker.is_busy)
    panel.press("trace")
    wait_for(lambda: source.long_work)
    panel.press("trace")
    panel.press("train")
    panel.set(accountant="renyi")  # what is paid for is not thrown away
    wait_for(lambda: not panel._worker.is_busy)
    assert source.long_work == [("trace", Scenario())]
    assert source.is_traced(Scenario())


def test_a_refusal_is_raised_in_a_run_and_a_sentence_where_a_reader_pressed(monkeypatch):
    panel = TuneEpsilon(CurveSource(is_free=False, refuses=True))
    with pytest.raises(BudgetExhaustedError):
        panel.press("trace")
    assert not panel._worker.is_busy
    monkeypatch.setattr(shell, "is_moved_by_hand", lambda: True)
    panel.buttons["trace"].click()
    assert "asked for epsilon 3.1, but 1 remains" in panel._status.value
    panel.set(epsilon=2.0)
    assert "but 1 remains" not in panel._status.value


def test_a_refusal_beside_a_page_is_a_sentence(page):
    panel = TuneEpsilon(CurveSource(is_free=False, refuses=True))
    panel.press("trace")
    wait_for(lambda: not panel._worker.is_busy)
    assert "asked for epsilon 3.1, but 1 remains" in panel._status.value
    assert "twinlab-fault" in panel._status.value
    assert panel._progress.layout.visibility == "hidden"


def test_a_fault_inside_the_source_is_raised_headless_and_reported_beside_a_page(monkeypatch):
    class Broken(CurveSource):
        def audit(self, *_):
            raise KeyError("secret value 61.7")

    with pytest.raises(KeyError):
        TuneEpsilon(Broken())
    monkeypatch.setattr(worker, "is_page_open", lambda: True)
    panel = TuneEpsilon(Broken())
    wait_for(lambda: not panel._worker.is_busy)
    assert "Something went wrong inside twinlab (KeyError)" in panel._status.value
    assert "61.7" not in panel._status.value


def test_stop_closes_the_trace_and_keeps_what_is_drawn():
    source = CurveSource()
    panel = TuneEpsilon(source)

    def press(what):
        if what == "trace" and len(source.traced[Scenario()]) == 3:
            panel.stop()

    source.hear = press
    n_asked = len(source.long_work)
    panel.press("trace")
    assert source.long_work[n_asked:] == [("trace", Scenario())]  # no twin after it
    assert source.closed == 2
    assert len(panel._charts["frontier"].data["curve"]) == 3
    assert "Stopped: what is drawn so far stays." in panel._status.value
    source.hear = lambda what: None
    panel.press("trace")
    assert len(panel._charts["frontier"].data["curve"]) == len(EPSILONS)
    panel.stop()
    assert "Nothing is being trained." in panel._status.value


def test_sliders_move_while_a_thread_trains_and_stale_trainings_are_dropped(page):
    source = CurveSource(seconds=0.3)
    source.traced[Scenario()] = list(EPSILONS)
    panel = TuneEpsilon(source)
    assert panel._worker.is_busy  # it did not wait for the training
    for epsilon in (2.0, 3.0, 4.0, 5.0):
        panel.set(epsilon=epsilon)
        assert panel._charts["frontier"].data["chosen"][0]["epsilon"] == epsilon
        assert panel._charts["frontier"].data["point"] == []
        time.sleep(0.06)
    wait_for(lambda: not panel._worker.is_busy)
    assert panel._charts["frontier"].data["point"] == [{"epsilon": 5.0, "mean": 5.55}]
    assert [values for what, *values in source.long_work if what == "audit"] == [[5.0]]
    assert not any(thread.name == "twinlab panel" and thread.is_alive() for thread in threading.enumerate())


def test_a_moved_epsilon_does_not_end_the_curve_but_another_place_does(page):
    source = CurveSource(seconds=0.02)
    panel = TuneEpsilon(source)
    wait_for(lambda: len(source.traced.get(Scenario(), ())) > 1)
    panel.set(epsilon=2.0)
    wait_for(lambda: len(source.traced[Scenario()]) == len(EPSILONS))
    wait_for(lambda: not panel._worker.is_busy)
    assert source.closed == 1
    panel.set(accountant="renyi")
    wait_for(lambda: len(source.traced.get(Scenario(accountant="renyi"), ())) > 1)
    panel.set(accountant="sum of steps")
    wait_for(lambda: not panel._worker.is_busy)
    assert len(source.traced[Scenario(accountant="renyi")]) < len(EPSILONS)
    assert source.is_traced(Scenario(accountant="sum of steps"))
    assert [values for what, *values in source.long_work if what == "train"] == [[2.0], [2.0]]


def test_papermill_and_tests_work_at_once_and_pages_in_a_thread(monkeypatch):
    class Kernel:
        kernel = object()

    monkeypatch.setattr(worker, "get_ipython", lambda: Kernel())
    monkeypatch.delenv("TWINLAB_HEADLESS", raising=False)
    for name in worker._FRONT_ENDS:
        monkeypatch.delenv(name, raising=False)
    assert not worker.is_page_open()  # papermill's kernel serves no page
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook.ipynb")
    assert worker.is_page_open()
    monkeypatch.setenv("TWINLAB_HEADLESS", "1")
    assert not worker.is_page_open()
    monkeypatch.setattr(worker, "get_ipython", lambda: None)
    assert not worker.is_page_open()


def test_it_leaves_one_picture_of_all_charts_and_a_sentence(monkeypatch):
    monkeypatch.setenv("TWINLAB_HEADLESS", "1")
    panel = TuneEpsilon(CurveSource())
    bundle, metadata = panel._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"}
    assert len(base64.b64decode(bundle["image/png"])) < 90_000
    sentence = bundle["text/plain"]
    assert sentence == metadata["image/png"]["alt"] == panel.draw().to_dict()["description"]
    for words in ("Epsilon 1: 6.55 bpm", "do not train", "a coin toss becomes at most 73 %", "nothing is charged",
                  "The next run costs 1 and fits", "32 checks"):  # fmt: skip
        assert words in sentence
    svg = make_svg(panel.draw().to_dict())
    for words in ("epsilon 1: 6.55 bpm", "here 1", "a coin toss becomes", "0 spent, 1 for the next run"):
        assert words in svg, words


def test_every_choice_can_be_made_from_code():
    chosen = {"epsilon": 2.0, "signal": "steps", "start": "simulated", "place": "training", "unit": "training row",
              "accountant": "renyi"}  # fmt: skip
    assert TuneEpsilon(CurveSource(), **chosen).values == chosen
    panel = TuneEpsilon(CurveSource())
    panel.set(**chosen)
    assert panel.values == chosen


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epsilon": 9.0}, "epsilon: expected a number from 0.1 to 8, got 9.0"),
        ({"epsilon": 0.01}, "got 0.01"),
        ({"epsilon": True}, "got True"),
        ({"place": "moon"}, "place: expected one of training, sensor, answers; got 'moon'"),
        ({"unit": "row"}, "got 'row'"),
        ({"accountant": "none"}, "got 'none'"),
        ({"start": "real"}, "got 'real'"),
        ({"signal": "mood"}, "got 'mood'"),
    ],
)
def test_values_outside_the_limits_are_refused_not_moved(values, words):
    with pytest.raises(SpecificationError, match=words):
        TuneEpsilon(CurveSource(), **values)
    with pytest.raises(SpecificationError, match=words):
        TuneEpsilon(CurveSource()).set(**values)


def test_an_unknown_button_is_named():
    with pytest.raises(SpecificationError, match="no button go; there are: trace, train, stop"):
        TuneEpsilon(CurveSource()).press("go")
