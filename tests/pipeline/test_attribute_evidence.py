import numpy as np
import pytest

from twinlab.experiment import BayesianTwin
from twinlab.learn_choice import CentralLearning
from twinlab.pipeline.attribute_evidence import draw_others, read_answers
from twinlab.roles import report_nothing
from twinlab.twins.action import Action
from twinlab.twins.pooled import assume_constants
from twinlab.twins.tracking import estimate_effects

SIGNALS = ("steps", "calories_kcal", "intensity", "heart_rate_bpm")


@pytest.fixture(scope="module")
def population():
    twin = BayesianTwin(max_horizon_hours=3, hidden_width=8, n_features=4)
    return assume_constants(twin, CentralLearning(), SIGNALS)


@pytest.fixture(scope="module")
def people():
    return draw_others(3, 2, SIGNALS, -1, report_nothing)


def test_answers_are_those_that_a_twin_gives_when_it_is_asked_alone(population, people):
    answers = read_answers(population, people.values, SIGNALS)
    told = answers.reshape(3, 2, 4, 3, 2, 3)  # person, day, hour, signal, effect or spread, hour ahead
    for day, place, hour in ((0, 0, 8), (1, 2, 16), (1, 3, 20)):
        table = estimate_effects(population, people, 24 * day + hour, Action("walk", 30))
        for row, (_, own) in enumerate(table.groupby("signal", sort=False)):
            effect = own["effect"].to_numpy().reshape(3, 3)
            spread = (own["effect_upper"] - own["effect"]).to_numpy().reshape(3, 3) / 1.645
            np.testing.assert_allclose(told[:, day, place, row, 0], effect, rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(told[:, day, place, row, 1], spread, rtol=1e-3, atol=1e-3)


def test_the_last_four_days_are_asked_and_nobody_elses_readings_matter(population, people):
    longer = draw_others(2, 6, SIGNALS, -1, report_nothing).values
    answers = read_answers(population, longer, SIGNALS)
    assert answers.shape == (2, 4 * 4 * 3 * 2 * 3)
    changed = longer.copy()
    changed[1] *= 0.5
    again = read_answers(population, changed, SIGNALS)
    np.testing.assert_allclose(again[0], answers[0], rtol=1e-5, atol=1e-5)
    assert (again[1] != answers[1]).any()
