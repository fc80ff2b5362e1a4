"""Merkle trees of RFC 9162: one hash for a whole log, and short proofs of what is in it and what it continues.

A leaf is hashed with a zero byte in front and a pair of hashes with a one, so that no pair can pose as a leaf. The left
part of a tree is always the largest power of two that leaves something for the right. A proof is a list of hashes, as
many as the tree is high; whoever checks it needs neither the log nor trust in who keeps it.

Checks answer true or false and take anything: a proof that is too long, too short or of other types is false.

Source: RFC 9162, sections 2.1.1 to 2.1.4.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence

from twinlab.errors import SpecificationError

#: Bytes of a hash.
HASH_BYTES = 32
#: The root of a tree without leaves.
EMPTY_ROOT = hashlib.sha256(b"").digest()

#: The hashes of a proof, in the order in which they are used.
Proof = tuple[bytes, ...]


class MerkleTree:
    """The tree over some leaves. Building it takes a hash or two a leaf; a proof then takes few."""

    def __init__(self, leaves: Iterable[bytes]) -> None:
        """Hash the leaves, in their order."""
        # level k holds the roots of all complete subtrees of 2^k leaves; a ragged end is joined when it is asked for
        level = [hash_leaf(leaf) for leaf in leaves]
        self._levels = [level]
        while len(level) > 1:
            level = [_hash_pair(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
            self._levels.append(level)

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        """The hash of the whole tree, 32 bytes."""
        return self.find_root(self.size)

    def find_root(self, size: int) -> bytes:
        """The root that the tree had when it held its first leaves only.

        Raises:
          SpecificationError: if the tree never had that size.
        """
        if not 0 <= size <= self.size:
            raise SpecificationError(f"size: expected 0 to {self.size} leaves, got {size}; ask for a size it has had")
        return self._hash_range(0, size) if size else EMPTY_ROOT

    def prove_inclusion(self, index: int) -> Proof:
        """The hashes that lead from a leaf to the root.

        Args:
          index: place of the leaf, from 0; public.

        Raises:
          SpecificationError: if there is no such leaf.
        """
        if not 0 <= index < self.size:
            raise SpecificationError(f"index: expected 0 to {self.size - 1}, got {index}; ask for a leaf that is there")
        proof: list[bytes] = []
        start, stop = 0, self.size
        while stop - start > 1:
            middle = start + _split(stop - start)
            if index < middle:
                proof.append(self._hash_range(middle, stop))
                stop = middle
            else:
                proof.append(self._hash_range(start, middle))
                start = middle
        return tuple(reversed(proof))

    def prove_consistency(self, old_size: int) -> Proof:
        """The hashes that show that the tree continues the one it was at an earlier size.

        Raises:
          SpecificationError: if the tree never had that size.
        """
        if not 0 <= old_size <= self.size:
            raise SpecificationError(
                f"old_size: expected 0 to {self.size} leaves, got {old_size}; the log is shorter than that, so it was "
                "cut or is another one"
            )
        if old_size in (0, self.size):
            return ()
        proof: list[bytes] = []
        start, stop, is_whole = 0, self.size, True
        while old_size != stop:
            middle = start + _split(stop - start)
            if old_size <= middle:
                proof.append(self._hash_range(middle, stop))
                stop = middle
            else:
                proof.append(self._hash_range(start, middle))
                start, is_whole = middle, False
        if not is_whole:  # else it is the old root itself, which the checker has
            proof.append(self._hash_range(start, stop))
        return tuple(reversed(proof))

    def _hash_range(self, start: int, stop: int) -> bytes:
        """The root over some leaves, which begin where a subtree may."""
        n = stop - start
        if n & (n - 1) == 0:
            level = n.bit_length() - 1
            return self._levels[level][start >> level]
        middle = start + _split(n)
        return _hash_pair(self._hash_range(start, middle), self._hash_range(middle, stop))


def hash_leaf(leaf: bytes) -> bytes:
    """The hash of a leaf, 32 bytes."""
    return hashlib.sha256(b"\0" + leaf).digest()


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf stands at that place in the tree of that size and root (RFC 9162, 2.1.3.2)."""
    if not (_are_counts(index, size) and index < size and _are_hashes([*proof, root])):
        return False
    place, last, found = index, size - 1, hash_leaf(leaf)
    for step in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = _hash_pair(step, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = _hash_pair(found, step)
        place, last = place >> 1, last >> 1
    return last == 0 and hmac.compare_digest(found, root)


def verify_consistency(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of the second size and root begins with all of the first (RFC 9162, 2.1.4.2)."""
    if not (_are_counts(old_size, size) and old_size <= size and _are_hashes([*proof, old_root, root])):
        return False
    if old_size == size:
        return not proof and hmac.compare_digest(old_root, root) and (size > 0 or root == EMPTY_ROOT)
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    if not proof:
        return False
    steps = list(proof)
    if old_size & (old_size - 1) == 0:
        steps.insert(0, old_root)
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = _hash_pair(step, before), _hash_pair(step, after)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            after = _hash_pair(after, step)
        place, last = place >> 1, last >> 1
    return last == 0 and hmac.compare_digest(before, old_root) and hmac.compare_digest(after, root)


def _hash_pair(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _split(n: int) -> int:
    """The largest power of two below a number above 1."""
    return 1 << ((n - 1).bit_length() - 1)


def _are_counts(*numbers: object) -> bool:
    return all(type(number) is int and number >= 0 for number in numbers)


def _are_hashes(values: Sequence[object]) -> bool:
    return all(isinstance(value, bytes) and len(value) == HASH_BYTES for value in values)
