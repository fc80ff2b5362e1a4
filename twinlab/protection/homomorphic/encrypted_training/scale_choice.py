"""Primes and scales of an epoch of training, and how exact its gradient is.

An epoch multiplies six times in a row: weights and records, the square of their sum, a constant, the sum once more,
and records again. It rescales four times, not after the last product, which is decrypted anyway. What it must hold at
the end is large, a sum over all records at their bounds; so two primes are left for it, as one would be too short, and
two short ones switch keys with less noise than a long one.

Noise of the records' slots is independent, so the mean gradient has it divided by the root of their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from twinlab.protection.homomorphic.encrypted_training.block_layout import BlockLayout
from twinlab.protection.homomorphic.encrypted_training.plain_training import CUBIC, LINEAR, TRUSTED_LOGIT
from twinlab.protection.homomorphic.noise import SIGMAS, find_source_variances
from twinlab.protection.homomorphic.parameters import LONGEST_PRIME, SHORTEST_PRIME, RingParameters, find_ceiling
from twinlab.protection.homomorphic.rehearsal import Source

#: Rescalings before a gradient, and primes that it is left with.
N_RESCALINGS, N_LAST = 4, 2
#: Magnitudes of all weights together, the bias with them. Standardised features and a penalty stay far below.
WEIGHT_BOUND = 20.0
#: A bit for the sign, and one of margin.
GUARD_BITS = 2
#: Shorter special primes make noise, shorter scales hold no number.
_LEAST_SPECIAL, _LEAST_SCALE = 28, 10
#: Residuals carry more noise than fresh records, and get so many bits more of what there is.
_RESIDUAL_LEAD = 4
#: What the stated error assumes of a model: weights' root of squares. Its logits are within `TRUSTED_LOGIT`.
_WEIGHT_NORM = TRUSTED_LOGIT


@dataclass(frozen=True)
class TrainingScales:
    """Scales in bits, of what is encrypted or encoded. Those between follow from them and the primes.

    Attributes:
      record, weight: of fresh ciphertexts.
      logit: after the first rescaling, and of the square after the second.
      factor: of the constant that the square is multiplied by.
      slope: after the third rescaling.
      residual: after the fourth, and of the encrypted labels.
    """

    record: int
    weight: int
    logit: int
    factor: int
    slope: int
    residual: int


@dataclass(frozen=True)
class TrainingStage:
    """Where values stand, and what the modulus has room for there.

    Attributes:
      name: in words.
      scale_bits: scale.
      bound: no admitted records and weights give a larger number.
      modulus_bits: what is left of the modulus.
    """

    name: str
    scale_bits: int
    bound: float
    modulus_bits: int

    @property
    def spare_bits(self) -> float:
        """Bits beyond value, scale, sign and margin; below zero a value could wrap around."""
        return self.modulus_bits - GUARD_BITS - self.scale_bits - math.log2(max(self.bound, 1.0))


@dataclass(frozen=True)
class ChosenScales:
    """Ring and scales with the least noise.

    Attributes:
      ring: degree and primes.
      scales: in bits.
      gradient_error: a number of the mean gradient is not further from the plain one, but once in 500 million.
    """

    ring: RingParameters
    scales: TrainingScales
    gradient_error: float


def find_largest_residual(logit_bound: float) -> float:
    """The cubic sigmoid less a label, at the largest logit."""
    return 1.0 + abs(LINEAR) * logit_bound + abs(CUBIC) * logit_bound**3


def list_stages(
    ring: RingParameters, scales: TrainingScales, layout: BlockLayout, bound: float
) -> tuple[TrainingStage, ...]:
    """Each stage of an epoch at which a value could wrap around, for numbers in blocks up to `bound`."""
    logit_bound = bound * WEIGHT_BOUND
    residual = find_largest_residual(logit_bound)
    slope = abs(LINEAR) + abs(CUBIC) * logit_bound**2
    levels = [ring.find_bits_at(level) for level in range(len(ring.data_bits))]
    total = layout.n_records * bound * residual
    return (
        TrainingStage("records", scales.record, bound, levels[5]),
        TrainingStage("weights", scales.weight, WEIGHT_BOUND, levels[5]),
        TrainingStage("records times weights", scales.record + scales.weight, logit_bound, levels[5]),
        TrainingStage("logits", scales.logit, logit_bound, levels[4]),
        TrainingStage("squares", 2 * scales.logit, logit_bound**2, levels[4]),
        TrainingStage("squares, rescaled", scales.logit, logit_bound**2, levels[3]),
        TrainingStage("slopes", scales.logit + scales.factor, slope, levels[3]),
        TrainingStage("slopes, rescaled", scales.slope, slope, levels[2]),
        TrainingStage("logits times slopes", scales.logit + scales.slope, residual, levels[2]),
        TrainingStage("residuals", scales.residual, residual, levels[1]),
        TrainingStage("gradient", scales.residual + scales.record, total, levels[1]),
    )


def choose_scales(layout: BlockLayout, ring_degree: int, bound: float, *, quantum_safe: bool) -> ChosenScales | None:
    """The primes and scales with the least noise of those in which nothing can wrap around; None if there are none.

    Args:
      layout: how many records there are, and how they lie.
      ring_degree: of the ring.
      bound: of numbers in blocks.
      quantum_safe: keep 128-bit security against quantum computers as well.
    """
    total = layout.n_records * bound * find_largest_residual(bound * WEIGHT_BOUND)
    last, middle, fourth = (
        each.ravel() for each in np.meshgrid(np.arange(24, 49), np.arange(22, 41), np.arange(22, 51, 2), indexing="ij")
    )
    special = find_ceiling(ring_degree, quantum_safe=quantum_safe) - N_LAST * last - 3 * middle - fourth
    special = np.minimum(special, LONGEST_PRIME)
    room = N_LAST * last - GUARD_BITS - math.ceil(math.log2(total))
    record = (room - _RESIDUAL_LEAD) // 2
    residual = room - record
    slope = residual + fourth - middle
    scales = np.stack([record, 2 * middle - record, middle, slope, slope, residual], axis=1)
    primes = np.stack([last, last, fourth, middle, middle, middle, special], axis=1)
    is_sound = (special >= _LEAST_SPECIAL) & (scales.min(1) >= _LEAST_SCALE) & (primes.min(1) >= SHORTEST_PRIME)
    is_sound &= scales.max(1) <= LONGEST_PRIME
    scales, primes = scales[is_sound], primes[is_sound]
    if not len(scales):
        return None
    errors = _find_errors(layout, ring_degree, scales, primes)
    for best in np.argsort(errors):
        ring = RingParameters(ring_degree, tuple(map(int, primes[best])))
        found = TrainingScales(*map(int, scales[best]))
        if all(stage.spare_bits >= 0 for stage in list_stages(ring, found, layout, bound)):
            return ChosenScales(ring, found, float(errors[best]))
    return None


def _find_errors(layout: BlockLayout, ring_degree: int, scales: np.ndarray, primes: np.ndarray) -> np.ndarray:
    """Error of the mean gradient, by candidate.

    For standardised features, of mean square one. Noise of keys switched before a rescaling is lost in that of the
    rescaling. What slots without a record add is of second order.
    """
    record, weight, logit, factor, slope, residual = range(6)
    by_stage = np.column_stack([scales, scales[:, residual] + scales[:, record]])
    gradient = 6
    sources: list[Source] = [
        ("encryption", record),
        ("encryption", weight),
        ("rounding", logit),
        ("switching", logit),
        ("switching peak", logit),
        ("rounding", slope),
        ("encryption", residual),
        ("rounding", residual),
        ("switching", residual),
        ("switching peak", residual),
        ("switching", gradient),
        ("switching peak", gradient),
    ]
    found = find_source_variances(
        sources,
        ring_degree,
        by_stage.astype(float),
        np.zeros_like(by_stage, dtype=float),
        [6, 6, 5, 4, 3, 2, 2],
        primes[:, :-1].astype(float),
        primes[:, -1].astype(float),
    )
    at = dict(zip(sources, found, strict=True))
    width, n_records = layout.width, layout.n_records
    steepest = abs(LINEAR)
    of_logit = (
        _WEIGHT_NORM**2 * at["encryption", record]
        + (layout.n_features + 1) * at["encryption", weight]
        + width * (at["rounding", logit] + at["switching", logit])
    )
    # The factor is an encoding of few coefficients, each rounded. Squares come at a scale where their noise is nothing.
    of_slope = at["rounding", slope] + width / 12 * 4.0 ** -scales[:, factor] * TRUSTED_LOGIT**4
    in_slots = TRUSTED_LOGIT**2 * of_slope + sum(at[what, residual] for what in ("rounding", "encryption", "switching"))
    of_residual = steepest**2 * of_logit + width * in_slots
    peaks = at["switching peak", residual] + steepest**2 * at["switching peak", logit]
    of_sum = layout.block_records * at["switching", gradient] + at["switching peak", gradient]
    variance = (of_residual + at["encryption", record]) / n_records + (peaks + of_sum) / n_records**2
    return np.asarray(SIGMAS * np.sqrt(variance))
