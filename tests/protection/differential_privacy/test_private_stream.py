"""Streams: local and trusted schemes, filters, the person-level shape, and their comparison."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlab.budget import PrivacyUnit
from twinlab.errors import BudgetExhaustedError, DataContractError, SpecificationError
from twinlab.protection.differential_privacy.guarantee import NobodyPays
from twinlab.protection.differential_privacy.person_stream import release_day_shape
from twinlab.protection.differential_privacy.postprocessing import filter_series
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.differential_privacy.stream import (
    UNITS_PER_EPSILON,
    find_largest_window_spend,
    release_local_stream,
)
from twinlab.protection.differential_privacy.stream_comparison import CONSTANT, compare_streams
from twinlab.protection.differential_privacy.trusted_stream import release_trusted_stream
from twinlab.release import NoGuarantee

BOUNDS = (40.0, 180.0)


def rehearse(seed=0):
    return open_noise(rehearsal=True, seed=seed)


def make_people(n_people, n_hours, seed=0):
    """Hearts with a daily rhythm, habits of their own, and bursts of activity by day."""
    generator = np.random.default_rng(seed)
    hours = np.arange(n_hours)
    phase = generator.normal(0, 1.2, (n_people, 1))
    angle = 2 * np.pi * (hours + phase) / 24
    resting = generator.normal(68, 8, (n_people, 1))
    bursts = generator.gamma(0.15, 25, (n_people, n_hours)) * (np.sin(angle - 2.3) > 0)
    rhythm = 9 * np.sin(angle - 2.1) + 3 * np.sin(2 * angle)
    return np.clip(resting + rhythm + bursts + generator.normal(0, 3, (n_people, n_hours)), 40, 180)


@given(
    spent=st.lists(st.integers(0, 100), min_size=1, max_size=30),
    window=st.integers(1, 40),
)
def test_the_largest_window_spend_is_that_of_a_plain_loop(spent, window):
    plain = max(sum(spent[hour : hour + window]) for hour in range(len(spent)))
    assert find_largest_window_spend(np.array(spent), window) == plain


@pytest.mark.parametrize("division", ["population", "budget"])
def test_local_estimates_are_unbiased_with_the_stated_variance(division):
    """A mean beyond six standard errors is a chance of 2e-9; with rehearsal noise it never changes."""
    people = np.full((400, 480), 80.0)
    release = release_local_stream(
        people, "heart_rate_bpm", epsilon=4.0, division=division, bounds=BOUNDS, noise=rehearse(1)
    )
    errors = release.estimates - 80
    assert abs(errors.mean()) < 6 * np.sqrt(release.noise_variance.mean() / 480)
    assert (errors**2).mean() < release.noise_variance.mean() * 1.5  # stated for the worst readings
    assert find_largest_window_spend(release.spent_units, 24) <= 4 * UNITS_PER_EPSILON


def test_population_division_beats_budget_division():
    people = make_people(240, 240)
    truth = people.mean(axis=0)
    errors = {
        division: np.abs(
            release_local_stream(
                people, "heart_rate_bpm", epsilon=2.0, division=division, bounds=BOUNDS, noise=rehearse()
            ).estimates
            - truth
        ).mean()
        for division in ("population", "budget")
    }
    assert errors["population"] * 3 < errors["budget"]


def test_each_person_reports_exactly_once_a_window():
    release = release_local_stream(np.full((50, 100), 70.0), "heart_rate_bpm", epsilon=1.0, noise=rehearse())
    reports = release.spent_units > 0
    assert (reports[:, :24].sum(axis=1) == 1).all()
    assert (reports[:, :24] == reports[:, 24:48]).all()
    assert set(reports.sum(axis=0)) == {2, 3}


def test_hours_when_nobody_reports_stay_open_until_a_filter_fills_them():
    release = release_local_stream(np.full((5, 72), 70.0), "heart_rate_bpm", epsilon=8.0, noise=rehearse())
    assert np.isnan(release.estimates).any()
    assert np.isinf(release.noise_variance[np.isnan(release.estimates)]).all()
    assert np.isfinite(release.smooth().estimates).all()
    assert release.table().shape == (72, 6)


def test_public_gaps_leave_reports_out_and_hidden_ones_do_not():
    people = np.full((48, 48), 90.0)
    people[:24] = np.nan
    kept, hidden = (
        release_local_stream(
            people, "heart_rate_bpm", epsilon=20.0, missing=missing, bounds=BOUNDS, noise=rehearse()
        ).estimates
        for missing in ("public", "hidden")
    )
    assert np.nanmean(kept) == pytest.approx(90, abs=2)
    assert np.nanmean(hidden) == pytest.approx((90 + 76) / 2, abs=2)


@pytest.mark.parametrize("scheme", ["uniform", "sample"])
def test_trusted_estimates_have_the_stated_variance(scheme):
    """Ratio of variances over 3000 Laplace draws: standard deviation 0.041; 0.3 lies beyond seven of them."""
    window = 24 if scheme == "uniform" else 1
    people = np.full((20, 3000), 80.0)
    release = release_trusted_stream(
        people, "heart_rate_bpm", epsilon=3.0, window_hours=window, scheme=scheme, bounds=BOUNDS, noise=rehearse(2)
    )
    errors = release.estimates - 80
    assert np.mean(errors**2 / release.noise_variance) == pytest.approx(1, abs=0.3)
    assert abs(errors.mean()) < 6 * math.sqrt(release.noise_variance[0] / 3000)


@pytest.mark.parametrize("scheme", ["uniform", "sample", "budget_distribution", "budget_absorption"])
def test_with_a_huge_budget_a_trusted_stream_is_the_truth(scheme):
    people = make_people(10, 60)
    release = release_trusted_stream(
        people, "heart_rate_bpm", epsilon=1000.0, window_hours=2, scheme=scheme, bounds=BOUNDS, noise=rehearse()
    )
    error = np.abs(release.estimates - people.mean(axis=0))
    assert np.median(error) < (0.3 if scheme != "sample" else 5)
    assert np.isfinite(release.noise_variance).all()


def test_quiet_streams_make_adaptive_schemes_save_and_then_spend():
    jump = np.repeat([60.0, 160.0], 100)[None, :].repeat(500, axis=0)
    for scheme in ("budget_distribution", "budget_absorption"):
        release = release_trusted_stream(
            jump, "heart_rate_bpm", epsilon=40.0, scheme=scheme, bounds=BOUNDS, noise=rehearse()
        )
        publishing = release.spent_units - release.spent_units.min()
        assert publishing[100:110].sum() > 0
        assert np.count_nonzero(publishing) < 120  # of 200; asking whether it moved is noisy itself
        assert abs(release.estimates[130:] - 160).mean() < 5


def test_a_filter_takes_a_repeated_number_once():
    """Otherwise it would grow ever surer of one draw of noise."""
    people = np.full((20, 240), 80.0)
    for scheme, share in (("sample", 1 / 24), ("budget_absorption", 0.6)):
        release = release_trusted_stream(people, "heart_rate_bpm", epsilon=1.0, scheme=scheme, noise=rehearse(3))
        assert release.is_new.mean() < share + 0.01
        repeated = np.diff(release.estimates) == 0
        assert (repeated == ~release.is_new[1:]).all()
        smooth = release.smooth("random_walk")
        assert np.mean((smooth.estimates - 80) ** 2 / smooth.noise_variance) < 3


def test_what_streams_promise_and_what_they_cost_the_person():
    people = np.full((30, 49), 70.0)
    release = release_trusted_stream(people, "heart_rate_bpm", epsilon=0.5)
    assert release.guarantee.privacy_unit is PrivacyUnit.READING
    assert release.person_epsilon == 1.5
    assert release.person_event.n_times == 3
    assert "0.5 for whatever a person does within any 24 h, 1.5 for the person" in release.sentence
    rehearsed = release_trusted_stream(people, "heart_rate_bpm", epsilon=0.5, noise=rehearse()).smooth()
    assert rehearsed.guarantee == NoGuarantee("noise is reproducible")
    assert rehearsed.scheme == "uniform, harmonic Kalman"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"epsilon": 0}, "epsilon"),
        ({"window_hours": 0}, "window_hours"),
        ({"scheme": "all"}, "uniform, sample"),
        ({"bounds": (5, 6)}, "within 20 to 250"),
    ],
)
def test_wrong_streams_are_refused(change, word):
    with pytest.raises(SpecificationError, match=word):
        release_trusted_stream(np.zeros((2, 3)), "heart_rate_bpm", **{"epsilon": 1.0, **change})
    with pytest.raises(SpecificationError, match="population, budget"):
        release_local_stream(np.zeros((2, 3)), "heart_rate_bpm", epsilon=1.0, division="half")


def test_the_filter_follows_a_daily_wave_and_knows_its_error():
    """The standardised error beyond 1.5 means that the filter is surer than it may be."""
    hours = np.arange(960)
    truth = 75 + 10 * np.sin(2 * np.pi * hours / 24) + 3 * np.cos(4 * np.pi * hours / 24)
    noise = np.random.default_rng(0).laplace(0, 14, 960)
    variances = np.full(960, 2 * 14.0**2)
    raw = np.abs(noise).mean()
    errors = {}
    for model in ("random_walk", "harmonic"):
        for hindsight in (False, True):
            found, variance = filter_series(
                truth + noise, variances, "heart_rate_bpm", model=model, hindsight=hindsight
            )
            errors[model, hindsight] = np.abs(found - truth).mean()
            if model == "harmonic":
                assert np.mean((found - truth) ** 2 / variance) < 1.5
    assert errors["harmonic", False] * 4 < raw
    assert errors["harmonic", True] < errors["harmonic", False] < errors["random_walk", False] < raw


def test_the_filter_is_a_function_of_the_release_alone():
    """Post-processing: nothing but the published numbers and public constants enters."""
    values, variances = np.array([70.0, np.nan, 90.0]), np.array([4.0, np.inf, 4.0])
    first, again = (filter_series(values, variances, "heart_rate_bpm")[0] for _ in range(2))
    assert (first == again).all()
    alone = filter_series(values[:1], variances[:1], "heart_rate_bpm")[0]
    assert alone[0] == first[0]  # live: later hours change nothing before
    with pytest.raises(SpecificationError, match="random_walk, harmonic"):
        filter_series(values, variances, "heart_rate_bpm", model="splines")
    with pytest.raises(SpecificationError, match="one shape"):
        filter_series(values, variances[:2], "heart_rate_bpm")


def test_the_shape_of_the_day_is_that_of_the_plain_means_when_the_budget_is_large():
    people = make_people(300, 240)
    shape = release_day_shape(
        people, "heart_rate_bpm", epsilon=60.0, delta=1e-5, ledger=NobodyPays(), n_waves=3, bounds=BOUNDS
    )
    truth = people.mean(axis=0)
    waves = [f(2 * np.pi * k * np.arange(240) / 24) for k in range(1, 4) for f in (np.sin, np.cos)]
    design = np.column_stack([np.ones(240), *waves])
    plain = design @ np.linalg.lstsq(design, truth, rcond=None)[0]
    assert shape.n_numbers == 7
    assert np.abs(shape.estimates - plain).max() < 6 * shape.noise_standard_deviation + 0.05
    assert shape.guarantee.privacy_unit is PrivacyUnit.PERSON
    assert shape.guarantee.delta == 1e-5
    assert "per person" in shape.sentence
    assert len(shape.table()) == 240


def test_the_shape_of_the_day_is_paid_before_noise_is_drawn():
    class Empty:
        def spend(self, event, *, purpose):
            raise BudgetExhaustedError("nothing left")

    with pytest.raises(BudgetExhaustedError):
        release_day_shape(np.full((3, 24), 70.0), "heart_rate_bpm", epsilon=1.0, delta=1e-5, ledger=Empty())


@pytest.fixture(scope="module")
def comparison():
    return compare_streams(
        make_people(200, 720), "heart_rate_bpm", epsilons=(1.0, 8.0), n_people=(50, 200), bounds=BOUNDS
    )


def test_the_comparison_has_the_expected_shape(comparison):
    """Gaps of a factor 1.5 and more between averages over 720 hours: no seed turns them round."""
    table, finding = comparison
    error = table.set_index(["scheme", "n_people", "epsilon"]).mean_absolute_error
    for n_people in (50, 200):
        for epsilon in (1.0, 8.0):
            uniform, harmonic = (error[name, n_people, epsilon] for name in ("uniform", "uniform, harmonic Kalman"))
            assert harmonic * 1.5 < uniform
            for adaptive in ("budget distribution", "budget absorption"):
                assert error[adaptive, n_people, epsilon] > harmonic * 1.5
    assert error["uniform, harmonic Kalman", 200, 1.0] < error[CONSTANT, 200, 1.0]
    assert error["uniform", 200, 1.0] > error[CONSTANT, 200, 1.0]
    assert error["population division, hybrid", 200, 1.0] < error["budget division, hybrid", 200, 1.0]
    assert 1.5 < finding.value < 12
    assert "adaptive spending beats it in 0 of 4" in finding.sentence


def test_the_comparison_is_tidy(comparison):
    table, _ = comparison
    assert table.columns.tolist() == [
        *("scheme", "hides", "n_people", "epsilon", "window_hours", "mean_absolute_error", "unit")
    ]
    assert not table.duplicated(["scheme", "n_people", "epsilon"]).any()
    assert not table.isna().any().any()
    assert set(table.hides) == {"window", "person", "nobody"}


def test_the_comparison_refuses_people_who_are_not_there():
    with pytest.raises(SpecificationError, match="1 to the 2"):
        compare_streams(np.zeros((2, 30)), "heart_rate_bpm", n_people=(3,))
    with pytest.raises(DataContractError):
        compare_streams(np.zeros(3), "heart_rate_bpm")
