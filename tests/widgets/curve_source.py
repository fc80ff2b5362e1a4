"""A made-up curve for the panel that turns epsilon: it falls from 7 to 5, and it writes down what it was asked."""

import threading
import time
from dataclasses import dataclass

import pandas as pd

from twinlab.errors import BudgetExhaustedError
from twinlab.experiment import Experiment
from twinlab.protection.differential_privacy.meaning import explain_epsilon, list_deployed, tabulate_posterior

EPSILONS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_COLUMNS = ["epsilon", "mean", "lowest", "highest", "zero_budget", "verdict"]


@dataclass(frozen=True)
class MadeUpBadge:
    sentence: str
    verdict: str = "consistent"


class CurveSource:
    """Nothing is trained. Of what takes long, only one thing may be asked at a time."""

    signals = ("steps", "heart_rate_bpm")
    delta = 1e-4
    experiment = Experiment()

    def __init__(self, is_free=True, refuses=False, seconds=0.0):
        self.is_free, self.refuses, self.seconds = is_free, refuses, seconds
        self.asked, self.traced, self.closed, self.spent = [], {}, 0, 0.0
        self.hear = lambda what: None  # called while something long runs
        self._one = threading.Lock()

    def _note(self, what, *values):
        self.asked.append((what, *values))

    def _work(self, what, progress, n_steps=10):
        if not self._one.acquire(blocking=False):
            raise RuntimeError("two threads at once")
        try:
            for step in range(n_steps):
                time.sleep(self.seconds / n_steps)
                self.hear(what)
                progress(what, step + 1, n_steps)
        finally:
            self._one.release()

    def prepare(self, start, progress):
        self._note("prepare", start)

    def describe_cost(self, scenario):
        return "Together epsilon 3.1 a person; 10 of 10 is left."

    def trace(self, scenario, progress):
        if self.refuses:
            raise BudgetExhaustedError("asked for epsilon 3.1, but 1 remains")
        self._note("trace", scenario)
        self.spent += 0.0 if self.is_free else 3.1
        self.traced[scenario] = []
        try:
            for done, epsilon in enumerate((0.1, 8.0, *EPSILONS[1:-1]), 1):
                self._work("trace", lambda *_, done=done: progress("tracing", done, len(EPSILONS)), 1)
                self.traced[scenario].append(epsilon)
                yield
        finally:
            self.closed += 1

    def is_traced(self, scenario):
        return len(self.traced.get(scenario, ())) == len(EPSILONS)

    def table(self, scenario, signal):
        words = ("ask", "do not ask") if scenario.place == "answers" else ("train", "do not train")
        rows = [
            {"epsilon": e, "mean": 7 - e / 4, "lowest": 6.9 - e / 4, "highest": 7.1 - e / 4, "zero_budget": 6.0,
             "verdict": words[0] if e > 4 else words[1]}
            for e in sorted(self.traced.get(scenario, ()))
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=_COLUMNS)

    def measure_start(self, start, signal):
        return 6.0

    def measure_without_noise(self, start, signal):
        return 4.5

    def train(self, scenario, epsilon, progress):
        self._note("train", epsilon)
        self._work("train", progress)
        self.spent += 0.0 if self.is_free else epsilon
        return dict.fromkeys(self.signals, 6.8 - epsilon / 4)

    def audit(self, scenario, epsilon, progress):
        self._note("audit", epsilon)
        self._work("audit", progress)
        return MadeUpBadge(
            f"32 checks at epsilon {epsilon:g} found no fault. An audit finds faults; it proves no privacy."
        )

    def explain(self, epsilon):
        self._note("explain", epsilon)
        priors = [place / 100 for place in range(1, 100)]
        return tabulate_posterior(epsilon, self.delta, priors), list_deployed(), explain_epsilon(epsilon, 0.0, "person")

    def gauge(self):
        if self.is_free:
            return None
        return {"epsilon": 10.0, "spent": self.spent, "remaining": 10 - self.spent, "delta": self.delta,
                "privacy_unit": "person", "purposes": []}  # fmt: skip

    def price(self, scenario, epsilon):
        return epsilon

    @property
    def long_work(self):
        """What was asked that takes long, in order."""
        return [(what, *values) for what, *values in self.asked if what in ("trace", "train", "audit")]
