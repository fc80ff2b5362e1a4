"""Programs are checked before anything runs."""

import json

import numpy as np
import pytest

from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.joint.mpyc_program import (
    CoefficientProgram,
    CompareProgram,
    MedianProgram,
    NaiveRidgeProgram,
    VerticalProgram,
    check_parties,
    check_tables,
    read_program,
    write_program,
)
from twinlab.protection.joint.statistic import Column

AGE, SLEEP = Column("age", 18.0, 98.0, "years"), Column("sleep_min", 0.0, 900.0, "min")
VERTICAL = VerticalProgram((("north", (AGE,)), ("south", (SLEEP,)), ("east", ())), "sleep_min", 0.5)
PROGRAMS = [
    MedianProgram(AGE, 0.5, 1 / 3),
    CompareProgram(AGE),
    CoefficientProgram((AGE,), SLEEP, 2.0),
    NaiveRidgeProgram((AGE,), SLEEP),
    VERTICAL,
]
NAMES = ("north", "south", "east")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_reads_back_as_it_was_written(program):
    assert read_program(json.loads(json.dumps(write_program(program)))) == program


@pytest.mark.parametrize(
    "change", [{"kind": "os.system"}, {"column": {"name": "x"}}, {"extra": 1}, {"column": None, "resolution": None}]
)
def test_what_is_no_program_is_refused(change):
    with pytest.raises(SpecificationError, match="program: expected one of MedianProgram"):
        read_program(write_program(PROGRAMS[0]) | change)


FAULTS = {
    "level: expected a fraction": lambda: MedianProgram(AGE, 0.5, 0.50001),
    "level: expected": lambda: MedianProgram(AGE, 0.5, 1.0),
    "resolution: expected one that 40 halvings": lambda: MedianProgram(AGE, 1e-15),
    "resolution: expected one": lambda: MedianProgram(AGE, 0.0),
    "most_rows: expected": lambda: MedianProgram(AGE, 0.5, most_rows=0),
    "min_count: expected at least 2": lambda: CompareProgram(AGE, min_count=1),
    "penalty: expected 0.001 or more, got 0;": lambda: CoefficientProgram((AGE,), SLEEP, 0.0),
    "features: expected at least one": lambda: CoefficientProgram((), SLEEP),
    "columns: expected at least one, each name once": lambda: CoefficientProgram((AGE, AGE), SLEEP),
    "outcome: expected one of age, sleep_min, got steps": lambda: VerticalProgram(VERTICAL.columns, "steps"),
}


@pytest.mark.parametrize("text", FAULTS)
def test_senseless_programs_are_refused(text):
    with pytest.raises(SpecificationError, match=text):
        FAULTS[text]()


@pytest.mark.parametrize(
    ("names", "most_colluding", "text"),
    [
        (NAMES[:2], 1, "two are not protected at all"),
        (NAMES[:1], 0, "expected from 3 to 7, got 1"),
        ([str(at) for at in range(8)], 1, "expected from 3 to 7, got 8"),
        (NAMES, 0, "expected from 1 to 1 of 3 parties, got 0"),
        (NAMES, 2, "expected from 1 to 1 of 3 parties, got 2"),
        (("a", "b", "c", "d"), 2, "expected from 1 to 1 of 4 parties, got 2"),
        (("a", "a", "b"), 1, "name them apart"),
    ],
)
def test_parties_among_whom_nothing_is_hidden_are_refused(names, most_colluding, text):
    """Not by `assert`, which `python -O` leaves out."""
    with pytest.raises(SpecificationError, match=text):
        check_parties(names, most_colluding)


@pytest.mark.parametrize("most_colluding", [1, 2, 3])
def test_fewer_than_half_of_seven_may_collude(most_colluding):
    check_parties([str(at) for at in range(7)], most_colluding)


def test_tables_that_do_not_fit_are_refused_and_no_value_is_told():
    tables = {name: np.full((4, 1), 77.25) for name in NAMES}
    check_tables(MedianProgram(AGE, 0.5), tables)
    for program, changed, kind, text in [
        (
            MedianProgram(AGE, 0.5),
            {"south": np.full((4, 2), 77.25)},
            DataContractError,
            "south: expected a row a person",
        ),
        (MedianProgram(AGE, 0.5, most_rows=3), {}, DataContractError, "north: expected at most 3 rows"),
        (CoefficientProgram((AGE,), SLEEP), {}, DataContractError, "columns age, sleep_min, got another shape"),
        (
            VERTICAL,
            {"west": np.zeros((4, 1))},
            SpecificationError,
            "columns: expected those of north, south, east, west",
        ),
        (VERTICAL, {"east": np.zeros((3, 0))}, DataContractError, "rows: expected the same people"),
    ]:
        with pytest.raises(kind, match=text) as caught:
            check_tables(program, tables | changed)
        assert "77" not in str(caught.value)


def test_the_opened_words_say_what_is_told():
    assert "number of people" not in MedianProgram.opened
    assert "number of people" in CoefficientProgram.opened
    assert all(program.opened for program in PROGRAMS)
