"""Scales as they come out with the primes that SEAL found, which are not quite powers of two.

Both sides work them out alike, in the order in which SEAL does: encrypted labels must have the very scale that the
residuals will have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinlab.protection.homomorphic.encrypted_training.scale_choice import N_LAST, TrainingScales
from twinlab.protection.homomorphic.seal import SEALContext


@dataclass(frozen=True)
class ExactScales:
    """Scales themselves, not their bits; named as in `TrainingScales`."""

    record: float
    weight: float
    factor: float
    residual: float


def find_exact_scales(context: SEALContext, scales: TrainingScales) -> ExactScales:
    """Follow an epoch's products and rescalings."""
    primes = [float(prime.value()) for prime in context.first_context_data().parms().coeff_modulus()]
    record, weight, factor = 2.0**scales.record, 2.0**scales.weight, 2.0**scales.factor
    logit = weight * record / primes[-1]
    square = logit * logit / primes[-2]
    slope = square * factor / primes[-3]
    return ExactScales(record, weight, factor, logit * slope / primes[-4])


def find_last_level(context: SEALContext) -> Any:
    """SEAL's name of the level of residuals, labels and gradients."""
    data = context.first_context_data()
    while len(data.parms().coeff_modulus()) > N_LAST:
        data = data.next_context_data()
    return data.parms_id()
