from dataclasses import replace

import numpy as np
import pytest
import torch

from twinlab.experiment import Experiment
from twinlab.pipeline.federating import federate, prepare_federation
from twinlab.pipeline.linear_shadowing import train_head_shadows, train_round_shadows
from twinlab.pipeline.shadowing import draw_members, draw_pool
from twinlab.roles import report_nothing

#: Claims and quicker tests watch over the same.
pytestmark = pytest.mark.thorough

SMALL = Experiment().with_(
    {"cohort.n_people": 6, "cohort.n_days": 4, "twin.hidden_width": 12, "twin.n_features": 6}
)  # fmt: skip
FEDERATED = SMALL.with_({"learn": {"kind": "federated", "n_rounds": 3, "start": "constant"}})


@pytest.fixture(scope="module")
def pool():
    return draw_pool(SMALL, report_nothing)


@pytest.fixture(scope="module")
def members(pool):
    return draw_members(4, pool.n_people, 0)


@pytest.fixture(scope="module")
def rounds(pool, members):
    return train_round_shadows(FEDERATED, pool, members, report_nothing)


def change_outsiders(pool, members):
    values = pool.values.copy()
    values[~members] = values[~members] * 0.5
    return type(pool)(pool.name, pool.person_ids, pool.start, pool.signals, values, pool.attributes, pool.origin)


def test_what_is_seen_begins_at_the_public_start_and_ends_at_the_release(pool, members, rounds):
    ground = prepare_federation(FEDERATED, pool)
    own = torch.from_numpy(members[0])
    task = ground.task
    few = replace(task, features=task.features[own], answers=task.answers[own], known=task.known[own])
    final = federate(FEDERATED, replace(ground, task=few)).state
    for name, value in rounds.releases[0].items():
        assert len(value) == 4
        torch.testing.assert_close(value[:1], ground.initial[name])
        torch.testing.assert_close(value[-1:], final[name])


def test_the_signal_of_every_round_is_each_persons_coin(members, rounds):
    """Equations are solved: up to one scale and shift, signals are 1 for those who took part and 0 for others."""
    for signal, took_part in zip(rounds.signals, members, strict=True):
        assert np.corrcoef(signal, took_part)[0, 1] > 0.98
        assert signal[took_part].min() > signal[~took_part].max()


def test_readings_of_outsiders_move_no_round_and_no_head(pool, members, rounds):
    changed = change_outsiders(pool, members[0])
    again = train_round_shadows(FEDERATED, changed, members, report_nothing)
    heads = [train_head_shadows(SMALL, each, members, report_nothing, start="constant") for each in (pool, changed)]
    for one, two in ((rounds, again), heads):
        for name, value in one.releases[0].items():
            torch.testing.assert_close(two.releases[0][name], value)
            assert (two.releases[1][name] != one.releases[1][name]).any()


def test_a_head_is_the_ridge_solution_on_its_own_people(pool, members):
    heads = train_head_shadows(SMALL, pool, members, report_nothing, start="constant")
    few = pool.select(people=np.array(pool.person_ids)[members[2]].tolist())
    everybody = np.ones((2, few.n_people), dtype=bool)
    alone = train_head_shadows(SMALL, few, everybody, report_nothing, start="constant")
    torch.testing.assert_close(heads.releases[2]["forecast_mean"], alone.releases[0]["forecast_mean"])
