import numpy as np
import pytest

from twinlab.cohorts.cohort import Cohort
from twinlab.errors import SpecificationError
from twinlab.experiment import BayesianTwin
from twinlab.twins import tracking
from twinlab.twins.action import Action
from twinlab.twins.baseline import MODELS
from twinlab.twins.person import open_twin
from twinlab.twins.population import train_population
from twinlab.twins.tracking import estimate_effects, follow


def test_a_course_has_every_model_on_every_horizon(small_population, few_people):
    course = follow(small_population, few_people, (1, 24))
    shape = (few_people.n_people, few_people.n_hours, len(small_population.targets))
    for model in MODELS:
        for horizon in (1, 24):
            assert course.predictions[model, horizon].shape == shape
    kept = course.is_comparable("steps", 1) & course.is_test()
    assert kept.any()
    assert np.isfinite(course.predictions["twin", 1][kept]).all()
    assert (course.lower[1][kept] <= course.upper[1][kept]).all()


def test_people_followed_together_or_alone_have_the_same_twins(small_population, few_people, monkeypatch):
    together = follow(small_population, few_people, (1,))
    monkeypatch.setattr(tracking, "people_at_once", lambda *_: 1)
    alone = follow(small_population, few_people, (1,))
    for key, value in together.predictions.items():
        np.testing.assert_allclose(alone.predictions[key], value, rtol=1e-5, atol=1e-2)
    np.testing.assert_allclose(alone.lower[1], together.lower[1], rtol=1e-4, atol=0.05)


def test_one_open_twin_agrees_with_following_everybody(small_population, few_people):
    course = follow(small_population, few_people, (1,))
    twin = open_twin(small_population, few_people, few_people.person_ids[2])
    np.testing.assert_allclose(
        twin.course.predictions["twin", 1][0], course.predictions["twin", 1][2], rtol=1e-4, atol=0.05
    )
    hour = 150
    told = twin.what_if(hour, Action(minutes=30), 3).query("signal == 'heart_rate_bpm'").effect.to_numpy()
    everybody = estimate_effects(small_population, few_people, hour, Action(minutes=30))
    same = everybody[(everybody.person_id == few_people.person_ids[2]) & (everybody.signal == "heart_rate_bpm")]
    np.testing.assert_allclose(told, same.effect.to_numpy(), rtol=1e-3, atol=1e-3)


def test_missing_hours_days_and_signals_never_make_a_state_nan(small_twin, few_epochs, few_people):
    values = few_people.values.copy()
    values[0, 24:96] = np.nan
    values[1, :, 3] = np.nan
    values[2, :] = np.nan
    values[3, ::2, 0] = np.nan
    gappy = Cohort("gappy", few_people.person_ids, few_people.start, few_people.signals, values)
    population = train_population(gappy, small_twin, few_epochs)
    course = follow(population, gappy, (1, 6))
    for model in ("pooled", "twin"):
        assert np.isfinite(course.predictions[model, 6][:, 6:]).all()
    assert np.isfinite(course.lower[1][:, 1:]).all()
    assert np.isfinite(estimate_effects(population, gappy, 200, Action()).effect).all()


def test_a_cohort_of_steps_alone_has_a_twin_too(few_epochs, few_people):
    cohort = few_people.select(signals=["steps"])
    population = train_population(cohort, BayesianTwin(hidden_width=8, n_features=4), few_epochs)
    twin = open_twin(population, cohort, cohort.person_ids[0])
    assert set(twin.what_if(100, Action()).signal) == {"steps"}


def test_horizons_out_of_reach_are_refused(small_population, few_people):
    with pytest.raises(SpecificationError, match="1 to 24"):
        follow(small_population, few_people, (1, 25))
