import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import SpecificationError
from twinlab.governance.merkle import EMPTY_ROOT, MerkleTree, hash_leaf, verify_consistency, verify_inclusion

#: The eight leaves that implementations of Certificate Transparency share as test data, and the roots of the first n.
LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

leaf_lists = st.lists(st.binary(max_size=3), min_size=1, max_size=20)


def root(leaves):
    """MTH of RFC 9162, 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = split(len(leaves))
    return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()


def split(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def path(m, leaves):
    """PATH of RFC 9162, 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), root(leaves[k:])]
    return [*path(m - k, leaves[k:]), root(leaves[:k])]


def subproof(m, leaves, is_whole):
    """SUBPROOF of RFC 9162, 2.1.4.1."""
    if m == len(leaves):
        return [] if is_whole else [root(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], is_whole), root(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), root(leaves[:k])]


def test_the_shared_vectors():
    for n, expected in enumerate(ROOTS):
        assert MerkleTree(LEAVES[:n]).root.hex() == expected
        assert MerkleTree(LEAVES).find_root(n).hex() == expected
    assert [step.hex() for step in MerkleTree(LEAVES).prove_inclusion(0)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


def test_the_example_of_the_standard():
    """Seven leaves, drawn in RFC 9162, 2.1.5: the proofs by the letters of the figure."""
    leaves = [bytes([i]) for i in range(7)]
    a, b, c, d, e, f, j = (hash_leaf(leaf) for leaf in leaves)
    pair = {name: hashlib.sha256(b"\1" + x + y).digest() for name, x, y in (("g", a, b), ("h", c, d), ("i", e, f))}
    k = hashlib.sha256(b"\1" + pair["g"] + pair["h"]).digest()
    last = hashlib.sha256(b"\1" + pair["i"] + j).digest()
    tree = MerkleTree(leaves)
    assert tree.root == hashlib.sha256(b"\1" + k + last).digest()
    assert tree.prove_inclusion(0) == (b, pair["h"], last)
    assert tree.prove_inclusion(3) == (c, pair["g"], last)
    assert tree.prove_inclusion(4) == (f, j, k)
    assert tree.prove_inclusion(6) == (pair["i"], k)
    assert tree.prove_consistency(3) == (c, d, pair["g"], last)
    assert tree.prove_consistency(4) == (last,)
    assert tree.prove_consistency(6) == (pair["i"], j, k)


@settings(max_examples=40, deadline=None)
@given(leaf_lists)
def test_every_proof_is_that_of_the_standard_and_is_accepted(leaves):
    tree, n = MerkleTree(leaves), len(leaves)
    assert tree.root == root(leaves)
    for i, leaf in enumerate(leaves):
        assert list(tree.prove_inclusion(i)) == path(i, leaves)
        assert verify_inclusion(leaf, i, n, tree.prove_inclusion(i), tree.root)
        old, proof = root(leaves[: i + 1]), tree.prove_consistency(i + 1)
        assert list(proof) == (subproof(i + 1, leaves, True) if i + 1 < n else [])
        assert verify_consistency(i + 1, old, n, tree.root, proof)


@settings(max_examples=150, deadline=None)
@given(leaf_lists, st.data())
def test_a_proof_of_anything_else_is_refused(leaves, data):
    tree, n = MerkleTree(leaves), len(leaves)
    index = data.draw(st.integers(0, n - 1))
    proof = list(tree.prove_inclusion(index))
    assert not verify_inclusion(leaves[index] + b"x", index, n, proof, tree.root)
    elsewhere = data.draw(st.integers(0, n + 2))
    if elsewhere >= n or leaves[elsewhere] != leaves[index]:
        assert not verify_inclusion(leaves[index], elsewhere, n, proof, tree.root)
    assert not verify_inclusion(leaves[index], index, n, [*proof, tree.root], tree.root)
    assert not verify_inclusion(leaves[index], index, n, proof, bytes(32))
    if proof:
        assert not verify_inclusion(leaves[index], index, n, proof[:-1], tree.root)
        at = data.draw(st.integers(0, len(proof) - 1))
        wrong = [*proof[:at], bytes(32), *proof[at + 1 :]]
        assert not verify_inclusion(leaves[index], index, n, wrong, tree.root)


@settings(max_examples=150, deadline=None)
@given(leaf_lists, st.data())
def test_a_changed_past_has_no_proof_that_fits(leaves, data):
    n = len(leaves)
    old_size = data.draw(st.integers(1, n))
    changed = list(leaves)
    changed[data.draw(st.integers(0, old_size - 1))] += b"x"
    old, tree = root(leaves[:old_size]), MerkleTree(changed)
    proof = list(tree.prove_consistency(old_size))
    for attempt in (
        proof,
        proof[1:],
        proof[:-1],
        [old, *proof],
        [*proof, old],
        MerkleTree(leaves).prove_consistency(old_size),
    ):
        assert not verify_consistency(old_size, old, n, tree.root, attempt)
    honest, proof = MerkleTree(leaves), list(MerkleTree(leaves).prove_consistency(old_size))
    assert not verify_consistency(old_size, old, n, honest.root, [*proof, honest.root])
    if proof:
        assert not verify_consistency(old_size, old, n, honest.root, proof[:-1])
    if old_size < n:
        assert not verify_consistency(old_size, old, old_size, honest.root, proof)
        assert not verify_consistency(n, honest.root, old_size, old, proof)


def test_nothing_is_continued_by_everything_and_contains_nothing():
    tree = MerkleTree([b"a", b"b", b"c"])
    assert MerkleTree([]).root == EMPTY_ROOT
    assert verify_consistency(0, EMPTY_ROOT, 3, tree.root, ())
    assert verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, ())
    assert not verify_consistency(0, tree.root, 3, tree.root, ())
    assert not verify_consistency(0, EMPTY_ROOT, 3, tree.root, (tree.root,))
    assert not verify_consistency(0, tree.root, 0, tree.root, ())
    assert not verify_consistency(2, tree.find_root(2), 3, tree.root, ())
    assert not verify_inclusion(b"", 0, 0, (), EMPTY_ROOT)


def test_a_proof_that_is_too_short_for_its_size_is_refused_though_both_roots_fit():
    tree = MerkleTree(LEAVES[:5])
    assert verify_consistency(4, tree.find_root(4), 5, tree.root, tree.prove_consistency(4))
    assert not verify_consistency(4, tree.find_root(4), 9, tree.root, tree.prove_consistency(4))


def test_malformed_numbers_and_hashes_are_refused():
    tree = MerkleTree([b"a", b"b"])
    proof = tree.prove_inclusion(1)
    assert verify_inclusion(b"b", 1, 2, proof, tree.root)
    for index, size in ((-1, 2), (1.0, 2), (True, 2), ("1", 2), (1, 2.0), (1, -2)):
        assert not verify_inclusion(b"b", index, size, proof, tree.root)
    assert not verify_inclusion(b"b", 1, 2, [proof[0].hex()], tree.root)
    assert not verify_inclusion(b"b", 1, 2, [proof[0][:-1]], tree.root)
    assert not verify_inclusion(b"b", 1, 2, proof, tree.root.hex())
    assert not verify_consistency(1.0, hash_leaf(b"a"), 2, tree.root, proof)


def test_a_pair_does_not_pose_as_a_leaf():
    """Without the byte in front, a leaf that is the pair of two hashes would have the root of their tree."""
    two = MerkleTree([b"a", b"b"])
    one = MerkleTree([hash_leaf(b"a") + hash_leaf(b"b")])
    assert one.root != two.root


def test_what_was_never_there_has_no_proof():
    tree = MerkleTree([b"a", b"b"])
    for ask in (tree.prove_inclusion, tree.find_root, tree.prove_consistency):
        for number in (-1, 3):
            with pytest.raises(SpecificationError, match="expected 0 to"):
                ask(number)
