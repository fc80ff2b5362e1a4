"""Rows of joint answers: numbers as the answers have them, in units for people, with the truth where it is known."""

import math

import numpy as np
import pytest

from twinlab.errors import SpecificationError
from twinlab.pipeline.hospital import QUESTION_KINDS, admit_patients, choose_question
from twinlab.pipeline.joint_asking import TOGETHER, ask_hospitals
from twinlab.pipeline.joint_view import compare_parties, list_correlations, list_shares, list_terms
from twinlab.protection.joint.opened_answer import CoefficientFit, LargestParty, SecretQuantile
from twinlab.protection.joint.regression import LogisticQuestion
from twinlab.protection.joint.secret_sum import add_secretly
from twinlab.protection.joint.share import open_shares
from twinlab.protection.joint.statistic import Column, add_plainly, ask_jointly


@pytest.fixture(scope="module")
def hospitals():
    return admit_patients((180, 120, 60), n_days=7)


def answer(hospitals, kind):
    question = choose_question(kind, hospitals)
    return ask_jointly(question, list(hospitals.take_rows(question).values()), add_plainly)


@pytest.mark.parametrize("kind", QUESTION_KINDS)
def test_all_together_come_first_and_each_party_after(hospitals, kind):
    question = choose_question(kind, hospitals)
    rows = compare_parties(ask_hospitals(question, hospitals.take_rows(question)), kind, hospitals.truth)
    parties = list(dict.fromkeys(row["party"] for row in rows))
    assert parties == [TOGETHER, *hospitals.names]
    assert [row["is_joint"] for row in rows] == [row["party"] == TOGETHER for row in rows]
    joint = [row for row in rows if row["is_joint"]]
    assert all(row["n"] == 360 and row["unit"] is not None for row in joint)
    for row in rows:
        assert row["reason"] == ""
        if math.isfinite(row["lower"]):
            assert row["lower"] <= row["value"] <= row["upper"]


def test_means_and_correlations_are_the_answers(hospitals):
    found = answer(hospitals, "means")
    rows = list_terms(found)
    assert [row["value"] for row in rows] == found.means.tolist()
    assert rows[0]["upper"] - rows[0]["lower"] == pytest.approx(2 * 1.959964 * found.standard_errors[0])
    assert (rows[1]["term"], rows[1]["unit"]) == ("resting heart rate", "bpm")
    pairs = list_correlations(found)
    assert [row["value"] for row in pairs] == found.correlations[np.triu_indices(6, 1)].tolist()
    assert pairs[0]["term"] == "age and resting heart rate"


def test_odds_ratios_are_of_round_amounts_and_have_their_truth(hospitals):
    found = answer(hospitals, "admission risk")
    rows = list_terms(found, TOGETHER, hospitals.truth)
    assert [row["unit"] for row in rows] == [
        "per 10 years",
        "per 10 bpm",
        "per 1,000 steps",
        "per 100 min",
        "per 10 mg/dL",
    ]
    table, truth = found.table()[1:], hospitals.truth.coefficients
    for row, plain, step in zip(rows, table, (10, 10, 1000, 100, 10), strict=True):
        assert row["value"] == pytest.approx(math.exp(step * plain["coefficient"]))
        assert row["lower"] == pytest.approx(math.exp(step * plain["lower"]))
        assert row["truth"] == pytest.approx(math.exp(step * truth[plain["term"]]))
        assert row["neutral"] == 1
    assert rows[3]["truth"] == 1
    assert all(row["truth"] is None for row in list_terms(found))


def test_a_regression_that_leaves_out_what_matters_has_no_truth(hospitals):
    columns = hospitals.columns
    question = LogisticQuestion((columns["age_years"], columns["steps_per_day"]), columns["admitted_within_year"])
    found = ask_jointly(question, list(hospitals.take_rows(question).values()), add_plainly)
    assert [row["truth"] for row in list_terms(found, "all", hospitals.truth)] == [None, None]
    slopes = list_terms(answer(hospitals, "linear regression"), "all", hospitals.truth)
    assert [row["truth"] for row in slopes] == [None, None, None]
    assert slopes[1]["unit"] == "bpm per 1,000 steps"


def test_curves_begin_with_everybody(hospitals):
    found = answer(hospitals, "survival")
    rows = list_terms(found, TOGETHER, hospitals.truth)
    assert len(rows) == 1 + len(found.times)
    assert (rows[0]["time"], rows[0]["value"], rows[0]["at_risk"], rows[0]["truth"]) == (0, 1, 360, 1)
    assert [row["value"] for row in rows[1:]] == found.survival.tolist()
    assert [row["truth"] for row in rows[1:]] == hospitals.truth.measure_survival(found.times).tolist()


def test_bins_and_quantiles(hospitals):
    found = answer(hospitals, "histogram")
    rows = list_terms(found)
    assert sum(row["value"] for row in rows) == pytest.approx(1)
    assert [(row["left"], row["right"]) for row in rows][:2] == [(40, 45), (45, 50)]
    assert all(0 <= row["lower"] <= row["upper"] <= 1 for row in rows)
    (row,) = list_terms(answer(hospitals, "median"))
    assert row["term"] == "median of steps per day"


def test_a_party_that_finds_nothing_has_its_reason():
    made = admit_patients((70, 60, 20), n_days=7, seed=1)
    question = choose_question("admission risk", made)
    found = ask_hospitals(question, made.take_rows(question))
    last = compare_parties(found, "admission risk", made.truth)[-1]
    assert (last["party"], last["term"]) == (made.names[2], None)
    assert "expected at least 10" in last["reason"]


def test_answers_without_intervals_have_none():
    age, heart = Column("age_years", 18, 90, "years"), Column("heart_rate_bpm", 40, 100, "bpm")
    fit = CoefficientFit((age,), heart, np.array([0.1, 0.2]), 50, 1.0)
    (row,) = list_terms(fit)
    assert row["value"] == pytest.approx(10 * 0.2 * 30 / 36)
    assert math.isnan(row["lower"])
    assert math.isnan(row["upper"])
    (row,) = list_terms(SecretQuantile(heart, 0.25, 61.0, 0.5, 20))
    assert (row["term"], row["value"]) == ("25 % quantile of heart rate", 61.0)
    with pytest.raises(SpecificationError, match="got LargestParty"):
        list_terms(LargestParty(heart, "clinic"))
    with pytest.raises(SpecificationError, match="expected moments, got CoefficientFit"):
        list_correlations(fit)


def test_shares_are_those_that_were_dealt_and_open_the_sums():
    vectors = [np.array([420.0, -61.25]), np.array([260.0, 12.5]), np.array([120.0, 3.75])]
    found = add_secretly(vectors, largest=1000.0, names=("one", "two", "three"))
    shares, totals = list_shares(found, ("people", "age"))
    assert totals == [{"value": "people", "total": 800.0}, {"value": "age", "total": -45.0}]
    assert [(row["receiver"], row["sender"]) for row in shares[::2]] == [
        *(("one", "two"), ("one", "three"), ("two", "one"), ("two", "three"), ("three", "one"), ("three", "two")),
    ]
    dealt = {(m.receiver, m.sender): m.payload for m in found.messages if m.kind == "share of a vector"}
    for row in shares:
        element = dealt[row["receiver"], row["sender"]][int(row["value"] == "age")]
        assert row["share"] == pytest.approx(int(element) / (2**61 - 1), abs=1e-15)
        assert 0 <= row["share"] < 1
    first = {2: dealt["two", "one"], 3: dealt["three", "one"]}
    assert int(open_shares(first, 2)[0]) == 420 * 2**found.terms.fixed_point.fraction_bits
    for names in ((), ("a", "b", "c")):
        with pytest.raises(SpecificationError, match="names: expected 1 to 2"):
            list_shares(found, names)
