"""Claim: noise on readings costs the epsilon it says and no more, is unbiased, has the variance it says; and a broken
mechanism is caught.

Audits raise a false alarm with probability 1e-8 each; broken mechanisms are told by a wide margin.
"""

from typing import get_args

import numpy as np
import pytest

from twinlab.attacks.local_audit import audit_local_mechanism
from twinlab.protection.differential_privacy import local
from twinlab.protection.differential_privacy.local import make_reading_sampler, protect_readings
from twinlab.protection.differential_privacy.mechanism import MechanismName
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.differential_privacy.trusted_stream import release_trusted_stream

SIGNAL, LOWER, UPPER = "heart_rate_bpm", 40.0, 180.0
MECHANISMS = get_args(MechanismName)
FALSE_ALARM_RATE = 1e-8


def audit(claimed_epsilon, *, epsilon, mechanism, readings=(LOWER, UPPER)):
    draw = make_reading_sampler(SIGNAL, epsilon=epsilon, mechanism=mechanism, bounds=(LOWER, UPPER))
    return audit_local_mechanism(draw, readings, claimed_epsilon, n_draws=60_000, false_alarm_rate=FALSE_ALARM_RATE)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("epsilon", [1.0, 3.0])
def test_the_measured_loss_is_below_the_promised_one_and_not_far_below(mechanism, epsilon):
    found = audit(epsilon, epsilon=epsilon, mechanism=mechanism)
    assert found.verdict == "consistent"
    assert found.lower_bound > 0.6 * epsilon


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_half_of_the_noise_is_caught(mechanism):
    found = audit(1.0, epsilon=2.0, mechanism=mechanism)
    assert found.verdict == "broken"


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_readings_beyond_the_bounds_cost_no_more(mechanism):
    assert audit(1.0, epsilon=1.0, mechanism=mechanism, readings=(-500.0, 1000.0)).verdict == "consistent"


def test_a_forgotten_clip_is_caught(monkeypatch):
    def forget(scale, values):
        return (values - scale.lower) / scale.half_range - 1

    monkeypatch.setattr(local.ReadingScale, "to_positions", forget)
    monkeypatch.setattr(
        local, "round_at_random", lambda positions, n_steps, noise: np.rint(positions * n_steps).astype(np.int64)
    )
    found = audit(1.0, epsilon=1.0, mechanism="laplace", readings=(LOWER, 1000.0))
    assert found.verdict == "broken"


def test_noise_that_repeats_is_caught_and_promises_nothing():
    def draw(reading, n):
        again = protect_readings(
            np.full((1, 1), reading), SIGNAL, epsilon=1.0, mechanism="laplace", noise=open_noise(rehearsal=True, seed=1)
        )
        assert str(again.guarantee).startswith("no guarantee")
        return np.full(n, again.values[0, 0])

    assert audit_local_mechanism(draw, (LOWER, UPPER), 1.0).verdict == "broken"


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("reading", [LOWER, 61.3, 110.0, UPPER])
def test_readings_are_unbiased_with_the_predicted_variance(mechanism, reading):
    """Secret noise: six standard errors of the mean and eight of the variance, over 16 cases, below 1e-6 in all."""
    n_draws, epsilon = 100_000, 1.5
    protected = protect_readings(
        np.full((10, n_draws // 10), reading), SIGNAL, epsilon=epsilon, mechanism=mechanism, bounds=(LOWER, UPPER)
    )
    predicted = local.predict_noise(SIGNAL, epsilon, mechanism, (LOWER, UPPER), at=reading)
    assert abs(protected.values.mean() - reading) < 6 * predicted / np.sqrt(n_draws)
    squares = (protected.values - reading) ** 2
    assert abs(squares.mean() - predicted**2) < 8 * squares.std() / np.sqrt(n_draws) + 1e-6 * predicted**2


def test_a_whole_window_of_a_trusted_stream_costs_what_it_says():
    """One person at either bound for a window of four hours; each window of a long stream is a draw of its own."""

    def draw(reading, n):
        stream = release_trusted_stream(
            np.full((1, 4 * n), reading), SIGNAL, epsilon=2.0, window_hours=4, bounds=(LOWER, UPPER)
        )
        return stream.estimates.reshape(n, 4).clip(LOWER, UPPER).mean(axis=1)

    found = audit_local_mechanism(draw, (LOWER, UPPER), 2.0, n_draws=60_000, false_alarm_rate=FALSE_ALARM_RATE)
    assert found.verdict == "consistent"
    assert found.lower_bound > 0.5
