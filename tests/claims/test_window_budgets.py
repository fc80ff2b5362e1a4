"""Claim: no scheme lets anybody spend more than epsilon within any window of w hours, whatever the readings are.

Exact: budgets are whole numbers, and the noise of each hour is bought with the units that the record shows.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from twinlab.protection.differential_privacy import trusted_stream
from twinlab.protection.differential_privacy.randomness import NoiseSource, open_noise
from twinlab.protection.differential_privacy.stream import (
    UNITS_PER_EPSILON,
    find_largest_window_spend,
    release_local_stream,
)
from twinlab.protection.differential_privacy.trusted_stream import _Plan, release_trusted_stream

SCHEMES = ["uniform", "sample", "budget_distribution", "budget_absorption"]

streams = arrays.arrays(
    float,
    st.tuples(st.integers(1, 4), st.integers(1, 70)),
    elements=st.one_of(st.sampled_from([20.0, 250.0, np.nan, -1e9, 1e9]), st.floats(20, 250)),
)


@settings(max_examples=120, deadline=None)
@given(
    values=streams,
    scheme=st.sampled_from(SCHEMES),
    window=st.integers(1, 30),
    epsilon=st.one_of(st.sampled_from([1 / 3, 0.1, 1.0, 1000.0]), st.floats(0.05, 1000)),
    seed=st.integers(0, 2**32),
)
def test_trusted_streams_stay_within_the_window(values, scheme, window, epsilon, seed):
    noise = open_noise(rehearsal=True, seed=seed)
    release = release_trusted_stream(
        values, "heart_rate_bpm", epsilon=epsilon, window_hours=window, scheme=scheme, noise=noise
    )
    assert release.spent_units.min() >= 0
    assert find_largest_window_spend(release.spent_units, window) <= epsilon * UNITS_PER_EPSILON
    assert len(release.estimates) == values.shape[1]


@settings(max_examples=60, deadline=None)
@given(
    values=streams,
    division=st.sampled_from(["population", "budget"]),
    window=st.integers(1, 30),
    epsilon=st.floats(0.05, 30),
    seed=st.integers(0, 2**32),
)
def test_local_streams_stay_within_the_window_for_every_person(values, division, window, epsilon, seed):
    noise = open_noise(rehearsal=True, seed=seed)
    release = release_local_stream(
        values, "heart_rate_bpm", epsilon=epsilon, window_hours=window, division=division, noise=noise
    )
    assert find_largest_window_spend(release.spent_units, window) <= epsilon * UNITS_PER_EPSILON


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_noise_of_each_hour_is_bought_with_the_units_on_record(scheme, monkeypatch):
    """What the sampler was asked for, added up hour by hour, is what the stream says it spent."""
    rates = []
    draw = NoiseSource.draw_discrete_laplace

    def watch(self, rate, shape):
        rates.append((rate, int(np.prod(shape))))
        return draw(self, rate, shape)

    monkeypatch.setattr(NoiseSource, "draw_discrete_laplace", watch)
    people = np.tile(np.repeat([40.0, 200.0], 10), (3, 4))
    release = release_trusted_stream(people, "heart_rate_bpm", epsilon=30.0, window_hours=6, scheme=scheme)
    drawn = sum(rate * count for rate, count in rates) * trusted_stream._SENSITIVITY
    assert drawn * UNITS_PER_EPSILON == int(release.spent_units.sum())


def test_a_scheme_that_never_pays_back_is_caught():
    """Absorbing the shares of quiet hours without falling silent afterwards overspends."""

    def never_silent(sums: np.ndarray, plan: _Plan):
        share = (plan.units - plan.units // 2) // plan.window_hours
        return trusted_stream._publish_when_moved(
            sums, plan, lambda hour, publishing: share * min(hour + 1, plan.window_hours)
        )

    sums = np.tile([-500_000, 500_000], 30)
    plan = _Plan(20 * UNITS_PER_EPSILON, 6, 0, open_noise())
    _, _, spent, _ = never_silent(sums, plan)
    assert find_largest_window_spend(spent, 6) > plan.units
    _, _, kept, _ = trusted_stream._publish_by_absorption(sums, plan)
    assert find_largest_window_spend(kept, 6) <= plan.units
