"""Audit of Poisson sampling: each unit in each batch by its own coin, at the declared probability.

A shuffled or a fixed order is often run under the accounting of Poisson sampling, whose amplification it does not have
(Chua et al., How private are DP-SGD implementations?, ICML 2024; Annamalai et al., To shuffle or not to shuffle, 2024).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import bdtr, bdtrc, chdtr, chdtrc

from twinlab.attacks.confidence import FALSE_ALARM_RATE
from twinlab.attacks.promise import AuditReport, Check, Sampler
from twinlab.errors import SpecificationError


def audit_sampler(
    sample: Sampler,
    sampling_probability: float,
    *,
    n_units: int = 400,
    n_batches: int = 500,
    false_alarm_rate: float = FALSE_ALARM_RATE,
) -> AuditReport:
    """Audit how batches are drawn.

    Args:
      sample: called as sample(n_units), gives one batch as (unit,) booleans; its randomness is its own.
      sampling_probability: declared; public. At 1, all units must be in every batch.
      n_units: how many made-up units to draw from.
      n_batches: how many batches to draw.
      false_alarm_rate: chance of calling a Poisson sampler broken.

    Returns:
      A report without a bound. It checks the rate of inclusion, over all and of the most favoured unit; the variance of
      the batch size, which shuffling makes zero; how often a unit is in two batches in a row; and whether whole batches
      come again.

    Raises:
      SpecificationError: if the probability is none, there are too few batches, or the sampler gives something else.

    >>> rng = np.random.default_rng(0)
    >>> audit_sampler(lambda n_units: rng.random(n_units) < 0.1, 0.1).verdict
    'consistent'
    """
    if not 0 < sampling_probability <= 1:
        raise SpecificationError(
            f"sampling_probability: expected more than 0, at most 1, got {sampling_probability}; take the public rate"
        )
    if n_batches < 4 or n_units < 2:
        raise SpecificationError(
            f"sampler: expected at least 4 batches of 2 units, got {n_batches} of {n_units}; ask for more"
        )
    batches = np.stack([_draw(sample, n_units) for _ in range(n_batches)])
    if sampling_probability == 1:
        n_missing = int((~batches).sum())
        fault = "Units are left out although every step claims to use them all."
        checks = [Check("units left out", float(n_missing), 0.0, float(n_missing == 0), fault)]
    else:
        checks = [
            *_check_rate(batches, sampling_probability),
            _check_size(batches, sampling_probability),
            _check_repeats(batches, sampling_probability),
            _check_copies(batches, sampling_probability),
        ]
    return AuditReport(
        name="sampler",
        checks=tuple(checks),
        false_alarm_rate=false_alarm_rate,
        remarks=(f"{n_batches} batches of {n_units} made-up units.",),
    )


def _draw(sample: Sampler, n_units: int) -> np.ndarray:
    mask = np.asarray(sample(n_units))
    if mask.shape != (n_units,) or mask.dtype != bool:
        raise SpecificationError(
            f"sampler: expected ({n_units},) booleans, got {mask.shape} of {mask.dtype}; turn row numbers into a mask"
        )
    return mask


def _check_rate(batches: np.ndarray, probability: float) -> list[Check]:
    """Inclusion over all, and of the unit that is drawn most often; too rare harms nobody's privacy."""
    n_batches, n_units = batches.shape
    counts = batches.sum(0)
    total, most = int(counts.sum()), int(counts.max())
    p_total = _tail(total, batches.size, probability)
    p_most = min(1.0, n_units * _tail(most, n_batches, probability))
    often = "Units are drawn more often than declared, so that sampling hides them less than was accounted."
    favoured = "Some units are drawn more often than declared; sampling must treat all alike."
    return [
        Check("rate of inclusion", total / batches.size, probability, p_total, often),
        Check("rate of the most drawn unit", most / n_batches, probability, p_most, favoured),
    ]


def _check_size(batches: np.ndarray, probability: float) -> Check:
    """Variance of the batch size against N q (1 - q); degrees of freedom shrunk for the kurtosis of a binomial."""
    n_batches, n_units = batches.shape
    expected = n_units * probability * (1 - probability)
    variance = float(batches.sum(1).var(ddof=1))
    kurtosis = (1 - 6 * probability * (1 - probability)) / expected
    n_free = 2 / (2 / (n_batches - 1) + max(kurtosis, 0.0) / n_batches)
    statistic = n_free * variance / expected
    p_value = min(1.0, 2 * min(float(chdtr(n_free, statistic)), float(chdtrc(n_free, statistic))))
    fault = "Batch sizes do not vary as independent coins would: this is not Poisson sampling (a shuffle has one size)."
    return Check("variance of the batch size over N q (1 - q)", variance / expected, 1.0, p_value, fault)


def _check_repeats(batches: np.ndarray, probability: float) -> Check:
    """Units in two batches in a row, over pairs of batches that do not overlap: binomial with q squared."""
    n_pairs = len(batches) // 2
    both = int((batches[0 : 2 * n_pairs : 2] & batches[1 : 2 * n_pairs : 2]).sum())
    n_trials, rate = n_pairs * batches.shape[1], probability**2
    p_value = min(1.0, 2 * min(float(bdtr(both, n_trials, rate)), _tail(both, n_trials, rate)))
    fault = "Whether a unit is drawn depends on the batch before: sampling is without replacement or in a fixed order."
    return Check("units drawn twice in a row", both / n_trials, rate, p_value, fault)


def _check_copies(batches: np.ndarray, probability: float) -> Check:
    """Whole batches that come again; their expected number bounds the chance of any."""
    n_batches, n_units = batches.shape
    n_copies = n_batches - len(np.unique(batches, axis=0))
    expected = math.comb(n_batches, 2) * (probability**2 + (1 - probability) ** 2) ** n_units
    fault = "The same batches come again: the sampler's randomness repeats."
    return Check("batches that come again", n_copies, expected, min(1.0, expected) if n_copies else 1.0, fault)


def _tail(n_hits: int, n_trials: int, probability: float) -> float:
    """P(at least this many hits)."""
    return 1.0 if n_hits <= 0 else float(bdtrc(n_hits - 1, n_trials, probability))
