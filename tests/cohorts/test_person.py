"""People who do not exist must still look like people."""

import numpy as np
import pytest

from twinlab.cohorts.person import CONDITIONS, draw_people
from twinlab.cohorts.stream import DAY, PEOPLE_PER_BLOCK, PERSON, PeopleStream
from twinlab.errors import SpecificationError


def test_attributes_are_plausible_and_linked_as_in_life() -> None:
    people = draw_people(4000, seed=1)
    table = people.attributes
    assert table.age_years.between(18, 82).all()
    assert table.bmi.between(17, 45).all()
    assert 0.45 < (table.sex == "male").mean() < 0.55
    assert set(table.condition) == set(CONDITIONS)
    assert table[table.takes_beta_blocker].condition.eq("hypertension").all()
    assert table.works_shifts[~table.has_job].sum() == 0
    by_condition = table.groupby("condition").age_years.mean()
    assert by_condition["hypertension"] > by_condition["none"] + 5
    blocked = table.takes_beta_blocker.to_numpy()
    assert people.resting_heart_rate_bpm[blocked].mean() < people.resting_heart_rate_bpm[~blocked].mean() - 4


def test_a_person_is_the_same_whoever_else_is_drawn() -> None:
    few, many = draw_people(3, seed=4), draw_people(PEOPLE_PER_BLOCK + 9, seed=4)
    assert few.attributes.equals(many.attributes.iloc[:3])
    np.testing.assert_array_equal(few.routine_log, many.routine_log[:, :3])
    assert few.person_ids == ("person-0001", "person-0002", "person-0003")


def test_other_seeds_are_other_people() -> None:
    assert not draw_people(5, seed=0).attributes.equals(draw_people(5, seed=1).attributes)


def test_slices_keep_their_place() -> None:
    people = draw_people(200, seed=0)
    part = people.slice(64, 70)
    assert part.person_ids == people.person_ids[64:70]
    assert part.first_person == 64
    assert part.slice(2, 4).first_person == 66
    np.testing.assert_array_equal(part.walk_hour, people.walk_hour[:, 64:70])


def test_streams_of_a_purpose_are_independent_of_others_and_of_company() -> None:
    alone = PeopleStream(7, PERSON, 2).normal(5)
    np.testing.assert_array_equal(alone, PeopleStream(7, PERSON, 300).normal(5)[:, :2])
    assert not np.array_equal(alone, PeopleStream(7, DAY, 2).normal(5))
    second_block = PeopleStream(7, PERSON, 10, first_person=PEOPLE_PER_BLOCK).uniform(3)
    np.testing.assert_array_equal(
        second_block, PeopleStream(7, PERSON, 90).uniform(3)[:, PEOPLE_PER_BLOCK : PEOPLE_PER_BLOCK + 10]
    )


def test_nobody_is_refused() -> None:
    with pytest.raises(SpecificationError, match="expected at least 1, got 0"):
        draw_people(0, seed=0)


def test_a_stream_begins_at_a_block() -> None:
    with pytest.raises(ValueError, match="multiple of"):
        PeopleStream(0, PERSON, 3, first_person=5)


def test_repr_tells_numbers_only() -> None:
    assert repr(draw_people(3, seed=9)) == "People(3 simulated people, seed 9)"
