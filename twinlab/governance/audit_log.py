"""The audit log: what was done with whose data, in entries that can be proved and cannot be taken back.

Entries lie in a sealed chain (`twinlab.chain`: crash-safe, and what it notices by itself). Over them stands a Merkle
tree (`merkle`), whose signed head (`tree_head`) lets others notice the rest. An entry has a kind, public facts, a time,
and at most one person, by a tag that only this person's key connects with anybody (`person_key`).

What is noticed, and by whom
  - By every use of the log: an entry edited, dropped, swapped or put in, by whoever does not hold the seal; a cut or an
    older file, unless an older seal was put back with it.
  - By whoever kept a signed head, whatever was done to log and seal: all of these, for the entries of that head.
  - By nobody: what was never entered, and entries after the last head that somebody else keeps. Hand out heads often.

What an entry tells
  - Whoever reads the log sees kinds, facts, times, and how many entries were written together, but no ids. Facts are
    public settings, such as a purpose or an experiment's fingerprint. A fact that is a known person's id is refused;
    a value of a person cannot be told from a setting, so do not enter one.
  - Erasure deletes the person's key. The entries stay, and every proof with them.
"""

import re
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from twinlab.chain import Chain, find_seal, open_chain
from twinlab.errors import DataContractError, SpecificationError, TrustBoundaryError
from twinlab.governance.canonical_json import read_canonical, read_hex, write_canonical
from twinlab.governance.merkle import HASH_BYTES, MerkleTree, Proof
from twinlab.governance.person_key import NONCE_BYTES, PersonKeys, tag_person
from twinlab.governance.tree_head import Sign, SignedHead, sign_head

#: The kinds of entry that the log writes by itself.
RESERVED_KINDS = ("log", "adopted", "erasure")

_KIND = re.compile(r"[a-z][a-z_]{0,39}")


class AuditLog:
    """An append-only log in a file, its seal and the keys of its people beside it."""

    def __init__(
        self, path: str | Path, *, seal_path: str | Path | None = None, keys_path: str | Path | None = None
    ) -> None:
        """Open a log, and make it if there is none.

        Args:
          path: the log file.
          seal_path: its seal; beside it when left open. Best on another disk.
          keys_path: the keys of its people; beside it when left open. Leave it out of backups that are not erased.

        Raises:
          PrivacyError: if the log was changed, cut, replaced or copied.
        """
        self.path = Path(path).absolute()
        self._seal_path = find_seal(self.path, seal_path)
        self._keys = PersonKeys(keys_path or self.path.with_name(self.path.name + ".keys"))
        with self._open(create=True) as chain:
            if not chain.entries:
                chain.append({"kind": "log", "log": secrets.token_hex(16)})
            self.name: str = chain.entries[0]["log"]

    def append(self, kind: str, facts: Mapping[str, Any] | None = None, person_ids: Collection[str] = ()) -> None:
        """Enter what happened. All is on disk when this returns, or nothing if the process dies before.

        Args:
          kind: what happened, in a word such as "training"; public.
          facts: texts, numbers and lists of them; public.
          person_ids: whose data it was done with; an entry each, in an order drawn anew. Without any, one entry.

        Raises:
          SpecificationError: if the kind or the facts cannot be written; nothing was entered.
          TrustBoundaryError: if a fact is a person's id; nothing was entered.
          PrivacyError: if the log was changed, cut, replaced or copied; nothing was entered.
        """
        if not _KIND.fullmatch(kind) or kind in RESERVED_KINDS:
            raise SpecificationError(
                "kind: expected up to 40 lower-case letters and underscores, and none of "
                f"{', '.join(RESERVED_KINDS)}, got another text; name what happened, such as training"
            )
        self._append(kind, dict(facts or {}), person_ids)

    def erase(self, person_id: str) -> bytes:
        """Enter that a person is erased, then forget the key that connects entries with them.

        Do it last: what is entered about them afterwards gets a new key, and begins a new history.

        Args:
          person_id: private.

        Returns:
          The key, for the person alone: with it they can still show which entries are theirs.

        Raises:
          SpecificationError: if the log has no key of this person.
        """
        key = self.find_key(person_id)
        self._append("erasure", {}, [person_id])
        self._keys.delete(person_id)
        return key

    def find_key(self, person_id: str) -> bytes:
        """The key of a person; private to them and to the log's keeper.

        Raises:
          SpecificationError: if there is none.
        """
        key = self._keys.find(person_id)
        if key is None:
            raise SpecificationError(
                "person_id: expected a person with a key in this log, got one without; they were erased or never "
                "entered, and nothing in the log can be connected with them"
            )
        return key

    def read_leaves(self) -> tuple[bytes, ...]:
        """All entries as canonical JSON, in their order: the leaves of the tree. No ids, no keys."""
        with self._open() as chain:
            return tuple(_write_leaf(entry) for entry in chain.entries)

    def sign_head(self, sign: Sign) -> SignedHead:
        """Sign what the log is now, to hand out.

        Args:
          sign: such as `SigningKey.sign`.
        """
        return sign_head(self.name, MerkleTree(self.read_leaves()), sign)

    def prove_consistency(self, old_size: int, size: int) -> Proof:
        """What shows that the log at one size continues itself at an earlier one; see `verify_continuation`.

        Raises:
          SpecificationError: if the log never had these sizes.
        """
        return MerkleTree(self.read_leaves()[:size]).prove_consistency(old_size)

    def _append(self, kind: str, facts: dict[str, Any], person_ids: Collection[str]) -> None:
        written = write_canonical(facts)
        if isinstance(person_ids, str) or not all(isinstance(name, str) and name for name in person_ids):
            raise SpecificationError("person_ids: expected a list of texts, got something else; put each id in a list")
        if len(set(person_ids)) != len(person_ids):
            raise SpecificationError(
                f"person_ids: expected {len(person_ids)} different ids, got {len(set(person_ids))}; name each once"
            )
        texts = set(_list_texts(read_canonical(written)))
        if texts & set(person_ids) or self._keys.knows_any(texts):
            raise TrustBoundaryError(
                "facts: expected public facts, got the id of a person; leave it out and name the person in person_ids"
            )
        # keys first: an entry must never carry a tag whose key was lost in a crash
        keys = self._keys.make(person_ids) if person_ids else {}
        entries = [{"kind": kind, "facts": facts, **_tag(key, person_id)} for person_id, key in keys.items()]
        # the order of a batch must not tell the order of its ids
        secrets.SystemRandom().shuffle(entries)
        with self._open() as chain:
            for entry in entries or [{"kind": kind, "facts": facts}]:
                chain.append(entry)

    def _open(self, *, create: bool = False) -> AbstractContextManager[Chain]:
        return open_chain(self.path, self._seal_path, create=create)

    def __repr__(self) -> str:
        return f"AuditLog(log {self.name}, {self.path.name})"


def find_entries(leaves: Iterable[bytes], person_id: str, key: bytes) -> list[int]:
    """The places of a person's entries in a log.

    Args:
      leaves: the log, as by `AuditLog.read_leaves`.
      person_id: private.
      key: of the person; private.
    """
    return [index for index, leaf in enumerate(leaves) if is_about(read_leaf(leaf), person_id, key)]


def is_about(entry: Mapping[str, Any], person_id: str, key: bytes) -> bool:
    """Whether an entry is about a person."""
    if "person" not in entry:
        return False
    tag = tag_person(key, read_hex("nonce", entry["nonce"], NONCE_BYTES), person_id)
    return secrets.compare_digest(tag, read_hex("person", entry["person"], HASH_BYTES))


def read_leaf(leaf: bytes) -> dict[str, Any]:
    """An entry from its leaf.

    Raises:
      DataContractError: if the leaf is no entry.
    """
    entry = read_canonical(leaf)
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("kind"), str)
        or not isinstance(entry.get("time"), str)
        or not isinstance(entry.get("facts", {}), dict)
        or ("person" in entry) != ("nonce" in entry)
    ):
        raise DataContractError(
            "entry: expected a kind, a time and perhaps a person, got other fields; ask for it again"
        )
    return entry


def _tag(key: bytes, person_id: str) -> dict[str, str]:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return {"nonce": nonce.hex(), "person": tag_person(key, nonce, person_id).hex()}


def _write_leaf(entry: Mapping[str, Any]) -> bytes:
    return write_canonical({name: value for name, value in entry.items() if name != "number"})


def _list_texts(value: Any) -> Iterator[str]:
    """All texts in a value that JSON gave, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _list_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _list_texts(inner)
