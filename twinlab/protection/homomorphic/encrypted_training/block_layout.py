"""How records, labels and weights lie in slots while a model is trained: blocks of records by features.

slot = record * width + feature. A ciphertext holds a block of `width` features of as many records as fit; all features
take a few blocks, all records a few passes. The last feature is one everywhere and stands for the bias.

The program that goes with it adds up a record's features into its first slot, zeroes the others by a factor that it
needs anyway, spreads the record's residual over its slots again, and adds up all records around the full cycle. So each
slot of a gradient holds the sum over all records, and none the share of a few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from twinlab.protection.homomorphic.layout import list_doublings, round_up


@dataclass(frozen=True)
class BlockLayout:
    """Where numbers lie. Public: it depends on how many there are.

    Attributes:
      n_slots: of a ciphertext.
      n_records: rows of the training set.
      n_features: numbers in a row, without the bias.
      width: features side by side in a block, a power of two.
    """

    n_slots: int
    n_records: int
    n_features: int
    width: int

    name: ClassVar[str] = "records by features"

    @property
    def block_records(self) -> int:
        """Records in a block, and in a pass."""
        return self.n_slots // self.width

    @property
    def n_blocks(self) -> int:
        """Blocks that hold all features and the bias."""
        return math.ceil((self.n_features + 1) / self.width)

    @property
    def n_passes(self) -> int:
        """Passes that hold all records."""
        return math.ceil(self.n_records / self.block_records)

    @property
    def n_ciphertexts(self) -> int:
        """Ciphertexts of the training set: blocks and labels of each pass."""
        return self.n_passes * (self.n_blocks + 1)

    @property
    def gather_steps(self) -> tuple[int, ...]:
        """Rotations that add up a record's features into its first slot."""
        return list_doublings(1, self.width)

    @property
    def spread_steps(self) -> tuple[int, ...]:
        """Rotations that bring a record's first slot to its others."""
        return tuple(-step for step in self.gather_steps)

    @property
    def sum_steps(self) -> tuple[int, ...]:
        """Rotations that add up all records, once around."""
        return list_doublings(self.width, self.block_records)

    def pack_records(self, rows: np.ndarray) -> np.ndarray:
        """Rows (record, feature) as slots (pass, block, slot), with the ones of the bias; private."""
        padded = np.zeros((self.n_passes * self.block_records, self.n_blocks * self.width))
        padded[: len(rows), : self.n_features] = rows
        padded[: len(rows), self.n_features] = 1
        blocks = padded.reshape(self.n_passes, self.block_records, self.n_blocks, self.width)
        return blocks.transpose(0, 2, 1, 3).reshape(self.n_passes, self.n_blocks, self.n_slots)

    def pack_labels(self, labels: np.ndarray) -> np.ndarray:
        """Labels less one half, as slots (pass, slot), in the first slot of each record; private.

        The half belongs to the sigmoid. Taken off here, it reaches no slot that has no record.
        """
        padded = np.zeros((self.n_passes * self.block_records, self.width))
        padded[: len(labels), 0] = labels - 0.5
        return padded.reshape(self.n_passes, self.n_slots)

    def pack_weights(self, weights: np.ndarray) -> np.ndarray:
        """Weights (feature,) with the bias last, as slots (block, slot); private."""
        padded = np.zeros(self.n_blocks * self.width)
        padded[: len(weights)] = weights
        return np.tile(padded.reshape(self.n_blocks, self.width), (1, self.block_records))

    def fill_first(self, number: float) -> np.ndarray:
        """A number in the first slot of each record, zero elsewhere: (slot,)."""
        slots = np.zeros((self.block_records, self.width))
        slots[:, 0] = number
        return slots.ravel()

    def split_columns(self, slots: np.ndarray) -> np.ndarray:
        """Slots (block, slot) as (record, feature), bias last; in a gradient all records have the same."""
        blocks = slots.reshape(self.n_blocks, self.block_records, self.width)
        columns = blocks.transpose(1, 0, 2).reshape(self.block_records, self.n_blocks * self.width)
        return columns[:, : self.n_features + 1]


def choose_width(n_slots: int, n_records: int, n_features: int) -> BlockLayout:
    """The block with the least work for the server in an epoch."""
    widths = [1 << k for k in range(1, round_up(n_features + 1).bit_length())]
    layouts = [BlockLayout(n_slots, n_records, n_features, width) for width in widths if width < n_slots]
    return min(layouts, key=_estimate_work)


def _estimate_work(layout: BlockLayout) -> float:
    """In key switches of a fresh ciphertext, measured; those of gradients, with few primes left, are cheaper."""
    of_pass = 2.0 + 1.1 * len(layout.gather_steps) + 0.2 * layout.n_blocks
    return layout.n_passes * of_pass + 0.2 * layout.n_blocks * (1 + len(layout.sum_steps))
