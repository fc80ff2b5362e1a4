"""A receipt: what a log holds about one person, with proofs, to keep and to check without trusting who keeps the log.

It proves of each entry that it is about this person and stands in the log of a signed head. That there are no others is
proved only when it is checked with all leaves of the log. That the log tells everything that happened is never proved.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twinlab.errors import DataContractError, PrivacyError
from twinlab.governance.audit_log import AuditLog, find_entries, is_about, read_leaf
from twinlab.governance.canonical_json import read_hex
from twinlab.governance.merkle import HASH_BYTES, MerkleTree, Proof, verify_inclusion
from twinlab.governance.person_key import KEY_BYTES
from twinlab.governance.tree_head import (
    Sign,
    SignedHead,
    Verify,
    read_signed_head,
    sign_head,
    verify_continuation,
    verify_leaves,
)

_FORMAT = "twinlab receipt 1"


@dataclass(frozen=True, repr=False)
class ReceiptEntry:
    """An entry and its proof.

    Attributes:
      index: its place in the log, from 0.
      leaf: the entry, as the log has it.
      proof: that it is there.
    """

    index: int
    leaf: bytes
    proof: Proof


@dataclass(frozen=True, repr=False)
class AuditReceipt:
    """What a log holds about a person. Private to them: whoever has the key in it finds their entries in the log.

    Attributes:
      person_id: private.
      key: of the person; private.
      head: the log that the proofs are for; public.
      entries: the person's, oldest first; private.
      old_size: how many entries an earlier head had, which this receipt was asked to continue; 0 for none.
      continuation: that the log of `head` continues that of the earlier one.
    """

    person_id: str
    key: bytes
    head: SignedHead
    entries: tuple[ReceiptEntry, ...]
    old_size: int = 0
    continuation: Proof = ()

    def to_json(self) -> str:
        """The receipt as JSON; `read_receipt` reads it."""
        entries = [
            {"index": entry.index, "leaf": entry.leaf.decode("ascii"), "proof": [step.hex() for step in entry.proof]}
            for entry in self.entries
        ]
        tree = {
            "format": _FORMAT,
            "person_id": self.person_id,
            "key": self.key.hex(),
            "head": self.head.to_tree(),
            "entries": entries,
            "old_size": self.old_size,
            "continuation": [step.hex() for step in self.continuation],
        }
        return json.dumps(tree, indent=1)

    def to_text(self) -> str:
        """The receipt for reading."""
        head = self.head.head
        lines = [
            f"What was done with the data of {self.person_id}",
            f"Log {_spell(head.log)}, {head.size} entries on {_shorten(head.time)}; {len(self.entries)} are about you.",
            "",
        ]
        for entry in self.entries:
            content = read_leaf(entry.leaf)
            facts = "; ".join(f"{_spell(name)} {_spell(value)}" for name, value in content.get("facts", {}).items())
            what = _spell(content["kind"]).replace("_", " ")
            lines.append(f"{_shorten(content['time'])}  {what}" + (f": {facts}" if facts else ""))
            lines.append(f"    entry {entry.index + 1} of {head.size}, proved by {len(entry.proof)} hashes")
        lines += [
            "" if self.entries else "Nothing.\n",
            "Each entry is proved to stand in this log under its signed head. Check this with twinlab, not by eye.",
            "Keep this receipt: a later log that lacks these entries or changes them contradicts it.",
            "It cannot show what was never entered. It holds your key: show it only to whom you trust.",
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"AuditReceipt({len(self.entries)} entries of a person, {self.head!r})"


def make_receipt(
    log: AuditLog, person_id: str, sign: Sign, *, key: bytes | None = None, since: SignedHead | None = None
) -> AuditReceipt:
    """What the log holds about a person, under a head signed now.

    Args:
      log: the log.
      person_id: private.
      sign: such as `SigningKey.sign`.
      key: of the person, if the log has forgotten it; private.
      since: a head that the person has kept, which the log should continue; public.

    Raises:
      SpecificationError: if no key of this person is known, or the log is shorter than the kept head says.
    """
    key = log.find_key(person_id) if key is None else key
    leaves = log.read_leaves()
    tree = MerkleTree(leaves)
    entries = tuple(
        ReceiptEntry(index, leaves[index], tree.prove_inclusion(index))
        for index in find_entries(leaves, person_id, key)
    )
    old_size = since.head.size if since else 0
    return AuditReceipt(
        person_id, key, sign_head(log.name, tree, sign), entries, old_size, tree.prove_consistency(old_size)
    )


def verify_receipt(
    receipt: AuditReceipt, tree_head: SignedHead, verify: Verify, *, leaves: Sequence[bytes] | None = None
) -> int:
    """Check a receipt against a head from elsewhere, such as one that was kept or that others were given.

    Args:
      receipt: private.
      tree_head: the same as the receipt's, or the earlier one that it was asked to continue; public.
      verify: such as `VerifyingKey.verify`, with a key from somebody you trust.
      leaves: the whole log, to check as well that no entry about the person is left out.

    Returns:
      How many entries are proved.

    Raises:
      PrivacyError: if anything does not hold; the message says what.
      DataContractError: if an entry cannot be read.
    """
    head = receipt.head.head
    known = tree_head.head.size
    if known not in (receipt.old_size, head.size):
        raise PrivacyError(
            f"tree head: expected the head of {head.size} entries that the receipt is for, or the one of "
            f"{receipt.old_size} that it continues, got one of {known}; ask for a receipt since the head that you have"
        )
    proof = () if known == head.size else receipt.continuation
    verify_continuation(tree_head, receipt.head, proof, verify)
    places = [entry.index for entry in receipt.entries]
    if places != sorted(set(places)):
        raise PrivacyError("receipt: expected each entry once, oldest first, got another order; ask for it again")
    root = bytes.fromhex(head.root)
    for number, entry in enumerate(receipt.entries, start=1):
        if not is_about(read_leaf(entry.leaf), receipt.person_id, receipt.key):
            raise PrivacyError(
                f"receipt: expected entries about the person it is for, but number {number} is not; ask for it again"
            )
        if not verify_inclusion(entry.leaf, entry.index, head.size, entry.proof, root):
            raise PrivacyError(
                f"receipt: expected entries of the log under this head, but number {number} is not in it as shown; it "
                "was changed, or the log was"
            )
    if leaves is not None:
        verify_leaves(leaves, receipt.head, verify)
        there = find_entries(leaves[: head.size], receipt.person_id, receipt.key)
        if there != places:
            raise PrivacyError(
                f"receipt: expected all {len(there)} entries about the person, got {len(places)}; ask for the rest"
            )
    return len(places)


def read_receipt(text: str) -> AuditReceipt:
    """A receipt from its JSON. Nothing is verified yet.

    Raises:
      DataContractError: if the text is no receipt. The message names the field and never a value.
    """
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        tree = None
    names = {"format", "person_id", "key", "head", "entries", "old_size", "continuation"}
    if not isinstance(tree, dict) or set(tree) != names or tree["format"] != _FORMAT:
        raise DataContractError(
            f"receipt: expected JSON in the format {_FORMAT!r}, got something else; ask for it again"
        )
    if not isinstance(tree["person_id"], str) or not isinstance(tree["entries"], list):
        raise DataContractError("receipt: expected a text as person_id and a list of entries; ask for it again")
    return AuditReceipt(
        tree["person_id"],
        read_hex("key", tree["key"], KEY_BYTES),
        read_signed_head(tree["head"]),
        tuple(_read_entry(entry) for entry in tree["entries"]),
        _read_count("old_size", tree["old_size"]),
        _read_proof("continuation", tree["continuation"]),
    )


def _read_entry(tree: object) -> ReceiptEntry:
    if not isinstance(tree, Mapping) or set(tree) != {"index", "leaf", "proof"} or not isinstance(tree["leaf"], str):
        raise DataContractError(
            "entries: expected an index, a leaf and a proof each, got other fields; ask for it again"
        )
    if not tree["leaf"].isascii():
        raise DataContractError("leaf: expected canonical JSON in ASCII, got other characters; ask for it again")
    leaf = tree["leaf"].encode("ascii")
    return ReceiptEntry(_read_count("index", tree["index"]), leaf, _read_proof("proof", tree["proof"]))


def _read_count(name: str, value: object) -> int:
    if type(value) is not int or value < 0:
        raise DataContractError(f"{name}: expected a whole number from 0, got something else; ask for it again")
    return value


def _read_proof(name: str, value: object) -> Proof:
    if not isinstance(value, list):
        raise DataContractError(f"{name}: expected a list of hashes, got something else; ask for it again")
    return tuple(read_hex(name, step, HASH_BYTES) for step in value)


def _shorten(time: str) -> str:
    """A time to the minute."""
    return _spell(time[:16]).replace("T", " ")


def _spell(value: Any) -> str:
    """A fact on one line, whatever the log's keeper wrote into it."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if text.isprintable() else ascii(text)
