"""Errors in a ridge regression with noise: large ones count as no more than the limit, which knows of the noise."""

from dataclasses import replace

import numpy as np

from twinlab.protection.joint.regression import RidgeQuestion
from twinlab.protection.joint.statistic import Column, add_plainly, ask_jointly

QUESTION = RidgeQuestion((Column("x", -1.0, 1.0),), Column("y", -1.0, 1.0), 0.01)


def draw_rows(n, spread, rng):
    inputs = np.clip(rng.normal(0, 0.3, n), -1, 1)
    return np.column_stack([inputs, np.clip(0.1 + 0.2 * inputs + spread * rng.standard_normal(n), -1, 1)])


def find_state(rows, noise_multiplier):
    """What is public before the second sum."""
    question = replace(QUESTION, noise_multiplier=noise_multiplier)
    rng = np.random.default_rng(0)
    total = question.summarize(rows, len(rows))
    noise = noise_multiplier * question.person_bound * rng.standard_normal(total.size)
    return question, question.advance(total + noise, len(rows))[0]


def test_hardly_anybody_is_beyond_the_limit():
    rows = draw_rows(2000, 0.1, np.random.default_rng(1))
    for noise_multiplier in (1e-6, 3.0, 10.0):
        _, state = find_state(rows, noise_multiplier)
        errors = state.weights[0] + state.weights[1] * rows[:, 0] - rows[:, 1]
        assert (np.abs(errors) > state.limit).mean() < 0.002
    assert 0.3 < find_state(rows, 1e-6)[1].limit < 0.45  # 3.8 times the spread of errors


def test_the_limit_is_never_beyond_what_errors_can_be():
    rows = draw_rows(200, 0.1, np.random.default_rng(1))
    _, state = find_state(rows, 300.0)
    assert state.limit <= 1 + np.abs(state.weights).sum()


def test_an_error_beyond_the_limit_counts_as_the_limit():
    question, state = find_state(draw_rows(2000, 0.1, np.random.default_rng(1)), 1e-6)
    far, farther = (question.summarize(np.array([[0.0, y]]), state) for y in (0.9, 1.0))
    assert (far == farther).all()
    assert far[0] == -1.0


def test_the_second_sum_makes_the_answer_sharper():
    """Than products alone, whose covariances are known before it; by more the smaller the errors are."""
    gains = []
    for spread in (0.05, 0.2):
        rows = draw_rows(4000, spread, np.random.default_rng(2))
        question, state = find_state(rows, 3.0)
        before = state.covariances + state.inverse @ state.noise @ state.inverse
        found = question.advance(question.summarize(rows, state), state)[1]
        gains.append(np.sqrt(before[1, 1] / found.scaled_covariances[1, 1]))
    assert gains[0] > 1.5
    assert gains[0] > gains[1] > 1.0


def test_without_noise_there_is_no_second_sum():
    assert ask_jointly(QUESTION, [draw_rows(200, 0.1, np.random.default_rng(1))], add_plainly).n_rounds == 2
    assert replace(QUESTION, noise_multiplier=1.0).n_rounds == 3
