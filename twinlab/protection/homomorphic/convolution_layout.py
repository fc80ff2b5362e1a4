"""Layouts of a 1-D convolution with a square and a dense layer: a window in one ciphertext, or many side by side.

*Tiled convolution*: position = filter, channel and time. Taps are rotations by single steps of the question; each
product covers all filters, channels and times.

*Packed convolution*: a ciphertext per channel, position = time, column = window. Taps are rotations of the channels,
shared by all filters; filters are weighted sums with single numbers.

In both, rotations carry numbers across the ends of windows and channels. What is valid is picked by dense weights that
are zero elsewhere, and the last sum goes around the full cycle, so that nothing else is left in the answer.
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
from twinlab.protection.homomorphic.model import ConvolutionModel


@dataclass(frozen=True)
class _ConvolutionLayout(Layout):
    """What both share.

    Attributes:
      n_channels, n_steps: of a window.
      n_filters, n_taps: of the kernel.
    """

    n_channels: int
    n_steps: int
    n_filters: int
    n_taps: int

    @property
    def n_times(self) -> int:
        """Time steps, rounded up."""
        return round_up(self.n_steps)

    @property
    def n_squares(self) -> int:
        """One."""
        return 1


@dataclass(frozen=True)
class TiledConvolutionLayout(_ConvolutionLayout):
    """Position = filter, channel and time. One window at a time, or a few short ones."""

    name: ClassVar[str] = "tiled convolution"
    idea: ClassVar[str] = "a window repeated for each filter: each tap is one product"

    @property
    def _shape(self) -> tuple[int, int, int]:
        """Filter, channel, time; all powers of two."""
        return round_up(self.n_filters), round_up(self.n_channels), self.n_times

    @property
    def n_positions(self) -> int:
        """Filters times channels times steps."""
        return int(np.prod(self._shape))

    @property
    def steps(self) -> tuple[int, ...]:
        """Taps, and once around everything, which includes the sum over channels."""
        return tuple(sorted({*range(1, self.n_taps), *list_doublings(1, self.n_positions)}))

    def spread(self, rows: np.ndarray) -> np.ndarray:
        """Each window, channels and steps filled up, repeated for each filter."""
        n_filters, n_channels, n_times = self._shape
        windows = pad(rows.reshape(-1, self.n_channels, self.n_steps), n_times)
        windows = pad(windows.transpose(0, 2, 1), n_channels).transpose(0, 2, 1)
        return np.tile(windows.reshape(len(rows), -1), n_filters)[None]

    def prepare(self, model: ConvolutionModel) -> dict[str, Any]:
        """Kernel by tap at all valid times; biases and dense weights at the first channel of each filter."""
        model = model.to_plain_square()
        n_valid = self.n_steps - self.n_taps + 1
        taps = []
        for tap in range(self.n_taps):
            placed = np.zeros(self._shape)
            placed[: self.n_filters, : self.n_channels, :n_valid] = model.kernel[:, :, tap, None]
            taps.append(Constant(f"tap {tap}", placed.reshape(1, -1)))
        bias = np.zeros(self._shape)
        bias[: self.n_filters, 0, :n_valid] = model.kernel_bias[:, None]
        dense = np.zeros((self.n_outputs, *self._shape))
        dense[:, : self.n_filters, 0, :n_valid] = model.dense
        return {
            "taps": taps,
            "bias": Constant("bias", bias.reshape(1, -1)),
            "dense": [Constant(f"dense {output}", each.reshape(1, -1)) for output, each in enumerate(dense)],
            "last": [everywhere(f"last {output}", number) for output, number in enumerate(model.dense_bias)],
        }

    def run(self, machine: Machine[Value], inputs: Sequence[Value], constants: Any) -> list[Value]:
        """Taps, sum over channels, square, dense weights, sum around everything."""
        _, n_channels, n_times = self._shape
        total = machine.multiply(inputs[0], constants["taps"][0])
        for tap, constant in enumerate(constants["taps"][1:], start=1):
            total = machine.add(total, machine.multiply(machine.rotate(inputs[0], tap), constant))
        total = add_rotated(machine, machine.rescale(total), list_doublings(n_times, n_channels))
        hidden = machine.relinearize(machine.square(machine.shift(total, constants["bias"])))
        answers = []
        for dense, last in zip(constants["dense"], constants["last"], strict=True):
            answer = machine.rescale(machine.multiply(hidden, dense))
            answer = add_rotated(machine, answer, list_doublings(1, self.n_positions))
            answers.append(machine.shift(answer, last))
        return answers


@dataclass(frozen=True)
class PackedConvolutionLayout(_ConvolutionLayout):
    """A ciphertext per channel, position = time, column = window. Tens of windows and more."""

    name: ClassVar[str] = "packed convolution"
    idea: ClassVar[str] = "a ciphertext per channel, windows side by side, rotations shared by all filters"

    @property
    def n_positions(self) -> int:
        """Time steps, rounded up."""
        return self.n_times

    @property
    def n_ciphertexts(self) -> int:
        """One per channel."""
        return self.n_channels

    @property
    def steps(self) -> tuple[int, ...]:
        """Taps, and once around all times."""
        return tuple(sorted({*range(1, self.n_taps), *list_doublings(1, self.n_positions)}))

    def spread(self, rows: np.ndarray) -> np.ndarray:
        """Channels first."""
        return pad(rows.reshape(-1, self.n_channels, self.n_steps), self.n_times).transpose(1, 0, 2)

    def prepare(self, model: ConvolutionModel) -> dict[str, Any]:
        """Kernels as numbers by channel and tap; dense weights that are zero where a window ends."""
        model = model.to_plain_square()
        dense = pad(model.dense, self.n_times)
        return {
            "kernels": model.kernel.reshape(self.n_filters, -1),
            "biases": [everywhere(f"bias {each}", number) for each, number in enumerate(model.kernel_bias)],
            "dense": [
                [Constant(f"dense {output} {each}", dense[output, each][None]) for each in range(self.n_filters)]
                for output in range(self.n_outputs)
            ],
            "last": [everywhere(f"last {output}", number) for output, number in enumerate(model.dense_bias)],
        }

    def run(self, machine: Machine[Value], inputs: Sequence[Value], constants: Any) -> list[Value]:
        """Rotations shared by filters, weighted sums, squares, dense weights, sum around all times."""
        turned = [machine.rotate(value, tap) if tap else value for value in inputs for tap in range(self.n_taps)]
        hidden = []
        for kernel, bias in zip(constants["kernels"], constants["biases"], strict=True):
            total = machine.rescale(machine.weigh(turned, kernel))
            hidden.append(machine.square(machine.shift(total, bias)))
        answers = []
        for by_filter, last in zip(constants["dense"], constants["last"], strict=True):
            products = [machine.multiply(value, dense) for value, dense in zip(hidden, by_filter, strict=True)]
            total = products[0]
            for product in products[1:]:
                total = machine.add(total, product)
            total = machine.rescale(machine.relinearize(total))
            answers.append(machine.shift(add_rotated(machine, total, list_doublings(1, self.n_positions)), last))
        return answers
