"""The simulator: reproducible, plausible, and honest about what an action does."""

import hashlib

import numpy as np
import pytest

from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import Intervention, Simulation, estimate_true_effects, simulate, simulate_cohort
from twinlab.errors import SpecificationError
from twinlab.experiment import SimulatedCohort
from twinlab.signals import SIGNALS


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return simulate_cohort(SimulatedCohort(n_people=150, n_days=21, seed=3))


def test_cohort_is_complete(simulation: Simulation) -> None:
    cohort = simulation.cohort
    assert cohort.signals == tuple(SIGNALS)
    assert cohort.origin == "simulated"
    assert cohort.values.shape == (150, 21 * 24, 6)
    assert cohort.values.dtype == np.float32
    assert list(cohort.attributes.index) == list(cohort.person_ids)
    assert simulation.truth.values.shape == cohort.values.shape
    assert not np.isnan(simulation.truth.values).any()


def test_same_seed_same_bits(simulation: Simulation) -> None:
    again = simulate_cohort(SimulatedCohort(n_people=150, n_days=21, seed=3))
    digests = [hashlib.sha256(item.cohort.values.tobytes()).hexdigest() for item in (simulation, again)]
    assert digests[0] == digests[1]
    other = simulate(draw_people(2, 3), 3, seed=4)
    assert not np.array_equal(other.truth.values, simulation.truth.values[:2, :72])


def test_company_and_length_change_nobody(simulation: Simulation) -> None:
    few = simulate(draw_people(4, 3), 5, seed=3)
    np.testing.assert_array_equal(few.cohort.values, simulation.cohort.values[:4, : 5 * 24])
    np.testing.assert_array_equal(few.truth.values, simulation.truth.values[:4, : 5 * 24])


def test_chunks_change_nobody(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinlab.cohorts.simulator._PEOPLE_PER_CHUNK", 64)
    chunked = simulate(draw_people(150, 3), 3, seed=3)
    np.testing.assert_array_equal(chunked.cohort.values, simulation.cohort.values[:, :72])


def test_a_day_looks_like_a_day(simulation: Simulation) -> None:
    truth = simulation.truth
    by_hour = {name: truth.signal(name).reshape(150, 21, 24).mean(axis=(0, 1)) for name in truth.signals}
    sleep_hours = by_hour["sleep_min"].sum() / 60
    assert 6.3 < sleep_hours < 8.3
    assert by_hour["sleep_min"][3] > 40 > 5 > by_hour["sleep_min"][15]
    assert by_hour["steps"][12] > 5 * by_hour["steps"][3]
    assert by_hour["heart_rate_bpm"][15] > by_hour["heart_rate_bpm"][3] + 8
    assert 4000 < by_hour["steps"].sum() < 12000
    assert 1500 < by_hour["calories_kcal"].sum() < 3500
    assert by_hour["glucose_mg_dl"][9] > by_hour["glucose_mg_dl"][5]


def test_conditions_show_in_the_body(simulation: Simulation) -> None:
    condition = simulation.cohort.attributes.condition.to_numpy()
    glucose = simulation.truth.signal("glucose_mg_dl").mean(axis=1)
    assert glucose[condition == "type_2_diabetes"].mean() > glucose[condition == "none"].mean() + 20


def test_sensors_add_noise_and_gaps(simulation: Simulation) -> None:
    mask = simulation.cohort.mask
    worn = mask[..., 0]
    assert (mask[..., :5] == worn[..., None]).all(), "one watch measures all but glucose"
    assert 0.05 < 1 - worn.mean() < 0.4
    days = worn.reshape(150, 21, 24).any(axis=2)
    assert 0.02 < 1 - days.mean() < 0.3, "some whole days are not worn"
    nights, noons = worn.reshape(150, 21, 24)[:, :, 3], worn.reshape(150, 21, 24)[:, :, 15]
    bare = simulation.truth.people.takes_off_at_night
    assert nights[bare].mean() < 0.6 * noons[bare].mean(), "some people sleep without the watch"
    error = simulation.cohort.signal("heart_rate_bpm") - simulation.truth.signal("heart_rate_bpm")
    assert 0.5 < np.nanstd(error) < 8


def test_an_intervention_changes_nothing_before_it_and_nothing_else() -> None:
    people, start = draw_people(80, 0), 2 * 24 + 15
    without = simulate(people, 4, seed=0)
    with_walk = simulate(people, 4, seed=0, interventions=[Intervention(start)])
    for before, after in ((without.cohort, with_walk.cohort), (without.truth, with_walk.truth)):
        np.testing.assert_array_equal(before.values[:, :start], after.values[:, :start])
    steps = with_walk.truth.signal("steps") - without.truth.signal("steps")
    assert (steps[:, start] >= 0).all()
    assert (steps[:, start] > 1000).mean() > 0.9
    assert np.abs(steps[:, start + 1 :]).max() == 0, "the rest of the day stays as it was planned"
    heart_rate = with_walk.truth.signal("heart_rate_bpm") - without.truth.signal("heart_rate_bpm")
    assert np.abs(heart_rate[:, start + 6]).max() < 0.5


def test_no_walk_has_no_effect() -> None:
    effect = estimate_true_effects(draw_people(20, 0), 2, 0, Intervention(30, minutes=0))
    assert effect.shape == (20, 6, 6)
    assert np.abs(effect).max() == 0


def test_a_walk_raises_the_heart_rate_and_people_differ() -> None:
    effect = estimate_true_effects(draw_people(300, 0), 9, 0, Intervention(8 * 24 + 15, minutes=30))
    heart_rate = effect[:, 0, list(SIGNALS).index("heart_rate_bpm")]
    assert 7 < heart_rate.mean() < 13
    assert 2 < heart_rate.std() < 6
    assert effect[:, :2, list(SIGNALS).index("glucose_mg_dl")].mean() < 0
    longer = estimate_true_effects(draw_people(300, 0), 9, 0, Intervention(8 * 24 + 15, minutes=60))
    assert longer[:, 0, 3].mean() > heart_rate.mean() + 4


def test_a_planted_change_lasts() -> None:
    people, start = draw_people(100, 0), 3 * 24
    effect = estimate_true_effects(people, 5, 0, Intervention(start, "beta_blocker"), n_hours_after=48)[..., 3]
    assert (effect < 0).mean() > 0.99
    assert -14 < effect[:, 3].mean() < -7
    assert -14 < effect[:, 47].mean() < -7
    measured = simulate(people, 5, 0, [Intervention(start, "beta_blocker")]).cohort
    np.testing.assert_array_equal(measured.values[:, :start], simulate(people, 5, 0).cohort.values[:, :start])
    np.testing.assert_array_equal(measured.signal("steps"), simulate(people, 5, 0).cohort.signal("steps"))


def test_progress_arrives_and_can_stop_the_work() -> None:
    heard: list[tuple[str, int, int]] = []
    simulate(draw_people(2, 0), 3, 0, progress=lambda *told: heard.append(told))
    assert [told[1] for told in heard] == [1, 2, 3]
    assert {told[2] for told in heard} == {3}

    def stop(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(draw_people(2, 0), 3, 0, progress=stop)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"start_hour": -1}, "start_hour"),
        ({"start_hour": 0, "kind": "nap"}, "kind"),
        ({"start_hour": 0, "minutes": 7}, "multiple of 5"),
        ({"start_hour": 0, "met": 40}, "met"),
    ],
)
def test_impossible_interventions_are_refused(fields: dict, fault: str) -> None:
    with pytest.raises(SpecificationError, match=fault):
        Intervention(**fields)


def test_times_outside_of_the_simulation_are_refused() -> None:
    with pytest.raises(SpecificationError, match="start_hour"):
        simulate(draw_people(1, 0), 2, 0, [Intervention(48)])
    with pytest.raises(SpecificationError, match="at least 3"):
        estimate_true_effects(draw_people(1, 0), 2, 0, Intervention(47))
    with pytest.raises(SpecificationError, match="n_days"):
        simulate(draw_people(1, 0), 0, 0)


def test_repr_tells_no_value(simulation: Simulation) -> None:
    assert repr(simulation).startswith("Simulation(Cohort('simulated', simulated: 150 people x 504 hours")
    assert repr(simulation.truth) == "Truth(150 simulated people x 504 hours)"
