import itertools
import math

import numpy as np
import pytest

from twinlab.budget import (
    ComposedEvent,
    GaussianEvent,
    LaplaceEvent,
    NonPrivateEvent,
    PureEvent,
    RepeatedEvent,
    SampledGaussianEvent,
    SampledRecordsEvent,
)
from twinlab.errors import SpecificationError, UnsupportedEventError
from twinlab.protection.differential_privacy.accounting import (
    bound_person_epsilon,
    calibrate_noise_multiplier,
    compute_delta,
    compute_epsilon,
    compute_gaussian_delta,
    compute_gaussian_epsilon,
)

DELTA = 1e-5


def sampled(noise, q, n_steps):
    return RepeatedEvent(SampledGaussianEvent(noise, q), n_steps)


def test_the_worked_example_of_a_thousand_steps():
    # 1.5154 is the privacy loss distribution of this training on a mesh of 1e-4
    assert 1.5154 <= compute_epsilon(sampled(1.1, 0.01, 1000), DELTA) <= 1.5154 * 1.002


@pytest.mark.parametrize("shift", [1e-6, 0.01, 0.3, 1.0, 5.0, 40.0])
def test_the_closed_form_of_normal_noise_inverts_itself(shift):
    for delta in (1e-30, 1e-12, 1e-5, 1e-2):
        epsilon = compute_gaussian_epsilon(shift, delta)
        assert compute_gaussian_delta(shift, epsilon) <= delta
        if epsilon > 1e-9:
            assert compute_gaussian_delta(shift, epsilon * (1 - 1e-6)) > delta * (1 - 1e-9)


def test_full_batches_are_one_normal():
    expected = compute_gaussian_epsilon(math.sqrt(100) / 30, DELTA)
    for event in (
        RepeatedEvent(GaussianEvent(30.0), 100),
        sampled(30.0, 1.0, 100),
        ComposedEvent((RepeatedEvent(GaussianEvent(30.0), 60), RepeatedEvent(GaussianEvent(30.0), 40))),
        RepeatedEvent(SampledRecordsEvent(60.0, 1.0, 2), 100),
    ):
        assert compute_epsilon(event, DELTA) == pytest.approx(expected, rel=1e-9)


def test_the_fourier_path_agrees_with_the_closed_form():
    """Sampling with probability almost one goes through the transform, and costs almost what full batches cost."""
    for noise, n_steps, delta in itertools.product((1.0, 5.0, 50.0), (1, 30, 1000), (1e-3, 1e-9, 1e-20)):
        exact = compute_epsilon(RepeatedEvent(GaussianEvent(noise), n_steps), delta)
        found = compute_epsilon(sampled(noise, 1 - 1e-9, n_steps), delta)
        assert exact * (1 - 1e-6) <= found <= exact * 1.002


def test_more_of_anything_costs_more():
    base = compute_epsilon(sampled(1.0, 0.02, 300), DELTA)
    assert compute_epsilon(sampled(0.9, 0.02, 300), DELTA) > base
    assert compute_epsilon(sampled(1.0, 0.03, 300), DELTA) > base
    assert compute_epsilon(sampled(1.0, 0.02, 400), DELTA) > base
    assert compute_epsilon(sampled(1.0, 0.02, 300), DELTA / 10) > base
    assert compute_epsilon([sampled(1.0, 0.02, 300), LaplaceEvent(10.0)], DELTA) > base


def test_the_order_of_events_does_not_matter():
    events = [sampled(1.0 + i / 7, 0.01, 20 + i) for i in range(6)] + [LaplaceEvent(3.0), PureEvent(0.2)]
    assert compute_epsilon(events, DELTA) == pytest.approx(compute_epsilon(events[::-1], DELTA), rel=1e-9)


@pytest.mark.parametrize(
    "event",
    [
        sampled(1.1, 0.01, 1000),
        sampled(0.6, 0.004, 10),
        RepeatedEvent(LaplaceEvent(2.0), 20),
        ComposedEvent((sampled(2.0, 0.1, 50), GaussianEvent(3.0), LaplaceEvent(4.0), PureEvent(0.1, 1e-9))),
    ],
)
def test_delta_at_epsilon_gives_the_delta_back(event):
    for delta in (1e-3, 1e-5, 1e-8):
        epsilon = compute_epsilon(event, delta)
        assert 0.85 * delta <= compute_delta(event, epsilon) <= 1.001 * delta


def test_a_delta_far_below_round_off_is_as_exact_as_any():
    """A plain transform loses everything below 1e-16; the tail of a normal says what should come out."""
    exact = compute_gaussian_epsilon(math.sqrt(200) / 20, 1e-60)
    assert exact <= compute_epsilon(sampled(20.0, 1 - 1e-12, 200), 1e-60) <= exact * 1.005


def test_pure_events_add_up_when_delta_is_nought():
    assert compute_epsilon([PureEvent(0.1), PureEvent(0.2), LaplaceEvent(2.0)], 0) == pytest.approx(0.8, rel=1e-15)
    assert compute_epsilon([PureEvent(0.1), GaussianEvent(1.0)], 0) == math.inf
    assert compute_epsilon([PureEvent(0.1, 1e-9)], 0) == math.inf
    assert compute_delta([PureEvent(0.1), PureEvent(0.2)], 0.3001) == 0
    assert compute_delta(PureEvent(0.1, 1e-7), 0.2) == 1e-7


def test_a_lost_delta_counts():
    assert compute_epsilon(RepeatedEvent(PureEvent(0.1, 1e-6), 11), 1e-5) == math.inf
    assert compute_epsilon(PureEvent(0.1, 1e-6), 1e-6) == 0.1
    assert math.isfinite(compute_epsilon(RepeatedEvent(PureEvent(0.1, 1e-6), 9), 1e-5))


def test_the_ends_are_right_or_refused():
    assert compute_epsilon([], DELTA) == 0
    assert compute_delta([], 0) == 0
    assert compute_epsilon(NonPrivateEvent(), DELTA) == math.inf
    assert compute_delta(NonPrivateEvent(), 100) == 1
    assert compute_epsilon(sampled(1.0, 1e-12, 1000), DELTA) == 0  # nobody takes part
    assert compute_epsilon(GaussianEvent(1e9), DELTA) == 0
    assert compute_epsilon(GaussianEvent(1e-3), DELTA) > 5e5
    assert compute_delta(GaussianEvent(1.0), math.inf) == 0
    for delta in (-1e-9, 1.0, math.nan, 1e-200):
        with pytest.raises(SpecificationError, match="delta"):
            compute_epsilon(GaussianEvent(1.0), delta)
    for epsilon in (-0.1, math.nan):
        with pytest.raises(SpecificationError, match="epsilon"):
            compute_delta(GaussianEvent(1.0), epsilon)
    with pytest.raises(UnsupportedEventError, match="at most"):
        compute_epsilon(RepeatedEvent(LaplaceEvent(1.0), 10**9), DELTA)
    with pytest.raises(UnsupportedEventError, match="got str"):
        compute_epsilon("gaussian", DELTA)
    with pytest.raises(UnsupportedEventError, match="useful epsilon"):
        compute_epsilon(sampled(0.02, 0.3, 100_000), DELTA)


@pytest.mark.parametrize("noise", [0.05, 0.3, 1.0, 20.0, 1000.0])
@pytest.mark.parametrize("q", [1e-8, 1e-4, 0.3, 0.999999])
def test_nothing_but_a_bound_or_a_refusal_comes_back_anywhere(noise, q):
    for n_steps, delta in itertools.product((1, 100, 100_000), (1e-3, 1e-10, 1e-40)):
        try:
            epsilon = compute_epsilon(sampled(noise, q, n_steps), delta)
        except UnsupportedEventError:
            continue
        full = compute_gaussian_epsilon(math.sqrt(n_steps) / noise, delta)
        assert 0 <= epsilon <= full * (1 + 1e-9)
        # a threshold on the first answer alone is a lower bound
        for x in np.linspace(-5, 30, 120).tolist():
            tail, shifted = normal_tail(x), normal_tail(x - 1 / noise)
            seen = (1 - q) * tail + q * shifted - delta
            if tail > 1e-300 and seen > 0:
                assert epsilon >= math.log(seen / tail) * (1 - 1e-9) - 1e-12


def normal_tail(x):
    return math.erfc(x / math.sqrt(2)) / 2


@pytest.mark.parametrize(
    ("target", "delta", "q", "n_steps"),
    [
        (1.0, 1e-5, 0.01, 1000),
        (8.0, 1e-5, 0.1, 100),
        (0.1, 1e-6, 0.001, 1000),
        (1.0, 1e-5, 1.0, 100),
        (50.0, 1e-5, 0.5, 10),
    ],
)
def test_calibrated_noise_meets_its_target_closely(target, delta, q, n_steps):
    noise = calibrate_noise_multiplier(target, delta, q, n_steps)
    assert 0.998 * target <= compute_epsilon(sampled(noise, q, n_steps), delta) <= target
    assert compute_epsilon(sampled(noise * 0.995, q, n_steps), delta) > target


def test_a_target_out_of_reach_is_refused():
    with pytest.raises(SpecificationError, match="some noise meets"):
        calibrate_noise_multiplier(1e-9, 1e-12, 1.0, 10**8)
    for wrong in ((0.0, 1e-5), (1.0, 0.0), (math.inf, 1e-5)):
        with pytest.raises(SpecificationError, match="target_epsilon"):
            calibrate_noise_multiplier(*wrong)


def test_a_person_with_more_records_pays_more_and_never_less_than_one():
    costs = [bound_person_epsilon(1.1, 0.01, 200, n_records, DELTA) for n_records in (1, 2, 4, 8)]
    assert costs == sorted(costs)
    assert costs[0] == compute_epsilon(sampled(1.1, 0.01, 200), DELTA)
    assert costs[3] <= compute_epsilon(RepeatedEvent(GaussianEvent(1.1 / 8), 200), DELTA)


def test_many_noise_levels_are_brought_together_upwards():
    many = [SampledGaussianEvent(float(noise), 0.01) for noise in np.linspace(1.0, 1.4, 700)]
    few = [sampled(float(noise), 0.01, 7) for noise in np.linspace(1.0, 1.4, 100)]
    assert compute_epsilon(few, DELTA) * 0.999 <= compute_epsilon(many, DELTA) <= compute_epsilon(few, DELTA) * 1.01
