"""Claim: private matching finds the plain intersection, in one order, and shows no party whom just some of them have.

Chance enters by points of 252 bits alone, but for the order of 30 rows: a false alarm has a probability below 1e-30.
"""

import traceback
from collections import Counter, deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.attacks.identifier_guess import guess_identifiers
from twinlab.errors import TwinlabError
from twinlab.protection.joint.blinding import (
    blind_points,
    draw_point,
    find_converter,
    hash_identifier,
    normalize_identifier,
)
from twinlab.protection.joint.matching import Matcher
from twinlab.protection.joint.matching_message import read_points
from twinlab.protection.joint.matching_terms import MatchingTerms
from twinlab.protection.joint.people_match import match_naively, match_people
from twinlab.release import Encrypted, NoGuarantee
from twinlab.threat import PublicKnowledge, ThreatModel

NAMES = ("maker", "laboratory", "clinic", "registry", "insurer")
PEOPLE = ["00123", "123", "ann@example.org", "Björn", "ω", "  z ", "x y", "7", "8", "9"]
#: Everybody of maker and laboratory; of the clinic too; of two of the three; of one.
LISTS = {
    "maker": ["all 1", "maker 1", "maker+laboratory", "all 2", "maker+clinic", "all 3"],
    "laboratory": ["maker+laboratory", "all 3", "laboratory 1", "all 1", "all 2", "laboratory+clinic 1"],
    "clinic": ["all 2", "laboratory+clinic 1", "all 3", "maker+clinic", "all 1", "clinic 1"],
}


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_rows_are_the_plain_intersection_in_one_order_for_all(data):
    n_parties = data.draw(st.integers(2, 5))
    lists = {
        name: data.draw(st.lists(st.sampled_from(PEOPLE), max_size=6, unique_by=normalize_identifier))
        for name in NAMES[:n_parties]
    }
    written = {name: [data.draw(st.sampled_from([each, f" {each.upper()}"])) for each in lists[name]] for name in lists}
    found = match_people(written, n_slots=data.draw(st.sampled_from([None, 7])))
    people = {name: [lists[name][row] for row in found.rows[name]] for name in lists}
    first = people[NAMES[0]]
    assert all(each == first for each in people.values())
    assert len(first) == found.n_matched
    assert set(first) == set.intersection(*map(set, lists.values()))
    naive = match_naively(written)
    assert {lists[NAMES[0]][row] for row in naive.rows[NAMES[0]]} == set(first)


# What a party sees


def read_values(messages):
    """Every value that messages bear, as often as it is there."""
    return Counter(row.tobytes() for message in messages for row in message.payload)


def test_the_look_for_alike_values_finds_them_in_hashed_lists():
    """The positive control: of hashes each party sees who is on both of the others' lists."""
    alike = [value for value, n in read_values(match_naively(LISTS).messages.seen_by("maker")).items() if n > 1]
    assert len(alike) == len(set(LISTS["laboratory"]) & set(LISTS["clinic"]))


def run_matchers(lists, change=lambda matcher: None):
    """A matching that a test may look into and spoil: matchers, and opened messages."""
    terms = MatchingTerms(tuple(lists), tuple(map(len, lists.values())))
    matchers = {name: Matcher(name, each, terms) for name, each in lists.items()}
    for matcher in matchers.values():
        change(matcher)
    letters = deque((name, *letter) for name, matcher in matchers.items() for letter in matcher.begin())
    sent = []
    while letters:
        sender, receiver, data = letters.popleft()
        sent.append(read_points(data, terms, sender=sender, receiver=receiver))
        letters.extend((receiver, *answer) for answer in matchers[receiver].accept(sender, data))
    return matchers, sent


def list_seen(sent, name, steps):
    """The values that came to a party in some steps."""
    return [point for each in sent if each.receiver == name and each.step in steps for point in each.points]


@pytest.mark.parametrize("n_parties", [2, 3, 5])
def test_no_party_but_the_collector_finds_two_values_alike_with_its_secrets_either(n_parties):
    """Each value, as it came and under each of a party's secrets, is different from all others."""
    lists = {name: [f"{number}" for number in range(place, place + 6)] for place, name in enumerate(NAMES[:n_parties])}
    matchers, sent = run_matchers(lists)
    n_alike = {}
    for name, matcher in matchers.items():
        seen = list_seen(sent, name, ["compare", "compared", "locate"])
        keys = (matcher._first, matcher._second, matcher._third)
        made = Counter([*seen, *(value for key in keys for value in blind_points(seen, key))])
        n_alike[name] = sum(n > 1 for n in made.values())
    assert n_alike.pop(NAMES[0]) >= 5  # the positive control
    assert set(n_alike.values()) == {0}


def find_told(matcher, sent):
    """Which of a party's rows it finds in lists that came to it, as they came or under its secrets."""
    seen = list_seen(sent, matcher.name, ["compare", "compared", "locate"])
    first, second, third = matcher._first, matcher._second, matcher._third
    keys = (first, second, third, find_converter(first, second))
    made = {*seen, *(value for key in keys for value in blind_points(seen, key))}
    located = {value: row for row, value in enumerate(matcher._located)}
    tried = {value: row for row, each in enumerate(LISTS[matcher.name]) for value in matcher.tries(each)}
    return {row for value, row in (located | tried).items() if value in made}


def test_no_party_finds_its_own_rows_in_what_others_sent():
    matchers, sent = run_matchers(LISTS)
    for matcher in matchers.values():
        assert find_told(matcher, sent) == set()
        assert {LISTS[matcher.name][row] for row in matcher.finish()} == {"all 1", "all 2", "all 3"}


def test_without_the_third_secret_a_party_would_find_whom_it_shares_with_the_next():
    """The positive control: a list that goes home under second secrets alone is open to the party before its owner."""
    matchers, sent = run_matchers(LISTS, lambda matcher: setattr(matcher, "_third", matcher._second))
    rows = find_told(matchers["laboratory"], sent)
    assert {LISTS["laboratory"][row] for row in rows} == set(LISTS["laboratory"]) & set(LISTS["clinic"])


def test_the_collector_counts_overlaps_and_that_is_said():
    """It knows numbers of people; the transcript says so of these messages and of no others."""
    messages = match_people(LISTS).messages
    told = [message for message in messages if "in common is seen" in str(message.guarantee)]
    assert {message.receiver for message in told} == {"maker"}
    assert [message.kind for message in told] == [
        "blinded list of laboratory to compare",
        "blinded list of maker for who compares",
        "blinded list of clinic for who compares",
    ]
    at_maker, at_clinic = (set(read_values([message])) for message in told[1:])
    assert len(at_maker & at_clinic) == len(set(LISTS["maker"]) & set(LISTS["clinic"]))
    for message in messages:
        assert isinstance(message.guarantee, NoGuarantee if message.kind.startswith("common") else Encrypted)


def test_two_sessions_have_no_value_in_common_and_rows_lie_in_another_order():
    """30 rows come in the same order twice with probability 1 / 30!, below 1e-32."""
    lists = {name: [f"{number}" for number in range(30)] for name in NAMES[:3]}
    first, again = (match_people(lists) for _ in range(2))
    assert not set(read_values(first.messages)) & set(read_values(again.messages))
    assert not np.array_equal(first.rows["maker"], again.rows["maker"])
    assert not np.array_equal(first.rows["maker"], np.arange(30))


def test_lists_filled_up_look_the_same_whatever_their_length():
    def measure(lists):
        return [
            (each.sender, each.receiver, each.kind, each.n_bytes) for each in match_people(lists, n_slots=8).messages
        ]

    short = {"maker": ["a"], "laboratory": ["a", "b"], "clinic": ["c", "a"]}
    long = {"maker": list("abcdefgh"), "laboratory": list("aijklmno"), "clinic": list("apqrstuv")}
    assert measure(short) == measure(long)


# The dictionary


def test_hashes_are_broken_by_trying_all_and_blinded_lists_are_not():
    candidates = tuple(f"{number:04d}" for number in range(400))
    lists = {name: candidates[20 * place : 20 * place + 40] for place, name in enumerate(NAMES[:3])}
    threat = ThreatModel("membership", "maker", "all numbers")

    def guess(match, tries):
        facts = {"candidates": candidates, "tries": tries}
        return guess_identifiers(match.messages.seen_by("maker"), PublicKnowledge(facts=facts), threat).scores

    others = np.array([sum(each in lists[name] for name in NAMES[1:3]) for each in candidates])
    for key in (b"", b"a key that all parties have"):
        naive = match_naively(lists, key=key)
        assert np.array_equal(guess(naive, naive.tries["maker"]), others)
    outsider = match_naively(lists).tries["maker"]
    assert not guess(match_naively(lists, key=b"not known"), outsider).any()
    blinded = match_people(lists)
    assert not guess(blinded, blinded.tries["maker"]).any()


def test_whoever_has_all_secrets_names_everybody():
    """The positive control: the same values fall when all parties' secrets are pooled, and not when one is missing."""
    matchers, sent = run_matchers(LISTS)
    context = matchers["maker"].terms.digest
    compared = set(list_seen(sent, "maker", ["compared"]))  # lists of maker and clinic
    firsts = [matcher._first for matcher in matchers.values()]

    def is_found(identifier, secrets):
        points = [hash_identifier(identifier, context)]
        for secret in secrets:
            points = blind_points(points, secret)
        return points[0] in compared

    people = {each for name in ("maker", "clinic") for each in LISTS[name]}
    assert all(is_found(each, firsts) for each in people)
    assert not is_found("nobody", firsts)
    assert not any(is_found(each, firsts[:2]) for each in people)


# Identifiers in words

MARK = "secret-id-42"


def spoil(sender, receiver, letter):
    return letter[:-32] + draw_point()


FAULTS = {
    "twice": lambda: match_people({"maker": [MARK, f" {MARK.upper()}"], "clinic": [MARK]}),
    "no text": lambda: match_people({"maker": [MARK, None], "clinic": [MARK]}),
    "bytes": lambda: match_people({"maker": [MARK, MARK.encode()], "clinic": [MARK]}),
    "empty": lambda: match_people({"maker": [MARK, ""], "clinic": [MARK]}),
    "too many": lambda: match_people({"maker": [MARK, "b"], "clinic": [MARK]}, n_slots=1),
    "spoilt": lambda: match_people({"maker": [MARK], "clinic": [MARK]}, carry=spoil),
    "lost": lambda: match_people({"maker": [MARK], "clinic": [MARK]}, carry=lambda *_: None),
    "cut": lambda: match_people({"maker": [MARK], "clinic": [MARK]}, carry=lambda *sent: sent[2][:-1]),
    "alone": lambda: match_people({"maker": [MARK]}),
    "alone and naive": lambda: match_naively({"maker": [MARK]}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_error_has_an_identifier_in_it(fault):
    with pytest.raises(TwinlabError) as caught:
        FAULTS[fault]()
    words = "".join(traceback.format_exception_only(caught.value)) + repr(caught.value)
    assert MARK not in words.lower()


def test_no_repr_and_no_message_has_an_identifier_in_it():
    match = match_people({"maker": [MARK, "b"], "clinic": [MARK, "c"]})
    terms = MatchingTerms(("maker", "clinic"), (1, 1))
    matcher = Matcher("maker", [MARK], terms)
    shown = [match, match.messages, match.tries, matcher, terms, *match.messages, matcher.tries]
    assert MARK not in " ".join(map(repr, shown))
    assert MARK not in match.messages._repr_html_()
    assert not any(MARK.encode() in message.payload.tobytes() for message in match.messages)
    assert not any(str(secret) in repr(shown) for secret in (matcher._first, matcher._second, matcher._third))
