"""A forecast, its interval and a what-if at hour t are bit for bit the same whatever happens after hour t."""

import numpy as np
import pytest

from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.simulator import simulate_cohort
from twinlab.experiment import BayesianTwin, SimulatedCohort
from twinlab.learn_choice import CentralLearning
from twinlab.twins.action import Action
from twinlab.twins.baseline import MODELS
from twinlab.twins.person import open_twin
from twinlab.twins.population import train_population
from twinlab.twins.tracking import estimate_effects, follow

NOW = 150


@pytest.fixture(scope="module")
def world():
    cohort = simulate_cohort(SimulatedCohort(n_people=4, n_days=9, seed=5)).cohort
    population = train_population(cohort, BayesianTwin(hidden_width=8, n_features=4), CentralLearning(n_epochs=2))
    return population, cohort


def _change_future(cohort, how):
    values = cohort.values.copy()
    later = values[:, NOW + 1 :]
    if how == "shifted":
        values[:, NOW + 1 :] = np.roll(later, 5, axis=1)
    elif how == "replaced":
        values[:, NOW + 1 :] = np.where(np.isnan(later), np.nan, 60.0)
    else:
        values[:, NOW + 1 :] = np.nan
    return Cohort(cohort.name, cohort.person_ids, cohort.start, cohort.signals, values)


@pytest.mark.parametrize("how", ["shifted", "replaced", "missing"])
def test_everybodys_forecasts_do_not_change_with_the_future(world, how):
    population, cohort = world
    truth, changed = (follow(population, each, (1, 6)) for each in (cohort, _change_future(cohort, how)))
    for horizon in (1, 6):
        seen = slice(0, NOW + horizon + 1)
        for model in MODELS:
            np.testing.assert_array_equal(
                truth.predictions[model, horizon][:, seen], changed.predictions[model, horizon][:, seen], err_msg=model
            )
        np.testing.assert_array_equal(truth.lower[horizon][:, seen], changed.lower[horizon][:, seen])
        np.testing.assert_array_equal(truth.upper[horizon][:, seen], changed.upper[horizon][:, seen])
    for model in ("pooled", "twin"):
        np.testing.assert_array_equal(
            truth.responses[model][:, : NOW + 1], changed.responses[model][:, : NOW + 1], err_msg=model
        )


def test_one_twins_answers_do_not_change_with_the_future(world):
    population, cohort = world
    person = cohort.person_ids[1]
    twins = [open_twin(population, each, person) for each in (cohort, _change_future(cohort, "replaced"))]
    first, second = (twin.forecast(NOW).drop(columns="actual") for twin in twins)
    assert first.equals(second)
    assert twins[0].what_if(NOW, Action()).equals(twins[1].what_if(NOW, Action()))
    assert twins[0].history(NOW).equals(twins[1].history(NOW))


def test_effects_for_everybody_do_not_change_with_the_future(world):
    population, cohort = world
    told = [estimate_effects(population, each, NOW, Action()) for each in (cohort, _change_future(cohort, "replaced"))]
    assert told[0].equals(told[1])
