"""What an epsilon means: bounds that no attack on a real mechanism passes, and figures that somebody published."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlab.budget import PrivacyUnit
from twinlab.errors import SpecificationError
from twinlab.protection.differential_privacy.meaning import (
    DEPLOYED,
    bound_least_posterior,
    bound_posterior,
    bound_true_positive_rate,
    explain_epsilon,
    find_nearest_deployed,
    list_deployed,
    say_belief,
    tabulate_posterior,
)

EPSILONS = st.floats(0, 50)
DELTAS = st.one_of(st.just(0.0), st.floats(0, 0.1))
SHARES = st.floats(0, 1)


def make_game(epsilon, delta):
    """The worst mechanism there is, as two rows of probabilities: of four outcomes with the person, and without."""
    truth = math.exp(epsilon) / (1 + math.exp(epsilon))
    blurred = (1 - delta) * np.array([[0, truth, 1 - truth, 0], [0, 1 - truth, truth, 0]])
    return blurred + np.array([[delta, 0, 0, 0], [0, 0, 0, delta]])


@given(EPSILONS, DELTAS, st.floats(0.001, 0.999))
def test_bayes_on_the_worst_mechanism_reaches_the_posterior_and_no_more(epsilon, delta, prior):
    given_in, given_out = make_game(epsilon, delta)
    joint = prior * given_in
    belief = np.divide(joint, joint + (1 - prior) * given_out, out=np.zeros(4), where=joint > 0)
    blurred = bound_posterior(epsilon, prior)
    assert belief[1] == pytest.approx(blurred, abs=1e-9) or delta == 1
    assert given_in @ belief <= bound_posterior(epsilon, prior, delta) + 1e-9


@given(st.floats(0.01, 20), DELTAS)
def test_a_coin_toss_is_guessed_right_as_often_as_the_bound_says(epsilon, delta):
    given_in, given_out = make_game(epsilon, delta)
    best = 0.5 * np.maximum(given_in, given_out).sum()
    assert best == pytest.approx(bound_posterior(epsilon, 0.5, delta), abs=1e-9)
    assert best == pytest.approx((math.exp(epsilon) + delta) / (1 + math.exp(epsilon)), abs=1e-9)


@given(st.floats(0, 12), DELTAS, st.integers(0, 15))  # beyond, rounding times e^epsilon passes the tolerance
def test_no_test_on_the_worst_mechanism_finds_more(epsilon, delta, accused):
    """Every way to accuse by outcome lies on or below the border."""
    given_in, given_out = make_game(epsilon, delta)
    chosen = np.array([accused >> k & 1 for k in range(4)], dtype=bool)
    rate = min(float(given_out[chosen].sum()), 1.0)
    assert given_in[chosen].sum() <= bound_true_positive_rate(epsilon, delta, rate) + 1e-9


def test_the_border_is_reached():
    for epsilon, delta in ((0.5, 0.0), (1.0, 1e-3), (4.0, 0.05)):
        given_in, given_out = make_game(epsilon, delta)
        for n_accused in (1, 2):
            rate, found = given_out[:n_accused].sum(), given_in[:n_accused].sum()
            assert bound_true_positive_rate(epsilon, delta, rate) == pytest.approx(found)


def test_gaussian_noise_stays_below_the_border():
    """A mechanism that is really used: normal noise, at the delta that its epsilon has in closed form."""
    from scipy.stats import norm

    for mu in (0.5, 1.0, 3.0):
        for epsilon in (0.5, 1.0, 4.0):
            delta = norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
            for rate in np.linspace(0, 1, 101):
                found = norm.cdf(norm.ppf(rate) + mu)
                assert found <= bound_true_positive_rate(epsilon, delta, rate) + 1e-12


@given(EPSILONS, DELTAS, SHARES)
def test_bounds_are_shares_around_what_is_known_anyway(epsilon, delta, share):
    least, largest = bound_least_posterior(epsilon, share, delta), bound_posterior(epsilon, share, delta)
    assert -1e-12 <= least <= share + 1e-12
    assert share - 1e-12 <= largest <= 1
    assert share - 1e-9 <= bound_true_positive_rate(epsilon, delta, share) <= 1


@given(EPSILONS, EPSILONS, DELTAS, st.floats(0.001, 0.999))
def test_more_epsilon_never_means_more_privacy(one, other, delta, share):
    low, high = sorted((one, other))
    assert bound_posterior(low, share, delta) <= bound_posterior(high, share, delta) + 1e-12
    assert bound_true_positive_rate(low, delta, share) <= bound_true_positive_rate(high, delta, share) + 1e-12


def test_nothing_is_learned_at_zero_and_all_may_be_at_infinity():
    assert bound_posterior(0.0, 0.3) == pytest.approx(0.3)
    assert bound_true_positive_rate(0.0, 0.0, 0.2) == pytest.approx(0.2)
    assert bound_posterior(math.inf, 0.3) == 1.0
    assert bound_true_positive_rate(math.inf, 0.0, 0.0) == 0.0
    assert bound_true_positive_rate(1e6, 0.0, 1e-3) == 1.0
    assert bound_posterior(9.0, 0.0) == 0.0
    assert bound_least_posterior(9.0, 1.0) == 1.0


def test_table_has_a_row_per_prior():
    table = tabulate_posterior(1.0, 1e-6, priors=(0.1, 0.5))
    assert list(table.columns) == ["prior", "largest_posterior", "smallest_posterior"]
    assert table["largest_posterior"].round(3).tolist() == [0.232, 0.731]
    assert table["smallest_posterior"].round(3).tolist() == [0.039, 0.269]


@pytest.mark.parametrize(
    "call",
    [
        lambda: bound_posterior(-1.0),
        lambda: bound_posterior(math.nan),
        lambda: bound_posterior(1.0, prior=1.5),
        lambda: bound_posterior(1.0, delta=-0.1),
        lambda: bound_least_posterior(1.0, prior=-0.5),
        lambda: bound_true_positive_rate(1.0, 0.0, 2.0),
        lambda: bound_true_positive_rate(1.0, 2.0, 0.1),
        lambda: explain_epsilon(math.nan, 0.0, PrivacyUnit.PERSON),
    ],
)
def test_numbers_out_of_range_are_refused(call):
    with pytest.raises(SpecificationError, match="expected 0"):
        call()


def test_deployed_values_are_sorted_sourced_and_plain():
    table = list_deployed()
    assert list(table.columns) == ["who", "what", "epsilon", "delta", "unit", "period", "source"]
    assert table["epsilon"].is_monotonic_increasing
    assert (table["epsilon"] > 0).all()
    assert table["delta"].between(0, 1e-4).all()
    assert (table["source"].str.len() > 10).all()
    assert not table[["who", "what"]].duplicated().any()
    assert len(DEPLOYED) == len(table) >= 8


@pytest.mark.parametrize(("epsilon", "nearest"), [(0.0, 1.0), (2.05, 2.0), (9.5, 8.9), (1000.0, 17.14)])
def test_nearest_is_meant_as_a_ratio(epsilon, nearest):
    assert find_nearest_deployed(epsilon).epsilon == nearest


def test_words_name_the_unit_the_belief_and_a_deployed_value():
    words = explain_epsilon(1.0, 1e-6, PrivacyUnit.PERSON)
    assert "a whole person" in words
    assert "73 %" in words
    assert "1e-06" in words
    assert "Wikimedia" in words
    words = explain_epsilon(0.5, 0.0, PrivacyUnit.READING)
    assert "one reading" in words
    assert "each of them costs" in words
    assert "gives all away" not in words


@given(SHARES)
def test_no_belief_is_called_certain_that_is_not(belief):
    assert (say_belief(belief) == "100 %") == (belief * 100 >= 100)
