"""The lesson of matching: hashes name everybody, blinded lists nobody."""

import pytest

from twinlab.errors import SpecificationError
from twinlab.pipeline.matching_people_lesson import (
    MATCHING_DEFENCES,
    PROVIDERS,
    attack_matching,
    compare_matching,
    draw_patient_lists,
)

SMALL = {"n_people": 20, "n_shared": 8, "n_numbers": 200}


def test_hashes_name_everybody_and_blinded_lists_nobody():
    table = compare_matching(**SMALL).table().set_index("defence")
    assert tuple(table.index) == MATCHING_DEFENCES
    for defence in ("hashed", "keyed_hash"):
        assert table.share[defence] == 1
        assert (table.found[defence], table.found_wrongly[defence]) == (table.people[defence], 0)
    assert table.found["blinded"] == 0
    assert table.share["blinded"] == pytest.approx(table.chance["blinded"])
    assert table.matched.nunique() == 1
    assert table.matched["blinded"] >= SMALL["n_shared"]


def test_a_result_has_its_finding_its_transcript_and_no_number():
    result = attack_matching(**SMALL)
    assert result.finding.name == "people_named"
    assert repr(result) == result.finding.sentence
    assert {message.receiver for message in result.transcript} == set(PROVIDERS)
    numbers = [each for people in draw_patient_lists(**SMALL).values() for each in people]
    assert not any(number in f"{result!r}{result.match!r}{result.transcript!r}" for number in numbers)


def test_lists_follow_the_seed_and_share_who_they_should():
    lists = draw_patient_lists(**SMALL)
    assert lists == draw_patient_lists(**SMALL)
    assert lists != draw_patient_lists(**SMALL, seed=1)
    assert all(len(set(people)) == 20 for people in lists.values())
    assert len(set.intersection(*map(set, lists.values()))) >= 8


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"defence": "salted"}, r"^defence: expected one of hashed, keyed_hash, blinded, got 'salted'"),
        ({"n_shared": 20}, r"^n_shared: expected from 0 to below n_people 20, got 20"),
        ({"n_numbers": 59}, r"^n_numbers: expected from 60,"),
    ],
)
def test_choices_that_are_not_there_are_refused(changes, words):
    with pytest.raises(SpecificationError, match=words):
        attack_matching(**{**SMALL, **changes})
    if "defence" not in changes:
        with pytest.raises(SpecificationError, match=words):
            draw_patient_lists(**{**SMALL, **changes})


def test_comparing_nothing_is_refused():
    with pytest.raises(SpecificationError, match=r"^defences: expected at least one"):
        compare_matching(())
