"""Ridge and logistic regression over all parties' rows, from sums of products alone.

Ridge regression takes one sum after the count. Logistic regression takes Newton's steps: in each, every party adds up
gradient and curvature at coefficients that all know, and the step follows from the total. A step that does not make
the gradient smaller is halved; along Newton's direction a short enough one always does, so it gets there.

Features are scaled to -1 to 1 by their public bounds, and the penalty is on the coefficients of scaled features. So it
means the same whatever the unit, and the intercept, which has no penalty, is about the middle of the bounds.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.joint.statistic import (
    LEAST_SPREAD,
    MIN_COUNT,
    Column,
    check_count,
    check_question,
    check_rows,
    pack_symmetric,
    scale_rows,
    unpack_symmetric,
)


@dataclass(frozen=True, repr=False)
class RegressionFit:
    """A regression on all parties' rows.

    Attributes:
      kind: linear, or logistic.
      features, outcome: its columns.
      scaled_coefficients: (1 + feature,) intercept first, for features scaled to -1 to 1 by their bounds (and, for a
        linear fit, an outcome scaled likewise).
      scaled_covariances: (1 + feature, 1 + feature) of those, for people drawn at random.
      n: people.
      n_positive: people with the outcome, for a logistic fit.
      penalty: that was asked for.
      r_squared: share of the outcome's variance that a linear fit explains; None for a logistic one, and for an outcome
        that varies too little within its bounds.
      n_rounds: sums that were opened.
    """

    kind: Literal["linear", "logistic"]
    features: tuple[Column, ...]
    outcome: Column
    scaled_coefficients: np.ndarray
    scaled_covariances: np.ndarray
    n: int
    n_positive: int | None
    penalty: float
    r_squared: float | None
    n_rounds: int

    @property
    def coefficients(self) -> np.ndarray:
        """(1 + feature,) intercept first, in the outcome's unit a unit of the feature; log odds for a logistic fit."""
        middle = self.outcome.middle if self.kind == "linear" else 0.0
        return self._list_unscaling() @ self.scaled_coefficients + middle * np.eye(1 + len(self.features))[0]

    @property
    def standard_errors(self) -> np.ndarray:
        """(1 + feature,) of the coefficients. A penalty's pull towards 0 is not in them."""
        turn = self._list_unscaling()
        return np.sqrt(np.maximum(np.diag(turn @ self.scaled_covariances @ turn.T), 0.0))

    @property
    def sentence(self) -> str:
        """What was fitted, and the coefficients furthest from 0 in standard errors."""
        rows = sorted(self.table()[1:], key=lambda row: -abs(float(row["z"])))
        shown = ", ".join(
            f"{row['term']} {float(row['coefficient']):.4g} ({float(row['lower']):.4g} to {float(row['upper']):.4g})"
            for row in rows[:3]
        )
        quality = f", which explains {100 * self.r_squared:.3g} % of its variance" if self.r_squared is not None else ""
        unit = "log odds" if self.kind == "logistic" else self.outcome.unit or "outcome"
        return (
            f"A {self.kind} regression of {self.outcome.name} on {len(self.features)} features over {self.n} people"
            f"{quality}; in {unit} a unit, with 95 % intervals: {shown}."
        )

    def __repr__(self) -> str:
        return self.sentence

    def table(self, confidence: float = 0.95) -> tuple[dict[str, str | float], ...]:
        """A row a term: term, unit, coefficient, standard_error, z, lower, upper, n; odds_ratio for a logistic fit."""
        width = NormalDist().inv_cdf((1 + confidence) / 2)
        names = ["intercept", *(column.name for column in self.features)]
        units = ["", *(column.unit for column in self.features)]
        rows: list[dict[str, str | float]] = []
        for name, unit, value, error in zip(
            names, units, self.coefficients.tolist(), self.standard_errors.tolist(), strict=True
        ):
            row: dict[str, str | float] = {"term": name, "unit": unit, "coefficient": value, "standard_error": error}
            row |= {"z": value / error if error > 0 else math.nan}
            row |= {"lower": value - width * error, "upper": value + width * error, "n": self.n}
            if self.kind == "logistic":
                row["odds_ratio"] = math.exp(value)
            rows.append(row)
        return tuple(rows)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The expected outcome, or its probability for a logistic fit.

        Args:
          features: private; (row, feature) within the bounds.

        Returns:
          Private; (row,).
        """
        scaled = scale_rows(features, self.features)
        reach = self.scaled_coefficients[0] + scaled @ self.scaled_coefficients[1:]
        if self.kind == "logistic":
            return _squash(reach)
        return np.asarray(self.outcome.middle + self.outcome.half_range * reach)

    def _list_unscaling(self) -> np.ndarray:
        """The matrix that takes scaled coefficients to plain ones, but for the middle of the outcome."""
        halves = np.array([column.half_range for column in self.features])
        middles = np.array([column.middle for column in self.features])
        turn = np.diag(np.concatenate([[1.0], 1.0 / halves]))
        turn[0, 1:] = -middles / halves
        return turn * (self.outcome.half_range if self.kind == "linear" else 1.0)


@dataclass(frozen=True)
class RidgeQuestion:
    """Ask for a linear regression with a penalty on the squares of the coefficients, the intercept excepted.

    All parties see the sums of products of all columns, from which any of them can be regressed on any others.

    Attributes:
      features, outcome: public; rows hold the features, then the outcome.
      penalty: public; times the sum of squares of the coefficients, beside the sum of squared errors, all scaled to -1
        to 1 by the bounds. 0 is least squares.
      min_count: public; people at least, and always more than coefficients.
    """

    features: tuple[Column, ...]
    outcome: Column
    penalty: float = 1.0
    min_count: int = MIN_COUNT

    def __post_init__(self) -> None:
        _check_regression(self.features, self.outcome, self.penalty, self.min_count)

    @property
    def n_rounds(self) -> int:
        """Sums that are opened: the count, then the products."""
        return 2

    def count(self, rows: np.ndarray) -> np.ndarray:
        """(1,) a party's number of rows."""
        return np.array([float(len(check_rows(rows, (*self.features, self.outcome))))])

    def start(self, total: np.ndarray) -> int:
        """The number of people."""
        return check_count(total[0], max(self.min_count, len(self.features) + 2))

    def summarize(self, rows: np.ndarray, state: int) -> np.ndarray:
        """A party's sums of products of 1, the scaled features and the scaled outcome, the upper triangle but its 1."""
        scaled = scale_rows(rows, (*self.features, self.outcome))
        whole = np.column_stack([np.ones(len(scaled)), scaled])
        return pack_symmetric(whole.T @ whole)[1:]

    def advance(self, total: np.ndarray, state: int) -> tuple[int, RegressionFit]:
        """The answer."""
        n, size = state, len(self.features) + 1
        whole = unpack_symmetric(np.concatenate([[float(n)], total]), size + 1)
        products, target, square = whole[:size, :size], whole[:size, size], float(whole[size, size])
        inverse = _invert(products + _list_penalties(self.penalty, size), n)
        weights = inverse @ target
        errors = max(square - 2 * float(weights @ target) + float(weights @ products @ weights), 0.0)
        spread = square - float(target[0]) ** 2 / n
        variance = errors / (n - float(np.trace(inverse @ products)))
        return n, RegressionFit(
            kind="linear",
            features=self.features,
            outcome=self.outcome,
            scaled_coefficients=weights,
            scaled_covariances=variance * inverse @ products @ inverse,
            n=n,
            n_positive=None,
            penalty=self.penalty,
            r_squared=1 - errors / spread if spread > LEAST_SPREAD * n else None,
            n_rounds=self.n_rounds,
        )


@dataclass(frozen=True)
class NewtonPoint:
    """Where the search for logistic coefficients is; public.

    Attributes:
      n, n_positive: people, and those of them with the outcome.
      weights: (1 + feature,) that are tried next.
      step: (1 + feature,) that led there.
      slope: size of the gradient before that step; infinite before the first.
      curvature: (1 + feature, 1 + feature) of the best weights so far, without the penalty; None before the first.
      n_done: sums that were opened.
    """

    n: int
    n_positive: int
    weights: np.ndarray
    step: np.ndarray
    slope: float
    curvature: np.ndarray | None
    n_done: int


@dataclass(frozen=True)
class LogisticQuestion:
    """Ask for a logistic regression of a yes or no on features, by Newton's steps.

    All parties see gradient and curvature of the loss at every step, some of which are sums over people's features.

    Attributes:
      features, outcome: public; rows hold the features, then the outcome, which is 0 or 1.
      penalty: public; times half the sum of squares of the coefficients of features scaled to -1 to 1, the intercept
        excepted, beside the log loss. 0 is plain maximum likelihood, which has no answer if features tell the outcome
        exactly.
      tolerance: public; the search ends once a step moves no scaled coefficient by more. The last step is still made,
        and the next would be about as large as this one's square.
      min_count: public; people with and without the outcome at least.
      max_rounds: public; sums at most.
    """

    features: tuple[Column, ...]
    outcome: Column
    penalty: float = 1.0
    tolerance: float = 1e-6
    min_count: int = MIN_COUNT
    max_rounds: int = 40

    def __post_init__(self) -> None:
        _check_regression(self.features, self.outcome, self.penalty, self.min_count)
        if (self.outcome.lower, self.outcome.upper) != (0.0, 1.0):
            raise SpecificationError(f"{self.outcome.name}: expected bounds 0 and 1, for no and yes, got others")
        if not 0 < self.tolerance < 1 or self.max_rounds < 3:
            raise SpecificationError(
                f"Newton steps: expected a tolerance between 0 and 1 and at least 3 rounds, got {self.tolerance:g} and "
                f"{self.max_rounds}"
            )

    @property
    def n_rounds(self) -> int:
        """Sums that are opened at most; some six to ten as a rule."""
        return self.max_rounds

    def count(self, rows: np.ndarray) -> np.ndarray:
        """(2,) a party's number of rows without and with the outcome."""
        outcomes = check_rows(rows, (*self.features, self.outcome))[:, -1]
        if not np.isin(outcomes, (0.0, 1.0)).all():
            raise DataContractError(f"{self.outcome.name}: expected 0 for no and 1 for yes, got something else; recode")
        return np.array([(outcomes == 0).sum(), (outcomes == 1).sum()], dtype=float)

    def start(self, total: np.ndarray) -> NewtonPoint:
        """All coefficients 0."""
        without = check_count(total[0], self.min_count, f"people without {self.outcome.name}")
        positive = check_count(total[1], self.min_count, f"people with {self.outcome.name}")
        nothing = np.zeros(len(self.features) + 1)
        return NewtonPoint(without + positive, positive, nothing, nothing, math.inf, None, 1)

    def summarize(self, rows: np.ndarray, state: NewtonPoint) -> np.ndarray:
        """A party's gradient of the log loss at the weights, then its curvature, the upper triangle."""
        table = check_rows(rows, (*self.features, self.outcome))
        inputs = np.column_stack([np.ones(len(table)), scale_rows(table[:, :-1], self.features)])
        chances = _squash(inputs @ state.weights)
        curvature = (inputs * (chances * (1 - chances))[:, None]).T @ inputs
        return np.concatenate([inputs.T @ (chances - table[:, -1]), pack_symmetric(curvature)])

    def advance(self, total: np.ndarray, state: NewtonPoint) -> tuple[NewtonPoint, RegressionFit | None]:
        """The next weights, and the answer once they hardly move."""
        size = len(self.features) + 1
        penalties = _list_penalties(self.penalty, size)
        gradient = total[:size] + penalties @ state.weights
        curvature, slope, start = unpack_symmetric(total[size:], size), float(np.linalg.norm(gradient)), state.weights
        if state.curvature is not None and slope >= state.slope:
            start, step = state.weights - state.step, state.step / 2
            curvature, slope = state.curvature, state.slope
        else:
            step = -_invert(curvature + penalties, state.n) @ gradient
        moved = NewtonPoint(state.n, state.n_positive, start + step, step, slope, curvature, state.n_done + 1)
        if float(np.abs(step).max()) > self.tolerance:
            return moved, None
        inverse = _invert(curvature + penalties, state.n)
        return moved, RegressionFit(
            kind="logistic",
            features=self.features,
            outcome=self.outcome,
            scaled_coefficients=moved.weights,
            scaled_covariances=inverse @ curvature @ inverse,
            n=state.n,
            n_positive=state.n_positive,
            penalty=self.penalty,
            r_squared=None,
            n_rounds=moved.n_done,
        )


def _check_regression(features: tuple[Column, ...], outcome: Column, penalty: float, min_count: int) -> None:
    """Refuse what is no regression."""
    if not features:
        raise SpecificationError("features: expected at least one, got none")
    check_question((*features, outcome), min_count)
    if not 0 <= penalty < math.inf:
        raise SpecificationError(f"penalty: expected 0 or more, got {penalty:g}")


def _list_penalties(penalty: float, size: int) -> np.ndarray:
    """The penalty on each coefficient but the intercept, as a matrix."""
    return penalty * np.diag(np.concatenate([[0.0], np.ones(size - 1)]))


def _invert(matrix: np.ndarray, n: int) -> np.ndarray:
    """The inverse, if rounding of sums could not have made it up."""
    if float(np.linalg.eigvalsh(matrix)[0]) < LEAST_SPREAD * n:
        raise DataContractError(
            "features: expected each to tell something of its own, got some that follow from others, hardly vary "
            "within their bounds or tell the outcome exactly; leave some out, tighten bounds or raise the penalty"
        )
    return np.asarray(np.linalg.inv(matrix))


def _squash(reach: np.ndarray) -> np.ndarray:
    """The logistic function, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(reach / 2)))
