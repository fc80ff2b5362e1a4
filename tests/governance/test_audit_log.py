import os
import sqlite3
import stat

import pytest

from twinlab.errors import DataContractError, SpecificationError, TrustBoundaryError
from twinlab.governance.audit_log import AuditLog, find_entries, is_about, read_leaf
from twinlab.governance.person_key import PersonKeys, tag_person


def test_entries_are_read_back_as_they_were_entered(log):
    entries = [read_leaf(leaf) for leaf in log.read_leaves()]
    assert [entry["kind"] for entry in entries] == ["log", "consent_given", "training", "training", "release", "query"]
    assert entries[2]["facts"] == {"experiment": "ab12", "epsilon": 0.1}
    assert "person" not in entries[4]
    assert AuditLog(log.path).read_leaves() == log.read_leaves()
    assert AuditLog(log.path).name == log.name == entries[0]["log"]


def test_a_key_finds_its_persons_entries_and_no_others(log):
    leaves, ada, bob = log.read_leaves(), log.find_key("ada"), log.find_key("bob")
    own = find_entries(leaves, "ada", ada), find_entries(leaves, "bob", bob)
    assert own[0][0] == 1
    assert own[1][-1] == 5
    assert sorted(own[0] + own[1]) == [1, 2, 3, 5]
    assert find_entries(leaves, "bob", ada) == find_entries(leaves, "ada", bob) == []


def test_the_order_of_a_batch_does_not_tell_the_order_of_its_ids(log):
    """Forty people keep their order with a chance of 1 in 40!."""
    people = [f"p{i:02}" for i in range(40)]
    log.append("training", {}, people)
    leaves = log.read_leaves()
    places = [find_entries(leaves, person, log.find_key(person))[0] for person in people]
    assert sorted(places) == list(range(6, 46))
    assert places != sorted(places)


def test_what_cannot_be_written_is_refused_and_nothing_is_entered(log):
    before = log.read_leaves()
    for kind in ("", "Training", "two words", "x" * 41, "log", "adopted", "erasure"):
        with pytest.raises(SpecificationError, match="kind: expected"):
            log.append(kind)
    for facts in ({"x": float("nan")}, {"x": object()}, {"x": {1, 2}}):
        with pytest.raises(SpecificationError, match="what JSON can hold"):
            log.append("training", facts, ["ada"])
    for people in ("ada", [3], [""]):
        with pytest.raises(SpecificationError, match="expected a list of texts"):
            log.append("training", {}, people)
    with pytest.raises(SpecificationError, match="expected 2 different ids, got 1"):
        log.append("training", {}, ["ada", "ada"])
    for facts in ({"who": "ada"}, {"who": ["x", "bob"]}, {"ada": 1}, {"deep": {"er": ["ada"]}}, {"who": "new"}):
        with pytest.raises(TrustBoundaryError, match="got the id of a person") as caught:
            log.append("training", facts, ["new"])
        assert not any(name in str(caught.value) for name in ("ada", "bob", "new"))
    assert log.read_leaves() == before
    with pytest.raises(SpecificationError, match="without"):
        log.find_key("new")


def test_an_unknown_person_has_no_key_and_the_error_does_not_name_them(log):
    with pytest.raises(SpecificationError, match="expected a person with a key") as caught:
        log.find_key("secret-id-42")
    assert "secret" not in str(caught.value)
    with pytest.raises(SpecificationError):
        log.erase("secret-id-42")


def test_keys_lie_in_a_file_of_their_owner_and_are_overwritten(tmp_path):
    keys = PersonKeys(tmp_path / "keys")
    made = keys.make(["ada", "bob"])
    assert keys.make(["ada"]) == {"ada": made["ada"]}
    assert made["ada"] in keys.path.read_bytes()
    if os.name == "posix":
        assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    keys.delete("ada")
    assert keys.find("ada") is None
    assert made["ada"] not in keys.path.read_bytes()
    assert keys.find("bob") == made["bob"]
    assert keys.make(["ada"])["ada"] != made["ada"]
    keys.path.write_bytes(b"no database" * 1000)
    with pytest.raises(DataContractError, match="expected a database of twinlab"):
        keys.find("bob")


def test_a_failed_change_is_undone(tmp_path):
    keys = PersonKeys(tmp_path / "keys")
    keys.make(["ada"])
    with pytest.raises(sqlite3.ProgrammingError):
        keys.make(["bob", object()])
    assert keys.find("bob") is None


def test_a_tag_is_another_in_each_entry_and_for_each_person():
    tags = {tag_person(k, n, p) for k in (b"k" * 32, b"l" * 32) for n in (b"n" * 16, b"m" * 16) for p in ("ada", "bob")}
    assert len(tags) == 8


def test_leaves_that_are_no_entries_are_refused(log):
    good = log.read_leaves()[1]
    for leaf in (
        b"",
        b"{}",
        b"[]",
        b"\xff",
        good.replace(b'"kind"', b' "kind"'),
        good.replace(b'"nonce"', b'"once"'),
        b'{"facts":1,"kind":"a","time":""}',
    ):
        with pytest.raises(DataContractError):
            read_leaf(leaf)
    twice = good.replace(b'{"facts"', b'{"facts":{},"facts"')
    with pytest.raises(DataContractError, match="canonical JSON"):
        read_leaf(twice)
    with pytest.raises(DataContractError, match="nonce: expected 16 bytes"):
        is_about({"person": "00" * 32, "nonce": "00"}, "ada", b"k" * 32)
