"""Tree heads: what a log was at a moment, in one hash, and a signature that its keeper cannot take back.

A head by itself proves nothing about what comes later. Kept by somebody else, it does: the next head either continues
it, which a short proof shows, or the log was changed or cut. So heads are handed out, one with each receipt.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from twinlab.errors import DataContractError, PrivacyError
from twinlab.governance.canonical_json import read_hex, write_canonical
from twinlab.governance.merkle import HASH_BYTES, MerkleTree, Proof, verify_consistency

#: Signs bytes.
Sign = Callable[[bytes], bytes]
#: Whether a signature (second) of bytes (first) is right.
Verify = Callable[[bytes, bytes], bool]

_FORMAT = "twinlab tree head 1"


@dataclass(frozen=True)
class TreeHead:
    """A log at a moment.

    Attributes:
      log: names the log; public.
      size: how many entries it had; public.
      root: the hash of its Merkle tree, 64 hex digits; public.
      time: when the head was made, in UTC; public.
    """

    log: str
    size: int
    root: str
    time: str

    def to_bytes(self) -> bytes:
        """What is signed."""
        return write_canonical({"format": _FORMAT, **asdict(self)})


@dataclass(frozen=True, repr=False)
class SignedHead:
    """A head and its signature; both public.

    Attributes:
      head: the head.
      signature: over `head.to_bytes()`.
    """

    head: TreeHead
    signature: bytes

    def to_tree(self) -> dict[str, Any]:
        """As what JSON can hold."""
        return {**asdict(self.head), "signature": self.signature.hex()}

    def __repr__(self) -> str:
        head = self.head
        return f"SignedHead(log {head.log}: {head.size} entries at {head.time}, root {head.root[:16]})"


def read_signed_head(tree: object) -> SignedHead:
    """A signed head from what JSON held. Its signature is not checked here.

    Raises:
      DataContractError: if it is no head.
    """
    names = {"log", "size", "root", "time", "signature"}
    if not isinstance(tree, Mapping) or set(tree) != names:
        raise DataContractError(
            f"tree head: expected the fields {', '.join(sorted(names))}, got others; ask for it again"
        )
    if type(tree["size"]) is not int or not all(isinstance(tree[name], str) for name in names - {"size"}):
        raise DataContractError(
            "tree head: expected a whole number as size and texts, got other types; ask for it again"
        )
    read_hex("root", tree["root"], HASH_BYTES)
    head = TreeHead(tree["log"], tree["size"], tree["root"], tree["time"])
    return SignedHead(head, read_hex("signature", tree["signature"]))


def sign_head(log: str, tree: MerkleTree, sign: Sign) -> SignedHead:
    """Sign what a log is now.

    Args:
      log: names the log.
      tree: over all its entries.
      sign: such as `SigningKey.sign`.
    """
    head = TreeHead(log, tree.size, tree.root.hex(), datetime.now(UTC).isoformat(timespec="milliseconds"))
    return SignedHead(head, sign(head.to_bytes()))


def verify_head(signed: SignedHead, verify: Verify) -> None:
    """Check the signature of a head.

    Raises:
      PrivacyError: if it is not right.
    """
    if not verify(signed.head.to_bytes(), signed.signature):
        raise PrivacyError(
            "tree head: expected a signature by the log's key, got another; do not rely on it, and get the key from "
            "somebody you trust"
        )


def verify_continuation(old: SignedHead, new: SignedHead, proof: Proof, verify: Verify) -> None:
    """Check that the log of the new head holds all entries of the old one, unchanged and in their order.

    Args:
      old: a head that was kept; public.
      new: a later head; public.
      proof: `AuditLog.prove_consistency(old.head.size)`; public.
      verify: such as `VerifyingKey.verify`.

    Raises:
      PrivacyError: if a signature is wrong, or if the log was changed, cut or replaced in between.
    """
    verify_head(old, verify)
    verify_head(new, verify)
    before, after = old.head, new.head
    if before.log != after.log:
        raise PrivacyError("tree head: expected a head of the same log, got another log's; ask for the right one")
    if before.size > after.size:
        raise PrivacyError(
            f"tree head: expected at least the {before.size} entries of the head that was kept, got {after.size}; the "
            "log was cut, or the heads are in the wrong order"
        )
    roots = bytes.fromhex(before.root), bytes.fromhex(after.root)
    if not verify_consistency(before.size, roots[0], after.size, roots[1], proof):
        raise PrivacyError(
            f"tree head: expected a log that continues the {before.size} entries of the head that was kept, got "
            "another history; entries were changed, dropped or swapped. Keep both heads: together they prove it"
        )


def verify_leaves(leaves: Sequence[bytes], signed: SignedHead, verify: Verify) -> None:
    """Check a whole log against a head.

    Args:
      leaves: all entries, in their order.
      signed: the head.
      verify: such as `VerifyingKey.verify`.

    Raises:
      PrivacyError: if the signature is wrong, or the entries are not those of the head.
    """
    verify_head(signed, verify)
    if len(leaves) < signed.head.size:
        raise PrivacyError(
            f"log: expected the {signed.head.size} entries of its head, got {len(leaves)}; it was cut, find the rest"
        )
    if MerkleTree(leaves[: signed.head.size]).root.hex() != signed.head.root:
        raise PrivacyError(
            f"log: expected the {signed.head.size} entries of its head, got others; entries were changed, dropped or "
            "swapped after the head was signed"
        )
