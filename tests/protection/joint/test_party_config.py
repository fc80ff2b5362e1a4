"""A party's file says all that is needed, and every fault of it is said before anything is sent."""

import pytest

from twinlab.errors import SpecificationError
from twinlab.protection.joint import Column, MomentQuestion
from twinlab.protection.joint.identity import make_identity, write_identity
from twinlab.protection.joint.party_config import load_party_config, write_example

NAMES = ("north", "south", "east")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("parties")
    for name in NAMES:
        write_identity(make_identity(name, 2), found)
    return found


def load(folder, text):
    path = folder / "north.toml"
    path.write_text(text, encoding="utf-8")
    return load_party_config(path)


def test_the_example_is_a_configuration(folder):
    found = load(folder, write_example(NAMES))
    assert found.terms.names == ("east", "north", "south")
    columns = (Column("age", 18, 98, "years"), Column("resting_heart_rate_bpm", 30, 130, "bpm"))
    assert found.terms.question == MomentQuestion(columns)
    assert (found.terms.most_colluding, found.terms.most_rows, found.terms.noise) == (1, 100_000, None)
    assert (found.identity.name, found.listen) == ("north", "0.0.0.0:7461")
    assert found.addresses == {"south": "south.example.org:7461", "east": "east.example.org:7461"}
    assert found.certificates["east"] == (folder / "east.pem").read_text()
    assert (found.time_limit_s, found.wait_s) == (60.0, 600.0)
    assert (found.epsilon, found.delta) == (1.0, 1e-7)


def test_the_order_of_parties_does_not_matter(folder):
    first, second = (load(folder, write_example(("north", *rest))) for rest in (NAMES[1:], NAMES[:0:-1]))
    assert first.terms.digest == second.terms.digest


FAULTS = {
    "no toml": ("[party", "expected a party's configuration in TOML, got none"),
    "missing": ('name = "north"\nkey', "party.name: expected a text, got NoneType; add it", "key"),
    "unknown": ("most_rows", "rows_at_most: expected one of .*, got this; leave it out", "rows_at_most"),
    "number": ("most_colluding = 1 ", "most_colluding: expected a number above 0, such as 1", "most_colluding = true "),
    "stranger": ('[party]\nname = "north"', "parties: expected an entry for every party", '[party]\nname = "west"'),
    "twice": ('name = "south"', "each name once, got north, north, east", 'name = "north"'),
    "address": ("south.example.org:7461", "expected host:port", "south.example.org"),
    "certificate": ("south.pem", "expected one certificate in PEM, got none", "west.pem"),
    "key": ("north.key", "expected the key of .*north.pem, got another", "south.key"),
    "question": ('kind = "moments"', "question.kind: expected one of", 'kind = "median"'),
    "colluding": (
        "most_colluding = 1 ",
        "most_colluding: expected from 1 to 1 of 3 parties, got 2",
        "most_colluding = 2 ",
    ),
    "epsilon": ("epsilon = 1.0", "privacy.epsilon: expected above 0 and below 1000, such as 1, got", "epsilon = 0"),
    "noise": (
        "delta = 1e-7",
        "privacy.noise: expected epsilon and delta, got this; leave it out",
        "delta = 1e-7\nnoise = 1",
    ),
    "privacy": ("[privacy]", "privacy: expected a table, got list", "[[privacy]]"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(folder, fault):
    old, text, *new = FAULTS[fault]
    example = write_example(NAMES)
    assert old in example
    with pytest.raises(SpecificationError, match=text):
        load(folder, example.replace(old, new[0]) if new else old)


def test_all_faults_are_said_at_once(folder):
    with pytest.raises(SpecificationError) as caught:
        load(folder, "colour = 1\nmost_rows = -1\n[party]\nname = 'north'\n")
    said = str(caught.value)
    assert all(
        word in said for word in ("colour", "most_rows", "party.key", "party.listen", "question: expected a table")
    )
