"""A few simulated people and a small population trained on them."""

import pytest

from twinlab.cohorts.simulator import simulate_cohort
from twinlab.experiment import BayesianTwin, SimulatedCohort
from twinlab.learn_choice import CentralLearning
from twinlab.twins.population import train_population


@pytest.fixture(scope="session")
def few_people():
    return simulate_cohort(SimulatedCohort(n_people=5, n_days=9, seed=3)).cohort


@pytest.fixture(scope="session")
def small_twin():
    return BayesianTwin(hidden_width=8, n_features=4)


@pytest.fixture(scope="session")
def few_epochs():
    return CentralLearning(n_epochs=2)


@pytest.fixture(scope="session")
def small_population(few_people, small_twin, few_epochs):
    return train_population(few_people, small_twin, few_epochs, seed=1)
