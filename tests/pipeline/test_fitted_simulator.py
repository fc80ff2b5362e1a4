"""The simulator finds the population it was shown, and says what it cannot follow."""

import math
from dataclasses import replace

import numpy as np
import pytest

from twinlab.budget import Event, GaussianEvent, NonPrivateEvent, PrivacyUnit
from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.population import TRAITS, SimulatedPopulation
from twinlab.cohorts.simulator import simulate
from twinlab.errors import BudgetExhaustedError, DataContractError, SpecificationError
from twinlab.pipeline.fitted_simulator import (
    FittedSimulator,
    describe_guarantee,
    find_summary_noise,
    fit_simulator,
    fit_summary,
)
from twinlab.pipeline.simulator_release import SUMS, SimulatorRelease, draw_hours_table
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.synthetic.summary import draw_summary, measure_summary
from twinlab.release import DifferentialPrivacy, NoGuarantee

N_DAYS = 7
PLANTED = SimulatedPopulation(
    activity_log=-0.5,
    light_steps_per_min=24,
    weekend_activity_log=0.4,
    resting_heart_rate_bpm=75,
    resting_heart_rate_spread_bpm=8,
    circadian_bpm=4,
    circadian_peak_hour=15,
    sleep_need_hours=6.8,
    chronotype_hours=1.8,
    chronotype_spread_hours=1.3,
    basal_glucose_mg_dl=96,
    resting_energy_log=0.12,
    off_day_chance=0.5,
    bare_night_share=0.45,
)


class Payer:
    """Writes down what it is asked for, and may refuse it."""

    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses
        self.paid: list[tuple[Event, str]] = []

    def spend(self, event: Event, *, purpose: str) -> None:
        if self.refuses:
            raise BudgetExhaustedError("budget: nothing left")
        self.paid.append((event, purpose))


@pytest.fixture(scope="module")
def people() -> Cohort:
    return simulate(draw_people(300, 7, PLANTED), N_DAYS, 7).cohort


@pytest.fixture(scope="module")
def exact(people: Cohort) -> FittedSimulator:
    return fit_simulator(people, epsilon=math.inf)


@pytest.fixture(scope="module")
def noisy(people: Cohort) -> FittedSimulator:
    """At epsilon 1, with noise that is repeatable, so that no test here can fail by chance."""
    multiplier = find_summary_noise(1.0, 1e-5)
    summary = draw_summary(people, multiplier, open_noise(rehearsal=True, seed=11))
    return fit_summary(summary, people.signals, N_DAYS, describe_guarantee(summary.event, 1e-5))


def measure_distances(population: SimulatedPopulation) -> np.ndarray:
    """How far each trait is from the planted one, in what populations lie apart."""
    apart = np.array([trait.apart for trait in TRAITS.values()])
    return np.abs(np.array(population.values) - np.array(PLANTED.values)) / apart


def test_a_planted_population_is_found_without_noise(exact: FittedSimulator) -> None:
    errors = np.array(list(exact.standard_errors.values()))
    misses = np.abs(np.array(exact.population.values) - np.array(PLANTED.values)) / errors
    assert misses.max() < 3
    distances = measure_distances(exact.population)
    assert distances.max() < 0.8
    assert np.sqrt((distances**2).mean()) < 0.3
    assert exact.population.resting_heart_rate_bpm == pytest.approx(75, abs=1)
    assert exact.population.sleep_need_hours == pytest.approx(6.8, abs=0.2)
    assert exact.population.chronotype_hours == pytest.approx(1.8, abs=0.25)
    assert exact.population.basal_glucose_mg_dl == pytest.approx(96, abs=2.5)


def test_it_is_near_at_epsilon_one_with_300_people(noisy: FittedSimulator, exact: FittedSimulator) -> None:
    usual = measure_distances(SimulatedPopulation())
    distances = measure_distances(noisy.population)
    assert np.sqrt((usual**2).mean()) > 0.9
    assert np.sqrt((distances**2).mean()) < 0.6
    assert noisy.population.resting_heart_rate_bpm == pytest.approx(75, abs=3)
    assert noisy.population.chronotype_hours == pytest.approx(1.8, abs=0.5)
    for name, error in noisy.standard_errors.items():
        assert exact.standard_errors[name] < error < TRAITS[name].apart
    assert isinstance(noisy.guarantee, DifferentialPrivacy)
    assert 0.99 < noisy.guarantee.epsilon <= 1
    assert noisy.guarantee.privacy_unit == PrivacyUnit.PERSON


def test_simulated_people_follow_the_summaries_better_than_the_usual_ones(
    noisy: FittedSimulator, people: Cohort
) -> None:
    """Fitted people, others than those the fit looked at, against the exact summaries of the people."""
    truth = measure_summary(people).means
    made = measure_summary(noisy.simulate(200, N_DAYS, seed=1)).means
    usual = measure_summary(simulate(draw_people(200, 1), N_DAYS, 1).cohort).means
    assert np.linalg.norm(made - truth) < 0.5 * np.linalg.norm(usual - truth)


def test_what_the_simulator_does_not_know_is_told(people: Cohort) -> None:
    """People who walk at night and sleep at night: no population of the simulator does."""
    values = people.values.copy()
    steps = people.signals.index("steps")
    values[:, :, steps] = np.roll(values[:, :, steps], 12, axis=1)
    some = Cohort("night walkers", people.person_ids, people.start, people.signals, values, origin="simulated")
    fitted = fit_summary(measure_summary(some), some.signals, N_DAYS, NoGuarantee("a test"))
    off = fitted.gaps.set_index("statistic")["times_tolerance"]
    assert abs(off["steps cosine"]) > 10
    assert "furthest off" in fitted.sentence
    assert fitted.gaps["statistic"][off.abs().to_numpy().argmax()].startswith("steps")
    assert abs(off["glucose_mg_dl level"]) < abs(off["steps cosine"]) / 3


def test_gaps_of_a_population_it_knows_are_within_tolerance(noisy: FittedSimulator) -> None:
    gaps = noisy.gaps
    assert list(gaps["statistic"][:1]) == ["steps log level"]
    assert gaps["statistic"].iloc[-1] == "glucose_mg_dl level, variance"
    assert (gaps["times_tolerance"].abs() < 4).all()
    np.testing.assert_allclose((gaps["released"] - gaps["made"]) / gaps["tolerance"], gaps["times_tolerance"])
    assert list(noisy.traits["trait"]) == list(TRAITS)


def test_made_people_are_labelled_and_repeatable(noisy: FittedSimulator) -> None:
    made = noisy.simulate(3, 2, seed=4)
    assert made.name == "synthetic people"
    assert made.origin == "simulated"
    assert made.person_ids == ("synthetic-0001", "synthetic-0002", "synthetic-0003")
    assert list(made.attributes.index) == list(made.person_ids)
    np.testing.assert_array_equal(made.values, noisy.simulate(3, 2, seed=4).values)
    assert not np.array_equal(made.values, noisy.simulate(3, 2, seed=5).values, equal_nan=True)


def test_the_seed_of_the_people_does_not_simulate_them_again(exact: FittedSimulator) -> None:
    """Who simulated people by a seed and makes synthetic ones by the same must not get them back as if copied."""
    same = simulate(draw_people(5, 7, exact.population), N_DAYS, 7).cohort.select(signals=exact.signals)
    made = exact.simulate(5, N_DAYS, seed=7)
    steps = [each.signal("steps") for each in (same, made)]
    alike = np.isclose(*steps, rtol=0.01) & (steps[0] > 0)
    assert alike.sum() < 0.1 * (steps[0] > 0).sum()


def test_noise_that_hides_everything_leaves_the_usual_population(people: Cohort) -> None:
    summary = draw_summary(people, 1000.0, open_noise(rehearsal=True, seed=2))
    fitted = fit_summary(summary, people.signals, N_DAYS, describe_guarantee(summary.event, 1e-5))
    apart = np.array([trait.apart for trait in TRAITS.values()])
    assert (np.abs(np.array(fitted.population.values) - SimulatedPopulation().values) / apart).max() < 1


def test_real_people_pay_before_noise_is_drawn(people: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    real = replace(people.select(people=people.person_ids[:2]), origin="measured")

    def draw_nothing(*_: object) -> None:
        raise AssertionError("noise was drawn")

    monkeypatch.setattr("twinlab.pipeline.fitted_simulator.draw_summary", draw_nothing)
    monkeypatch.setattr("twinlab.pipeline.fitted_simulator.measure_summary", draw_nothing)
    with pytest.raises(SpecificationError, match="ledger: expected one that pays for real people, got none"):
        fit_simulator(real, epsilon=1)
    for epsilon in (1.0, math.inf):
        with pytest.raises(BudgetExhaustedError):
            fit_simulator(real, epsilon=epsilon, ledger=Payer(refuses=True))
    for faulty in ({"epsilon": -1.0}, {"epsilon": 1.0, "delta": 0.0}, {"epsilon": 1e4}):
        payer = Payer()
        with pytest.raises(SpecificationError):
            fit_simulator(real, ledger=payer, **faulty)
        assert payer.paid == []
    for few in (real.select(hours=slice(0, 100)), real.select(signals=["intensity"])):
        payer = Payer()
        with pytest.raises((SpecificationError, DataContractError)):
            fit_simulator(few, epsilon=1.0, ledger=payer)
        assert payer.paid == []


def test_what_is_paid_is_what_is_promised(people: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinlab.pipeline.fitted_simulator.fit_summary", lambda *given: given)
    payer = Payer()
    summary, _, _, guarantee, _ = fit_simulator(people, epsilon=2.0, ledger=payer, purpose="a lesson")
    assert payer.paid == [(summary.event, "a lesson")]
    assert isinstance(summary.event, GaussianEvent)
    assert guarantee.event == summary.event
    assert guarantee.epsilon == compute_epsilon(summary.event, 1e-5) <= 2
    summary, _, _, guarantee, _ = fit_simulator(people, epsilon=math.inf, ledger=payer)
    assert payer.paid[1][0] == NonPrivateEvent() == summary.event
    assert guarantee == NoGuarantee("summaries of people without noise")


def test_a_table_of_hours_is_released_like_its_people() -> None:
    signals = ("steps", "heart_rate_bpm", "sleep_min")
    table = draw_hours_table(signals, 6, 8, seed=3)
    release = SimulatorRelease(signals, 1.0, n_days=7, rehearsal_seed=1)
    truth = simulate(draw_people(6, 3), 7, 3).truth
    own = Cohort(
        "same", truth.people.person_ids, simulate(truth.people, 7, 3).cohort.start, truth.signals, truth.values
    )
    exact = measure_summary(own.select(signals=signals)).sums
    np.testing.assert_allclose(release.recipe.measure(table)[SUMS], exact, atol=1e-9)
    mixed = table.sample(frac=1, random_state=0).sort_values("person", ascending=False, kind="stable")
    assert release(table).rows is None
    assert not np.allclose(release.recipe.measure(mixed)[SUMS], exact), "rows of a person stand in order"
    (scale,) = release.recipe.scales.values()
    assert scale == find_summary_noise(1.0, 1e-5)
    with pytest.raises(DataContractError, match="without steps"):
        release(table.drop(columns="steps"))
    with pytest.raises(SpecificationError, match="7 days or more"):
        SimulatorRelease(signals, 1.0, n_days=3)


def test_a_release_with_rows_makes_people_of_the_same_signals() -> None:
    signals = ("heart_rate_bpm", "glucose_mg_dl")
    table = draw_hours_table(signals, 20, 7)
    release = SimulatorRelease(signals, 3.0, n_people=4, rehearsal_seed=1)
    rows = release(table).rows
    assert rows is not None
    assert list(rows.columns) == list(signals)
    assert 0 < len(rows) <= 4 * 7 * 24
    assert not rows.isna().to_numpy().any()
