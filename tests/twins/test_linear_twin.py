"""The twin as a linear function of the pooled weights: the same numbers as following it, for any weights at once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from twinlab.cohorts.simulator import simulate_cohort
from twinlab.errors import SpecificationError
from twinlab.experiment import BayesianTwin, SimulatedCohort
from twinlab.learn_choice import CentralLearning
from twinlab.twins.linear_twin import follow_linearly
from twinlab.twins.pooled import assume_constants, list_training_rows
from twinlab.twins.population import train_population
from twinlab.twins.tracking import follow


@pytest.fixture(scope="module")
def cohort():
    return simulate_cohort(SimulatedCohort(n_people=7, n_days=8, seed=4)).cohort


@pytest.fixture(scope="module")
def population(cohort):
    return train_population(cohort, BayesianTwin(max_horizon_hours=2), CentralLearning(n_epochs=2))


def test_the_forecast_equals_the_followed_twin_for_any_pooled_weights(population, cohort):
    other = replace(population, forecast_mean=torch.randn(population.forecast_mean.shape) * 0.1)
    linear = follow_linearly(population, cohort)
    forecasts = linear.forecast(torch.cat([population.forecast_mean[:1], other.forecast_mean[:1]]))
    n_late = forecasts.shape[2]
    for number, each in enumerate((population, other)):
        followed = follow(each, cohort, (1,)).predictions["twin", 1][:, -n_late:]
        assert np.nanmax(np.abs(forecasts[number] - followed) / (1 + np.abs(followed))) < 2e-3


def test_errors_are_those_of_the_test_time_alone(population, cohort):
    linear = follow_linearly(population, cohort)
    course = follow(population, cohort, (1,))
    errors = linear.measure_errors(population.forecast_mean[:1])[0]
    for column in range(len(population.targets)):
        off = np.abs(course.predictions["twin", 1][:, :, column] - course.actual[:, :, column])
        off[~course.is_test()] = np.nan
        expected = np.nanmean(off, axis=1)
        assert np.nanmax(np.abs(errors[:, column] / expected - 1)) < 1e-3


def test_whoever_has_few_hours_has_no_error_and_a_fitted_prior_is_refused(population, cohort):
    values = cohort.values.copy()
    values[2, 100:] = np.nan
    sparse = type(cohort)(cohort.name, cohort.person_ids, cohort.start, cohort.signals, values, cohort.attributes)
    errors = follow_linearly(population, sparse).measure_errors(population.forecast_mean[:1])
    assert np.isfinite(errors[0, [0, 1, 3]]).all()
    fitted = replace(population, twin=BayesianTwin(prior="empirical_bayes"))
    with pytest.raises(SpecificationError, match="public"):
        follow_linearly(fitted, cohort)


def test_constants_see_nobody_and_repeat(cohort):
    first = assume_constants(BayesianTwin(), CentralLearning(), cohort.signals, seed=3)
    second = assume_constants(BayesianTwin(), CentralLearning(), cohort.signals, seed=3)
    assert all(torch.equal(first.backbone[name], second.backbone[name]) for name in first.backbone)
    assert torch.equal(first.forecast_mean, second.forecast_mean)
    errors = follow_linearly(first, cohort).measure_errors(first.forecast_mean[:1])
    assert np.isfinite(errors).all()


def test_training_rows_end_where_a_persons_test_time_begins(population, cohort):
    (bands,) = list(list_training_rows(population, cohort))
    course = follow(population, cohort, (1,))
    for (_, answers), anchor in zip(bands, population.anchors, strict=True):
        known = torch.isfinite(answers).any(2).numpy()
        assert known.any()
        origin = np.arange(cohort.n_hours)
        late = origin[None, :] + anchor >= course.first_test_hour[:, None]
        assert not (known & late).any()
