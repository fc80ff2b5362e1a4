import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, norm

from twinlab.attacks.confidence import (
    bound_above,
    bound_below,
    bound_mu,
    epsilon_of_gaussian,
    find_p_value,
    mu_of_gaussian,
)
from twinlab.errors import SpecificationError


def test_bounds_of_a_probability_equal_the_beta_quantiles():
    hits = np.array([0, 1, 17, 99, 100])
    upper = [beta.ppf(0.99, k + 1, 100 - k) if k < 100 else 1.0 for k in hits]
    lower = [beta.ppf(0.01, k, 101 - k) if k else 0.0 for k in hits]
    assert bound_above(hits, 100, 0.01) == pytest.approx(upper)
    assert bound_below(hits, 100, 0.01) == pytest.approx(lower, abs=1e-12)


@pytest.mark.parametrize("probability", [0.01, 0.3, 0.9])
def test_bounds_hold_as_often_as_they_say(probability):
    """Exactly, by summing the binomial: no sampling, so no false alarm."""
    counts = np.arange(201)
    mass = np.exp([math.lgamma(201) - math.lgamma(k + 1) - math.lgamma(201 - k) for k in counts])
    mass = mass * probability**counts * (1 - probability) ** (200 - counts)
    assert mass[bound_above(counts, 200, 0.05) < probability].sum() <= 0.05
    assert mass[bound_below(counts, 200, 0.05) > probability].sum() <= 0.05


@given(st.floats(0.01, 30), st.sampled_from([1e-3, 1e-5, 1e-9]))
@settings(max_examples=50, deadline=None)
def test_epsilon_and_mu_of_a_gaussian_are_inverse(mu, delta):
    epsilon = epsilon_of_gaussian(mu, delta)
    if epsilon > 1e-3:
        assert mu_of_gaussian(epsilon, delta) == pytest.approx(mu, rel=1e-6)
        delta_back = norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon + norm.logcdf(-mu / 2 - epsilon / mu))
        assert delta_back == pytest.approx(delta, rel=1e-5)


def test_ends_of_the_gaussian_scale():
    assert epsilon_of_gaussian(0.0, 1e-5) == 0
    assert epsilon_of_gaussian(math.inf, 1e-5) == math.inf
    assert epsilon_of_gaussian(1e-6, 1e-3) == 0
    with pytest.raises(SpecificationError, match="finite epsilon"):
        mu_of_gaussian(math.inf, 1e-5)


def test_a_useless_test_gives_no_bound_whichever_way_its_errors_lie():
    """Both error rates are bounded from above, so their difference must keep its sign: or it claims a leak."""
    assert bound_mu(np.array([50]), np.array([50]), 100, 100, 0.05)[0] == 0
    assert bound_mu(np.array([95]), np.array([90]), 100, 100, 0.05)[0] == 0
    assert bound_mu(np.array([2]), np.array([2]), 100, 100, 0.05)[0] > 2


def test_the_p_value_is_where_the_bound_meets_the_claim():
    def bound(level):
        return float(bound_below(80, 100, level))

    p_value = find_p_value(bound, 0.7)
    assert bound(p_value * 1.01) > 0.7 >= bound(p_value * 0.99)
    assert find_p_value(bound, 0.9) == 1
    assert find_p_value(lambda level: 1.0, 0.9) < 1e-14
