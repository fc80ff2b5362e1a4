"""Noisy counts made likelier: what is known of all tables is used, and nothing of this one beyond what was released.

A marginal is taken as a base (what is believed without it, such as no dependence) and a difference from it. The
difference is drawn towards zero by as much as noise explains it: first in frequencies, as neighbouring bins differ
little, then cell by cell, as where few are expected few can be missing. Both weights are estimated from the noisy
counts themselves (James and Stein, Estimation with quadratic loss, 1961; Wiener's filter). At last all counts are made
at least zero and their sum is kept (the nearest such point). All of this is post-processing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twinlab.protection.synthetic.domain import Attribute
from twinlab.protection.synthetic.marginal import Places


@dataclass(frozen=True, repr=False)
class Axis:
    """How the codes of one attribute are seen as frequencies.

    Attributes:
      waves: (code, frequency), orthonormal columns: cosines over ordered bins, each other code on its own.
      bands: (frequency,) frequencies of one band are drawn towards zero alike; a band is an octave.
    """

    waves: np.ndarray
    bands: np.ndarray


def make_axis(attribute: Attribute) -> Axis:
    """Frequencies of an attribute's codes."""
    n, n_ordered = attribute.n_codes, attribute.n_ordered
    waves, bands = np.eye(n), np.zeros(n, dtype=np.int64)
    if n_ordered:
        at = np.arange(n_ordered)
        cosines = np.cos(np.pi * (at[:, None] + 0.5) * at / n_ordered)
        waves[:n_ordered, :n_ordered] = cosines / np.linalg.norm(cosines, axis=0)
        bands[:n_ordered] = np.ceil(np.log2(1 + at))
        bands[n_ordered:] = bands.max() + 1
    return Axis(waves, bands)


def shrink_counts(noisy: np.ndarray, base: np.ndarray, variance: float, axes: Sequence[Axis]) -> np.ndarray:
    """Likelier counts with the sum of the base, each at least zero.

    Args:
      noisy: counts with noise, an axis an attribute; released.
      base: what is believed without them, of the same shape.
      variance: of the noise in each cell.
      axes: of the attributes.
    """
    difference, left = _shrink_bands(noisy - base, variance, axes)
    expected = np.maximum(base, 0.0)
    spread = max(float((difference**2 - left).sum()) / max(float(expected.sum()), 1e-12), 0.0)
    # the tiny share keeps 0 / 0 away where there is neither noise nor anybody
    share = spread * expected / (spread * expected + left + 1e-12)
    return project_counts(base + share * difference, float(base.sum()))


def project_counts(counts: np.ndarray, total: float) -> np.ndarray:
    """The nearest counts that are at least zero and have this sum.

    >>> project_counts(np.array([3.0, 1.0, -2.0]), 2.0).tolist()
    [2.0, 0.0, 0.0]
    """
    falling = np.sort(counts, axis=None)[::-1]
    excess = (np.cumsum(falling) - total) / np.arange(1, falling.size + 1)
    level = excess[np.nonzero(falling > excess)[0][-1]] if total > 0 else np.inf
    return np.maximum(counts - level, 0.0)


def combine_bins(
    own: Sequence[np.ndarray],
    own_variance: float,
    measured: Mapping[Places, np.ndarray],
    variance: float,
    axes: Sequence[Axis],
) -> list[np.ndarray]:
    """Each attribute's bins from all that was measured of them, weighed by precision, then made likelier.

    Args:
      own: (code,) noisy bins of each attribute.
      own_variance: of their noise.
      measured: noisy marginals, which have been added up over the other attributes.
      variance: of their noise, before adding up.
      axes: of the attributes.
    """
    n_people = max(float(np.mean([bins.sum() for bins in own])), 1.0)
    combined = []
    for place, bins in enumerate(own):
        evidence, precision = [bins], [1 / own_variance]
        for places, counts in measured.items():
            if place in places:
                other = tuple(at for at, each in enumerate(places) if each != place)
                evidence.append(counts.sum(axis=other))
                precision.append(bins.size / (variance * counts.size))
        mean = np.average(evidence, axis=0, weights=precision)
        even = np.full(bins.size, n_people / bins.size)
        combined.append(shrink_counts(mean, even, 1 / sum(precision), [axes[place]]))
    return combined


def expect_independent(bins: Sequence[np.ndarray]) -> np.ndarray:
    """Counts of attributes that say nothing of each other, from their bins."""
    counts = bins[0]
    for each in bins[1:]:
        counts = counts[..., None] * (each / each.sum())
    return counts


def _shrink_bands(difference: np.ndarray, variance: float, axes: Sequence[Axis]) -> tuple[np.ndarray, float]:
    """A difference with each band of frequencies drawn towards zero, and the variance of the noise that is left."""
    bands = np.zeros((), dtype=np.int64)
    for axis in axes:
        bands = bands[..., None] * 16 + axis.bands
        difference = np.tensordot(difference, axis.waves, axes=(0, 0))
    energy, n = np.bincount(bands.ravel(), (difference**2).ravel()), np.bincount(bands.ravel())
    share = np.maximum(0.0, 1 - n * variance / np.maximum(energy, 1e-12))[bands]
    difference = difference * share
    for axis in axes:
        difference = np.tensordot(difference, axis.waves, axes=(0, 1))
    return difference, variance * float((share**2).mean())
