"""Discrete Gaussian noise has its exact distribution. The noise is a rehearsal's, so outcomes never change."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from twinlab.errors import SpecificationError
from twinlab.protection.differential_privacy.discrete_gaussian import (
    LARGEST_SCALE,
    _decide,
    _is_below,
    draw_discrete_gaussian,
)
from twinlab.protection.differential_privacy.randomness import NoiseSource


def compare_with_the_exact_one(drawn, scale):
    """p-value of Pearson's chi-square, rare values in one cell on either side."""
    far = math.ceil(4.5 * scale)
    values = np.arange(-20 * scale, 20 * scale + 1)
    chances = np.exp(-(values**2) / (2 * scale**2))
    chances /= chances.sum()
    inner = np.abs(values) <= far
    expected = np.concatenate([[chances[values < -far].sum()], chances[inner], [chances[values > far].sum()]])
    counts = np.bincount(np.clip(drawn, -far - 1, far + 1) + far + 1, minlength=2 * far + 3)
    kept = expected * len(drawn) > 0.5
    return stats.chisquare(counts[kept], expected[kept] / expected[kept].sum() * counts[kept].sum()).pvalue


@pytest.mark.parametrize("scale", [1, 2, 5, 30])
def test_small_scales_have_the_exact_probabilities(scale):
    drawn = draw_discrete_gaussian(NoiseSource(rehearsal_seed=scale), scale, 200_000)
    assert compare_with_the_exact_one(drawn, scale) > 1e-6


def test_other_distributions_are_told_from_it():
    """The control: what is not rejected is Laplace noise, and a rounded Gaussian of scale 1 is too wide."""
    laplace = NoiseSource(rehearsal_seed=1).draw_discrete_laplace(Fraction(1, 5), (200_000,))
    assert compare_with_the_exact_one(laplace, 5) < 1e-12
    rounded = np.rint(np.random.default_rng(0).normal(size=200_000)).astype(int)
    assert compare_with_the_exact_one(rounded, 1) < 1e-12


@pytest.mark.parametrize("scale", [2**24, LARGEST_SCALE])
def test_large_scales_are_as_a_normal_distribution(scale):
    drawn = draw_discrete_gaussian(NoiseSource(rehearsal_seed=7), scale, 100_000) / scale
    assert stats.kstest(drawn, "norm").pvalue > 1e-6
    assert stats.chi2.sf(float(drawn @ drawn), len(drawn)) == pytest.approx(0.5, abs=0.5 - 1e-6)
    low, high = (stats.binom.ppf(level, len(drawn), 2 * stats.norm.sf(3.5)) for level in (1e-6, 1 - 1e-6))
    assert low <= (np.abs(drawn) > 3.5).sum() <= high


def test_values_are_drawn_independently_of_each_other():
    drawn = draw_discrete_gaussian(NoiseSource(rehearsal_seed=3), 1000, 100_000) / 1000
    assert abs(float(drawn[:-1] @ drawn[1:])) < 5 * math.sqrt(len(drawn))


def test_where_floats_are_in_doubt_exact_numbers_decide_the_same():
    magnitudes = np.abs(draw_discrete_gaussian(NoiseSource(rehearsal_seed=4), 1000, 2000))
    quick = _decide(NoiseSource(rehearsal_seed=5), magnitudes, 1000)
    exact = _decide(NoiseSource(rehearsal_seed=5), magnitudes, 1000, doubt=1.0)
    assert (quick == exact).all()
    assert 0 < quick.sum() < len(quick)


@pytest.mark.parametrize("magnitude", [0, 7, 99, 250, 900])
def test_the_exact_comparison_turns_at_the_probability(magnitude):
    with localcontext() as context:
        context.prec = 120
        chance = (-(Decimal(magnitude - 100) ** 2) / (2 * Decimal(100) ** 2)).exp()
        bits = int(chance * 2**192)

    def split(number):
        return [(number >> (64 * place)) % 2**64 for place in (2, 1, 0)]

    assert _is_below(split(bits), magnitude, 100)
    assert not _is_below(split(bits + 1), magnitude, 100)


def test_what_is_certain_is_kept():
    assert _decide(NoiseSource(rehearsal_seed=1), np.full(1000, 40), 40).all()


@pytest.mark.parametrize("scale", [0, -1, 2.5, LARGEST_SCALE + 1])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(SpecificationError, match="scale: expected a whole number"):
        draw_discrete_gaussian(NoiseSource(), scale, 3)
