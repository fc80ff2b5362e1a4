"""Populations differ by what they say and by nothing else."""

from dataclasses import fields

import numpy as np
import pytest

from twinlab.cohorts.person import People, draw_people
from twinlab.cohorts.population import TRAITS, SimulatedPopulation
from twinlab.errors import SpecificationError

N = 130
#: What each trait changes in people, and which way the mean goes; 0 where it is the spread that does.
DIRECT = {
    "activity_log": ("activity_log", 1),
    "light_steps_per_min": ("light_cadence_per_min", 1),
    "weekend_activity_log": ("weekend_log", 1),
    "resting_heart_rate_bpm": ("resting_heart_rate_bpm", 1),
    "resting_heart_rate_spread_bpm": ("resting_heart_rate_bpm", 0),
    "circadian_bpm": ("circadian_bpm", 1),
    "circadian_peak_hour": ("circadian_peak_hour", 1),
    "sleep_need_hours": ("sleep_need_hours", 1),
    "chronotype_hours": ("chronotype_hours", 1),
    "chronotype_spread_hours": ("chronotype_hours", 0),
    "basal_glucose_mg_dl": ("basal_glucose_mg_dl", 1),
    "resting_energy_log": ("basal_kcal_per_hour", 1),
    "off_day_chance": ("off_day_chance", 1),
    "bare_night_share": ("takes_off_at_night", 1),
}


@pytest.fixture(scope="module")
def usual() -> People:
    return draw_people(N, seed=5)


def list_changed(people: People, usual: People) -> set[str]:
    arrays = [item.name for item in fields(People) if isinstance(getattr(people, item.name), np.ndarray)]
    return {name for name in arrays if not np.array_equal(getattr(people, name), getattr(usual, name))}


def test_the_usual_population_is_the_default(usual: People) -> None:
    said = draw_people(N, 5, SimulatedPopulation())
    assert list_changed(said, usual) == set()
    assert said.resting_heart_rate_bpm.dtype == np.float32


def test_every_trait_is_tried_here() -> None:
    assert set(DIRECT) == set(TRAITS) == {item.name for item in fields(SimulatedPopulation)}


@pytest.mark.parametrize("name", TRAITS)
def test_a_trait_changes_what_it_names(name: str, usual: People) -> None:
    here, trait = getattr(SimulatedPopulation(), name), TRAITS[name]
    assert trait.lower <= here <= trait.upper
    there = here + trait.apart if here + trait.apart <= trait.upper else here - trait.apart
    other = draw_people(N, 5, SimulatedPopulation(**{name: there}))
    field, direction = DIRECT[name]
    before, after = (getattr(people, field).astype(float) for people in (usual, other))
    assert field in list_changed(other, usual)
    assert not {"age_years", "is_male", "bmi", "condition", "has_job", "exercise_minutes"} & list_changed(other, usual)
    if direction:
        assert (after.mean() - before.mean()) * (there - here) > 0
    else:
        assert (after.std() - before.std()) * (there - here) > 0


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(SpecificationError, match=r"sleep_need_hours: expected 5.8 to 9.2 hours, got 12; bare_night"):
        SimulatedPopulation(sleep_need_hours=12, bare_night_share=float("nan"))


def test_the_nearest_population_is_within_limits() -> None:
    nearest = SimulatedPopulation.nearest({"sleep_need_hours": 20, "circadian_bpm": np.float64(-3)})
    assert (nearest.sleep_need_hours, nearest.circadian_bpm) == (9.2, 0.2)
    assert type(nearest.circadian_bpm) is float
