"""How numbers lie in the slots of a ciphertext, and the program that goes with it: what all layouts share.

The slots are seen as *positions* of `width` neighbouring *columns*: slot = position * width + column. A question takes
a column. Rotations move whole positions, so columns never mix, and a sum over all positions is a sum around the full
cycle: afterwards every position of a column holds the same number, the answer. Where positions are left over they are
zeroed by weights that are zero there. So an answer holds nothing but answers. Rotations that stop half-way leave sums
over the last 1, 2, 3 ... features in the other slots, from which one reads the model.

Columns that no question needs repeat the questions, since a column of zeros would be answered by what the model says of
zeros. A message therefore answers as many questions as it has columns, if its sender wants it to: count it so when
limiting how much somebody may ask.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from twinlab.protection.homomorphic.machine import Constant, Machine, Value


@dataclass(frozen=True)
class Layout(ABC):
    """Where numbers lie, in public: it depends on the shape of the model, not on its weights.

    Attributes:
      n_slots: of a ciphertext.
      n_features: numbers in a row.
      n_outputs: numbers in an answer.
    """

    n_slots: int
    n_features: int
    n_outputs: int

    name: ClassVar[str]
    #: One line for a plan's table.
    idea: ClassVar[str]

    @property
    @abstractmethod
    def n_positions(self) -> int:
        """Positions, a power of two."""

    @property
    def n_squares(self) -> int:
        """Squares one after the other."""
        return 0

    @property
    def n_ciphertexts(self) -> int:
        """Ciphertexts in a question."""
        return 1

    @property
    def n_answers(self) -> int:
        """Ciphertexts in an answer."""
        return self.n_outputs

    @property
    def columns_per_row(self) -> int:
        """Columns that a question takes."""
        return 1

    @property
    def width(self) -> int:
        """Columns."""
        return self.n_slots // self.n_positions

    @property
    def capacity(self) -> int:
        """Questions in a message."""
        return self.width // self.columns_per_row

    @property
    def steps(self) -> tuple[int, ...]:
        """By how many positions the program rotates: a key is needed for each."""
        return ()

    @abstractmethod
    def spread(self, rows: np.ndarray) -> np.ndarray:
        """Rows (row, feature) as (ciphertext, column, position), without repeats."""

    @abstractmethod
    def prepare(self, model: Any) -> Any:
        """The model's weights as the program wants them; the provider's."""

    @abstractmethod
    def run(self, machine: Machine[Value], inputs: Sequence[Value], constants: Any) -> list[Value]:
        """The program: from encrypted questions to encrypted answers."""

    def pack(self, rows: np.ndarray) -> np.ndarray:
        """Rows as slots (ciphertext, slot), columns filled up by repeating them.

        Args:
          rows: at most `capacity`; private.
        """
        columns = self.spread(rows)
        filled = columns[:, np.arange(self.width) % columns.shape[1]]
        return filled.transpose(0, 2, 1).reshape(len(columns), self.n_slots)

    def unpack(self, slots: np.ndarray, n_rows: int) -> np.ndarray:
        """Answers (row, output) from decrypted slots (answer, slot)."""
        first = slots[:, : self.width]
        return first[:, :n_rows].T

    def fill_slots(self, constant: Constant) -> np.ndarray:
        """A constant as slots (slot,)."""
        numbers = np.broadcast_to(constant.numbers, (len(constant.numbers), self.n_positions))
        return numbers[np.arange(self.width) % len(numbers)].T.reshape(-1)


def round_up(n_items: int) -> int:
    """The next power of two.

    >>> round_up(40), round_up(64)
    (64, 64)
    """
    return 1 << (n_items - 1).bit_length()


def list_doublings(first: int, n_items: int) -> tuple[int, ...]:
    """Steps that add `n_items` neighbours `first` apart, a power of two of them, largest first.

    >>> list_doublings(4, 8)
    (16, 8, 4)
    """
    return tuple(first << k for k in reversed(range(n_items.bit_length() - 1)))


def add_rotated(machine: Machine[Value], value: Value, steps: Sequence[int]) -> Value:
    """Each position plus its neighbours, by doubling."""
    for step in steps:
        value = machine.add(value, machine.rotate(value, step))
    return value


def everywhere(name: str, number: float) -> Constant:
    """One number at all positions."""
    return Constant(name, np.array([[number]]))


def pad(values: np.ndarray, size: int) -> np.ndarray:
    """Zeros after the last axis, up to `size`."""
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, size - values.shape[-1])])
