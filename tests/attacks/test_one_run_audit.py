import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom

from twinlab.attacks.confidence import epsilon_of_gaussian
from twinlab.attacks.one_run_audit import (
    CanaryScores,
    audit_one_run,
    bound_epsilon,
    bound_mu_of_run,
    bound_mu_of_scores,
    find_guess_p_value,
    is_run_refuted,
    run_canaries,
)
from twinlab.attacks.promise import PrivateStep
from twinlab.budget import ComposedEvent, GaussianEvent, LaplaceEvent, RepeatedEvent, SampledGaussianEvent
from twinlab.errors import SpecificationError, UnsupportedEventError

DELTA = 1e-5


def draw_scores(mu, n_canaries=1000, seed=0):
    """Canaries of a Gaussian mechanism, each with exactly mu-GDP."""
    rng = np.random.default_rng(seed)
    included = rng.random(n_canaries) < 0.5
    return CanaryScores(mu * included + rng.standard_normal(n_canaries), included)


def test_the_p_value_without_delta_is_the_binomial_tail():
    for n_right in (0, 3, 9, 10):
        expected = binom.sf(n_right - 1, 10, 1 / (1 + math.exp(-0.7)))
        assert find_guess_p_value(50, 10, n_right, 0.7, 0.0) == pytest.approx(expected)


def test_the_p_value_with_delta_follows_the_definition():
    """The definition summed term by term: tail + 2 m delta max_i P(v - i <= W < v) / i."""
    n_canaries, n_guesses, n_right, epsilon, delta = 60, 30, 24, 0.9, 1e-3
    coin = 1 / (1 + math.exp(-epsilon))
    mass = [binom.pmf(k, n_guesses, coin) for k in range(n_guesses + 1)]
    steepest = max(sum(mass[max(0, n_right - i) : n_right]) / i for i in range(1, n_right + 1))
    expected = sum(mass[n_right:]) + 2 * n_canaries * delta * steepest
    assert find_guess_p_value(n_canaries, n_guesses, n_right, epsilon, delta) == pytest.approx(expected)


@pytest.mark.parametrize("mu", [0.3, 1.0])
def test_a_gaussian_hypothesis_is_refuted_no_sooner_than_its_exact_chance(mu):
    """Independent canaries, all guessed by the sign of their score: the number right is binomial, known exactly."""
    n_canaries = 40
    right = 0.5 * math.erfc(-mu / 2 / math.sqrt(2))
    for n_right in range(n_canaries + 1):
        chance = binom.sf(n_right - 1, n_canaries, right)
        assert not is_run_refuted(n_canaries, n_canaries, n_right, mu, chance * 0.999)


def test_refuting_is_monotone_and_has_power():
    levels = np.logspace(-10, 0, 30)
    refuted = np.array([is_run_refuted(1000, 400, 300, mu, levels) for mu in (0.2, 0.5, 1.0, 2.0)])
    assert (np.diff(refuted.astype(int), axis=1) >= 0).all()
    assert (np.diff(refuted.astype(int), axis=0) <= 0).all()
    assert is_run_refuted(1000, 1000, 900, 0.5, 0.05)


@pytest.mark.parametrize("mu", [0.25, 1.0, 2.0])
def test_bounds_hold_with_the_confidence_they_state(mu):
    """100 runs at 95 %: more than 25 bounds above the truth would have probability below 1e-10."""
    above = np.zeros(3)
    for seed in range(100):
        canaries = draw_scores(mu, 300, seed)
        guesses = canaries.list_guesses()
        above += [
            bound_epsilon(300, guesses, DELTA, 0.05) > epsilon_of_gaussian(mu, DELTA),
            bound_mu_of_run(300, guesses, 0.05) > mu,
            bound_mu_of_scores(canaries, 0.05) > mu,
        ]
    assert (above <= 25).all()


def test_pure_randomized_response_is_bounded_below_its_epsilon_and_near_it():
    """Canaries that say their own bit with probability e^eps / (1 + e^eps): the case that the theorem is tight for."""
    epsilon, rng = 1.5, np.random.default_rng(0)
    included = rng.random(5000) < 0.5
    said = included ^ (rng.random(5000) < 1 / (1 + math.exp(epsilon)))
    guesses = CanaryScores(said + 0.0, included).list_guesses()
    assert 1.2 < bound_epsilon(5000, guesses, 0.0, 0.05) < epsilon


def test_no_canary_no_bound():
    """Scores without any signal: fixed seeds; each bound may be above 0 in one of 20."""
    bounds = [audit_one_run(draw_scores(0.0, 400, seed), 1.0, DELTA).lower_bound for seed in range(20)]
    assert np.median(bounds) == 0
    assert max(bounds) < 1


def test_stronger_assumptions_give_stronger_bounds_and_the_ceiling_is_what_perfect_guesses_give():
    report = audit_one_run(draw_scores(1.0), epsilon_of_gaussian(1.0, DELTA), DELTA)
    bounds = [row["lower_bound"] for row in report.rows]
    assert report.verdict == "consistent"
    assert bounds == sorted(bounds)
    perfect = audit_one_run(draw_scores(1000.0), 4.0, DELTA)
    assert perfect.verdict == "broken"
    assert perfect.lower_bound == pytest.approx(perfect.ceiling)


def test_a_claim_beyond_the_ceiling_could_not_have_been_refuted():
    report = audit_one_run(draw_scores(2.0, 200), 30.0, DELTA)
    assert report.verdict == "could not have seen it"


def make_step(width=50, scale=1.0):
    rng = np.random.default_rng(9)

    def make(noise_multiplier):
        def privatize(rows):
            lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
            total = (rows * np.minimum(1, 1 / lengths)).sum(0)
            return (total + scale * noise_multiplier * rng.standard_normal(rows.shape[1])) / 7

        return privatize

    return PrivateStep(make, 1.0, width, 7.0)


def test_a_whole_run_weighs_phases_by_what_they_tell():
    event = ComposedEvent((RepeatedEvent(GaussianEvent(2.0), 4), RepeatedEvent(GaussianEvent(20.0), 100)))
    mu = math.sqrt(4 / 2.0**2 + 100 / 20.0**2)
    bounds = [bound_mu_of_scores(run_canaries(make_step(), event, n_canaries=800, seed=seed), 0.05) for seed in (0, 1)]
    assert all(0.75 * mu < bound < mu * 1.05 for bound in bounds)


@pytest.mark.parametrize("is_sampler_given", [True, False])
def test_a_sampled_run_leaks_less(is_sampler_given):
    rng = np.random.default_rng(3)
    sample = (lambda n: rng.random(n) < 0.1) if is_sampler_given else None
    canaries = run_canaries(
        make_step(), RepeatedEvent(SampledGaussianEvent(2.0, 0.1), 50), sample=sample, n_canaries=800
    )
    assert bound_mu_of_scores(canaries, 0.05) < 0.6
    assert len(canaries.scores) == 800


def test_a_step_of_fixed_width_takes_as_many_canaries_as_it_has_parameters():
    step = make_step(width=120)
    fixed = PrivateStep(step.make, 1.0, 120, 7.0, takes_any_width=False)
    assert len(run_canaries(fixed, GaussianEvent(1.0), n_canaries=1000).scores) == 120


def test_the_more_steps_the_fewer_canaries_within_limits():
    counts = [len(run_canaries(make_step(), RepeatedEvent(GaussianEvent(9.0), n)).scores) for n in (1, 150, 400)]
    assert counts[0] == 1000
    assert counts[1] < 1000
    assert counts[2] == 400


def test_a_run_that_is_not_finite_still_gives_scores():
    step = PrivateStep(lambda sd: lambda rows: rows.sum(0) * np.inf, 1.0, 3)
    with np.errstate(invalid="ignore"):
        canaries = run_canaries(step, GaussianEvent(1.0), n_canaries=200)
    assert np.isfinite(canaries.scores).all()


def test_what_cannot_be_audited_is_refused():
    with pytest.raises(UnsupportedEventError, match="LaplaceEvent"):
        run_canaries(make_step(), LaplaceEvent(1.0))
    with pytest.raises(SpecificationError, match="at least 100"):
        draw_scores(1.0, 10)
    with pytest.raises(SpecificationError, match="booleans"):
        CanaryScores(np.zeros(200), np.zeros(200))


def test_the_truth_is_not_used_for_choosing_whom_to_guess():
    canaries = draw_scores(1.0, 200)
    turned = CanaryScores(canaries.scores, ~canaries.included)
    for (n_guesses, n_right), (n_same, n_wrong) in itertools.zip_longest(
        canaries.list_guesses(), turned.list_guesses()
    ):
        assert n_guesses == n_same
        assert n_right + n_wrong == n_guesses
