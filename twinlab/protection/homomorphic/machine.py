"""What a layout's program runs on, and the constants it runs with.

A program is written once. On the server a machine runs it on ciphertexts; while a plan is made, another machine runs
the very same program on numbers, and finds out how large they become and how noise spreads. So a plan cannot differ
from what is computed later.

A program works on *positions*. Each position holds `width` neighbouring slots, the *columns*, one per question (or per
question and output); columns never mix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Constant:
    """Numbers in the clear that a program multiplies or adds.

    Attributes:
      name: under which the encoded form is kept; unique within a program.
      numbers: (column, position), or (1, position) where all columns have the same; columns repeat when there are more.
        Or (1, 1) for one number everywhere.
      largest: (position,) bound on their magnitude where it is not theirs, as with features still to come.
    """

    name: str
    numbers: np.ndarray
    largest: np.ndarray | None = None

    def find_largest(self) -> np.ndarray:
        """(position,) bound on the magnitude."""
        return np.abs(self.numbers).max(0) if self.largest is None else self.largest


class Machine(Protocol[Value]):
    """The arithmetic of a program. Values may be changed in place: only what is returned is valid afterwards,
    except that `multiply`, `weigh` and `rotate` leave their arguments alone.
    """

    def multiply(self, value: Value, constant: Constant) -> Value:
        """Position by position."""

    def weigh(self, values: Sequence[Value], weights: np.ndarray) -> Value:
        """Sum of values, each times one number."""

    def add(self, total: Value, value: Value) -> Value:
        """Sum of two."""

    def shift(self, value: Value, constant: Constant) -> Value:
        """Add numbers in the clear."""

    def rotate(self, value: Value, step: int) -> Value:
        """Position p gets what was at p + step, around the end."""

    def square(self, value: Value) -> Value:
        """Each number squared; the ciphertext grows by a third part until `relinearize`."""

    def relinearize(self, value: Value) -> Value:
        """Back to two parts."""

    def rescale(self, value: Value) -> Value:
        """Drop a prime, and with it the scale."""
