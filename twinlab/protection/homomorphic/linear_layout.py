"""Layouts of weighted sums: one ciphertext for a few questions, or a ciphertext per feature for thousands.

*Interleaved*: position = feature, column = question and output. One product, and a sum around the full cycle of
positions by log2(features) rotations. The same program serves encrypted features with weights in the clear, and an
encrypted head with features in the clear.

*Feature-major*: each feature has a ciphertext, each slot is a question. Products with single numbers, no rotations and
no rotation keys. The same program goes on through the layers of a network, where squares stay unrelinearised until the
sum that they go into is complete (lazy relinearisation, as in Dathathri et al., "CHET", PLDI 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from twinlab.protection.homomorphic.layout import (
    Layout,
    add_rotated,
    everywhere,
    list_doublings,
    pad,
    round_up,
)
from twinlab.protection.homomorphic.machine import Constant, Machine, Value
from twinlab.protection.homomorphic.model import LinearModel, SquareNetwork


@dataclass(frozen=True)
class InterleavedLayout(Layout):
    """Position = feature, column = question and output. Interactive questions.

    Attributes:
      head_is_encrypted: whether the weights are what is encrypted.
    """

    head_is_encrypted: bool = False

    name: ClassVar[str] = "interleaved"
    idea: ClassVar[str] = "one ciphertext for a few questions, summed around the full cycle"

    @property
    def n_positions(self) -> int:
        """Features, rounded up."""
        return round_up(self.n_features)

    @property
    def columns_per_row(self) -> int:
        """Outputs, rounded up; the columns left over repeat outputs."""
        return round_up(self.n_outputs)

    @property
    def n_answers(self) -> int:
        """All outputs share one."""
        return 1

    @property
    def steps(self) -> tuple[int, ...]:
        """Once around all positions."""
        return list_doublings(1, self.n_positions)

    def spread(self, rows: np.ndarray) -> np.ndarray:
        """Each row once per output; or, if the head is what is encrypted, its outputs (output, feature)."""
        if self.head_is_encrypted:
            return pad(rows[self._list_outputs()], self.n_positions)[None]
        return np.repeat(pad(rows, self.n_positions), self.columns_per_row, axis=0)[None]

    def prepare(self, model: LinearModel) -> tuple[Constant, Constant]:
        """Weights and biases, by output."""
        outputs = self._list_outputs()
        weight = Constant("weight", pad(model.weight[outputs], self.n_positions))
        return weight, Constant("bias", model.bias[outputs][:, None])

    def prepare_question(self, features: np.ndarray, largest: np.ndarray | None = None) -> tuple[Constant, None]:
        """Features (question, feature) that an encrypted head is multiplied with.

        Args:
          features: public to the provider.
          largest: (feature,) bound on those to come, where these are examples.
        """
        repeated = np.repeat(pad(features, self.n_positions), self.columns_per_row, axis=0)
        return Constant("question", repeated, None if largest is None else pad(largest, self.n_positions)), None

    def run(self, machine: Machine[Value], inputs: Sequence[Value], constants: Any) -> list[Value]:
        """A product and a sum over the full cycle, so that all positions hold the same."""
        factor, bias = constants
        total = add_rotated(machine, machine.multiply(inputs[0], factor), self.steps)
        return [total if bias is None else machine.shift(total, bias)]

    def unpack(self, slots: np.ndarray, n_rows: int) -> np.ndarray:
        """Outputs are neighbouring columns."""
        first = slots[0, : self.capacity * self.columns_per_row]
        return first.reshape(self.capacity, self.columns_per_row)[:n_rows, : self.n_outputs]

    def _list_outputs(self) -> np.ndarray:
        return np.arange(self.columns_per_row) % self.n_outputs


@dataclass(frozen=True)
class FeatureMajorLayout(Layout):
    """A ciphertext per feature, slot = question. Thousands of questions at once, linear or through a network.

    Attributes:
      hidden: widths of the hidden layers; none for a linear model.
    """

    hidden: tuple[int, ...] = ()

    name: ClassVar[str] = "feature-major"
    idea: ClassVar[str] = "a ciphertext per feature, a slot per question; no rotations"

    @property
    def n_positions(self) -> int:
        """All slots are columns."""
        return 1

    @property
    def n_squares(self) -> int:
        """One per hidden layer."""
        return len(self.hidden)

    @property
    def n_ciphertexts(self) -> int:
        """One per feature."""
        return self.n_features

    def spread(self, rows: np.ndarray) -> np.ndarray:
        """Features first."""
        return rows.T[:, :, None]

    def prepare(self, model: LinearModel | SquareNetwork) -> list[tuple[np.ndarray, list[Constant]]]:
        """Weights (in, out) and biases of each layer, with plain squares between them."""
        layers = [(model.weight.T, model.bias)] if isinstance(model, LinearModel) else model.list_plain_layers()
        return [
            (weight, [everywhere(f"bias {layer} {unit}", number) for unit, number in enumerate(bias)])
            for layer, (weight, bias) in enumerate(layers)
        ]

    def run(self, machine: Machine[Value], inputs: Sequence[Value], constants: Any) -> list[Value]:
        """Layer by layer; a sum of squares is relinearised and rescaled once."""
        values = list(inputs)
        for layer, (weight, biases) in enumerate(constants):
            found = []
            for unit, bias in enumerate(biases):
                total = machine.weigh(values, weight[:, unit])
                if layer:
                    total = machine.relinearize(total)
                if self.hidden:
                    total = machine.rescale(total)
                total = machine.shift(total, bias)
                found.append(machine.square(total) if layer < len(constants) - 1 else total)
            values = found
        return values
