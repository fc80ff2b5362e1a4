"""A question comes back from plain values as it was, and what is no question is refused by the field's name."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import SpecificationError
from twinlab.protection.joint import (
    Column,
    HistogramQuestion,
    LogisticQuestion,
    MomentQuestion,
    QuantileQuestion,
    RidgeQuestion,
    SurvivalQuestion,
    ask_jointly,
)
from twinlab.protection.joint.question_file import list_columns, read_question, write_question

AGE = Column("age", 18, 98, "years")
YES = Column("flare", 0, 1)
bounds = st.tuples(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6)).map(lambda pair: (pair[0], pair[0] + pair[1]))
columns = st.builds(lambda name, ends, unit: Column(name, *ends, unit), st.text(min_size=1), bounds, st.text())
several = st.lists(columns, min_size=1, max_size=3, unique_by=lambda column: column.name).map(tuple)
counts = st.integers(2, 1000)
questions = st.one_of(
    st.builds(MomentQuestion, several, counts),
    st.builds(lambda c: HistogramQuestion(c, (c.lower, c.middle, c.upper)), columns),
    st.builds(lambda c, shares: QuantileQuestion(c, (shares,), c.half_range / 3), columns, st.floats(0.01, 0.99)),
    st.builds(RidgeQuestion, several, st.just(Column("\0", -1, 2)), st.floats(0, 9), counts),
    st.builds(LogisticQuestion, several, st.just(Column("\0", 0, 1)), st.integers(0, 9), st.floats(0.001, 0.5)),
    st.builds(lambda top: SurvivalQuestion(Column("time", 0, top, "days"), (top / 2, top)), st.floats(1, 1e6)),
)


@settings(max_examples=60, deadline=None)
@given(questions)
def test_a_question_comes_back_through_json(question):
    found = read_question(json.loads(json.dumps(write_question(question))))
    assert found == question
    assert write_question(found) == write_question(question)


@settings(max_examples=20, deadline=None)
@given(questions)
def test_rows_hold_the_columns_that_are_listed(question):
    """The question itself takes rows of that width and refuses wider ones."""
    size = len(list_columns(question))
    assert question.count(np.zeros((0, size))).sum() == 0
    with pytest.raises(ValueError, match="another shape"):
        ask_jointly(question, [np.zeros((0, size + 1))], sum)


def test_numbers_are_written_the_same_however_they_were_given():
    whole, broken = (MomentQuestion((Column("age", *ends),)) for ends in ((18, 98), (18.0, 98.0)))
    assert json.dumps(write_question(whole)) == json.dumps(write_question(broken))


MOMENTS = write_question(MomentQuestion((AGE,)))
WRONG = {
    "kind": ({**MOMENTS, "kind": "median"}, "question.kind: expected one of moments, .*, got 'median'; choose one"),
    "no kind": ({}, "question.kind: expected one of"),
    "unknown": ({**MOMENTS, "colour": 1}, "question: expected columns, min_count, .*, got 'colour'; leave it out"),
    "missing": ({"kind": "moments"}, "question.columns: expected a list of columns, got none; add it"),
    "text": ({**MOMENTS, "min_count": "ten"}, "question.min_count: expected a whole number, got str; write it so"),
    "truth": ({**MOMENTS, "min_count": True}, "question.min_count: expected a whole number, got bool"),
    "not a number": (
        {**MOMENTS, "columns": [{"name": "age", "lower": 18, "upper": float("nan")}]},
        r"question.columns\[0\].upper: expected a number, got float",
    ),
    "inside": (
        {**MOMENTS, "columns": [{"name": "age", "lower": 18, "upper": 98, "top": 3}]},
        r"question.columns\[0\]: expected name, lower, upper, unit, got 'top'",
    ),
    "range": (
        {**MOMENTS, "columns": [{"name": "age", "lower": 98, "upper": 18}]},
        "age: expected a lower bound below an upper one, got 98 and 18",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_no_question_is_refused(fault):
    values, text = WRONG[fault]
    with pytest.raises(SpecificationError, match=text):
        read_question(values)


def test_all_faults_are_said_at_once():
    with pytest.raises(SpecificationError) as caught:
        read_question({"kind": "ridge", "features": 3, "outcome": 4, "zeal": 5})
    assert len(str(caught.value).splitlines()) == 3
