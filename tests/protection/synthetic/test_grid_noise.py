"""Noise and choice have the probabilities that the account supposes. Sources are rehearsals, so nothing varies."""

import math

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import chi2

from twinlab.errors import SpecificationError
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.synthetic.grid_noise import (
    GRID_STEPS,
    add_gaussian,
    choose_privately,
    draw_discrete_gaussian,
    find_choice_epsilon,
    find_choice_shift,
)

#: Chance that a correct sampler fails one of these tests, were its seed not fixed.
FALSE_ALARM = 1e-7


def is_far(counts, expected):
    return ((counts - expected) ** 2 / expected).sum() > chi2.isf(FALSE_ALARM, len(counts) - 1)


@pytest.mark.parametrize("scale", [0.8, 3.0])
def test_the_discrete_gaussian_has_its_probabilities(scale):
    drawn = draw_discrete_gaussian(scale, 100_000, open_noise(rehearsal=True, seed=1))
    at = np.arange(-math.ceil(3 * scale), math.ceil(3 * scale) + 1)
    far = np.arange(-100, 101)
    weights = np.exp(-(at**2) / (2 * scale**2)) / np.exp(-(far**2) / (2 * scale**2)).sum()
    counts = np.array([(drawn == each).sum() for each in at])
    rest = len(drawn) - counts.sum()
    expected = len(drawn) * np.array([*weights, 1 - weights.sum()])
    assert not is_far(np.array([*counts, rest]), expected)
    assert is_far(np.array([*np.roll(counts, 1), rest]), expected)


def test_noise_is_whole_steps_of_the_stated_size():
    noisy = add_gaussian(np.zeros(20_000), 2.5, open_noise(rehearsal=True, seed=2))
    assert (noisy * GRID_STEPS == np.rint(noisy * GRID_STEPS)).all()
    assert abs(noisy.std() / 2.5 - 1) < 6 / math.sqrt(2 * 20_000)
    assert abs(noisy.mean()) < 6 * 2.5 / math.sqrt(20_000)


def test_noise_too_small_for_the_grid_is_refused():
    with pytest.raises(SpecificationError, match="lower epsilon"):
        add_gaussian(np.zeros(3), 0.01, open_noise(rehearsal=True, seed=1))


def test_a_choice_has_the_probabilities_of_the_exponential_mechanism():
    noise = open_noise(rehearsal=True, seed=3)
    scores = GRID_STEPS * np.array([0.0, 1.0, 2.5, 2.0])
    counts = np.bincount([choose_privately(scores, 1.5, noise) for _ in range(20_000)], minlength=4)
    weights = np.exp(1.5 / 2 * scores / GRID_STEPS)
    assert not is_far(counts, 20_000 * weights / weights.sum())
    assert is_far(counts, np.full(4, 5000.0))


@pytest.mark.parametrize("epsilon", [0.01, 0.3, 1.0, 4.0, 10.0])
def test_a_choice_costs_no_less_than_any_two_outcomes_with_its_range_tell(epsilon):
    """The account takes losses of plus and minus epsilon / 2; no other place of the range asks for a larger shift."""
    top = np.linspace(0, epsilon, 2001)[1:-1]
    low, high = np.exp(top - epsilon), np.exp(top)
    absent = (1 - low) / (high - low)
    shifts = ndtri(absent * high) - ndtri(absent)
    assert find_choice_shift(epsilon) >= shifts.max() - 1e-9
    assert find_choice_epsilon(find_choice_shift(epsilon)) == pytest.approx(epsilon)
    assert find_choice_epsilon(100.0) > 1000, "nor does it end where normal shares are all 1"
