import numpy as np
import pandas as pd
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.table_risk import (
    measure_table_risk,
    score_inference,
    score_linkability,
    score_singling_out,
)
from twinlab.threat import Claims

PEOPLE = pd.DataFrame({"age": [20, 30, 30], "sex": ["f", "m", "f"], "job": [True, False, True]})


def describe(*descriptions):
    values = np.empty(len(descriptions), dtype=object)
    values[:] = descriptions
    return Claims("singling_out", np.zeros(len(descriptions)), values)


def test_a_description_counts_when_one_person_fits_and_not_when_two_or_none_do():
    claims = describe({"age": (20.0, 20.0)}, {"age": (25.0, np.inf)}, {"age": (30.0, 30.0), "sex": "m"}, {"sex": "x"},
                      {"job": "False"})  # fmt: skip
    assert score_singling_out(claims, PEOPLE).tolist() == [True, False, True, False, True]
    with pytest.raises(DataContractError, match="columns that people have"):
        score_singling_out(describe({"weight": "x"}), PEOPLE)


def test_a_link_counts_when_the_right_record_is_first_and_ties_are_shared():
    claims = Claims("linkability", np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]))
    assert score_linkability(claims, np.array([0, 0, 1])).tolist() == [1, 0, 0.5]
    with pytest.raises(DataContractError, match="linkability: expected"):
        score_linkability(claims, np.array([0]))


def test_a_number_counts_when_it_is_near_and_a_word_when_it_is_right():
    numbers = Claims("inference", np.zeros(3), np.array([104.0, 106.0, 0.0]))
    assert score_inference(numbers, np.array([100, 100, 0])).tolist() == [True, False, True]
    words = Claims("inference", np.zeros(2), np.array(["a", "b"], dtype=object))
    assert score_inference(words, np.array(["a", "a"], dtype=object)).tolist() == [True, False]
    with pytest.raises(DataContractError, match="same kind"):
        score_inference(words, np.array([1.0, 2.0]))


def test_the_risk_is_what_people_outside_do_not_have():
    finding = measure_table_risk("inference", np.arange(100) < 80, np.arange(100) < 60, 0.1, 0.02, "a copy")
    assert finding.value == pytest.approx(0.5)
    assert finding.interval[0] < 0.5 < finding.interval[1]
    assert (finding.baseline, finding.control) == (0.1, 0.02)
    assert "80.0 % of people in it and 60.0 % of people outside" in finding.sentence


def test_intervals_hold_the_truth_at_least_as_often_as_they_say():
    """Rates .5 and .3 are a risk of 2/7. Of 400 intervals, 345 or fewer holding it has p < 1e-6 at 95 %."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        low, high = measure_table_risk("x", rng.random(80) < 0.5, rng.random(80) < 0.3).interval
        held += low <= 2 / 7 <= high
    assert held > 345


def test_the_ends_are_reached_and_nothing_guessed_is_nothing_known():
    assert measure_table_risk("x", np.ones(50), np.ones(50)).value == 0
    assert measure_table_risk("x", np.zeros(50), np.ones(50)).value == 0
    assert measure_table_risk("x", np.ones(50), np.zeros(50)).interval[1] == 1
    nothing = measure_table_risk("x", np.zeros(0), np.zeros(0))
    assert nothing.value == 0
    assert nothing.interval == (0, 1)


def test_a_control_smaller_than_the_original_is_refused():
    with pytest.raises(DataContractError, match="smaller control makes an innocent release look guilty"):
        measure_table_risk("x", np.zeros(50), np.zeros(20))
