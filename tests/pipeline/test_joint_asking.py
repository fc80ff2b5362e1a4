"""One question to several hospitals: the joint answer beside each one's own."""

import numpy as np
import pytest

from twinlab.errors import DataContractError, SpecificationError
from twinlab.pipeline.joint_asking import TOGETHER, ask_hospitals
from twinlab.protection.joint.moment import MomentQuestion
from twinlab.protection.joint.regression import LogisticQuestion
from twinlab.protection.joint.statistic import Column, add_plainly, ask_jointly
from twinlab.release import DifferentialPrivacy, NoGuarantee, SecretShared

AGE = Column("age", 18.0, 98.0, "years")
FLARE = Column("flare", 0.0, 1.0)
QUESTION = MomentQuestion((AGE,))


def make_tables(sizes=(120, 80, 6), n_columns=1):
    rng = np.random.default_rng(0)
    ages = [rng.uniform(20, 90, size) for size in sizes]
    whole = [np.column_stack([each, rng.random(len(each)) < each / 120]) for each in ages]
    return {f"hospital {at + 1}": rows[:, :n_columns] for at, rows in enumerate(whole)}


def test_the_exact_answer_is_the_pooled_one_beside_each_hospitals_own():
    tables = make_tables()
    found = ask_hospitals(QUESTION, tables)
    pooled = ask_jointly(QUESTION, [np.vstack(list(tables.values()))], add_plainly)
    assert found.answer.means == pytest.approx(pooled.means, rel=1e-12)
    assert found.own["hospital 1"].means == pytest.approx(tables["hospital 1"].mean(axis=0))
    assert "expected at least 10" in found.own["hospital 3"]
    assert [row["party"] for row in found.table()] == [TOGETHER, *tables]
    assert "reason" in found.table()[-1]
    assert isinstance(found.answer_guarantee, NoGuarantee)
    assert found.receipts == ()
    assert (found.n_rounds, found.n_bytes) == (2, sum(message.n_bytes for message in found.transcript))
    assert found.sentence.startswith(pooled.sentence[:20])


def test_with_an_epsilon_everything_that_is_opened_is_promised_it():
    told = []
    found = ask_hospitals(QUESTION, make_tables(), epsilon=2.0, progress=lambda *each: told.append(each[1:]))
    assert isinstance(found.answer_guarantee, DifferentialPrivacy)
    assert 1.99 < found.answer_guarantee.epsilon <= 2.0
    assert found.shares_guarantee.threshold == 2
    for message in found.transcript:
        assert isinstance(message.guarantee, SecretShared if "vector" in message.kind else DifferentialPrivacy)
    assert told == [(1, 2), (2, 2)]
    assert "epsilon 2" in found.sentence
    assert found.question.noise_multiplier > 0
    # a hospital's own answer stays in its house, and has no noise
    assert found.own["hospital 1"].mean_noise.max() == 0.0
    assert found.answer.mean_noise.min() > 0.0


def test_a_search_takes_the_rounds_that_were_paid_for():
    found = ask_hospitals(LogisticQuestion((AGE,), FLARE), make_tables((400, 300, 200), 2), epsilon=5.0)
    assert found.n_rounds == found.question.n_rounds == 6


def test_hospitals_in_processes_of_their_own_say_the_same():
    tables = make_tables()
    here, apart = (ask_hospitals(QUESTION, tables, where=where) for where in ("here", "processes"))
    assert apart.answer.means == pytest.approx(here.answer.means, rel=1e-9)
    noisy = ask_hospitals(QUESTION, tables, epsilon=4.0, where="processes")
    deviation = noisy.answer.standard_errors[0]
    assert 0 < abs(noisy.answer.means[0] - here.answer.means[0]) < 6 * deviation  # false alarm below 1e-8
    kinds = {message.kind: message.guarantee for message in noisy.transcript}
    assert isinstance(kinds["share of the sum, round 1"], DifferentialPrivacy)
    assert isinstance(kinds["share of a vector, round 2"], SecretShared)
    assert isinstance(kinds["terms and fresh random bytes"], NoGuarantee)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"tables": make_tables((20, 20))}, "parties: expected at least 3, got 2"),
        ({"most_colluding": 2}, "most_colluding: expected from 1 to 1"),
        ({"epsilon": 1.0, "delta": 0.01}, "delta: expected above 0 and below one over"),
        ({"where": "elsewhere"}, "where: expected here or processes"),
        ({"question": MomentQuestion((AGE,), noise_multiplier=1.0)}, "question: expected one without noise"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes, text):
    arguments = {"question": QUESTION, "tables": make_tables()} | changes
    with pytest.raises(SpecificationError, match=text):
        ask_hospitals(**arguments)


def test_rows_beyond_their_bounds_or_too_many_are_refused_by_the_hospitals_name():
    tables = make_tables()
    with pytest.raises(DataContractError, match="most_rows: expected no hospital with more than 100 rows"):
        ask_hospitals(QUESTION, tables, most_rows=100)
    tables["hospital 2"][5] = 7.125
    with pytest.raises(DataContractError, match="table of hospital 2: age: expected values from 18 to 98") as caught:
        ask_hospitals(QUESTION, tables)
    assert "7.125" not in str(caught.value)
