import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from twinlab.protection.federated.secure_sum.masks import (
    apply_pair_mask,
    derive_key,
    expand_key,
    make_pair_mask,
    make_self_mask,
    remove_pair_mask,
)

DIGEST = bytes(range(32))


def test_the_stream_is_that_of_aes_256_in_counter_mode():
    key = bytes(range(32))
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    blocks = b"".join(block.update(counter.to_bytes(16, "big")) for counter in range(3))
    assert expand_key(key, 11).tobytes() == blocks[:44]
    assert expand_key(key, 0).size == 0


def test_both_of_a_pair_make_the_same_mask_and_it_vanishes_from_their_sum():
    masks = [make_pair_mask(b"s" * 32, DIGEST, *pair, 50) for pair in ((3, 8), (8, 3))]
    assert (masks[0] == masks[1]).all()
    vectors = np.arange(100, dtype=np.uint32).reshape(2, 50)
    plain = vectors.sum(0, dtype=np.uint32)
    apply_pair_mask(vectors[0], masks[0], 3, 8)
    apply_pair_mask(vectors[1], masks[1], 8, 3)
    assert (vectors[0] != np.arange(50)).mean() > 0.9
    assert (vectors.sum(0, dtype=np.uint32) == plain).all()
    remove_pair_mask(vectors[0], masks[0], 3, 8)
    assert (vectors[0] == np.arange(50)).all()


@pytest.mark.parametrize(
    "other",
    [
        make_pair_mask(b"t" * 32, DIGEST, 3, 8, 50),
        make_pair_mask(b"s" * 32, bytes(32), 3, 8, 50),
        make_pair_mask(b"s" * 32, DIGEST, 3, 9, 50),
        make_pair_mask(b"s" * 32, DIGEST, 2, 8, 50),
        make_self_mask(b"s" * 32, DIGEST, 3, 50),
    ],
    ids=["secret", "round", "high id", "low id", "kind"],
)
def test_masks_of_another_secret_round_pair_or_kind_share_nothing(other):
    assert (make_pair_mask(b"s" * 32, DIGEST, 3, 8, 50) != other).all()


def test_every_bit_of_a_seed_counts():
    """A seed folded to 32 bits would repeat: here no two of 256 neighbours do."""
    seeds = [(1 << bit).to_bytes(32, "big") for bit in range(256)]
    assert len({derive_key(seed, b"x") for seed in seeds}) == 256
    assert len({make_self_mask(seed, DIGEST, 1, 4).tobytes() for seed in seeds}) == 256


def test_contexts_are_not_run_together():
    assert derive_key(bytes(32), b"ab", b"c") != derive_key(bytes(32), b"a", b"bc")
