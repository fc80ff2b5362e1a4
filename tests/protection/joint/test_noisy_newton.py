"""Logistic and ridge regression with noise: what a person moves, where they lead, and how wide their intervals are."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.protection.joint.noisy_newton import bound_noisy_person, imagine_people
from twinlab.protection.joint.person_weight import weigh_people
from twinlab.protection.joint.regression import LogisticQuestion, RidgeQuestion
from twinlab.protection.joint.regression_fit import squash
from twinlab.protection.joint.statistic import Column, add_plainly, ask_jointly

FLARE = Column("flare", 0.0, 1.0)
SLEEP = Column("sleep", -1.0, 1.0)


def list_features(size):
    return tuple(Column(f"x{at}", -1.0, 1.0) for at in range(size))


def draw_corners(rng, n, size):
    corners = rng.choice([-1.0, 1.0], (n, size))
    return np.where(rng.random((n, 1)) < 0.5, corners, rng.uniform(-1, 1, (n, size)))


def list_states(question, reach, rng):
    """A state before each kind of sum after the count, at coefficients as large as this."""
    state = question.start(np.full(question.count(np.empty((0, len(question.features) + 1))).size, 400.0))
    yield state
    size = question.summarize(np.zeros((1, len(question.features) + 1)), state).size
    state = question.advance(rng.normal(size=size), state)[0]
    yield replace(state, weights=reach * rng.normal(size=state.weights.size))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.sampled_from([1, 3, 8, 40]), reach=st.sampled_from([0.0, 0.3, 1.0, 30.0]))
def test_no_person_moves_any_noisy_sum_by_more_than_the_bound(seed, size, reach):
    rng = np.random.default_rng(seed)
    features = list_features(size)
    for question in (LogisticQuestion(features, FLARE), RidgeQuestion(features, SLEEP)):
        question, outcomes = replace(question, noise_multiplier=3.0), rng.choice([0.0, 1.0], 6)
        rows = np.column_stack([draw_corners(rng, 6, size), outcomes])
        for state in list_states(question, reach, rng):
            for row in rows:
                moved = question.summarize(row[None], state)
                assert np.linalg.norm(moved) <= question.person_bound * (1 + 1e-12)
                assert np.abs(moved).max() <= 1  # what the fixed point grid has room for


def test_the_curvature_has_as_much_room_as_it_can_have():
    """A person whose chance misses by 0.618, of the longest length with one feature, all but reaches the bound."""
    question = LogisticQuestion(list_features(16), FLARE, noise_multiplier=3.0)
    state = list(list_states(question, 0.0, np.random.default_rng(0)))[1]
    person = np.zeros((1, 17))
    person[0, :5] = 1.0  # 1 and five features are as long as six, of which the bound allows 6.76
    lengths = []
    for reach in np.linspace(-3, 6, 200):
        at = replace(state, weights=np.r_[reach, np.zeros(16)])
        lengths.append(np.linalg.norm(question.summarize(person, at)))
    assert 0.9 * question.person_bound < max(lengths) <= question.person_bound
    root = (math.sqrt(5) - 1) / 2
    assert (1 + root) / (root**2 * (1 - root)) == pytest.approx((11 + 5 * math.sqrt(5)) / 2)
    assert bound_noisy_person(17) == question.person_bound


def test_imagined_people_are_normal():
    """Beside people who are: standard errors of sums over 400,000 are below 0.2 % of them."""
    rng = np.random.default_rng(0)
    spread = np.array([[0.1, 0.03], [0.03, 0.05]])
    inputs = np.column_stack([np.ones(400_000), rng.multivariate_normal([-0.2, 0.3], spread, 400_000)])
    weights = np.array([0.4, 2.0, -3.0])
    reached, curvature = imagine_people(inputs.T @ inputs, weights)
    chances = squash(inputs @ weights)
    assert reached == pytest.approx(inputs.T @ chances, abs=0.002 * len(inputs))
    assert curvature == pytest.approx((inputs * (chances * (1 - chances))[:, None]).T @ inputs, abs=0.002 * len(inputs))


def draw_people(n, rng):
    """(x0, x1, flare, sleep): one feature has two values, at its bounds, and the other has a long tail."""
    inputs = np.column_stack([rng.choice([-1.0, 1.0], n), np.clip(rng.exponential(0.4, n), 0, 2) - 1])
    reach = 0.3 + inputs @ [0.8, 1.5]
    sleep = np.clip(0.2 * reach + 0.2 * rng.standard_normal(n), -1, 1)
    return np.column_stack([inputs, rng.random(n) < squash(reach), sleep])


def fit_with_weights(inputs, outcomes, penalty):
    """Newton's whole steps on all rows in one place."""
    held, found, weights = penalty * np.diag([0.0, 1.0, 1.0]), np.zeros(3), weigh_people(inputs)
    for _ in range(20):
        chances = squash(inputs @ found)
        curvature = (inputs * (weights * chances * (1 - chances))[:, None]).T @ inputs + held
        found = found - np.linalg.solve(curvature, inputs.T @ (weights * (chances - outcomes)) + held @ found)
    return found


def test_with_hardly_any_noise_the_answer_is_that_of_people_with_weights():
    """And the plain one but for chance: within a standard error. Features here are far from normal.

    No error of the linear outcome is beyond the limit for errors here.
    """
    rows = draw_people(3000, np.random.default_rng(1))
    inputs = np.column_stack([np.ones(3000), rows[:, :2]])
    logistic, ridge = LogisticQuestion(list_features(2), FLARE), RidgeQuestion(list_features(2), SLEEP)
    root = np.sqrt(weigh_people(inputs))[:, None]
    extended = np.vstack([root * inputs, np.eye(3)[1:]])
    truths = (
        fit_with_weights(inputs, rows[:, 2], 1.0),
        np.linalg.lstsq(extended, np.r_[root[:, 0] * rows[:, 3], 0, 0], rcond=None)[0],
    )
    for question, columns, truth in zip((logistic, ridge), ([0, 1, 2], [0, 1, 3]), truths, strict=True):
        plain = ask_jointly(question, [rows[:, columns]], add_plainly)
        noisy = ask_jointly(replace(question, noise_multiplier=1e-7), [rows[:, columns]], add_plainly)
        assert (np.abs(noisy.scaled_coefficients - truth) < 0.02 * plain.standard_errors).all()
        assert (np.abs(noisy.coefficients - plain.coefficients) < plain.standard_errors).all()
        assert (noisy.standard_errors < 1.3 * plain.standard_errors).all()
        assert not noisy.added_penalty


def test_without_weights_a_person_in_a_corner_would_move_more(monkeypatch):
    """The fault that the bound is tested for."""
    for module in ("noisy_newton", "noisy_ridge"):
        monkeypatch.setattr(f"twinlab.protection.joint.{module}.weigh_people", lambda inputs: np.ones(len(inputs)))
    for question in (LogisticQuestion(list_features(4), FLARE), RidgeQuestion(list_features(4), SLEEP)):
        question = replace(question, noise_multiplier=3.0)
        for state in list_states(question, 3.0, np.random.default_rng(0)):
            corners = np.column_stack([draw_corners(np.random.default_rng(1), 200, 4), np.tile([0.0, 1.0], 100)])
            moved = [np.linalg.norm(question.summarize(row[None], state)) for row in corners]
            assert max(moved) > 1.1 * question.person_bound
