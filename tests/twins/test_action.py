import numpy as np
import pytest

from twinlab.errors import SpecificationError
from twinlab.twins.action import Action, Energetics, added_movement


def test_minutes_spill_into_the_next_hour():
    np.testing.assert_allclose(Action(minutes=90, start_in_hours=1).minutes_in(4), [0, 60, 30, 0])


def test_an_action_takes_the_place_of_what_would_have_been_done():
    added = added_movement(Action(minutes=30), np.array([[1000.0, 0.0]]))["steps"]
    np.testing.assert_allclose(added, [[30 * 105 - 500, 0]])


def test_all_faults_are_told_at_once():
    with pytest.raises(SpecificationError, match=r"kind.*minutes.*start_in_hours"):
        Action(kind="swim", minutes=500, start_in_hours=-1)


def test_energetics_are_causal_and_a_run_costs_more_than_a_stroll(few_people):
    whole, start = Energetics.of(few_people), Energetics.of(few_people.select(hours=slice(0, 100)))
    np.testing.assert_allclose(whole.resting_kcal[:, :100], start.resting_kcal)
    np.testing.assert_allclose(whole.step_kcal[:, :100], start.step_kcal)
    expected = np.full((few_people.n_people, 2), 80.0)
    cost = [whole.added_kcal(Action(kind=kind), 150, expected)[:, 0] for kind in ("stroll", "walk", "run")]
    assert (cost[0] < cost[1]).all()
    assert (cost[1] < cost[2]).all()
