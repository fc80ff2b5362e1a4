"""The measured lower bound. Its own false alarm is part of its promise."""

import math

import numpy as np
import pytest

from twinlab.errors import SpecificationError
from twinlab.protection.differential_privacy.noise_audit import audit_noise, bound_probability


def make_coin(epsilon, seed=0):
    """Randomized response: the mechanism on which a lower bound can be tight."""
    generator = np.random.default_rng(seed)
    honest = math.exp(epsilon) / (1 + math.exp(epsilon))

    def draw(reading, n_draws):
        tells_truth = generator.random(n_draws) < honest
        return np.where(tells_truth, reading, 1 - reading)

    return draw


def test_it_comes_close_to_the_true_epsilon_from_below():
    found = audit_noise(make_coin(1.0), readings=(0.0, 1.0), claimed_epsilon=1.0)
    assert 0.93 < found.value <= 1.0
    assert not found.table[0]["is_broken"]
    assert "does not contradict" in found.sentence
    assert found.value < found.table[0]["largest_bound_possible"]


def test_a_promise_that_is_too_good_is_broken():
    found = audit_noise(make_coin(1.0), readings=(0.0, 1.0), claimed_epsilon=0.9)
    assert found.table[0]["is_broken"]
    assert "breaks the promise" in found.sentence


def test_a_mechanism_that_ignores_the_reading_shows_nothing():
    generator = np.random.default_rng(1)
    found = audit_noise(lambda _, n: generator.normal(size=n), readings=(0.0, 1.0), claimed_epsilon=0.0, n_draws=5000)
    assert found.value == 0.0


def test_a_mechanism_that_tells_all_reaches_what_so_many_draws_can_show():
    found = audit_noise(lambda reading, n: np.full(n, reading), readings=(0.0, 1.0), claimed_epsilon=1.0, n_draws=2000)
    assert found.value == pytest.approx(found.table[0]["largest_bound_possible"])


def test_bounds_on_a_probability_hold_as_often_as_they_say():
    """2000 repetitions at a false alarm of 1e-3 and more slack than Chernoff's needs: 20 misses never happen."""
    hits = np.random.default_rng(2).binomial(1000, 0.3, size=2000)
    misses = sum(
        not bound_probability(int(h), 1000, 1e-3, upper=False)
        <= 0.3
        <= bound_probability(int(h), 1000, 1e-3, upper=True)
        for h in hits
    )
    assert misses < 20
    assert bound_probability(0, 100, 1e-6, upper=False) == 0.0
    assert bound_probability(100, 100, 1e-6, upper=True) == 1.0


def test_too_few_draws_are_refused():
    with pytest.raises(SpecificationError, match="1000"):
        audit_noise(make_coin(1.0), readings=(0.0, 1.0), claimed_epsilon=1.0, n_draws=10)
