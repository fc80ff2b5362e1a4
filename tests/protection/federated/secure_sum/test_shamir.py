import secrets
import time
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.federated.secure_sum.shamir import PRIME, SHARE_BYTES, join_shares, split_secret


def is_probably_prime(number, n_witnesses=40):
    """Miller and Rabin's test; a composite passes with probability below 4^-40."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(n_witnesses):
        value = pow(secrets.randbelow(number - 3) + 2, odd, number)
        if value in (1, number - 1):
            continue
        for _ in range(twos - 1):
            value = value * value % number
            if value == number - 1:
                break
        else:
            return False
    return True


def test_the_field_is_a_field_that_holds_every_secret():
    assert is_probably_prime(PRIME)
    assert not any(is_probably_prime(each) for each in range(2**256 + 1, PRIME, 2))
    assert PRIME < 2 ** (8 * SHARE_BYTES)


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32, bytes(range(32))])
def test_every_set_of_enough_shares_gives_the_secret(secret):
    shares = list(enumerate(split_secret(secret, 3, 6), start=1))
    for size in (3, 4, 6):
        assert all(join_shares(some, 3) == secret for some in combinations(shares, size))


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(1, 60), st.integers(0, 30), st.randoms())
def test_any_threshold_and_any_order(secret, threshold, n_more, order):
    shares = list(enumerate(split_secret(secret, threshold, threshold + n_more), start=1))
    order.shuffle(shares)
    assert join_shares(shares[:threshold], threshold) == secret


def test_one_share_too_few_fits_every_secret():
    """Two of three shares and any other secret give a third share that makes them agree: they say nothing."""
    shares = list(enumerate(split_secret(bytes(32), 3, 3), start=1))[:2]
    (first, second) = (int.from_bytes(value, "big") for _, value in shares)
    for guess in (1, 12345, 2**256 - 1):
        third = (guess - 3 * first + 3 * second) % PRIME  # Lagrange's weights of seats 1, 2, 3 at zero: 3, -3, 1
        assert join_shares([*shares, (3, third.to_bytes(SHARE_BYTES, "big"))], 3) == guess.to_bytes(32, "big")


def test_a_share_of_a_constant_secret_looks_uniform():
    """Bytes of single shares over many splits; false alarm 1e-7."""
    counts = [0] * 256
    for _ in range(600):
        for byte in split_secret(bytes(32), 2, 2)[1][1:]:
            counts[byte] += 1
    expected = sum(counts) / 256
    assert chi2.sf(sum((each - expected) ** 2 for each in counts) / expected, 255) > 1e-7


def test_malformed_sets_of_shares_are_refused():
    shares = list(enumerate(split_secret(bytes(32), 3, 5), start=1))
    for given_shares, reason in (
        (shares[:2], "expected at least 3, got 2"),
        ([*shares[:2], shares[1]], "a seat twice"),
        ([*shares[:2], (3, b"short")], "33 bytes"),
        ([(0, shares[0][1]), *shares[1:3]], "seat from 1"),
        ([*shares[:2], (3, b"\xff" * 33)], "numbers of the field"),
        ([], "got 0"),
    ):
        with pytest.raises(ProtocolError, match=reason):
            join_shares(given_shares, 3)


@pytest.mark.parametrize("altered", range(4))
def test_an_altered_share_among_more_than_needed_is_seen(altered):
    shares = list(enumerate(split_secret(bytes(32), 3, 4), start=1))
    value = (int.from_bytes(shares[altered][1], "big") + 1) % PRIME
    shares[altered] = (altered + 1, value.to_bytes(SHARE_BYTES, "big"))
    with pytest.raises(ProtocolError, match="one of them was altered"):
        join_shares(shares, 3)


def test_malformed_splits_are_refused():
    with pytest.raises(SpecificationError, match="32 bytes, got 31"):
        split_secret(bytes(31), 2, 3)
    for threshold in (0, 4):
        with pytest.raises(SpecificationError, match="threshold"):
            split_secret(bytes(32), threshold, 3)


def test_two_hundred_shares_take_little_time():
    start = time.process_time()
    shares = list(enumerate(split_secret(bytes(32), 134, 200), start=1))
    assert join_shares(shares[60:194], 134) == bytes(32)
    assert time.process_time() - start < 0.5
