import dataclasses
import json

import pytest

from twinlab.errors import DataContractError, PrivacyError, SpecificationError
from twinlab.governance.audit_log import find_entries
from twinlab.governance.receipt import make_receipt, read_receipt, verify_receipt
from twinlab.governance.signature import SigningKey


@pytest.fixture
def receipt(log, key):
    return make_receipt(log, "ada", key.sign)


def test_a_receipt_proves_its_entries_under_a_head_from_elsewhere(log, key, receipt):
    verify, head = key.verifying_key.verify, log.sign_head(key.sign)
    assert verify_receipt(receipt, head, verify) == 2
    again = read_receipt(receipt.to_json())
    assert again == receipt
    assert verify_receipt(again, head, verify, leaves=log.read_leaves()) == 2


def test_a_receipt_is_readable_and_its_repr_names_nobody(receipt):
    text = receipt.to_text()
    assert text.startswith("What was done with the data of ada\n")
    assert "consent given: purpose personal_twin" in text
    assert "training: epsilon 0.1; experiment ab12" in text
    assert "entry 2 of 6, proved by 3 hashes" in text
    assert receipt.key.hex() not in text
    for shown in (repr(receipt), repr(receipt.entries)):
        assert "ada" not in shown
        assert receipt.key.hex() not in shown


def test_a_fact_cannot_write_lines_of_its_own(log, key):
    log.append("query", {"what": "x\n2020-01-01 00:00  forged"}, ["ada"])
    lines = make_receipt(log, "ada", key.sign).to_text().splitlines()
    assert not any(line.startswith("2020") for line in lines)


def test_a_receipt_since_a_kept_head_continues_it(log, key, receipt):
    verify, kept = key.verifying_key.verify, receipt.head
    log.append("release", {}, ["ada"])
    later = make_receipt(log, "ada", key.sign, since=kept)
    assert verify_receipt(read_receipt(later.to_json()), kept, verify) == 3
    assert verify_receipt(later, later.head, verify) == 3
    with pytest.raises(PrivacyError, match="ask for a receipt since the head that you have"):
        verify_receipt(make_receipt(log, "ada", key.sign), kept, verify)
    with pytest.raises(PrivacyError, match="got another history"):
        verify_receipt(dataclasses.replace(later, continuation=()), kept, verify)
    with pytest.raises(SpecificationError, match="shorter than that"):
        make_receipt(
            log, "ada", key.sign, since=dataclasses.replace(kept, head=dataclasses.replace(kept.head, size=99))
        )


def test_whatever_is_wrong_in_a_receipt_is_noticed(log, key, receipt):
    verify, head = key.verifying_key.verify, log.sign_head(key.sign)
    bob = make_receipt(log, "bob", key.sign)
    first, second = receipt.entries
    forged = first.leaf.replace(b"personal_twin", b"public_health")
    for message, changes in {
        "number 2 is not;": {"entries": (first, bob.entries[1])},
        "number 1 is not in it as shown": {"entries": (dataclasses.replace(first, leaf=forged), second)},
        "number 1 is not in": {"entries": (dataclasses.replace(first, index=0), second)},
        "number 2 is not in": {"entries": (first, dataclasses.replace(second, proof=second.proof[:-1]))},
        "each entry once": {"entries": (first, first)},
        "oldest first": {"entries": (second, first)},
        "number 1 is not; ask": {"person_id": "bob"},
        "entries about the person": {"key": b"k" * 32},
    }.items():
        with pytest.raises(PrivacyError, match=message) as caught:
            verify_receipt(dataclasses.replace(receipt, **changes), head, verify)
        assert "ada" not in str(caught.value)
    with pytest.raises(PrivacyError, match="signature by the log's key"):
        verify_receipt(receipt, head, SigningKey().verifying_key.verify)


def test_an_entry_left_out_is_noticed_with_the_whole_log(log, key, receipt):
    verify, head = key.verifying_key.verify, log.sign_head(key.sign)
    short = dataclasses.replace(receipt, entries=receipt.entries[:1])
    assert verify_receipt(short, head, verify) == 1  # by itself it cannot be
    with pytest.raises(PrivacyError, match="expected all 2 entries about the person, got 1"):
        verify_receipt(short, head, verify, leaves=log.read_leaves())


def test_an_erased_person_still_proves_what_was_theirs_and_nobody_else_can(log, key):
    own = log.erase("ada")
    leaves = log.read_leaves()
    with pytest.raises(SpecificationError, match="they were erased or never entered"):
        make_receipt(log, "ada", key.sign)
    last = make_receipt(log, "ada", key.sign, key=own)
    assert verify_receipt(last, log.sign_head(key.sign), key.verifying_key.verify, leaves=leaves) == 3
    assert "erasure" in last.to_text()
    assert find_entries(leaves, "ada", log.find_key("bob")) == []


def test_what_is_no_receipt_is_refused_without_a_value_in_the_error(receipt):
    tree = json.loads(receipt.to_json())
    entry = tree["entries"][0]
    for changes in (
        {"format": "other"}, {"more": 1}, {"person_id": 3}, {"key": "00"}, {"entries": {}}, {"old_size": -1},
        {"continuation": "00"}, {"entries": [entry | {"index": 1.0}]}, {"entries": [entry | {"leaf": "\u00e9"}]},
        {"entries": [entry | {"leaf": None}]}, {"entries": [entry | {"proof": ["00"]}]},
        {"entries": [entry | {"more": 1}]},
    ):  # fmt: skip
        with pytest.raises(DataContractError) as caught:
            read_receipt(json.dumps(tree | changes))
        assert "ada" not in str(caught.value)
        assert tree["key"] not in str(caught.value)
    for text in ("", "[]", "{", "[" * 100_000):
        with pytest.raises(DataContractError, match="expected JSON in the format"):
            read_receipt(text)
