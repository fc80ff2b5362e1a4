"""Mechanisms draw from fixed seeds here; an audit's own false alarm rate is 1e-6."""

import math

import numpy as np
import pytest

from twinlab.attacks.local_audit import audit_local_mechanism
from twinlab.errors import SpecificationError


def make_laplace(epsilon, seed=0):
    rng = np.random.default_rng(seed)
    return lambda value, n: np.clip(value, 0, 1) + rng.laplace(0, 1 / epsilon, n)


def make_response(epsilon, seed=0):
    """Randomized response on 0 and 1."""
    rng = np.random.default_rng(seed)
    keep = 1 / (1 + math.exp(-epsilon))
    return lambda value, n: np.where(rng.random(n) < keep, value, 1 - value)


@pytest.mark.parametrize("make", [make_laplace, make_response])
@pytest.mark.parametrize("epsilon", [0.5, 1.0, 4.0])
def test_correct_mechanisms_pass_with_a_bound_near_the_truth(make, epsilon):
    report = audit_local_mechanism(make(epsilon), (0.0, 1.0), epsilon)
    assert report.verdict == "consistent"
    assert 0.75 * epsilon < report.lower_bound <= epsilon
    assert report.ceiling > 8


@pytest.mark.parametrize("make", [make_laplace, make_response])
def test_less_noise_than_promised_is_found(make):
    assert audit_local_mechanism(make(1.5), (0.0, 1.0), 1.0).verdict == "broken"


def test_an_input_beyond_the_range_that_is_not_clamped_is_found():
    rng = np.random.default_rng(1)
    report = audit_local_mechanism(lambda value, n: value + rng.laplace(0, 1, n), (0.0, 1.0, 5.0), 1.0)
    assert report.verdict == "broken"
    assert len(report.checks) == 6


def test_an_output_that_only_one_input_gives_is_found():
    rng = np.random.default_rng(2)

    def draw(value, n):
        noisy = rng.laplace(0, 1, n)
        return np.where(rng.random(n) < 0.05, np.nan if value else 0.123, noisy)

    assert audit_local_mechanism(draw, (0.0, 1.0), 1.0).lower_bound > 3


def test_delta_is_granted():
    rng = np.random.default_rng(3)

    def draw(value, n):
        return np.where(rng.random(n) < 0.01, 100 + value, rng.laplace(0, 1, n))

    assert audit_local_mechanism(draw, (0.0, 1.0), 0.1).verdict == "broken"
    assert audit_local_mechanism(draw, (0.0, 1.0), 0.1, delta=0.02).verdict == "consistent"


def test_the_bound_holds_with_the_confidence_it_states():
    """60 audits at 95 %: more than 20 bounds above the truth would have probability below 1e-10."""
    above = [
        audit_local_mechanism(make_laplace(1.0, seed), (0.0, 1.0), 1.0, n_draws=2000).lower_bound > 1.0
        for seed in range(60)
    ]
    assert sum(above) <= 20


def test_an_audit_too_small_for_the_claim_says_so():
    report = audit_local_mechanism(make_laplace(9.0), (0.0, 1.0), 9.0, n_draws=1000)
    assert report.verdict == "could not have seen it"
    assert "could not have shown more than" in report.sentence


def test_what_cannot_be_audited_is_refused():
    with pytest.raises(SpecificationError, match="two inputs"):
        audit_local_mechanism(make_laplace(1.0), (0.0,), 1.0)
    with pytest.raises(SpecificationError, match=r"\(n\)|outputs from draw"):
        audit_local_mechanism(lambda value, n: np.zeros(3), (0.0, 1.0), 1.0)
