import numpy as np
import pytest
import torch

from twinlab.errors import SpecificationError
from twinlab.experiment import BayesianTwin
from twinlab.learn_choice import CentralLearning
from twinlab.signals import get_signal
from twinlab.twins.action import Action, describe_effort
from twinlab.twins.person import open_twin
from twinlab.twins.pooled import assume_constants
from twinlab.twins.population import train_population
from twinlab.twins.question import open_questions
from twinlab.twins.readout import (
    bound_effort,
    bound_features,
    find_typical_effort,
    list_effort_rows,
    list_readouts,
    list_short_rows,
)

HOURS = (30, 150, 215)


@pytest.fixture(scope="module")
def questions(small_population, few_people):
    return open_questions(small_population, few_people, HOURS)


@pytest.fixture(scope="module")
def twins(small_population, few_people):
    return {person: open_twin(small_population, few_people, person) for person in few_people.person_ids[:2]}


def multiply(population, question):
    """What the provider does, in the clear."""
    weights, biases = list_readouts(population)
    pairs = zip(question.readout, question.rows, strict=True)
    return np.stack([weights[band] @ row + biases[band] for band, row in pairs])


def as_table(frame, column, names):
    """(hour ahead, signal) of a long table."""
    return frame.pivot_table(index="horizon_hours", columns="signal", values=column)[list(names)].to_numpy()


def find_spreads(names):
    return np.array([get_signal(name).spread for name in names])


@pytest.mark.parametrize("hour", HOURS)
def test_the_providers_readout_and_the_persons_part_make_the_twins_forecast(small_population, questions, twins, hour):
    for person, twin in twins.items():
        asked = questions.ask_forecast(person, hour, 24)
        expected = as_table(twin.forecast(hour), "mean", asked.targets)
        provided = multiply(small_population, asked)
        off = np.abs(asked.complete(provided) - expected) / find_spreads(asked.targets)
        assert off.max() < 1e-5
        assert np.abs(asked.plain - expected).max() == 0
        # the provider's part alone is not the person's forecast
        pooled = provided * find_spreads(asked.targets)
        pooled += np.array([get_signal(name).center for name in asked.targets])
        assert (np.abs(pooled - expected) / find_spreads(asked.targets)).max() > 1e-2


@pytest.mark.parametrize("action", [Action(minutes=30), Action("run", 100, start_in_hours=2), Action("stroll", 5)])
def test_a_plan_in_public_units_and_the_persons_part_make_the_twins_what_if(questions, twins, action):
    for person, twin in twins.items():
        asked = questions.ask_what_if(person, 150, 6, action)
        expected = as_table(twin.what_if(150, action, 6), "effect", asked.targets)
        off = np.abs(asked.complete(asked.rows @ asked.head.T) - expected) / find_spreads(asked.targets)
        assert off.max() < 1e-5
        assert np.abs(expected).max() > 0


def test_what_a_plan_asks_is_the_same_for_everybody(questions, few_people):
    first, second = (questions.ask_what_if(person, 150, 6, Action(minutes=90)) for person in few_people.person_ids[:2])
    assert (first.rows == second.rows).all()
    assert (first.head != second.head).any()
    assert (first.plain != second.plain).any()


def test_the_networks_question_is_answered_by_the_network(small_population, questions, few_people):
    asked = questions.ask_network(few_people.person_ids[3], 150, 7)
    rows = torch.from_numpy(asked.rows).float()
    answers = small_population.fleet.forward(small_population.backbone, rows)[0].double().numpy()
    assert (np.abs(asked.complete(answers) - asked.plain) / find_spreads(asked.targets)).max() < 1e-5


def test_a_twin_without_energy_asks_in_steps_and_intensity(few_people, small_twin, few_epochs):
    cohort = few_people.select(signals=("steps", "intensity", "heart_rate_bpm"))
    population = train_population(cohort, small_twin, few_epochs)
    person = cohort.person_ids[0]
    asked = open_questions(population, cohort, [150]).ask_what_if(person, 150, 5, Action(minutes=75))
    expected = as_table(
        open_twin(population, cohort, person).what_if(150, Action(minutes=75), 5), "effect", asked.targets
    )
    off = np.abs(asked.complete(asked.rows @ asked.head.T) - expected) / find_spreads(asked.targets)
    assert off.max() < 1e-5
    assert asked.rows.shape[1] == 6


@pytest.mark.parametrize("activation", ["tanh", "square"])
def test_bounds_hold_for_people_who_were_not_asked_for_them(few_people, few_epochs, activation):
    twin = BayesianTwin(hidden_width=8, n_features=4, activation=activation)
    population = train_population(few_people, twin, few_epochs)
    public = few_people.select(people=few_people.person_ids[:2])
    bound = 1.5 * bound_features(population, public)
    questions = open_questions(population, few_people, range(0, few_people.n_hours, 7))
    for person in few_people.person_ids[2:]:
        for hour in range(0, few_people.n_hours, 7):
            assert (np.abs(questions.ask_forecast(person, hour, 24).rows) <= bound).all()
    assert list_short_rows(population, public).shape[1] == population.fleet.widths[0]


def test_no_plan_is_larger_than_the_bound_and_no_prior_than_the_head(small_population, few_people):
    signals = few_people.signals
    most = bound_effort(signals).max(0)
    for action in (Action("run", 120), Action("walk", 60, 1), Action("stroll", 120)):
        assert (list_effort_rows(action, signals, 24).rows <= most).all()
    typical = find_typical_effort(small_population)
    assert typical.shape == (len(small_population.response_targets), len(most))
    assert (typical > np.abs(small_population.response_mean.numpy()[:, : len(most)])).all()


def test_a_plan_tells_nothing_of_a_person():
    effort = describe_effort(Action(minutes=30), 3)
    assert effort["steps"].tolist() == [30 * 105, 0, 0]
    assert effort["calories_kcal"][0] > 0


def test_what_cannot_be_asked_is_refused(questions, few_people, few_epochs):
    person = few_people.person_ids[0]
    with pytest.raises(SpecificationError, match="hour: expected one of the 3"):
        questions.ask_forecast(person, 31, 24)
    with pytest.raises(SpecificationError, match="hours_ahead: expected 1 to 24, got 25"):
        questions.ask_network(person, 30, 25)
    with pytest.raises(SpecificationError, match="minutes: expected an action within the hours ahead"):
        questions.ask_what_if(person, 30, 3, Action(minutes=30, start_in_hours=3))
    still = few_people.select(signals=("steps",))
    population = assume_constants(BayesianTwin(), CentralLearning(), still.signals)
    with pytest.raises(SpecificationError, match="a signal that answers to effort"):
        open_questions(population, still, [30]).ask_what_if(person, 30, 3, Action())
    with pytest.raises(SpecificationError, match="hours: expected some from 0 to 215"):
        open_questions(population, still, [216])


def test_a_question_is_shown_by_its_shape(questions, few_people):
    asked = questions.ask_forecast(few_people.person_ids[0], 30, 24)
    assert repr(asked).startswith("TwinQuestion(24 rows of ")
    assert repr(questions) == "TwinQuestions(5 people, 3 hours)"
