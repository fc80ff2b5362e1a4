"""The epsilon panel on a made-up source: what it asks for, in which order, and what it says."""

import pandas as pd
import pytest

from twinlab.errors import BudgetExhaustedError, SpecificationError
from twinlab.experiment import Experiment
from twinlab.pipeline.place import Scenario
from twinlab.protection.differential_privacy.meaning import explain_epsilon, list_deployed, tabulate_posterior
from twinlab.widgets import TuneEpsilon
from twinlab.widgets.tune_epsilon import Stale

EPSILONS = (0.5, 2.0, 8.0)


class Source:
    """A curve that falls from 7 to 5; it writes down what it was asked."""

    signals = ("steps", "heart_rate_bpm")
    delta = 1e-4
    experiment = Experiment()

    def __init__(self, is_free=True, refuses=False):
        self.is_free, self.refuses, self.asked, self.traced = is_free, refuses, [], {}

    def describe_cost(self, scenario):
        return "Together epsilon 3.1 a person; 10 of 10 is left."

    def trace(self, scenario, progress):
        if self.refuses:
            raise BudgetExhaustedError("asked for epsilon 3.1, but 1 remains")
        self.asked.append(("trace", scenario))
        self.traced[scenario] = []
        for done, epsilon in enumerate(EPSILONS, 1):
            self.traced[scenario].append(epsilon)
            progress("tracing", done, len(EPSILONS))
            yield

    def is_traced(self, scenario):
        return len(self.traced.get(scenario, ())) == len(EPSILONS)

    def table(self, scenario, signal):
        rows = [
            {"epsilon": e, "mean": 7 - e / 4, "lowest": 6.9 - e / 4, "highest": 7.1 - e / 4, "zero_budget": 6.0,
             "verdict": "train" if e > 4 else "do not train"}
            for e in sorted(self.traced.get(scenario, ()))
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["epsilon", "mean", "lowest", "highest", "zero_budget", "verdict"])

    def measure_start(self, start, signal):
        return 6.0

    def measure_without_noise(self, start, signal):
        return 4.5

    def train(self, scenario, epsilon, progress):
        self.asked.append(("train", epsilon))
        return dict.fromkeys(self.signals, 6.25)

    def audit(self, scenario, epsilon):
        self.asked.append(("audit", epsilon))
        return f"Consistent at {epsilon:g}."

    def explain(self, epsilon):
        beliefs = tabulate_posterior(epsilon, self.delta, (0.1, 0.5, 0.9))
        return beliefs, list_deployed(), explain_epsilon(epsilon, self.delta, "person")

    def gauge(self):
        return None

    def price(self, scenario, epsilon):
        return epsilon


def test_the_curve_is_traced_then_a_twin_is_trained_and_audited():
    source = Source()
    panel = TuneEpsilon(source, epsilon=2.0)
    assert source.asked == [("trace", Scenario()), ("train", 2.0), ("audit", 2.0)]
    assert "Epsilon 2: 6.25 bpm" in panel._status.value
    assert "Consistent at 2." in panel._badge.value
    assert panel.pictures["frontier"].data["point"]["mean"].tolist() == [6.25]


def test_a_moved_slider_trains_anew_and_audits_once():
    source = Source()
    panel = TuneEpsilon(source)
    panel.set(epsilon=8.0)
    panel.set(epsilon=0.5)
    panel.set(epsilon=8.0)
    assert [epsilon for what, epsilon in source.asked if what == "train"] == [1.0, 8.0, 0.5, 8.0]
    assert [epsilon for what, epsilon in source.asked if what == "audit"] == [1.0, 8.0, 0.5]
    assert sum(what == "trace" for what, _ in source.asked) == 1
    assert "6.25" in panel._status.value


def test_another_signal_only_repaints():
    source = Source()
    panel = TuneEpsilon(source)
    n_asked = len(source.asked)
    panel.set(signal="steps")
    assert len(source.asked) == n_asked
    assert panel._status.value.count("Steps: error") == 1


def test_places_units_and_accountants_have_curves_of_their_own():
    source = Source()
    panel = TuneEpsilon(source)
    panel.set(accountant="renyi")
    panel.set(place="sensor")
    assert "do not matter here" in panel._status.value
    panel.set(place="training", unit="training row")
    assert "a person with many rows is protected far less" in panel._status.value
    scenarios = [scenario for what, scenario in source.asked if what == "trace"]
    assert scenarios == [
        Scenario(),
        Scenario(accountant="renyi"),
        Scenario(place="sensor"),
        Scenario(unit="training row"),
    ]


def test_real_people_spend_nothing_before_the_box_is_ticked_and_see_the_price():
    source = Source(is_free=False)
    panel = TuneEpsilon(source)
    panel.set(epsilon=2.0)
    assert source.asked == []
    assert "Together epsilon 3.1 a person" in TuneEpsilon(Source(is_free=False))._status.value
    panel.set(trace=True)
    paid = [("trace", Scenario()), ("train", 2.0), ("audit", 2.0)]
    assert source.asked == paid
    panel.set(epsilon=8.0)
    panel.set(accountant="renyi")
    assert source.asked == paid  # a tick pays once
    assert "Together epsilon 3.1 a person" in panel._status.value


def test_a_refusal_is_raised_in_a_run_and_leaves_the_panel_as_it_was():
    panel = TuneEpsilon(Source(is_free=False, refuses=True))
    with pytest.raises(BudgetExhaustedError):
        panel.set(trace=True)


def test_it_leaves_a_picture_and_a_sentence(monkeypatch):
    monkeypatch.setenv("TWINLAB_HEADLESS", "1")
    bundle, _ = TuneEpsilon(Source())._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"}
    assert "Epsilon 1" in bundle["text/plain"]


def test_wrong_values_are_refused():
    with pytest.raises(SpecificationError, match="epsilon"):
        TuneEpsilon(Source(), epsilon=99.0)
    with pytest.raises(SpecificationError, match="place"):
        TuneEpsilon(Source()).set(place="moon")


def test_stop_ends_the_trace_and_keeps_what_is_drawn():
    source = Source()
    panel = TuneEpsilon(source)
    report = panel._reporter()
    report("tracing", 1, 3)
    panel._stop.click()
    with pytest.raises(Stale):
        report("tracing", 2, 3)
    assert "Stopped" in panel._status.value
    assert len(panel.pictures["frontier"].data["curve"]) == len(EPSILONS)
