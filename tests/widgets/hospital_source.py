"""Made-up hospitals for the panel: nobody is simulated and nothing is shared; it writes down what it was asked."""

import math
import time
from dataclasses import dataclass

import numpy as np

OWN, ALIKE = "each sees its own kind", "all see people like any"
NAMES = ("city hospital", "diabetes centre", "sports clinic", "general hospital", "heart centre", "town", "island")
_TERMS = {
    "admission risk": ("odds ratio", ("age", "steps per day", "glucose"), "per 10", (1.4, 0.9, 1.3)),
    "means": ("mean", ("age", "steps per day"), "units", (48.0, 7500.0)),
}
_VALUES = ("patients", "scaled age")


@dataclass(frozen=True)
class MadeUpView:
    rows: list
    shares: list
    totals: list
    reason: str
    epsilon: float | None
    n_rounds: int = 6
    n_bytes: int = 24_000


class HospitalSource:
    """Those of the start are there; any others take `seconds`. Raising from `progress` ends it."""

    questions = ("means", "admission risk", "survival", "histogram")
    numbers, sizes, crowds = (3, 4, 5, 6, 7), (20, 60, 120, 260), (OWN, ALIKE)
    start = (3, 120, OWN)

    def __init__(self, seconds=0.0):
        self._first_seconds = seconds
        self.forget()

    def forget(self):
        """As it began."""
        self.seconds, self.asked, self.made = self._first_seconds, [], {self.start}

    def is_known(self, n_hospitals, n_smallest, crowd):
        return (n_hospitals, n_smallest, crowd) in self.made

    def admit(self, n_hospitals, n_smallest, crowd, progress=lambda *_: None):
        if not self.is_known(n_hospitals, n_smallest, crowd):
            for step in range(20):
                time.sleep(self.seconds / 20)
                progress("people live", step + 1, 20)
            self.made.add((n_hospitals, n_smallest, crowd))
        sizes = np.linspace(420, n_smallest, n_hospitals).astype(int)
        return [(NAMES[place], int(size), "older people") for place, size in enumerate(sizes)]

    def ask(self, question, n_hospitals, n_smallest, crowd, *, epsilon=None, most_colluding=1):
        self.asked.append((question, n_hospitals, n_smallest, crowd, epsilon, most_colluding))
        if epsilon is not None and epsilon < 0.2:
            return MadeUpView([], [], [], "rows: expected at least 10, got fewer", epsilon, 0, 0)
        names = NAMES[:n_hospitals]
        noise = 0.0 if epsilon is None else 1 / epsilon
        draw = np.random.default_rng()
        shares = [
            {"receiver": receiver, "sender": sender, "value": value, "share": draw.uniform()}
            for receiver in names
            for sender in names
            if sender != receiver
            for value in _VALUES
        ]
        totals = [{"value": value, "total": 800.0 + place + noise} for place, value in enumerate(_VALUES)]
        rows = _make_rows(question, names, noise)
        return MadeUpView(rows, shares, totals, "", epsilon)


def _make_rows(question, names, noise):
    rows = []
    for place, party in enumerate(("all together", *names)):
        common = {"party": party, "is_joint": place == 0, "n": 800 // (1 + place), "truth": None, "neutral": None,
                  "reason": "", "unit": ""}  # fmt: skip
        wide = (1 + place + (noise if place == 0 else 0)) / 20
        if question == "survival":
            for month in range(13):
                level = 0.97**month
                rows.append(common | {
                    "kind": "survival", "unit": "days", "time": 30.0 * month, "value": level,
                    "lower": max(level - wide, 0), "upper": min(level + wide, 1), "truth": level, "at_risk": 100,
                })  # fmt: skip
        elif question == "histogram":
            for place_of_bin, share in enumerate((0.2, 0.5, 0.3)):
                rows.append(common | {
                    "kind": "share", "term": "heart rate", "unit": "bpm", "value": share, "lower": share - 0.05,
                    "upper": share + 0.05, "left": 50.0 + 10 * place_of_bin, "right": 60.0 + 10 * place_of_bin,
                })  # fmt: skip
        elif place == len(names) and question == "admission risk":
            nothing = {"term": None, "value": math.nan, "reason": "too few"}
            rows.append({"party": party, "is_joint": False, **nothing})
        else:
            kind, terms, unit, values = _TERMS[question]
            for term, value in zip(terms, values, strict=True):
                rows.append(common | {
                    "kind": kind, "term": term, "unit": unit, "value": value, "lower": value * (1 - wide / 2),
                    "upper": value * (1 + wide), "truth": value * 1.01 if kind == "odds ratio" else None,
                    "neutral": 1.0 if kind == "odds ratio" else None,
                })  # fmt: skip
    return rows
