import dataclasses

import pytest

from twinlab.errors import DataContractError, PrivacyError
from twinlab.governance.merkle import MerkleTree
from twinlab.governance.tree_head import read_signed_head, sign_head, verify_continuation, verify_head, verify_leaves


def test_a_head_survives_json_and_any_change_is_noticed(log, key):
    signed, verify = log.sign_head(key.sign), key.verifying_key.verify
    verify_head(read_signed_head(signed.to_tree()), verify)
    assert read_signed_head(signed.to_tree()) == signed
    for name, value in (("size", signed.head.size + 1), ("root", "00" * 32), ("log", "other"), ("time", "2020")):
        forged = dataclasses.replace(signed, head=dataclasses.replace(signed.head, **{name: value}))
        with pytest.raises(PrivacyError, match="expected a signature by the log's key"):
            verify_head(forged, verify)
    assert signed.head.log in repr(signed)
    assert signed.signature.hex()[:16] not in repr(signed)


def test_malformed_heads_are_refused(log, key):
    tree = log.sign_head(key.sign).to_tree()
    for changes in (
        {"size": True}, {"size": "6"}, {"root": tree["root"].upper()}, {"root": "00"}, {"signature": "x"}, {"log": 3},
        {"more": 1},
    ):  # fmt: skip
        with pytest.raises(DataContractError):
            read_signed_head(tree | changes)
    with pytest.raises(DataContractError, match="expected the fields"):
        read_signed_head([tree])


def test_a_longer_log_continues_a_shorter_one_and_not_the_other_way_round(log, key):
    verify, old = key.verifying_key.verify, log.sign_head(key.sign)
    log.append("release")
    new = log.sign_head(key.sign)
    proof = log.prove_consistency(old.head.size, new.head.size)
    verify_continuation(old, new, proof, verify)
    verify_continuation(new, new, (), verify)
    with pytest.raises(PrivacyError, match=r"expected at least the 7 entries .* got 6"):
        verify_continuation(new, old, proof, verify)
    with pytest.raises(PrivacyError, match="got another history"):
        verify_continuation(old, new, proof[:-1], verify)
    for heads in ((dataclasses.replace(old, signature=b""), new), (old, dataclasses.replace(new, signature=b""))):
        with pytest.raises(PrivacyError, match="expected a signature by the log's key"):
            verify_continuation(*heads, proof, verify)
    with pytest.raises(PrivacyError, match="got another log's"):
        verify_continuation(old, sign_head("other", MerkleTree(log.read_leaves()), key.sign), proof, verify)


def test_a_whole_log_is_checked_against_a_head_that_others_keep(log, key):
    verify, signed = key.verifying_key.verify, log.sign_head(key.sign)
    leaves = log.read_leaves()
    verify_leaves(leaves, signed, verify)
    log.append("release")
    verify_leaves(log.read_leaves(), signed, verify)  # what came later does no harm
    with pytest.raises(PrivacyError, match="it was cut"):
        verify_leaves(leaves[:-1], signed, verify)
