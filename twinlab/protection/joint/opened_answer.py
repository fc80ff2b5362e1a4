"""Answers of computations on shares: what was opened, in units and words, and no more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twinlab.protection.joint.statistic import Column

#: Coefficients, of columns scaled to -1 to 1, are opened to so many binary places.
COEFFICIENT_BITS = 24


@dataclass(frozen=True, repr=False)
class SecretQuantile:
    """A value below which a stated share of all parties' people lies.

    Attributes:
      column: of what.
      level: share of people.
      value: within half the resolution of the pooled quantile, the smallest of the people's values with at least that
        share of people at or below it.
      resolution: in the column's unit; at most what was asked for.
      least_people: there are at least so many; how many was not opened.
    """

    column: Column
    level: float
    value: float
    resolution: float
    least_people: int

    @property
    def sentence(self) -> str:
        """The quantile and how exact it is."""
        unit = f" {self.column.unit}" if self.column.unit else ""
        return (
            f"{100 * self.level:g} % of all parties' people have {self.column.name} at or below {self.value:.5g}"
            f"{unit}, to within {self.resolution / 2:.2g}{unit}; how many people there are, at least "
            f"{self.least_people}, was not told."
        )

    def __repr__(self) -> str:
        return self.sentence


@dataclass(frozen=True, repr=False)
class LargestParty:
    """The party whose people have the largest mean.

    Attributes:
      column: of what.
      party: its name.
    """

    column: Column
    party: str

    @property
    def sentence(self) -> str:
        """Which one it is."""
        return f"Of all parties, {self.party} has the largest mean of {self.column.name}; no mean was told."

    def __repr__(self) -> str:
        return self.sentence


@dataclass(frozen=True, repr=False)
class CoefficientFit:
    """Coefficients of a ridge regression on all parties' rows.

    There are no standard errors, intervals or share of variance explained: all of them need sums of products of the
    columns, which were not opened. Ask `RidgeQuestion` where these sums may be seen.

    Attributes:
      features, outcome: its columns.
      scaled_coefficients: (1 + feature,) intercept first, for features and outcome scaled to -1 to 1 by their bounds.
      n: people.
      penalty: that was asked for.
    """

    features: tuple[Column, ...]
    outcome: Column
    scaled_coefficients: np.ndarray
    n: int
    penalty: float

    @property
    def coefficients(self) -> np.ndarray:
        """(1 + feature,) intercept first, in the outcome's unit a unit of the feature."""
        slopes = self.scaled_coefficients[1:] * self.outcome.half_range
        slopes = slopes / np.array([column.half_range for column in self.features])
        middle = self.outcome.middle + self.outcome.half_range * self.scaled_coefficients[0]
        return np.concatenate([[middle - slopes @ [column.middle for column in self.features]], slopes])

    @property
    def sentence(self) -> str:
        """What was fitted, and the coefficients that matter most within the bounds."""
        largest = np.argsort(-np.abs(self.scaled_coefficients[1:]), kind="stable")[:3]
        shown = ", ".join(f"{self.features[at].name} {self.coefficients[1 + at]:.4g}" for at in largest)
        return (
            f"A linear regression of {self.outcome.name} on {len(self.features)} features over {self.n} people; in "
            f"{self.outcome.unit or 'outcome'} a unit: {shown}. Only coefficients were opened, so there are no "
            "intervals."
        )

    def __repr__(self) -> str:
        return self.sentence

    def table(self) -> tuple[dict[str, str | float], ...]:
        """A row a term: term, unit, coefficient, n."""
        names = ["intercept", *(column.name for column in self.features)]
        units = ["", *(column.unit for column in self.features)]
        return tuple(
            {"term": name, "unit": unit, "coefficient": value, "n": self.n}
            for name, unit, value in zip(names, units, self.coefficients.tolist(), strict=True)
        )
