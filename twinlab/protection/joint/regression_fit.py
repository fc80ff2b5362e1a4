"""A regression on all parties' rows: its coefficients, their intervals, and what it predicts."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from twinlab.protection.joint.statistic import Column, scale_rows


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
      added_penalty: that noise made necessary; how far it may pull is in the standard errors.
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
    added_penalty: float = 0.0

    @property
    def coefficients(self) -> np.ndarray:
        """(1 + feature,) intercept first, in the outcome's unit a unit of the feature; log odds for a logistic fit."""
        middle = self.outcome.middle if self.kind == "linear" else 0.0
        return self._list_unscaling() @ self.scaled_coefficients + middle * np.eye(1 + len(self.features))[0]

    @property
    def standard_errors(self) -> np.ndarray:
        """(1 + feature,) of the coefficients, noise included. The pull of `penalty` is not in them."""
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
        if self.added_penalty:
            quality += " (noise leaves some coefficients open, and their intervals say so)"
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
            return squash(reach)
        return np.asarray(self.outcome.middle + self.outcome.half_range * reach)

    def _list_unscaling(self) -> np.ndarray:
        """The matrix that takes scaled coefficients to plain ones, but for the middle of the outcome."""
        halves = np.array([column.half_range for column in self.features])
        middles = np.array([column.middle for column in self.features])
        turn = np.diag(np.concatenate([[1.0], 1.0 / halves]))
        turn[0, 1:] = -middles / halves
        return turn * (self.outcome.half_range if self.kind == "linear" else 1.0)


def squash(reach: np.ndarray) -> np.ndarray:
    """The logistic function, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(reach / 2)))
