"""How large the noise of encrypted arithmetic is, and how much has to be added before a result may be shared.

Standard deviations of the noise in a slot's real part. Sources: Cheon et al., "Homomorphic Encryption for Arithmetic
of Approximate Numbers", ASIACRYPT 2017, section 3, with averages instead of worst cases, for SEAL's ternary keys and
centred binomial errors.

SEAL switches keys with digits from 0 up to each prime instead of around zero. So the polynomial of digits has a mean,
half the prime in each of its n coefficients, and such a polynomial is large near 1. Slots belong to roots of unity, the
first slot to the one nearest 1, and there the noise is about sqrt(n) times what it is elsewhere. Measured: a batch's
first answer was off ten times as far as the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from twinlab.protection.homomorphic.rehearsal import Source

#: Variance of a coefficient of SEAL's errors: centred binomial of 42 coins.
ERROR_VARIANCE = 10.5
#: Expected squared norm of a ternary key, per coefficient.
_KEY_VARIANCE = 2 / 3
#: So many standard deviations are counted as the error of an answer: passed once in 500 million.
SIGMAS = 6.0
#: A key holder shares at most so many results under one key, and each bit of statistical security costs half a bit of
#: precision. Both as in the rule below.
MOST_SHARED_RESULTS = 1024
STATISTICAL_BITS = 40
#: An answer may be as noisy as this times what was planned and still be shared; flooding is chosen for it.
SHARING_SLACK = 2.0


def find_source_variances(
    sources: Sequence[Source],
    ring_degree: int,
    scale_bits: np.ndarray,
    weight_bits: np.ndarray,
    n_primes_left: Sequence[int],
    data_bits: np.ndarray,
    special_bits: np.ndarray,
) -> np.ndarray:
    """Variance of a slot's noise where it enters: (source, candidate).

    Args:
      sources: which.
      ring_degree: n.
      scale_bits: (candidate, stage).
      weight_bits: (candidate, stage), scale of what is multiplied at that stage.
      n_primes_left: by stage.
      data_bits: (candidate, prime).
      special_bits: (candidate,), of the prime that serves to switch keys.
    """
    # A slot's real part collects half of n independent coefficients.
    per_slot = ring_degree / 2
    rounding = (1 + _KEY_VARIANCE * ring_degree) / 12
    variances = []
    for origin, stage in sources:
        scale, weight = 4.0 ** -scale_bits[:, stage], 4.0 ** -weight_bits[:, stage]
        if origin == "encryption":
            variance = (ERROR_VARIANCE + 1 / 12) * per_slot * scale
        elif origin == "weights":
            variance = per_slot / 12 * weight
        elif origin == "weight":
            variance = weight / 12
        elif origin == "rounding":
            variance = rounding * per_slot * scale
        else:
            digits = (4.0 ** data_bits[:, : n_primes_left[stage]]).sum(1) * ERROR_VARIANCE * 4.0**-special_bits
            if origin == "switching":
                variance = (ring_degree / 12 * digits + rounding) * per_slot * scale
            else:
                # The sum of a geometric series at the root nearest 1, exp(i pi / n), has magnitude 2 n / pi.
                variance = (ring_degree / math.pi) ** 2 * digits * per_slot * scale
        variances.append(variance)
    return np.array(variances)


def find_flooding_deviation(noise_deviation: float) -> float:
    """Standard deviation of the noise that hides the noise of encryption, before a result is shared.

    A CKKS result is the truth plus noise that depends on the secret key, and two results give the key away (Li and
    Micciancio, "On the Security of Homomorphic Encryption on Approximate Numbers", EUROCRYPT 2021).

    Source: sqrt(12 tau) * 2^(s/2) * deviation for s bits of statistical security over tau results (Li, Micciancio,
    Schultz, Sorrell, "Securing Approximate Homomorphic Encryption Using Differential Privacy", CRYPTO 2022, as used by
    OpenFHE, CKKS_NOISE_FLOODING.md). The deviation is taken as `SHARING_SLACK` times the planned one, which each
    answer is checked against.
    """
    return math.sqrt(12 * MOST_SHARED_RESULTS) * 2.0 ** (STATISTICAL_BITS / 2) * SHARING_SLACK * noise_deviation
