"""Counts, means, quantiles and histograms over people: each checked, then paid for, and only then drawn.

Values are put on a grid of whole numbers, on which OpenDP draws (see `integer_query`). Missing values add nothing, and
how many there are is as hidden as the values themselves.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import pandas as pd

from twinlab.budget import Event, PureEvent
from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.differential_privacy.guarantee import describe_person_guarantee
from twinlab.protection.differential_privacy.integer_query import (
    build_counter,
    build_histogram,
    build_selector,
    build_summer,
    find_selection_scale,
)
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.release import Guarantee, Release

#: Whole numbers on each side of the middle of the bounds.
_STEPS = 1 << 15
_LARGEST_EPSILON = 1e6


class BudgetHolder(Protocol):
    """Who pays: checks that the budget allows an event and writes it down, or raises `BudgetExhaustedError`."""

    def spend(self, event: Event, *, purpose: str) -> object:
        """Return once the event is paid for; only then is noise drawn."""
        ...


@dataclass(frozen=True)
class Answer:
    """A noisy answer about people and how far off it may be.

    Attributes:
      question: what was asked, in words.
      labels: what each value stands for.
      values: the answers.
      unit: of the values.
      epsilon: what it cost each person, at most.
      accuracy: all values are within this of the truth, with probability `confidence`; in `accuracy_unit`.
      accuracy_unit: unit of the accuracy: the values' own, except for a quantile, whose error is counted in people.
      confidence: how sure that is, over the noise alone.
      guarantee: of one person.
    """

    question: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    unit: str
    epsilon: float
    accuracy: float
    accuracy_unit: str
    confidence: float
    guarantee: Guarantee

    @property
    def value(self) -> float:
        """The answer, if it is one number."""
        if len(self.values) != 1:
            raise SpecificationError(f"{self.question}: expected one value, got {len(self.values)}; read `values`")
        return self.values[0]

    @property
    def sentence(self) -> str:
        """The answer with its accuracy and price."""
        shown = ", ".join(f"{value:.5g}" for value in self.values[:12]) + (", ..." if len(self.values) > 12 else "")
        return (
            f"{self.question}: {shown} {self.unit}, within {self.accuracy:.3g} {self.accuracy_unit} with "
            f"{100 * self.confidence:g} % confidence, for epsilon {self.epsilon:.3g} a person."
        )

    def table(self) -> pd.DataFrame:
        """One row a value: label, value, unit, accuracy, accuracy_unit, confidence, epsilon."""
        return pd.DataFrame(
            {
                "label": self.labels,
                "value": self.values,
                "unit": self.unit,
                "accuracy": self.accuracy,
                "accuracy_unit": self.accuracy_unit,
                "confidence": self.confidence,
                "epsilon": self.epsilon,
            }
        )

    def as_release(self, fingerprint: str) -> Release:
        """The answer as something that leaves.

        Args:
          fingerprint: public; of the experiment it belongs to.
        """
        return Release("number" if len(self.values) == 1 else "table", self.table(), self.guarantee, fingerprint)


def answer_count(
    is_counted: np.ndarray,
    *,
    ledger: BudgetHolder,
    epsilon: float | None = None,
    within: float | None = None,
    confidence: float = 0.95,
    purpose: str = "count",
) -> Answer:
    """How many people meet a condition.

    Args:
      is_counted: private; (person,) true where the person meets it.
      ledger: who pays.
      epsilon: public; what to pay, or
      within: public; how far off the answer may be, in people, at that confidence; gives epsilon.
      confidence: public.
      purpose: public; what the ledger writes down.

    Raises:
      SpecificationError: if neither or both of epsilon and within are given, or one is out of range.
      BudgetExhaustedError: from the ledger; nothing was drawn then.
    """
    counted = np.asarray(is_counted)
    if counted.ndim != 1 or counted.dtype != bool:
        raise DataContractError(
            f"people: expected one truth value a person, got {counted.dtype} of shape {counted.shape}; compare first"
        )
    price = _choose_price(epsilon, within, confidence, lambda price: _find_accuracy(1, price, confidence, 1))
    count = build_counter(1, price)
    ledger.spend(PureEvent(price), purpose=purpose)
    value = max(0, count(np.ones(int(counted.sum()), dtype=np.int64)))
    accuracy = _find_accuracy(1, price, confidence, 1)
    return _conclude("count", ("people",), (value,), "people", price, accuracy, "people", confidence)


def answer_mean(
    values: np.ndarray,
    bounds: tuple[float, float],
    *,
    ledger: BudgetHolder,
    epsilon: float | None = None,
    within: float | None = None,
    expected_contributions: int | None = None,
    max_contributions: int = 1,
    unit: str = "",
    confidence: float = 0.95,
    purpose: str = "mean",
) -> Answer:
    """Mean of people's values, from a noisy sum and a noisy count that share the budget.

    Args:
      values: private; (person,) or (person, reading), NaN where a person has none.
      bounds: public; values beyond them are moved to them, which draws the mean inwards.
      ledger, epsilon, confidence, purpose: as in `answer_count`.
      within: public; how far off the answer may be, in `unit`. It needs `expected_contributions`.
      expected_contributions: public guess of how many values there are; only the prediction depends on it.
      max_contributions: public; at most this many values of a person count, drawn at random.
      unit: public; of the values.

    Raises:
      SpecificationError, BudgetExhaustedError: as in `answer_count`.
    """
    lower, upper = _check_bounds(bounds, max_contributions)
    half, limit = (upper - lower) / 2, max_contributions
    if within is not None and not (expected_contributions and expected_contributions > 0):
        raise SpecificationError("expected_contributions: expected a public guess of how many values there are")
    rounding = half / (2 * _STEPS)

    def predict(price: float) -> float:
        return _bound_mean_error(limit, price, confidence, expected_contributions or 1, 1.0) * half + rounding

    price = _choose_price(epsilon, within, confidence, predict)
    ticks = _to_ticks(_bound_contributions(values, limit), lower, upper)
    total, count = build_summer(_STEPS, limit, price / 2), build_counter(limit, price / 2)
    ledger.spend(PureEvent(price), purpose=purpose)
    n_seen, sum_seen = count(ticks), total(ticks) / _STEPS
    center = float(np.clip(sum_seen / n_seen, -1, 1)) if n_seen > 0 else 0.0
    error = _bound_mean_error(limit, price, confidence, n_seen, abs(sum_seen / n_seen) if n_seen > 0 else 1.0)
    value = lower + half * (1 + center)
    accuracy = min(error * half + rounding, upper - lower)
    return _conclude("mean", ("mean",), (value,), unit, price, accuracy, unit, confidence)


def answer_quantile(
    values: np.ndarray,
    bounds: tuple[float, float],
    level: float = 0.5,
    *,
    ledger: BudgetHolder,
    epsilon: float | None = None,
    within: float | None = None,
    n_candidates: int = 201,
    max_contributions: int = 1,
    unit: str = "",
    confidence: float = 0.95,
    purpose: str = "quantile",
) -> Answer:
    """A value with a share `level` of all values below it, chosen among evenly spaced candidates.

    Args:
      values, bounds, ledger, epsilon, max_contributions, unit, confidence, purpose: as in `answer_mean`.
      level: public; 0.5 is the median.
      within: public; how many values (people, at one value each) the rank of the answer may be off by, compared with
        the best candidate's.
      n_candidates: public; more are finer and a little noisier.

    Raises:
      SpecificationError, BudgetExhaustedError: as in `answer_count`.

    Source: Smith (STOC 2011); McKenna and Sheldon, Permute-and-flip (NeurIPS 2020).
    """
    lower, upper = _check_bounds(bounds, max_contributions)
    if not 0 < level < 1 or not 2 <= n_candidates <= 2 * _STEPS:
        raise SpecificationError(
            f"quantile: expected a level in 0 to 1 and 2 to {2 * _STEPS} candidates, got {level} and {n_candidates}"
        )

    def predict(price: float) -> float:
        # the winner beats the best candidate by no more than the largest exponential noise of all candidates
        return find_selection_scale(level, max_contributions, price) * math.log(n_candidates / (1 - confidence))

    price = _choose_price(epsilon, within, confidence, predict)
    candidates = np.unique(np.linspace(-_STEPS, _STEPS, n_candidates).round().astype(np.int64))
    ticks = _to_ticks(_bound_contributions(values, max_contributions), lower, upper)
    choose = build_selector(candidates.tolist(), level, max_contributions, price)
    ledger.spend(PureEvent(price), purpose=purpose)
    value = lower + (upper - lower) / 2 * (1 + choose(ticks) / _STEPS)
    return _conclude(
        f"{100 * level:g} % quantile", (f"{level:g}",), (value,), unit, price, predict(price), "ranks", confidence
    )


def answer_histogram(
    values: np.ndarray,
    edges: np.ndarray,
    *,
    ledger: BudgetHolder,
    epsilon: float | None = None,
    within: float | None = None,
    max_contributions: int = 1,
    confidence: float = 0.95,
    purpose: str = "histogram",
) -> Answer:
    """How many values fall between each two edges.

    Args:
      values, ledger, epsilon, max_contributions, purpose: as in `answer_mean`.
      edges: public; rising; a value on an edge counts above it, values beyond the ends count in the first or last bin.
      within: public; how far off each count may be, all of them together at the confidence.
      confidence: public.

    Raises:
      SpecificationError, BudgetExhaustedError: as in `answer_count`.
    """
    ends = np.asarray(edges, dtype=float)
    if ends.ndim != 1 or len(ends) < 2 or not (np.diff(ends) > 0).all() or not np.isfinite(ends).all():
        raise SpecificationError("edges: expected at least two rising finite numbers")
    _check_bounds((ends[0], ends[-1]), max_contributions)
    n_bins = len(ends) - 1
    price = _choose_price(
        epsilon, within, confidence, lambda price: _find_accuracy(max_contributions, price, confidence, n_bins)
    )
    bins = np.clip(
        np.searchsorted(ends, _bound_contributions(values, max_contributions), side="right") - 1, 0, n_bins - 1
    )
    count = build_histogram(n_bins, max_contributions, price)
    ledger.spend(PureEvent(price), purpose=purpose)
    counts = tuple(float(max(0, found)) for found in count(bins.astype(np.int64)))
    labels = tuple(f"{low:g} to {high:g}" for low, high in pairwise(ends))
    accuracy = _find_accuracy(max_contributions, price, confidence, n_bins)
    return _conclude("histogram", labels, counts, "values", price, accuracy, "values", confidence)


def _choose_price(
    epsilon: float | None, within: float | None, confidence: float, predict: Callable[[float], float]
) -> float:
    """Epsilon as given, or the least that reaches an accuracy."""
    if (epsilon is None) == (within is None):
        raise SpecificationError("answer: expected either epsilon or within, got both or neither")
    if not 0.5 <= confidence < 1:
        raise SpecificationError(f"confidence: expected 0.5 to below 1, got {confidence}")
    if epsilon is not None:
        if not 1e-4 <= epsilon <= _LARGEST_EPSILON:
            raise SpecificationError(f"epsilon: expected 0.0001 to {_LARGEST_EPSILON:g}, got {epsilon}")
        return float(epsilon)
    assert within is not None
    if not within > 0 or predict(_LARGEST_EPSILON) > within:
        raise SpecificationError(f"within: expected an accuracy that some epsilon reaches, got {within}")
    low, high = math.log(1e-4), math.log(_LARGEST_EPSILON)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if predict(math.exp(middle)) <= within else (middle, high)
    return math.exp(high)


def _find_accuracy(max_contributions: int, epsilon: float, confidence: float, n_values: int) -> float:
    """Whole number that discrete Laplace noise on each of some values stays within, all together (a union bound)."""
    rate = epsilon / max_contributions
    # P(|noise| > a) = 2 r**(a + 1) / (1 + r) for whole a
    miss = (1 - confidence) / n_values * (1 + math.exp(-rate)) / 2
    return max(0.0, math.ceil(-math.log(miss) / rate - 1 - 1e-12))


def _bound_mean_error(
    max_contributions: int, epsilon: float, confidence: float, n_values: float, offset: float
) -> float:
    """Largest error of sum / count in half ranges, given how far the estimate lies from the middle."""
    of_count = _find_accuracy(max_contributions, epsilon / 2, confidence, 2)
    of_sum = _find_accuracy(max_contributions * _STEPS, epsilon / 2, confidence, 2) / _STEPS
    if n_values <= of_count:
        return math.inf
    return min((of_sum + of_count) / n_values, (of_sum + offset * of_count) / (n_values - of_count))


def _check_bounds(bounds: tuple[float, float], max_contributions: int) -> tuple[float, float]:
    if not 1 <= max_contributions <= 10_000:
        raise SpecificationError(f"max_contributions: expected 1 to 10000 values a person, got {max_contributions}")
    lower, upper = float(bounds[0]), float(bounds[1])
    if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
        raise SpecificationError(f"bounds: expected lower < upper, both finite, got {lower:g} and {upper:g}")
    return lower, upper


def _bound_contributions(values: np.ndarray, max_contributions: int) -> np.ndarray:
    """All values, at most so many of each person, drawn at random among those there are."""
    table = np.asarray(values, dtype=float)
    if table.ndim not in (1, 2):
        raise DataContractError(f"values: expected (person,) or (person, reading), got shape {table.shape}")
    table = table.reshape(len(table), -1) if table.size else table.reshape(0, 1)
    if table.shape[1] > max_contributions:
        keys = np.where(np.isnan(table), 2.0, open_noise().draw_uniform(table.shape))
        kept = np.argpartition(keys, max_contributions - 1, axis=1)[:, :max_contributions]
        table = np.take_along_axis(table, kept, axis=1)
    return table[~np.isnan(table)]


def _to_ticks(values: np.ndarray, lower: float, upper: float) -> np.ndarray:
    positions = (np.clip(values, lower, upper) - lower) / (upper - lower) * 2 - 1
    return np.rint(positions * _STEPS).astype(np.int64)


def _conclude(
    question: str,
    labels: tuple[str, ...],
    values: tuple[float, ...],
    unit: str,
    epsilon: float,
    accuracy: float,
    accuracy_unit: str,
    confidence: float,
) -> Answer:
    guarantee = describe_person_guarantee(PureEvent(epsilon))
    return Answer(
        question, labels, tuple(map(float, values)), unit, epsilon, accuracy, accuracy_unit, confidence, guarantee
    )
