"""The error of a mean against the number of people."""

import math

import numpy as np
import pytest

from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.differential_privacy.aggregate import (
    count_people_needed,
    measure_mean_error,
    predict_mean_error,
)
from twinlab.protection.differential_privacy.randomness import open_noise

BOUNDS = (40.0, 180.0)


def test_the_error_falls_as_the_root_of_the_number_of_people():
    few, many = (predict_mean_error("heart_rate_bpm", 1.0, n, bounds=BOUNDS) for n in (100, 10_000))
    assert few == pytest.approx(10 * many)
    wide = predict_mean_error("heart_rate_bpm", 1.0, 100, confidence=0.99, bounds=BOUNDS)
    assert wide == pytest.approx(few * 2.5758 / 1.95996, rel=1e-4)


def test_people_needed_are_just_enough():
    finding = count_people_needed(3.5, "heart_rate_bpm", epsilon=1.0, bounds=BOUNDS)
    assert finding.value == 6591  # one twentieth of the half range at 95 %, hybrid
    assert finding.baseline == 12293
    assert predict_mean_error("heart_rate_bpm", 1.0, int(finding.value), bounds=BOUNDS) <= 3.5
    assert predict_mean_error("heart_rate_bpm", 1.0, int(finding.value) - 1, bounds=BOUNDS) > 3.5
    assert "it can be done" in finding.sentence
    assert {row["mechanism"] for row in finding.table} == {"laplace", "duchi", "piecewise", "hybrid"}


def test_it_says_when_it_is_hopeless_and_what_could_be_had():
    finding = count_people_needed(1.0, "heart_rate_bpm", epsilon=0.2, max_people=5000)
    assert finding.value > 5000
    assert "hopeless with at most 5000 people" in finding.sentence
    reach = float(finding.sentence.partition("within ")[2].partition("within ")[2].split()[0])
    assert reach == pytest.approx(predict_mean_error("heart_rate_bpm", 0.2, 5000), rel=0.01)
    assert finding.table[0]["is_hopeless"]


def test_measured_errors_are_the_predicted_ones():
    """The standard deviation of a ratio over 400 repeats is about 0.04; 0.25 lies beyond six of them."""
    readings = np.clip(np.random.default_rng(0).normal(75, 15, 500), *BOUNDS)
    table, finding = measure_mean_error(
        readings,
        "heart_rate_bpm",
        epsilons=(0.5, 4.0),
        n_people=(20, 200),
        bounds=BOUNDS,
        n_repeats=400,
        noise=open_noise(rehearsal=True, seed=1),
    )
    assert len(table) == 4 * 2 * 2
    assert (table.measured_rmse / table.predicted_rmse).between(0.75, 1.25).all()
    assert (table.measured_bias.abs() < 6 * table.predicted_rmse / math.sqrt(400)).all()
    assert (table.measured_half_width < 1.25 * table.promised_half_width).all()
    assert finding.control == 1.0
    assert finding.value == pytest.approx(1, abs=0.1)
    assert "16 combinations" in finding.sentence


def test_missing_readings_are_left_out_and_wrong_shapes_refused():
    table, _ = measure_mean_error(
        np.array([70.0, np.nan]), "heart_rate_bpm", epsilons=(4.0,), n_people=(5,), n_repeats=2, mechanisms=("duchi",)
    )
    assert len(table) == 1
    with pytest.raises(DataContractError, match="one number a person"):
        measure_mean_error(np.zeros((2, 2)), "heart_rate_bpm")
    for change in ({"n_repeats": 1}, {"n_people": (0,)}, {"epsilons": ()}):
        with pytest.raises(SpecificationError):
            measure_mean_error(np.ones(3), "steps", **change)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: predict_mean_error("steps", 1.0, 0),
        lambda: predict_mean_error("steps", 1.0, 5, confidence=1.0),
        lambda: count_people_needed(0.0, "steps", epsilon=1.0),
        lambda: count_people_needed(1.0, "steps", epsilon=1.0, mechanism="gauss"),
    ],
)
def test_wrong_questions_are_refused(ask):
    with pytest.raises(SpecificationError, match="expected"):
        ask()
