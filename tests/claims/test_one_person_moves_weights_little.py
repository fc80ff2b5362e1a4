"""Claim: whatever one person's readings are, they move a private training by no more than the noise is made for."""

import numpy as np
import pytest
import torch

import twinlab as tl
from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.dataset import load_cohort
from twinlab.pipeline.account import Account
from twinlab.pipeline.learning import learn, plan_person_training
from twinlab.pipeline.start import prepare_start
from twinlab.signals import get_signal

EXPERIMENT = tl.Experiment().with_(
    {
        **{"cohort.n_people": 6, "cohort.n_days": 8, "learn.privacy": "person", "learn.privacy.start": "constant"},
        **{"learn.privacy.n_steps": 1, "learn.privacy.optimizer": "descent", "learn.privacy.rehearsal": True},
    }
)


def train(cohort, **changes):
    """One step whose noise is the same every time, so that what is left of a difference is the people's."""
    experiment = EXPERIMENT.with_(changes)
    learned = learn(experiment, cohort, Account(None, experiment), lambda *_: None)
    _, geometry = prepare_start("constant", experiment.twin, experiment.learn, cohort.signals)
    return torch.linalg.solve(geometry, learned.population.forecast_mean.flatten(0, 1).T)


def make_extreme(cohort, kind):
    """The last person lives at the edge of what readings may be."""
    values = cohort.values.copy()
    if kind == "largest":
        for column, name in enumerate(cohort.signals):
            values[-1, :, column] = get_signal(name).upper
    elif kind == "jumping":
        for column, name in enumerate(cohort.signals):
            values[-1, ::2, column], values[-1, 1::2, column] = get_signal(name).lower, get_signal(name).upper
    elif kind == "nearly nothing":
        values[-1, 3:] = np.nan
    return Cohort(cohort.name, cohort.person_ids, cohort.start, cohort.signals, values, cohort.attributes)


@pytest.mark.parametrize("kind", ["as they are", "largest", "jumping", "nearly nothing"])
@pytest.mark.parametrize("clipping", ["automatic", "fixed"])
def test_adding_a_person_moves_one_step_by_at_most_the_bound(kind, clipping):
    cohort = make_extreme(load_cohort(EXPERIMENT.cohort)[0], kind)
    without = cohort.select(people=cohort.person_ids[:-1])
    changes = {"learn.privacy.clipping": clipping}
    moved = float(torch.linalg.vector_norm(train(cohort, **changes) - train(without, **changes)))
    settings = plan_person_training(EXPERIMENT.with_(changes), EXPERIMENT.with_(changes).learn.privacy)
    bound = float(settings.learning_rate) * settings.clip_norm / settings.expected_people
    assert moved <= bound * 1.001
    if kind != "nearly nothing":
        assert moved > 0.05 * bound  # the person does count for something


def test_settings_do_not_look_at_people():
    """Steps, noise, rate and divisor come from the experiment; the cohort is no argument of the plan."""
    declared = EXPERIMENT.with_({"learn.privacy.expected_people": 50})
    assert plan_person_training(declared, declared.learn.privacy).expected_people == 50
