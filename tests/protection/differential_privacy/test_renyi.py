import math

import pytest

from twinlab.budget import GaussianEvent, LaplaceEvent, NonPrivateEvent, PureEvent, RepeatedEvent, SampledGaussianEvent
from twinlab.errors import SpecificationError, UnsupportedEventError
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.differential_privacy.renyi import (
    compute_adaptive_epsilon,
    compute_renyi_divergence,
    compute_selection_epsilon,
)

RUN = RepeatedEvent(SampledGaussianEvent(1.1, 0.01), 300)
DELTA = 1e-5


def test_divergences_have_their_closed_forms():
    assert compute_renyi_divergence(GaussianEvent(2.0), 8) == 1.0
    # at order 2 the sampled moment is 1 + q^2 (exp(1 / sigma^2) - 1)
    assert compute_renyi_divergence(SampledGaussianEvent(1.5, 0.1), 2) == pytest.approx(
        math.log1p(0.01 * math.expm1(1 / 2.25)), rel=1e-8
    )
    assert compute_renyi_divergence(PureEvent(0.7), 400) == pytest.approx(0.7, rel=0.01)
    assert compute_renyi_divergence(LaplaceEvent(2.0), 400) == pytest.approx(0.5, rel=0.01)
    assert compute_renyi_divergence(RUN, 3) == pytest.approx(300 * compute_renyi_divergence(RUN.event, 3))
    assert compute_renyi_divergence(NonPrivateEvent(), 3) == math.inf


@pytest.mark.parametrize("distribution", ["geometric", "poisson"])
def test_choosing_the_best_costs_more_than_a_run_and_less_than_all_of_them(distribution):
    one, ten = compute_epsilon(RUN, DELTA), compute_epsilon(RepeatedEvent(RUN, 10), DELTA)
    price = compute_selection_epsilon(RUN, DELTA, 10, distribution)
    assert one < price < ten
    assert price < compute_selection_epsilon(RUN, DELTA, 100, distribution)


def test_adaptive_choice_costs_more():
    for order in (4, 6, 8):
        assert compute_adaptive_epsilon(RUN, DELTA, order=order) > compute_epsilon(RUN, DELTA)


def test_what_cannot_be_priced_is_refused():
    with pytest.raises(UnsupportedEventError):
        compute_renyi_divergence(PureEvent(0.1, 1e-6), 3)
    for order in (1, 2.5):
        with pytest.raises(SpecificationError, match="order"):
            compute_renyi_divergence(RUN, order)
    with pytest.raises(SpecificationError, match="mean_repeats"):
        compute_selection_epsilon(RUN, DELTA, 0.5)
    with pytest.raises(SpecificationError, match="distribution"):
        compute_selection_epsilon(RUN, DELTA, 5, "uniform")
    with pytest.raises(SpecificationError, match="delta"):
        compute_adaptive_epsilon(RUN, 0.0, order=4)
