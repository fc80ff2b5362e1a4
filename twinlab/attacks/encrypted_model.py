"""A linear model, from answers to encrypted questions: from one answer that holds too much, from d + 1, or from labels.

Encryption hides questions from the server. It does nothing against who may ask and reads the answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from twinlab.errors import DataContractError

#: Labels of rows: bool (row,) for (row, feature).
AskLabels = Callable[[np.ndarray], np.ndarray]


def read_weights(slots: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Weights from the slots of one answer, right if each holds the sum over the features from its own place on.

    Neighbouring slots then differ by one weighted feature, and the asker knows the feature.

    Args:
      slots: (slot,), at least one more than features; seen by whoever decrypts.
      row: (feature,), none of them 0; the asker's own.

    Raises:
      DataContractError: if there are too few slots, or a feature is 0.

    >>> read_weights(np.array([3.0, 2.0, 0.0]), np.array([2.0, 4.0])).tolist()
    [0.5, 0.5]
    """
    if len(slots) <= len(row) or not np.all(row):
        raise DataContractError(
            f"slots: expected more than {len(row)} and features that are not 0, got {len(slots)} slots; ask another row"
        )
    sums = slots[: len(row) + 1]
    return np.asarray((sums[:-1] - sums[1:]) / row)


def fit_model(rows: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Weights and bias that explain answers to rows; the shortest such where there are many.

    Args:
      rows: (question, feature); the asker's own.
      answers: (question,), numbers; seen by the asker.

    Returns:
      (feature + 1,), the bias last.

    >>> fit_model(np.array([[0.0], [1.0]]), np.array([1.0, 3.0])).round(6).tolist()
    [2.0, 1.0]
    """
    return np.asarray(np.linalg.lstsq(np.c_[rows, np.ones(len(rows))], answers, rcond=None)[0])


def find_distance(stolen: np.ndarray, true: np.ndarray) -> float:
    """How far a stolen model is from the true one, as a share of the true one's length. For who knows the truth."""
    return float(np.linalg.norm(stolen - true) / np.linalg.norm(true))


def find_direction_distance(stolen: np.ndarray, true: np.ndarray) -> float:
    """The same for a model known up to a factor, which labels do not tell: the best factor counts."""
    length = float(stolen @ stolen)
    return 1.0 if length == 0 else find_distance(stolen * (stolen @ true) / length, true)


@dataclass
class LabelThief:
    """Finds a linear model up to a factor from labels alone, by halving.

    It finds a point just beside the line, then for each feature how far one has to go along it to cross. Each round
    asks one row per feature and gains one bit of each weight. Source: Lowd and Meek, "Adversarial learning", KDD 2005.

    Attributes:
      ask: labels of rows.
      inside, outside: (feature,), two rows with different labels, True first; the attacker's own.
      reach: (feature,), how far each feature may be moved.
      n_questions: asked so far.
    """

    ask: AskLabels
    inside: np.ndarray = field(repr=False)
    outside: np.ndarray = field(repr=False)
    reach: np.ndarray = field(repr=False)
    n_questions: int = 0

    def start(self, n_bits: int = 16, beside: float = 0.02) -> None:
        """Find a point beside the line, and for each feature on which side crossing lies.

        Args:
          n_bits: halvings of the way between the two rows.
          beside: how far from the line, as a share of that way.
        """
        way, low, high = self.inside - self.outside, 0.0, 1.0
        for _ in range(n_bits):
            middle = (low + high) / 2
            low, high = (low, middle) if self._ask((self.outside + middle * way)[None])[0] else (middle, high)
        self._start = self.outside + min(1.0, high + beside) * way
        self._sides = np.zeros(len(way))
        for sign in (1.0, -1.0):
            crossed = ~self._ask(self._move(sign * self.reach))
            self._sides[crossed] = sign
        # the inverse of the way is proportional to the weight: halve that
        self._low, self._high = 1 / self.reach, np.full(len(way), _MOST_STEEP / self.reach)

    def halve(self) -> None:
        """One more bit of each weight."""
        middle = (self._low + self._high) / 2
        crossed = ~self._ask(self._move(self._sides / middle))
        # crossed within this way: the weight is steeper
        self._low = np.where(crossed, middle, self._low)
        self._high = np.where(crossed, self._high, middle)

    def read(self) -> np.ndarray:
        """(feature,), the weights up to a factor, as far as they are known."""
        return np.where(self._sides == 0, 0.0, -self._sides * (self._low + self._high) / 2)

    def _move(self, ways: np.ndarray) -> np.ndarray:
        """The start, moved along each feature by itself: (feature, feature)."""
        return np.asarray(self._start + np.diag(ways))

    def _ask(self, rows: np.ndarray) -> np.ndarray:
        self.n_questions += len(rows)
        return self.ask(rows)


#: A weight is at most so many times as steep as the least that is found.
_MOST_STEEP = 256.0
