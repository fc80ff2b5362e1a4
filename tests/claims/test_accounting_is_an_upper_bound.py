"""Promise: an epsilon of ours is never below the true one, and at most 0.5 % above the library's.

The oracle is dp_accounting's privacy loss distribution on a mesh of 1e-4. Its pessimistic estimate is an upper bound
itself; ours is to be no smaller, and hardly larger. Its optimistic estimate is a lower bound of the truth, which no
correct accountant can be below, and that is checked where the oracle's mesh is too coarse to be compared with.
"""

import functools
import math

import dp_accounting
import pytest
from dp_accounting import dp_event
from dp_accounting.pld import common
from dp_accounting.pld import privacy_loss_distribution as pld

from twinlab.budget import (
    GaussianEvent,
    LaplaceEvent,
    PureEvent,
    RepeatedEvent,
    SampledGaussianEvent,
    SampledRecordsEvent,
)
from twinlab.protection.differential_privacy.accounting import bound_person_epsilon, compute_epsilon
from twinlab.protection.differential_privacy.renyi import compute_renyi_divergence, compute_selection_epsilon

MESH = 1e-4
DELTAS = (1e-3, 1e-5, 1e-8)
#: noise multiplier, sampling probability, steps; three deltas each make 60 settings
SETTINGS = [
    *[(1.1, 0.01, n_steps) for n_steps in (1, 10, 100, 1000, 10_000)],
    *[(0.8, 0.05, n_steps) for n_steps in (1, 30, 1000)],
    *[(3.0, 0.1, n_steps) for n_steps in (1, 100, 3000)],
    *[(0.6, 0.004, n_steps) for n_steps in (10, 300, 5000)],
    *[(6.0, 0.5, n_steps) for n_steps in (10, 300)],
    *[(20.0, 0.9, n_steps) for n_steps in (50, 500)],
    *[(0.9, 0.02, n_steps) for n_steps in (200, 2000)],
]


@functools.lru_cache  # one description serves all numbers of steps
def describe_sampled(noise, q, *, pessimistic=True):
    return pld.from_gaussian_mechanism(
        noise, sampling_prob=q, value_discretization_interval=MESH, pessimistic_estimate=pessimistic
    )


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "q", "n_steps"), SETTINGS)
def test_sampled_gaussian_against_the_library(noise, q, n_steps):
    oracle = describe_sampled(noise, q).self_compose(n_steps)
    for delta in DELTAS:
        expected = oracle.get_epsilon_for_delta(delta)
        found = compute_epsilon(RepeatedEvent(SampledGaussianEvent(noise, q), n_steps), delta)
        if expected == 0:
            assert found <= 1e-6
        else:
            assert 0 <= found / expected - 1 <= 0.005, (delta, found, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("noise", "q", "n_steps"), [(1.5, 0.002, 2000), (2.0, 0.0005, 5000), (1.0, 0.001, 20_000), (50.0, 0.01, 1000)]
)
def test_where_the_library_is_coarse_ours_is_still_above_a_lower_bound(noise, q, n_steps):
    below = describe_sampled(noise, q, pessimistic=False).self_compose(n_steps)
    above = describe_sampled(noise, q).self_compose(n_steps)
    for delta in DELTAS:
        found = compute_epsilon(RepeatedEvent(SampledGaussianEvent(noise, q), n_steps), delta)
        assert below.get_epsilon_for_delta(delta) <= found + 1e-9
        assert found <= above.get_epsilon_for_delta(delta) * 1.005 + 1e-6


@pytest.mark.slow
def test_a_mix_of_everything_against_the_library():
    noises = [0.9 + 0.1 * i for i in range(8)]
    pure = common.DifferentialPrivacyParameters(0.1, 0)
    lost = common.DifferentialPrivacyParameters(0.2, 1e-9)
    oracle = pld.from_laplace_mechanism(2.0, value_discretization_interval=MESH)
    oracle = oracle.compose(pld.from_privacy_parameters(pure, value_discretization_interval=MESH).self_compose(10))
    oracle = oracle.compose(pld.from_privacy_parameters(lost, value_discretization_interval=MESH))
    oracle = oracle.compose(pld.from_gaussian_mechanism(4.0, value_discretization_interval=MESH))
    events = [LaplaceEvent(2.0), RepeatedEvent(PureEvent(0.1), 10), PureEvent(0.2, 1e-9), GaussianEvent(4.0)]
    for noise in noises:
        oracle = oracle.compose(describe_sampled(noise, 0.02).self_compose(40))
        events.append(RepeatedEvent(SampledGaussianEvent(noise, 0.02), 40))
    for delta in DELTAS:
        assert 0 <= compute_epsilon(events, delta) / oracle.get_epsilon_for_delta(delta) - 1 <= 0.005


@pytest.mark.parametrize("n_times", [2, 10, 100])
def test_laplace_and_pure_events_against_the_library(n_times):
    for oracle, event in (
        (pld.from_laplace_mechanism(3.0, value_discretization_interval=MESH), LaplaceEvent(3.0)),
        (
            pld.from_privacy_parameters(
                common.DifferentialPrivacyParameters(0.2, 0), value_discretization_interval=MESH
            ),
            PureEvent(0.2),
        ),
    ):
        expected = oracle.self_compose(n_times).get_epsilon_for_delta(1e-5)
        assert 0 <= compute_epsilon(RepeatedEvent(event, n_times), 1e-5) / expected - 1 <= 0.005


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "q", "n_steps", "n_records"), [(1.1, 0.01, 300, 4), (4.0, 0.05, 100, 12)])
def test_a_person_with_several_records_against_the_library(noise, q, n_steps, n_records):
    weights = [math.comb(n_records, k) * q**k * (1 - q) ** (n_records - k) for k in range(n_records + 1)]
    oracle = pld.from_mixture_gaussian_mechanism(
        noise,
        sensitivities=list(range(n_records + 1)),
        sampling_probs=weights,
        value_discretization_interval=1e-3,
    ).self_compose(n_steps)
    for delta in DELTAS:
        found = bound_person_epsilon(noise, q, n_steps, n_records, delta)
        assert -2e-4 <= found / oracle.get_epsilon_for_delta(delta) - 1 <= 0.005
    assert found == compute_epsilon(RepeatedEvent(SampledRecordsEvent(noise, q, n_records), n_steps), delta)


def test_divergences_and_the_price_of_a_search_against_the_library():
    event = RepeatedEvent(SampledGaussianEvent(1.3, 0.02), 200)
    base = dp_event.SelfComposedDpEvent(dp_event.PoissonSampledDpEvent(0.02, dp_event.GaussianDpEvent(1.3)), 200)
    orders = [2, 3, 5, 8, 13, 21]
    accountant = dp_accounting.rdp.RdpAccountant(orders=orders).compose(base)
    assert [compute_renyi_divergence(event, order) for order in orders] == pytest.approx(accountant._rdp, rel=1e-6)
    for shape, distribution, least in ((1, "geometric", 0.99), (math.inf, "poisson", 0.5)):
        search = dp_event.RepeatAndSelectDpEvent(base, 10, shape)
        expected = dp_accounting.rdp.RdpAccountant().compose(search).get_epsilon(1e-5)
        # theirs may use orders between ours; ours counts the failures of a poisson search more tightly
        assert least <= compute_selection_epsilon(event, 1e-5, 10, distribution) / expected <= 1.05
