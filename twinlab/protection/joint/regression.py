"""Ridge and logistic regression over all parties' rows, from sums of products alone.

Ridge regression takes one sum after the count. Logistic regression takes Newton's steps: in each, every party adds up
gradient and curvature at coefficients that all know, and the step follows from the total. A step that does not make
the gradient smaller is halved; along Newton's direction a short enough one always does, so it gets there.

With noise in the sums the steps are those of `noisy_newton` and `noisy_ridge`. So that noise has less to hide, a person
far from the middle of the bounds counts for less (`person_weight`), and a linear outcome far from what is expected for
no more than a limit. Where the model holds, both leave the answer as it is, but for chance; neither is in exact sums.

Features are scaled to -1 to 1 by their public bounds, and the penalty is on the coefficients of scaled features. So it
means the same whatever the unit, and the intercept, which has no penalty, is about the middle of the bounds.
"""

import math
from dataclasses import dataclass

import numpy as np

from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.joint.noisy_newton import (
    N_NOISY_SUMS,
    NoisyPoint,
    bound_logistic_person,
    bound_noisy_person,
    sum_for_noise,
    take_noisy_step,
)
from twinlab.protection.joint.noisy_ridge import (
    N_RIDGE_SUMS,
    NoisyRidge,
    bound_ridge_person,
    fit_products,
    sum_for_ridge,
    take_errors,
)
from twinlab.protection.joint.regression_fit import RegressionFit, squash
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


@dataclass(frozen=True)
class RidgeQuestion:
    """Ask for a linear regression with a penalty on the squares of the coefficients, the intercept excepted.

    All parties see the sums of products of all columns, from which any of them can be regressed on any others. With
    noise they see them with it, of people with weights.

    Attributes:
      features, outcome: public; rows hold the features, then the outcome.
      penalty: public; times the sum of squares of the coefficients, beside the sum of squared errors, all scaled to -1
        to 1 by the bounds. 0 is least squares.
      min_count: public; people at least, and always more than coefficients.
      noise_multiplier: public; of the noise of all parties together, 0 for none. What adds the noise sets it.
    """

    features: tuple[Column, ...]
    outcome: Column
    penalty: float = 1.0
    min_count: int = MIN_COUNT
    noise_multiplier: float = 0.0

    def __post_init__(self) -> None:
        _check_regression(self.features, self.outcome, self.penalty, self.min_count, self.noise_multiplier)

    @property
    def n_rounds(self) -> int:
        """Sums that are opened: the count, then the products, and with noise one of errors."""
        return 1 + N_RIDGE_SUMS if self.noise_multiplier else 2

    @property
    def person_bound(self) -> float:
        """Every product of 1, scaled features and scaled outcome is at most 1; with noise people have weights."""
        if self.noise_multiplier:
            return bound_ridge_person(len(self.features))
        size = len(self.features) + 2
        return math.sqrt(size * (size + 1) / 2 - 1)

    def count(self, rows: np.ndarray) -> np.ndarray:
        """(1,) a party's number of rows."""
        return np.array([float(len(check_rows(rows, (*self.features, self.outcome))))])

    def start(self, total: np.ndarray) -> int:
        """The number of people."""
        return check_count(total[0], max(self.min_count, len(self.features) + 2))

    def summarize(self, rows: np.ndarray, state: int | NoisyRidge) -> np.ndarray:
        """A party's sums of products of 1, the scaled features and the scaled outcome, the upper triangle but its 1.

        With noise they are weighted, with their 1, which is then the sum of the weights; and errors come after them.
        """
        scaled = scale_rows(rows, (*self.features, self.outcome))
        whole = np.column_stack([np.ones(len(scaled)), scaled])
        if self.noise_multiplier:
            return sum_for_ridge(whole, state)
        return pack_symmetric(whole.T @ whole)[1:]

    def advance(self, total: np.ndarray, state: int | NoisyRidge) -> tuple[int | NoisyRidge, RegressionFit | None]:
        """The answer, or with noise what products tell of it."""
        penalties, deviation = (
            _list_penalties(self.penalty, len(self.features) + 1),
            self.noise_multiplier * self.person_bound,
        )
        if isinstance(state, NoisyRidge):
            found = take_errors(total, state, penalties, deviation)
            added = float(np.linalg.norm(found.added, 2))
            return found, self._make_fit(found.n, found.weights, found.covariances, found.r_squared, added)
        if self.noise_multiplier:
            return fit_products(total, state, penalties, deviation), None
        n = state
        matrix = unpack_symmetric(np.concatenate([[float(n)], total]), len(self.features) + 2)
        products, target, square = matrix[:-1, :-1], matrix[:-1, -1], float(matrix[-1, -1])
        inverse = _invert(products + penalties, n)
        weights = inverse @ target
        errors = max(square - 2 * float(weights @ target) + float(weights @ products @ weights), 0.0)
        spread = square - float(target[0]) ** 2 / n
        variance = errors / max(n - float(np.trace(inverse @ products)), 1.0)
        r_squared = max(1 - errors / spread, 0.0) if spread > LEAST_SPREAD * n else None
        return n, self._make_fit(n, weights, variance * inverse @ products @ inverse, r_squared)

    def _make_fit(
        self, n: int, weights: np.ndarray, covariances: np.ndarray, r_squared: float | None, added: float = 0.0
    ) -> RegressionFit:
        return RegressionFit(
            kind="linear",
            features=self.features,
            outcome=self.outcome,
            scaled_coefficients=weights,
            scaled_covariances=covariances,
            n=n,
            n_positive=None,
            penalty=self.penalty,
            r_squared=r_squared,
            n_rounds=self.n_rounds,
            added_penalty=added,
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
      noise_multiplier: public; of the noise of all parties together, 0 for none. What adds the noise sets it.
    """

    features: tuple[Column, ...]
    outcome: Column
    penalty: float = 1.0
    tolerance: float = 1e-6
    min_count: int = MIN_COUNT
    max_rounds: int = 40
    noise_multiplier: float = 0.0

    def __post_init__(self) -> None:
        _check_regression(self.features, self.outcome, self.penalty, self.min_count, self.noise_multiplier)
        if (self.outcome.lower, self.outcome.upper) != (0.0, 1.0):
            raise SpecificationError(f"{self.outcome.name}: expected bounds 0 and 1, for no and yes, got others")
        if not 0 < self.tolerance < 1 or self.max_rounds < 3:
            raise SpecificationError(
                f"Newton steps: expected a tolerance between 0 and 1 and at least 3 rounds, got {self.tolerance:g} and "
                f"{self.max_rounds}"
            )

    @property
    def n_rounds(self) -> int:
        """Sums that are opened at most; some six to ten as a rule. With noise as many as are paid for."""
        return 1 + N_NOISY_SUMS if self.noise_multiplier else self.max_rounds

    @property
    def person_bound(self) -> float:
        """A person's gradient and curvature together; with noise people have weights."""
        size = len(self.features) + 1
        return bound_noisy_person(size) if self.noise_multiplier else bound_logistic_person(size)

    def count(self, rows: np.ndarray) -> np.ndarray:
        """(2,) a party's number of rows without and with the outcome."""
        outcomes = check_rows(rows, (*self.features, self.outcome))[:, -1]
        if not np.isin(outcomes, (0.0, 1.0)).all():
            raise DataContractError(f"{self.outcome.name}: expected 0 for no and 1 for yes, got something else; recode")
        return np.array([(outcomes == 0).sum(), (outcomes == 1).sum()], dtype=float)

    def start(self, total: np.ndarray) -> NewtonPoint | NoisyPoint:
        """All coefficients 0."""
        without = check_count(total[0], self.min_count, f"people without {self.outcome.name}")
        positive = check_count(total[1], self.min_count, f"people with {self.outcome.name}")
        nothing = np.zeros(len(self.features) + 1)
        if self.noise_multiplier:
            return NoisyPoint(without + positive, positive, nothing, None, (), 1)
        return NewtonPoint(without + positive, positive, nothing, nothing, math.inf, None, 1)

    def summarize(self, rows: np.ndarray, state: NewtonPoint | NoisyPoint) -> np.ndarray:
        """A party's gradient of the log loss at the weights, then its curvature, the upper triangle.

        With noise people have weights, and curvature comes first.
        """
        table = check_rows(rows, (*self.features, self.outcome))
        inputs = np.column_stack([np.ones(len(table)), scale_rows(table[:, :-1], self.features)])
        if isinstance(state, NoisyPoint):
            return sum_for_noise(inputs, table[:, -1], state)
        chances = squash(inputs @ state.weights)
        curvature = (inputs * (chances * (1 - chances))[:, None]).T @ inputs
        return np.concatenate([inputs.T @ (chances - table[:, -1]), pack_symmetric(curvature)])

    def advance(
        self, total: np.ndarray, state: NewtonPoint | NoisyPoint
    ) -> tuple[NewtonPoint | NoisyPoint, RegressionFit | None]:
        """The next weights, and the answer once they hardly move, or with noise after all steps."""
        size = len(self.features) + 1
        penalties = _list_penalties(self.penalty, size)
        if isinstance(state, NoisyPoint):
            point, found = take_noisy_step(total, state, penalties, self.noise_multiplier * self.person_bound)
            if found is None:
                return point, None
            return point, self._make_fit(found.weights, found.covariances, point, found.added_penalty)
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
        return moved, self._make_fit(moved.weights, inverse @ curvature @ inverse, moved)

    def _make_fit(
        self, weights: np.ndarray, covariances: np.ndarray, point: NewtonPoint | NoisyPoint, added: float = 0.0
    ) -> RegressionFit:
        return RegressionFit(
            kind="logistic",
            features=self.features,
            outcome=self.outcome,
            scaled_coefficients=weights,
            scaled_covariances=covariances,
            n=point.n,
            n_positive=point.n_positive,
            penalty=self.penalty,
            r_squared=None,
            n_rounds=point.n_done,
            added_penalty=added,
        )


def _check_regression(
    features: tuple[Column, ...], outcome: Column, penalty: float, min_count: int, noise_multiplier: float
) -> None:
    """Refuse what is no regression."""
    if not features:
        raise SpecificationError("features: expected at least one, got none")
    check_question((*features, outcome), min_count, noise_multiplier)
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
