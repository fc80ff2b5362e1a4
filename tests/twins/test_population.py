import numpy as np
import pandas as pd
import pytest
import torch

from twinlab.cohorts.cohort import Cohort
from twinlab.errors import DataContractError
from twinlab.twins.feature import choose_targets, count_short
from twinlab.twins.population import first_test_hours, train_backbones, train_population


def test_training_is_repeatable_and_follows_the_seed(few_people, small_twin, few_epochs, small_population):
    again = train_population(few_people, small_twin, few_epochs, seed=1)
    other = train_population(few_people, small_twin, few_epochs, seed=2)
    for name, value in small_population.state().items():
        assert torch.equal(value, again.state()[name]), name
    assert not torch.equal(small_population.backbone["weight_0"], other.backbone["weight_0"])


def test_the_test_time_of_nobody_reaches_the_population(few_people, small_twin, few_epochs, small_population):
    cut = first_test_hours(few_people, few_epochs.train_fraction)
    values = few_people.values.copy()
    late = np.arange(few_people.n_hours)[None, :] >= cut[:, None]
    # Other readings, in the same hours: which hours are measured decides where the test time begins.
    values[late] = np.where(np.isnan(values[late]), np.nan, 60.0)
    changed = Cohort("changed", few_people.person_ids, few_people.start, few_people.signals, values)
    retrained = train_population(changed, small_twin, few_epochs, seed=1)
    for name, value in small_population.state().items():
        assert torch.equal(value, retrained.state()[name]), name


def test_only_the_people_chosen_train(few_people, small_twin, few_epochs):
    ids = few_people.person_ids[:2]
    alone = train_population(few_people.select(people=ids), small_twin, few_epochs)
    chosen = train_population(few_people, small_twin, few_epochs, people=ids)
    assert all(torch.equal(value, chosen.state()[name]) for name, value in alone.state().items())


def test_a_public_prior_releases_no_covariance_and_an_empirical_one_does(few_people, few_epochs, small_twin):
    fitted = train_population(few_people, small_twin.model_copy(update={"prior": "empirical_bayes"}), few_epochs)
    assert {"forecast_covariance", "response_covariance"} <= set(fitted.state())
    for covariance in (*fitted.forecast_covariance, *fitted.response_covariance):
        assert torch.linalg.eigvalsh(covariance.double()).min() > 0
    assert "forecast_covariance" not in train_population(few_people, small_twin, few_epochs).state()


def test_backbones_of_several_seeds_train_at_once(few_people, small_twin, few_epochs):
    targets = choose_targets(few_people.signals, None)
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(50, count_short(few_people.signals), generator=draw)
    outputs = torch.randn(50, len(targets), generator=draw)
    outputs[3] = torch.nan
    state = train_backbones(small_twin, few_epochs, few_people.signals, targets, inputs, outputs, seeds=[4, 5])
    assert state["weight_0"].shape[0] == 2
    assert all(torch.isfinite(value).all() for value in state.values())


def test_nobody_with_readings_is_refused(small_twin, few_epochs):
    empty = Cohort("empty", ("a",), pd.Timestamp("2025-01-06"), ("steps",), np.full((1, 50, 1), np.nan))
    with pytest.raises(DataContractError, match="got none"):
        train_population(empty, small_twin, few_epochs)
