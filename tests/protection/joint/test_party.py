"""A party judges what comes: only well-formed messages of this session, from who sent them, once."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twinlab.protection.joint as joint
from twinlab.errors import DataContractError, ProtocolError, SpecificationError
from twinlab.protection.joint import Party, SecretAdder, SharingTerms, add_secretly, choose_fixed_point
from twinlab.protection.joint.field import PRIME
from twinlab.protection.joint.share_message import PHASES, ShareMessage, pack_elements, read_message

NAMES = ("north", "south", "east")
TERMS = SharingTerms(NAMES, 1, 3, choose_fixed_point(largest=1000.0, n_parties=3), bytes(16))
VECTOR = np.array([731.0625, -412.5, 99.75])


def make_parties(terms=TERMS):
    return [Party(name, VECTOR, terms) for name in terms.parties]


def make_letter(terms=TERMS, sender="south", receiver="north", phase="share", words=(1, 2, 3)):
    return ShareMessage(phase, sender, receiver, pack_elements(np.array(words, dtype=np.uint64))).encode(terms)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["share", "open"]),
    st.permutations(NAMES),
    st.lists(st.integers(0, PRIME - 1), min_size=3, max_size=3),
)
def test_a_message_reads_back_as_it_was_written(phase, names, words):
    letter = make_letter(TERMS, names[0], names[1], phase, words)
    found = read_message(letter, TERMS, sender=names[0], receiver=names[1])
    assert (found.phase, found.sender, found.receiver) == (phase, names[0], names[1])
    assert found.elements.tolist() == words


FOREIGN = {
    "another session": (make_letter(replace(TERMS, session_id=b"\1" * 16)), "session 00000000, got session 01010101"),
    "another bound": (
        make_letter(replace(TERMS, fixed_point=choose_fixed_point(largest=9.0, n_parties=3))),
        "expected the terms of this party",
    ),
    "another sender": (make_letter(sender="east"), "expected one from south to north, got one that says otherwise"),
    "another receiver": (make_letter(receiver="east"), "expected one from south to north"),
    "too long": (make_letter() + b"\0", "expected 24 bytes after the header, got 25 with 24 announced"),
    "too short": (make_letter()[:-8], "got 16 with 24 announced"),
    "no header": (b"TWSS", "expected at least"),
    "other words": (b"\0" * 90, "expected a message of a secret sum"),
    "unknown phase": (make_letter()[:5] + b"\7" + make_letter()[6:], "expected a message of a secret sum"),
    "later format": (make_letter()[:4] + b"\2" + make_letter()[5:], "expected format 1, got format 2"),
    "no element": (make_letter()[:-8] + struct.pack("<Q", PRIME), "expected numbers below the prime"),
    "a hash for a share": (
        make_letter()[:5] + b"\2" + make_letter()[6:],
        "expected 32 bytes after the header, got 24",
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_messages_are_refused_by_name_and_leave_no_trace(what):
    letter, reason = FOREIGN[what]
    party = make_parties()[0]
    with pytest.raises(ProtocolError, match=f"^message from south: .*{reason}"):
        party.accept("south", letter)
    assert party.list_missing("share") == ("south", "east")
    party.accept("south", make_letter())
    assert party.list_missing("share") == ("east",)


def test_every_altered_header_byte_is_refused():
    letter = make_letter()
    for place in range(len(letter) - 24):
        altered = bytearray(letter)
        altered[place] ^= 0x5A
        with pytest.raises(ProtocolError, match=r"^message from south: "):
            make_parties()[0].accept("south", bytes(altered))


def test_the_same_phase_twice_and_an_own_message_are_refused():
    party = make_parties()[0]
    party.accept("south", make_letter())
    for letter in (make_letter(), make_letter(words=(4, 5, 6))):
        with pytest.raises(ProtocolError, match="message from south: expected one of phase share, got a second one"):
            party.accept("south", letter)
    with pytest.raises(ProtocolError, match="got its own"):
        party.accept("north", make_letter(sender="north"))
    with pytest.raises(SpecificationError, match="expected one of north, south, east, got 'west'"):
        party.accept("west", make_letter())


def test_phases_come_once_and_in_order():
    party = make_parties()[0]
    for step in (party.open_sum, party.confirm, party.finish):
        with pytest.raises(ProtocolError, match=r"once, in the order share, open, confirm|to have confirmed first"):
            step()
    party.share()
    with pytest.raises(ProtocolError, match="share: expected each phase once"):
        party.share()


def test_messages_may_come_before_their_phase():
    north, south, east = make_parties()
    shares = {party.name: party.share() for party in (north, south, east)}
    for party in (south, east):
        for sender in NAMES:
            if sender != party.name:
                party.accept(sender, shares[sender][party.name])
    opened = {party.name: party.open_sum() for party in (south, east)}
    for sender in ("east", "south"):
        north.accept(sender, opened[sender]["north"])
        north.accept(sender, shares[sender]["north"])
    north.open_sum()
    hashes = north.confirm()
    for party, other in ((south, "east"), (east, "south")):
        party.accept(other, opened[other][party.name])
        party.accept("north", hashes[party.name])
        north.accept(party.name, party.confirm()["north"])
    # East and south lack each other's hash, and go by the one of north.
    assert all((party.finish() == 3 * VECTOR).all() for party in (north, south, east))


def test_a_party_that_confirms_alone_gets_no_sum():
    with pytest.raises(ProtocolError, match="at least 2 parties to have opened the sum, got 1; missing: south, east"):
        add_secretly([VECTOR] * 3, largest=1000, names=NAMES, vanish={"south": "confirm", "east": "confirm"})
    with pytest.raises(ProtocolError, match="expected some party to be left"):
        add_secretly([VECTOR] * 3, largest=1000, names=NAMES, vanish=dict.fromkeys(NAMES, "share"))


def test_nothing_shows_a_vector():
    party = make_parties()[0]
    letters = party.share()
    message = read_message(letters["south"], TERMS, sender="north", receiver="south")
    found = add_secretly([VECTOR] * 3, largest=1000.0, names=NAMES)
    with pytest.raises(DataContractError) as fault:
        add_secretly([VECTOR] * 3, largest=100.0)
    for text in map(repr, (party, message, found, found.messages, fault.value, *found.messages)):
        assert not any(part in text for part in ("731", "412", "99.7", str(int(message.elements[0]))))
    assert party._secret is None


def test_terms_that_hide_nobody_are_refused_with_all_faults_at_once():
    with pytest.raises(SpecificationError) as found:
        SharingTerms(("a", "a"), 1, 0, TERMS.fixed_point, b"short")
    starts = [line.partition(":")[0] for line in str(found.value).splitlines()]
    assert starts == ["parties", "parties", "n_values", "fixed_point", "session_id"]
    with pytest.raises(SpecificationError, match="from 3 to 16, got 17"):
        SharingTerms(tuple("abcdefghijklmnopq"), 1, 3, choose_fixed_point(largest=1, n_parties=17))


def test_each_part_of_the_terms_is_in_the_digest():
    changes = [
        {"parties": ("south", "north", "east")},
        {"n_values": 4},
        {"fixed_point": choose_fixed_point(largest=1000.0, n_parties=3, fraction_bits=3)},
        {"fixed_point": choose_fixed_point(largest=999.0, n_parties=3)},
        {"session_id": b"\1" * 16},
    ]
    five = replace(TERMS, parties=(*NAMES, "west", "mid"), fixed_point=choose_fixed_point(largest=1.0, n_parties=5))
    digests = [TERMS.digest, five.digest, replace(five, most_colluding=2).digest]
    digests += [replace(TERMS, **change).digest for change in changes]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"names": ["a"]}, SpecificationError, "^names: expected one for each of 3 vectors, got 1"),
        ({"vanish": {"west": "open"}}, SpecificationError, "^vanish: expected parties out of party 1"),
        ({"vanish": {"party 1": "shout"}}, SpecificationError, "^vanish: expected phases out of share"),
        (
            {"vectors": [np.ones(2), np.ones(2), np.ones((2, 1))]},
            DataContractError,
            "^vector of party 3: expected shape",
        ),
        ({"vectors": []}, SpecificationError, "^parties: expected from 3 to 16, got 0"),
        ({"vectors": [np.ones(0)] * 3}, SpecificationError, "^n_values: expected at least 1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, error, reason):
    with pytest.raises(error, match=reason):
        add_secretly(**{"vectors": [np.ones(2)] * 3, "largest": 1.0, **arguments})


def test_a_vector_of_another_length_is_refused():
    with pytest.raises(DataContractError, match="vector of north: expected 3 values in a row, got shape"):
        Party("north", np.ones(4), TERMS)


def test_the_transcript_has_what_each_receiver_saw():
    found = add_secretly([VECTOR] * 3, largest=1000.0, names=NAMES, vanish={"east": "open"})
    rows = found.messages.summarize()
    assert [(row["receiver"], row["what"], row["sender"]) for row in rows if row["receiver"] == "north"] == [
        ("north", "share of a vector", "south"),
        ("north", "share of a vector", "east"),
        ("north", "share of the sum", "south"),
        ("north", "hash of the sum", "south"),
    ]
    assert "against fewer than 2 of them together" in rows[0]["guarantee"]
    assert len(found.messages) == 6 + 2 + 2
    # A header of 60 bytes, and three elements or a hash.
    assert sum(message.n_bytes for message in found.messages) == 8 * (60 + 24) + 2 * (60 + 32)


@pytest.mark.parametrize("phase", PHASES)
def test_a_lost_message_stops_a_sum_only_where_it_is_needed(phase):
    """Shares of a vector are all needed; of the sum and of the hashes, two of three are enough."""

    def carry(sender, receiver, message):
        return None if (sender, PHASES[message[5]]) == ("east", phase) and receiver == "north" else message

    if phase == "share":
        with pytest.raises(ProtocolError, match="got none from east"):
            add_secretly([VECTOR] * 3, largest=1000.0, names=NAMES, carry=carry)
    else:
        assert (add_secretly([VECTOR] * 3, largest=1000.0, names=NAMES, carry=carry).total == 3 * VECTOR).all()


def test_an_adder_keeps_one_record_over_its_sums():
    adder = SecretAdder(largest=1000.0, fraction_bits=10, names=NAMES)
    for n_sums in (1, 2):
        assert (adder([VECTOR] * 3) == 3 * VECTOR).all()
        assert adder.n_sums == n_sums
    assert len(adder.messages) == 2 * 18
    assert {message.kind for message in adder.messages.fold()} == {
        *("share of a vector, rounds 1, 2", "share of the sum, rounds 1, 2", "hash of the sum, rounds 1, 2"),
    }
    with pytest.raises(DataContractError, match="expected shape"):
        adder([VECTOR, VECTOR, VECTOR[:2]])
    assert adder.n_sums == 2


def test_public_names_are_there_and_others_are_named():
    assert all(getattr(joint, name) for name in joint.__all__)
    assert set(dir(joint)) == set(joint.__all__) == set(joint._HOMES)
    with pytest.raises(AttributeError, match="it has: CoefficientProgram, Column"):
        _ = joint.nothing
    assert PHASES == ("share", "open", "confirm")
