"""A machine that runs a layout's program on numbers: how large they get, how noise spreads, what it will cost.

It knows nothing of scales yet. For each place where noise enters, it keeps how much of that noise, in units of its
variance at its source, reaches the answer. A plan then tries thousands of scales by arithmetic alone.

Noise of different slots is independent, as the canonical embedding is an isometry up to scale. Within a layer terms
are independent as well. Terms that share an earlier layer are not, and there standard deviations add instead of
variances, which overstates.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from twinlab.errors import IncompatibleChoicesError
from twinlab.protection.homomorphic.layout import Layout
from twinlab.protection.homomorphic.machine import Constant

#: Where noise comes from: fresh encryption, encoding weights as a polynomial or as one number, rounding when a prime is
#: dropped, switching keys. The last has a peak in the first slot, a hundred times as high as elsewhere.
Origin = Literal["encryption", "weights", "weight", "rounding", "switching", "switching peak"]
#: An origin and the stage at which its noise enters; scale and level of that stage set how much.
Source = tuple[Origin, int]
#: A square of more than this has no room anywhere.
_HOPELESS = 2.0**200


@dataclass(frozen=True)
class Rehearsed:
    """A ciphertext's double.

    Attributes:
      values: (row, position), for rows of the calibration; private.
      bound: (position,), which no admitted row exceeds.
      gains: by source, variance per unit of variance there, (row, position) or one number.
      stage: of the schedule.
    """

    values: np.ndarray = field(repr=False)
    bound: np.ndarray
    gains: dict[Source, np.ndarray] = field(repr=False)
    stage: int


@dataclass
class RehearsalMachine:
    """Runs a program once for all rows.

    Attributes:
      bounds: by stage, the largest magnitude of a plaintext coefficient, which is at most the mean over slots.
      counts: how often each operation was done, by name and stage.
    """

    bounds: dict[int, float] = field(default_factory=dict)
    counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    _layer_starts: set[int] = field(default_factory=set)

    def enter(self, values: np.ndarray, bound: np.ndarray) -> Rehearsed:
        """A fresh ciphertext."""
        return self._keep(Rehearsed(values, bound, {("encryption", 0): np.ones(1)}, 0))

    def multiply(self, value: Rehearsed, constant: Constant) -> Rehearsed:
        """Position by position; the encoding's error reaches all positions, those with zero weights too."""
        self._count("multiply", value)
        self._layer_starts.add(value.stage)
        numbers = _repeat(constant, value)
        gains = {source: gain * numbers**2 for source, gain in value.gains.items()}
        gains[("weights", value.stage)] = value.values**2
        return self._keep(
            Rehearsed(value.values * numbers, value.bound * constant.find_largest(), gains, value.stage + 1)
        )

    def weigh(self, values: Sequence[Rehearsed], weights: np.ndarray) -> Rehearsed:
        """A weighted sum."""
        stage = values[0].stage
        self.counts["weigh", stage] += len(values)
        self._layer_starts.add(stage)
        total = sum(value.values * weight for value, weight in zip(values, weights, strict=True))
        bound = sum(value.bound * abs(weight) for value, weight in zip(values, weights, strict=True))
        gains: dict[Source, np.ndarray] = {}
        for source in {source for value in values for source in value.gains}:
            terms = [
                (value.gains[source], weight) for value, weight in zip(values, weights, strict=True)
                if source in value.gains
            ]  # fmt: skip
            if self._is_shared(source, stage + 1):
                gains[source] = np.asarray(sum(np.sqrt(gain) * abs(weight) for gain, weight in terms)) ** 2
            else:
                gains[source] = np.asarray(sum(gain * weight**2 for gain, weight in terms))
        gains[("weight", stage)] = np.asarray(sum(value.values**2 for value in values))
        return self._keep(Rehearsed(np.asarray(total), np.asarray(bound), gains, stage + 1))

    def add(self, total: Rehearsed, value: Rehearsed) -> Rehearsed:
        """Sum of two at the same stage."""
        gains = dict(total.gains)
        for source, gain in value.gains.items():
            before = gains.get(source)
            if before is None:
                gains[source] = gain
            elif self._is_shared(source, total.stage):
                gains[source] = (np.sqrt(before) + np.sqrt(gain)) ** 2
            else:
                gains[source] = before + gain
        return self._keep(Rehearsed(total.values + value.values, total.bound + value.bound, gains, total.stage))

    def shift(self, value: Rehearsed, constant: Constant) -> Rehearsed:
        """Numbers in the clear; their encoding at the ciphertext's own scale is lost in the noise there."""
        bound = value.bound + constant.find_largest()
        return self._keep(Rehearsed(value.values + _repeat(constant, value), bound, value.gains, value.stage))

    def rotate(self, value: Rehearsed, step: int) -> Rehearsed:
        """To the left, around the end."""
        self._count("switch", value)
        gains = {
            source: np.roll(gain, -step, axis=-1) if gain.ndim > 1 else gain for source, gain in value.gains.items()
        }
        turned = Rehearsed(
            np.roll(value.values, -step, axis=-1),
            np.roll(value.bound, -step) if value.bound.size > 1 else value.bound,
            gains,
            value.stage,
        )
        return self._switch(turned)

    def square(self, value: Rehearsed) -> Rehearsed:
        """Noise e becomes 2 v e; e^2 is far below.

        Raises:
          IncompatibleChoicesError: if values leave what any modulus could hold.
        """
        if value.bound.max() > _HOPELESS:
            raise IncompatibleChoicesError(
                f"overflow: expected values that fit a modulus, but before square {value.stage // 3 + 1} they need "
                f"more than {math.log2(_HOPELESS):.0f} bits; take fewer layers or smaller weights"
            )
        self._count("square", value)
        gains = {source: gain * 4 * value.values**2 for source, gain in value.gains.items()}
        return self._keep(Rehearsed(value.values**2, value.bound**2, gains, value.stage + 1))

    def relinearize(self, value: Rehearsed) -> Rehearsed:
        """Noise of switching keys."""
        self._count("switch", value)
        return self._switch(value)

    def rescale(self, value: Rehearsed) -> Rehearsed:
        """Noise of rounding, at the new scale."""
        self._count("rescale", value)
        gains = dict(value.gains)
        gains[("rounding", value.stage + 1)] = np.ones(1)
        return self._keep(Rehearsed(value.values, value.bound, gains, value.stage + 1))

    def _switch(self, value: Rehearsed) -> Rehearsed:
        """Noise of switching keys: everywhere, and more at the first position, as seen by the first column."""
        gains = dict(value.gains)
        peak = np.zeros((1, value.values.shape[-1]))
        peak[0, 0] = 1
        for origin, unit in (("switching", np.ones(1)), ("switching peak", peak)):
            source: Source = (origin, value.stage)  # type: ignore[assignment]
            gains[source] = gains[source] + unit if source in gains else unit
        return Rehearsed(value.values, value.bound, gains, value.stage)

    def _is_shared(self, source: Source, stage: int) -> bool:
        """Whether terms of a sum at that stage have this noise in common: it entered before the previous layer."""
        starts = sorted(start for start in self._layer_starts if start < stage)
        return len(starts) > 1 and source[1] <= starts[-2]

    def _count(self, what: str, value: Rehearsed) -> None:
        self.counts[what, value.stage] += 1

    def _keep(self, value: Rehearsed) -> Rehearsed:
        """Note how large a coefficient may be: at most the mean magnitude of the slots."""
        self.bounds[value.stage] = max(self.bounds.get(value.stage, 0.0), float(np.mean(value.bound)))
        return value


def _repeat(constant: Constant, value: Rehearsed) -> np.ndarray:
    """A constant's columns, repeated to as many as a value has."""
    return constant.numbers[np.arange(len(value.values)) % len(constant.numbers)]


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal found; nothing in it is about a single row.

    Attributes:
      bounds: by stage, bound on the magnitude of coefficients.
      output_bound: bound on the magnitude of answers.
      gains: by source, the most that reaches an answer of any row.
      counts: operations, by name and stage.
    """

    bounds: tuple[float, ...]
    output_bound: float
    gains: dict[Source, float]
    counts: dict[tuple[str, int], int]


def rehearse(layout: Layout, constants: Any, rows: np.ndarray, bound: np.ndarray) -> Rehearsal:
    """Run a layout's program on numbers.

    Args:
      layout, constants: the program.
      rows: (ciphertext, column, position), a column per calibration row and output; private.
      bound: (ciphertext, position) which no admitted row exceeds.

    Returns:
      What a plan needs.
    """
    machine = RehearsalMachine()
    inputs = [machine.enter(values, limit) for values, limit in zip(rows, bound, strict=True)]
    answers = layout.run(machine, inputs, constants)
    gains: dict[Source, float] = {}
    for answer in answers:
        for source, gain in answer.gains.items():
            read = gain[..., :1] if gain.ndim > 1 else gain
            gains[source] = max(gains.get(source, 0.0), float(np.max(read)))
    n_stages = max(machine.bounds) + 1
    return Rehearsal(
        bounds=tuple(machine.bounds[stage] for stage in range(n_stages)),
        output_bound=max(float(answer.bound.flat[0]) for answer in answers),
        gains=gains,
        counts=dict(machine.counts),
    )
