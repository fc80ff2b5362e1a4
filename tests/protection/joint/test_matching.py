"""A matcher judges what comes: only honest points of this session, from who they are due from, once."""

from dataclasses import replace

import numpy as np
import pytest

from twinlab.errors import DataContractError, ProtocolError, SpecificationError
from twinlab.protection.joint.blinding import FIELD_PRIME, draw_point, is_point
from twinlab.protection.joint.matching import Matcher
from twinlab.protection.joint.matching_message import STEPS, PointList, read_points
from twinlab.protection.joint.matching_terms import MatchingTerms
from twinlab.protection.joint.people_match import hash_openly, match_naively, match_people

NAMES = ("maker", "laboratory", "clinic")
TERMS = MatchingTerms(NAMES, (3, 3, 3), bytes(16))
POINTS = sorted(draw_point() for _ in range(3))
LISTS = {"maker": ["a", "b", "c"], "laboratory": ["c", "x", "a"], "clinic": ["c", "y", "z"]}
TWIST = next(number.to_bytes(32, "little") for number in range(2, 99) if not is_point(number.to_bytes(32, "little")))


def write(terms=TERMS, step="compare", sender="maker", receiver="laboratory", owner="maker", points=None):
    return PointList(step, sender, receiver, owner, POINTS if points is None else points).encode(terms)


def make_matcher(name="laboratory", terms=TERMS):
    return Matcher(name, LISTS[name], terms)


def test_a_message_reads_back_as_it_was_written():
    found = read_points(write(), TERMS, sender="maker", receiver="laboratory")
    assert (found.step, found.owner, list(found.points)) == ("compare", "maker", POINTS)


HEADER_BYTES = len(write(points=[]))
REFUSED = {
    "cut off in the header": (write()[: HEADER_BYTES - 1], "it was cut off"),
    "cut off": (write()[:-1], "it was cut off"),
    "longer": (write() + b"\0", "it was cut off"),
    "another kind": (b"XXXX" + write()[4:], "a message of a private matching"),
    "another version": (write()[:4] + b"\2" + write()[5:], "format 1, got format 2"),
    "another session": (write(replace(TERMS, session_id=b"\1" * 16)), "session 00000000, got session 01010101"),
    "other slots": (write(replace(TERMS, n_slots=(3, 3, 4))), "expected the terms of this party"),
    "another sender": (write(sender="clinic"), "from maker to laboratory"),
    "another receiver": (write(receiver="clinic"), "from maker to laboratory"),
    "its own list": (write(owner="laboratory"), "expected one that is due"),
    "a step for others": (write(step="compared"), "expected one that is due"),
    "too few points": (write(points=POINTS[:2]), "expected 3 points, got 2"),
    "too many points": (write(points=sorted([*POINTS, draw_point()])), "expected 3 points, got 4"),
    "too many common points": (
        write(step="common", points=sorted([*POINTS, draw_point()])),
        "expected at most 3 points, got 4",
    ),
    "one twice": (write(points=[POINTS[0], POINTS[0], POINTS[1]]), "each point once"),
    "out of order": (write(points=POINTS[::-1]), "expected sorted points"),
    "a point of the twist": (write(points=sorted([*POINTS[:2], TWIST])), "expected points of the curve"),
    "a point of small order": (write(points=sorted([*POINTS[:2], bytes(32)])), "expected points of the curve"),
    "a number beyond the prime": (
        write(points=sorted([*POINTS[:2], (FIELD_PRIME + 9).to_bytes(32, "little")])),
        "expected points of the curve",
    ),
    "a point of the twist in a list to locate": (
        write(step="locate", points=[TWIST, *POINTS[:2]]),
        "expected points of the curve",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_no_honest_party_sends_is_refused_and_nothing_is_lost(fault):
    letter, words = REFUSED[fault]
    matcher = make_matcher()
    with pytest.raises(ProtocolError, match=words) as caught:
        matcher.accept("maker", letter)
    assert "maker" in str(caught.value)
    assert len(matcher.accept("maker", write())) == 1  # it is as it was


def test_a_second_message_of_a_step_is_refused():
    matcher = make_matcher()
    matcher.accept("maker", write())
    with pytest.raises(ProtocolError, match="a second one of step compare"):
        matcher.accept("maker", write())


def test_steps_out_of_place_are_refused():
    matcher = make_matcher()
    with pytest.raises(ProtocolError, match=r"^finish: expected all messages, got none or not all from maker, clinic;"):
        matcher.finish()
    matcher.begin()
    with pytest.raises(ProtocolError, match=r"^begin: expected laboratory to begin once"):
        matcher.begin()
    with pytest.raises(SpecificationError, match=r"^party: expected one of maker, laboratory, clinic"):
        matcher.accept("stranger", write())


def test_a_matcher_that_never_began_does_not_finish():
    terms = MatchingTerms(("maker", "clinic"), (1, 1))
    matcher = Matcher("clinic", ["a"], terms)
    for step, owner in (("compare", "maker"), ("locate", "maker"), ("located", "clinic"), ("common", "maker")):
        matcher.accept("maker", write(terms, step, "maker", "clinic", owner, [draw_point()]))
    assert matcher.list_missing() == ()
    with pytest.raises(ProtocolError, match=r"^finish: expected clinic to have begun"):
        matcher.finish()


def test_terms_that_do_not_fit_are_refused_all_at_once():
    for n_parties in (0, 1, 17):
        with pytest.raises(SpecificationError, match=r"parties: expected from 2 to 16"):
            MatchingTerms(tuple(map(str, range(n_parties))), (1,) * n_parties)
    with pytest.raises(SpecificationError) as caught:
        MatchingTerms(("a", "a"), (0, 1, 1), b"short")
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "parties", "n_slots", "n_slots", "session_id"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("identifiers", "words"),
    [
        (["a", 7, None], "expected text, got 2 that are none"),
        (["a", " "], "got 1 empty"),
        (["a", "b", "A "], "got 1 rows that repeat another"),
        (["a", "b", "c", "d"], "expected at most 3, its slots, got 4"),
    ],
)
def test_a_list_that_cannot_be_matched_is_refused(identifiers, words):
    with pytest.raises(DataContractError, match=words):
        Matcher("clinic", identifiers, TERMS)


def test_a_lost_message_names_who_is_waited_for():
    with pytest.raises(ProtocolError, match=r"got none or not all from laboratory, clinic;"):
        match_people(LISTS, carry=lambda sender, _, letter: None if sender == "clinic" else letter)


def test_altered_points_are_found_when_rows_come_out_short():
    def alter(sender, receiver, letter):
        return letter[:-32] + draw_point() if letter[5] == STEPS.index("matched") else letter

    with pytest.raises(ProtocolError, match=r"^finish: expected all 1 matched people among the rows of maker, got fe"):
        match_people({name: ["a"] for name in NAMES}, carry=alter)


def test_empty_lists_match_nobody():
    found = match_people({"maker": [], "clinic": ["a"]})
    assert found.n_matched == 0
    assert all(rows.dtype == np.int64 for rows in found.rows.values())


def test_the_naive_way_needs_two_and_its_key_counts():
    with pytest.raises(SpecificationError, match="at least 2 parties, got 1"):
        match_naively({"maker": ["a"]})
    assert hash_openly("a") != hash_openly("a", b"key") != hash_openly("a", b"other")
