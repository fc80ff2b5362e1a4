"""Layouts of a network in a single ciphertext: tiled for one question, blocks for tens.

*Tiled*: position = hidden unit and feature, and the question is repeated for each unit, so that one product does the
whole first layer. A sum over features leaves each unit at the first of its positions; the others hold sums that must
not be seen, and the weights of the output layer are zero there.

*Block*: position = feature, column = question. A layer is a matrix times a vector by diagonals, with few rotations
(baby steps and giant steps: Halevi and Shoup, "Faster Homomorphic Linear Transformations in HElib", CRYPTO 2018).

In both, the weights of a layer are multiplied onto the squares of the one before, and only then a prime is dropped:
a rescaling less per layer, and far less noise than rescaling the bare squares.
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
from twinlab.protection.homomorphic.model import SquareNetwork


@dataclass(frozen=True)
class TiledLayout(Layout):
    """Position = hidden unit and feature. One hidden layer, one question at a time (a few, if the network is small).

    Attributes:
      n_hidden: width of the hidden layer.
    """

    n_hidden: int

    name: ClassVar[str] = "tiled"
    idea: ClassVar[str] = "a question repeated for each hidden unit: the whole layer in one product"

    @property
    def n_inner(self) -> int:
        """Positions of a hidden unit."""
        return round_up(self.n_features)

    @property
    def n_tiles(self) -> int:
        """Hidden units, rounded up."""
        return round_up(self.n_hidden)

    @property
    def n_positions(self) -> int:
        """Hidden units times features."""
        return self.n_tiles * self.n_inner

    @property
    def n_squares(self) -> int:
        """One."""
        return 1

    @property
    def steps(self) -> tuple[int, ...]:
        """Over features, then over hidden units."""
        return list_doublings(1, self.n_inner) + list_doublings(self.n_inner, self.n_tiles)

    def spread(self, rows: np.ndarray) -> np.ndarray:
        """Each row, repeated."""
        return np.tile(pad(rows, self.n_inner), self.n_tiles)[None]

    def prepare(self, model: SquareNetwork) -> dict[str, Any]:
        """Both layers; everything but the first layer's weights stands at the first position of a unit only."""
        (weight, bias), (readout, last) = model.list_plain_layers()
        return {
            "weight": Constant("weight", self._place(pad(weight.T, self.n_inner))),
            "bias": Constant("bias", self._place_first(bias)),
            "readout": [
                Constant(f"readout {output}", self._place_first(readout[:, output])) for output in range(self.n_outputs)
            ],
            "last": [
                Constant(f"last {output}", self._place_first(np.full(self.n_tiles, last[output])))
                for output in range(self.n_outputs)
            ],
        }

    def run(self, machine: Machine[Value], inputs: Sequence[Value], constants: Any) -> list[Value]:
        """One product, sum over features, square, product with readout weights, sum over units."""
        hidden = machine.rescale(machine.multiply(inputs[0], constants["weight"]))
        hidden = add_rotated(machine, hidden, list_doublings(1, self.n_inner))
        hidden = machine.relinearize(machine.square(machine.shift(hidden, constants["bias"])))
        answers = []
        for readout, last in zip(constants["readout"], constants["last"], strict=True):
            total = machine.rescale(machine.multiply(hidden, readout))
            total = add_rotated(machine, total, list_doublings(self.n_inner, self.n_tiles))
            answers.append(machine.shift(total, last))
        return answers

    def _place(self, values: np.ndarray) -> np.ndarray:
        """(unit, inner) as (1, position), units filled up with zeros."""
        return pad(values.T, self.n_tiles).T.reshape(1, -1)

    def _place_first(self, values: np.ndarray) -> np.ndarray:
        """(unit,) at the first position of each unit: (1, position)."""
        return self._place(pad(values[:, None], self.n_inner))


@dataclass(frozen=True)
class BlockLayout(Layout):
    """Position = feature or hidden unit, column = question. Tens of questions, any number of hidden layers.

    Attributes:
      hidden: widths of the hidden layers.
    """

    hidden: tuple[int, ...]

    name: ClassVar[str] = "block"
    idea: ClassVar[str] = "tens of questions side by side, matrices by diagonals with baby and giant steps"

    @property
    def n_positions(self) -> int:
        """The widest layer, rounded up."""
        return round_up(max(2, self.n_features, *self.hidden))

    @property
    def n_squares(self) -> int:
        """One per hidden layer."""
        return len(self.hidden)

    @property
    def n_baby(self) -> int:
        """Baby steps: about the square root of the positions."""
        return 1 << (self.n_positions.bit_length() // 2)

    @property
    def steps(self) -> tuple[int, ...]:
        """Baby steps, giant steps, and once around."""
        baby = range(1, self.n_baby)
        giant = range(self.n_baby, self.n_positions, self.n_baby)
        return tuple(sorted({*baby, *giant, *list_doublings(1, self.n_positions)}))

    def spread(self, rows: np.ndarray) -> np.ndarray:
        """Each row, filled up with zeros."""
        return pad(rows, self.n_positions)[None]

    def prepare(self, model: SquareNetwork) -> dict[str, Any]:
        """Diagonals of each hidden layer, turned for their giant step; readout by output."""
        *layers, (readout, last) = model.list_plain_layers()
        return {
            "hidden": [
                (self._cut_diagonals(weight, layer), Constant(f"bias {layer}", pad(bias[None], self.n_positions)))
                for layer, (weight, bias) in enumerate(layers)
            ],
            "readout": [
                Constant(f"readout {output}", pad(readout[None, :, output], self.n_positions))
                for output in range(self.n_outputs)
            ],
            "last": [everywhere(f"last {output}", last[output]) for output in range(self.n_outputs)],
        }

    def run(self, machine: Machine[Value], inputs: Sequence[Value], constants: Any) -> list[Value]:
        """Matrix, square, matrix, square, ..., then a weighted sum around the full cycle per output."""
        value = inputs[0]
        for diagonals, bias in constants["hidden"]:
            value = machine.rescale(self._multiply_matrix(machine, value, diagonals))
            value = machine.relinearize(machine.square(machine.shift(value, bias)))
        answers = []
        for readout, last in zip(constants["readout"], constants["last"], strict=True):
            total = machine.rescale(machine.multiply(value, readout))
            total = add_rotated(machine, total, list_doublings(1, self.n_positions))
            answers.append(machine.shift(total, last))
        return answers

    def _cut_diagonals(self, weight: np.ndarray, layer: int) -> dict[int, dict[int, Constant]]:
        """By giant and baby step, those that are not zero: diagonal k holds weight[(o + k) mod d, o] for output o."""
        size = self.n_positions
        square = np.zeros((size, size))
        square[: weight.shape[0], : weight.shape[1]] = weight
        outputs = np.arange(size)
        found: dict[int, dict[int, Constant]] = {}
        for giant in range(0, size, self.n_baby):
            for baby in range(self.n_baby):
                diagonal = square[(outputs + giant + baby) % size, outputs]
                if diagonal.any() or (giant == baby == 0):
                    name = f"diagonal {layer} {giant + baby}"
                    found.setdefault(giant, {})[baby] = Constant(name, np.roll(diagonal, giant)[None])
        return found

    def _multiply_matrix(
        self, machine: Machine[Value], value: Value, diagonals: dict[int, dict[int, Constant]]
    ) -> Value:
        """Baby rotations once, then a giant rotation per group of diagonals."""
        turned = {
            baby: machine.rotate(value, baby) if baby else value
            for baby in sorted({baby for group in diagonals.values() for baby in group})
        }
        totals = []
        for giant, group in diagonals.items():
            products = [machine.multiply(turned[baby], constant) for baby, constant in group.items()]
            total = products[0]
            for product in products[1:]:
                total = machine.add(total, product)
            totals.append(machine.rotate(total, giant) if giant else total)
        whole = totals[0]
        for total in totals[1:]:
            whole = machine.add(whole, total)
        return whole
