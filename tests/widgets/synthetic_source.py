"""Made-up synthetic people for the panel: nothing is learned from anybody; it writes down what it was asked."""

import time
from dataclasses import dataclass, replace

import pandas as pd

TABLE, STREAMS = "daily table", "hour by hour"
METHODS = {TABLE: ("adaptive marginals", "GAN", "copy with noise"), STREAMS: ("fitted simulator", "copy with noise")}
_BINS = {"condition": ("none", "asthma"), "steps": (0, 500, 1000)}
_RISKS = {"nearest_copy": 0.5, "membership_area": 0.5}
_MORE = {"linkability_risk": 0.0, "inference_risk": 0.0}


@dataclass(frozen=True)
class Near:
    values: pd.DataFrame
    distances: dict
    counts: tuple = (3, 2, 100)


@dataclass(frozen=True)
class MadeUp:
    what: str
    method: str
    epsilon: float
    is_judged_whole: bool = False

    @property
    def _off(self):
        return 0.0 if self.method == "copy with noise" else 0.3 / (1 + self.epsilon)

    @property
    def shown(self):
        return show(self.what, self._off)

    @property
    def risks(self):
        found = _RISKS | (_MORE if self.is_judged_whole else {})
        gain = 0.4 if self.method == "copy with noise" else 0.0
        return pd.DataFrame(
            [
                {"metric": name, "kind": "risk", "ideal": ideal, "value": ideal + gain, "lower": ideal, "baseline": 0.5,
                 "upper": ideal + gain + 0.1}
                for name, ideal in found.items()
            ]
        )  # fmt: skip

    @property
    def guarantee(self):
        return "no guarantee" if self.method == "copy with noise" else f"epsilon {self.epsilon:g} per person"

    @property
    def sentence(self):
        return f"100 synthetic people by {self.method}: {self.guarantee}."

    @property
    def people(self):
        what = "row" if self.what == TABLE else "day"
        return [f"{what} {number}" for number in (7, 3, 5)]

    def find_nearest(self, person):
        number = int(person.split()[-1])
        distances = {"real": number / 100, "holdout": 0.1, "usual": 0.08}
        if self.what == TABLE:
            rows = [(name, who, value) for who in ("synthetic", "real", "holdout")
                    for name, value in (("condition", "asthma"), ("steps", 100.0 * number))]  # fmt: skip
            return Near(pd.DataFrame(rows, columns=["column", "who", "value"]), distances)
        rows = [("heart_rate_bpm", who, hour, 60.0 + hour + number) for who in ("synthetic", "real", "holdout")
                for hour in range(24)]  # fmt: skip
        return Near(pd.DataFrame(rows, columns=["column", "who", "hour", "value"]), distances)

    def export(self, folder, suffix):
        folder.mkdir(parents=True, exist_ok=True)
        rows = folder / f"made-up{suffix}"
        card = rows.with_name(f"{rows.name}.card.json")
        for each in (rows, card):
            each.write_text("{}\n", encoding="utf-8")
        return rows, card


def show(what, off):
    if what == STREAMS:
        rows = [("heart_rate_bpm", hour, who, 60.0 + hour + shift, 55.0 + hour, 70.0 + hour)
                for who, shift in (("real", 0), ("synthetic", 30 * off)) for hour in range(24)]  # fmt: skip
        return pd.DataFrame(rows, columns=["signal", "hour", "who", "mean", "lower", "upper"])
    rows = [(name, place, words, who, 0.5 + (off if who == "synthetic" else 0) * (1 - 2 * place))
            for name, bins in (("condition", ("none", "asthma")), ("steps", ("0 to 500", "500 to 1000")))
            for place, words in enumerate(bins) for who in ("real", "synthetic")]  # fmt: skip
    return pd.DataFrame(rows, columns=["column", "place", "bin", "who", "share"])


class SyntheticSource:
    """Everything takes `seconds`, in twenty steps; a GAN shows early looks. Raising from `progress` ends it."""

    whats, epsilons, bins = tuple(METHODS), (0.3, 1.0, 3.0, 10.0, 30.0), _BINS

    def __init__(self, seconds=0.0):
        self._first_seconds = seconds
        self.forget()

    def forget(self):
        """As it began."""
        first = MadeUp(TABLE, METHODS[TABLE][0], 1.0)
        self.seconds, self.asked, self.finished = self._first_seconds, [], []
        self.kept = {(first.method, first.epsilon, first.what): first}

    def list_methods(self, what):
        return METHODS[what]

    def describe(self, method):
        return f"About {method}"

    def has_promise(self, method):
        return method != "copy with noise"

    def is_known(self, method, epsilon, what):
        return self._name(method, epsilon, what) in self.kept

    def make(self, method, epsilon, what, *, look=None, progress=lambda *_: None):
        key = self._name(method, epsilon, what)
        self.asked.append(key)
        if key not in self.kept:
            for step in range(20):
                if method == "GAN" and look is not None and step in (5, 10):
                    look(f"after {step} steps", show(what, 0.4))
                self._wait(step, progress)
            self.kept[key] = MadeUp(what, method, epsilon)
        self.finished.append(key)
        return self.kept[key]

    def judge(self, method, epsilon, what, *, progress=lambda *_: None):
        key = self._name(method, epsilon, what)
        for step in range(20):
            self._wait(step, progress)
        self.kept[key] = replace(self.kept[key], is_judged_whole=True)
        return self.kept[key]

    def _wait(self, step, progress):
        time.sleep(self.seconds / 20)
        progress("working", step + 1, 20)

    def _name(self, method, epsilon, what):
        return method, epsilon if self.has_promise(method) else float("inf"), what
