"""Promise: what the audit log once showed it cannot take back, a crash leaves it whole, and it can let a person go."""

import dataclasses
import hashlib
import hmac
import os
import sqlite3
import subprocess
import sys
import textwrap
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import PrivacyError
from twinlab.governance import AuditLog, SigningKey, make_receipt, verify_continuation, verify_leaves, verify_receipt
from twinlab.governance.audit_log import find_entries, read_leaf
from twinlab.governance.merkle import MerkleTree
from twinlab.governance.tree_head import sign_head, verify_head

KEY = SigningKey()
VERIFY = KEY.verifying_key.verify


def write_history(path):
    log = AuditLog(path)
    log.append("consent_given", {"purpose": "population_model"}, ["secret-id-42"])
    log.append("training", {"experiment": "ab12"}, ["secret-id-42", "other-id-43"])
    log.append("release", {"what": "weights"})
    log.append("query", {"epsilon": 0.5}, ["secret-id-42"])
    return log


def change(leaf):
    return leaf.replace(b'"facts":{', b'"facts":{"a":1,')


#: What a keeper may do to the entries: the log's own come as `old`, and one more was entered since.
REWRITES = {
    "an entry edited": lambda old: [*old[:2], change(old[2]), *old[3:]],
    "the first entry about somebody edited": lambda old: [old[0], change(old[1]), *old[2:]],
    "an entry dropped": lambda old: [*old[:3], *old[4:]],
    "two swapped": lambda old: [old[0], old[2], old[1], *old[3:]],
    "one put in": lambda old: [*old[:2], old[4], *old[2:]],
    "the end cut": lambda old: old[:-3],
    "the end cut and grown again": lambda old: [*old[:-3], old[4], old[4], old[4], old[4]],
    "begun anew": lambda old: [old[0], *[change(leaf) for leaf in old[1:]]],
}


@pytest.mark.parametrize("name", REWRITES)
def test_a_keeper_who_rewrites_log_and_seal_is_found_by_whoever_kept_a_head(name, tmp_path):
    log = write_history(tmp_path / "audit.sqlite")
    kept, receipt = log.sign_head(KEY.sign), make_receipt(log, "secret-id-42", KEY.sign)
    log.append("release")
    old = log.read_leaves()
    verify_leaves(old, kept, VERIFY)
    after = log.sign_head(KEY.sign)
    honest = log.prove_consistency(kept.head.size, after.head.size)
    verify_continuation(kept, after, honest, VERIFY)

    leaves = REWRITES[name](list(old))
    tree = MerkleTree(leaves)
    new = sign_head(log.name, tree, KEY.sign)
    verify_head(new, VERIFY)  # who looks at the newest head alone finds nothing
    proofs = [honest, ()]
    if tree.size >= kept.head.size:
        proofs.append(tree.prove_consistency(kept.head.size))
    for proof in proofs:
        with pytest.raises(PrivacyError, match=r"got another history|the log was cut"):
            verify_continuation(kept, new, proof, VERIFY)
    with pytest.raises(PrivacyError, match=r"got others|it was cut"):
        verify_leaves(leaves, kept, VERIFY)
    # a receipt that was handed out still holds, and contradicts the new history
    assert verify_receipt(receipt, kept, VERIFY) == 3
    with pytest.raises(PrivacyError):
        verify_receipt(dataclasses.replace(receipt, head=new), kept, VERIFY)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), n=st.integers(1, 12))
def test_no_other_entries_have_the_root_of_a_head(data, n):
    leaves = [b"entry %d" % data.draw(st.integers(0, 3)) for _ in range(n)]
    signed = sign_head_once(leaves)
    size = data.draw(st.integers(0, n + 1))
    others = data.draw(st.lists(st.sampled_from([*leaves, b"entry 9"]), min_size=size, max_size=size))
    if others[:n] == leaves:
        verify_leaves(others, signed, lambda *_: True)
    else:
        with pytest.raises(PrivacyError):
            verify_leaves(others, signed, lambda *_: True)


def sign_head_once(leaves):
    """A head whose signature is taken for right: what the root alone protects."""
    return sign_head("log", MerkleTree(leaves), lambda _: b"")


EDITS = {
    "edited": ["UPDATE entry SET body = replace(body, 'ab12', 'cd34') WHERE number = 3"],
    "dropped": ["DELETE FROM entry WHERE number = 5"],
    "swapped": [
        "UPDATE entry SET number = 99 WHERE number = 2",
        "UPDATE entry SET number = 2 WHERE number = 3",
        "UPDATE entry SET number = 3 WHERE number = 99",
    ],
    "cut": ["DELETE FROM entry WHERE number > 4"],
}


@pytest.mark.parametrize("name", EDITS)
def test_a_file_changed_by_whoever_has_no_seal_is_noticed_by_every_use(name, tmp_path):
    log = write_history(tmp_path / "audit.sqlite")
    connection = sqlite3.connect(log.path, isolation_level=None)
    for trigger in ("entries_stay", "entries_do_not_change"):
        connection.execute(f"DROP TRIGGER {trigger}")
    for statement in EDITS[name]:
        connection.execute(statement)
    connection.close()
    for use in (
        log.read_leaves,
        lambda: log.sign_head(KEY.sign),
        lambda: log.append("release"),
        lambda: AuditLog(log.path),
        lambda: make_receipt(log, "secret-id-42", KEY.sign),
    ):
        with pytest.raises(PrivacyError, match="expected an unbroken history"):
            use()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="WINDOWS has neither fork nor SIGKILL")
def test_a_process_killed_at_any_call_leaves_a_whole_batch_or_none(tmp_path):
    """A child is killed at its first call inside `append`, the next one at a later call, and so on to the end."""
    code = """
    import os, signal, sys
    from twinlab.governance.audit_log import AuditLog, find_entries

    def die_at(n):
        left = n
        def hook(frame, event, argument):
            nonlocal left
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        sys.setprofile(hook)

    n, status = 1, 1
    while status:
        log = AuditLog(f"{sys.argv[1]}/{n}.sqlite")
        child = os.fork()
        if child == 0:
            die_at(n)
            log.append("training", {"n": n}, ["ada", "bob", "eve"])
            sys.setprofile(None)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        log.append("release")
        leaves = log.read_leaves()
        people = ["ada", "bob", "eve"] if len(leaves) > 2 else []
        found = [place for person in people for place in find_entries(leaves, person, log.find_key(person))]
        print(n, len(leaves), len(found), flush=True)
        n += int(sys.argv[2])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), "29"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
    assert len(rows) > 10
    assert all((size, n_found) in ((2, 0), (5, 3)) for _, size, n_found in rows), "an entry or its key was lost"
    assert rows[0][1] == 2, "the first children die before anything is written"
    assert rows[-2][1] == 5, "the last ones die after it is"


def test_erasure_leaves_no_way_to_the_person_and_every_proof_valid(tmp_path):
    log = write_history(tmp_path / "audit.sqlite")
    kept, other = log.sign_head(KEY.sign), make_receipt(log, "other-id-43", KEY.sign)
    key = log.erase("secret-id-42")
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"secret-id-42" not in left
    assert key not in left
    assert key.hex().encode() not in left
    assert b"other-id-43" in left  # the search would find them
    leaves = log.read_leaves()
    assert find_entries(leaves, "secret-id-42", log.find_key("other-id-43")) == []
    after = log.sign_head(KEY.sign)
    verify_continuation(kept, after, log.prove_consistency(kept.head.size, after.head.size), VERIFY)
    assert verify_receipt(other, kept, VERIFY) == 1
    own = make_receipt(log, "secret-id-42", KEY.sign, key=key)
    assert verify_receipt(own, after, VERIFY, leaves=leaves) == 4


def test_entries_of_a_person_cannot_be_told_to_belong_together(tmp_path):
    """The plain way, one keyed hash a person, groups a person's entries for everybody; ours shows each tag once."""
    log = write_history(tmp_path / "audit.sqlite")
    entries = [read_leaf(leaf) for leaf in log.read_leaves()]
    tags = Counter(entry["person"] for entry in entries if "person" in entry)
    assert set(tags.values()) == {1}
    assert len(tags) == 4
    people = ["secret-id-42", "secret-id-42", "other-id-43", "secret-id-42"]
    plain = Counter(hmac.new(log.find_key(p), p.encode(), hashlib.sha256).hexdigest() for p in people)
    assert sorted(plain.values()) == [1, 3]


def test_the_log_names_nobody(tmp_path):
    log = write_history(tmp_path / "audit.sqlite")
    signed = log.sign_head(KEY.sign)
    shown = b"".join(log.read_leaves()) + log.path.read_bytes() + repr((log, signed, signed.to_tree())).encode()
    assert b"id-4" not in shown
    assert b"ab12" in shown  # the search would find what is there
