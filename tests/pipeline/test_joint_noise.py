"""A party's noise from plain values, and how much of it an epsilon takes."""

import json
import subprocess
import sys

import numpy as np
import pytest

from twinlab.errors import PrivacyError, SpecificationError
from twinlab.pipeline.joint_noise import make_disturbance
from twinlab.pipeline.joint_plan import plan_noise
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.joint.distribution import HistogramQuestion, QuantileQuestion
from twinlab.protection.joint.moment import MomentQuestion
from twinlab.protection.joint.regression import LogisticQuestion
from twinlab.protection.joint.statistic import COUNT_NOISE, Column

AGE = Column("age", 18.0, 98.0, "years")
FLARE = Column("flare", 0.0, 1.0)
QUESTIONS = (
    MomentQuestion((AGE,)),
    HistogramQuestion(AGE, (18.0, 58.0, 98.0)),
    QuantileQuestion(AGE, (0.5,), 1.0),
    LogisticQuestion((AGE,), FLARE),
)


def plan(question=QUESTIONS[0], epsilon=1.0, **changes):
    terms = {"n_parties": 3, "most_colluding": 1, "delta": 1e-6, "most_rows": 4096} | changes
    return plan_noise(question, epsilon=epsilon, **terms)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0])
def test_all_sums_together_cost_what_was_asked_and_hardly_less(question, epsilon):
    found = plan(question, epsilon)
    assert 0.995 * epsilon < compute_epsilon(found.event, 1e-6) <= epsilon
    assert (found.guarantee.epsilon, found.guarantee.delta) == (compute_epsilon(found.event, 1e-6), 1e-6)
    assert found.n_sums == found.question.n_rounds
    assert found.question.noise_multiplier == pytest.approx(found.terms.noise_multiplier * 1.5**0.5)


def test_more_colluding_parties_take_more_noise_of_the_others():
    few, many = plan(n_parties=7), plan(n_parties=7, most_colluding=3)
    assert few.terms.noise_multiplier == many.terms.noise_multiplier
    assert many.question.noise_multiplier == pytest.approx(few.question.noise_multiplier * (6 / 4) ** 0.5)


def test_a_question_that_has_noise_already_is_not_planned_again():
    with pytest.raises(SpecificationError, match="expected one without noise"):
        plan(plan().question)


def test_noise_survives_a_round_trip_through_json_and_is_as_wide_as_planned():
    """False alarm 1e-7: variances of 20,000 values."""
    found = plan()
    disturb = make_disturbance(json.loads(json.dumps(found.noise)))
    for round_number, bound in ((1, COUNT_NOISE), (2, found.question.person_bound)):
        noisy = disturb(np.zeros(20_000), round_number)
        expected = found.terms.noise_multiplier * bound / 2**0.5
        assert noisy.std() == pytest.approx(expected, rel=5.4 / 200)
        assert np.abs(noisy).max() <= found.largest


def test_two_parties_never_add_the_same_noise():
    first, second = (make_disturbance(plan().noise)(np.zeros(50), 1) for _ in range(2))
    assert (first != second).any()


def test_no_sum_is_disturbed_that_was_not_paid_for():
    disturb = make_disturbance(plan().noise)
    disturb(np.zeros(1), 1)
    with pytest.raises(PrivacyError, match="each once and in order, got round 1 after 1"):
        disturb(np.zeros(1), 1)
    disturb(np.zeros(2), 2)
    with pytest.raises(PrivacyError, match="expected 2 sums at most"):
        disturb(np.zeros(2), 3)


@pytest.mark.parametrize("change", [{"seed": 3}, {"n_sums": None}, {"noise_multiplier": -1.0}])
def test_plain_values_that_are_no_noise_are_refused(change):
    noise = {name: value for name, value in (plan().noise | change).items() if value is not None}
    with pytest.raises(SpecificationError, match="noise"):
        make_disturbance(noise)


def test_no_noise_is_no_disturbance():
    assert make_disturbance(None) is None


def test_a_partys_process_loads_nothing_heavy_for_it():
    code = (
        "import sys, twinlab.pipeline.joint_noise\n"
        "print([name for name in ('torch', 'pandas', 'scipy', 'opendp', 'opacus') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
