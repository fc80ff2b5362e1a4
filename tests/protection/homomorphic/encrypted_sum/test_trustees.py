"""Trustees who share a key: right with all of them, refused with fewer."""

import copy
import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest

from twinlab.errors import EncryptionError, SpecificationError
from twinlab.protection.homomorphic.encrypted_sum import (
    SumDevice,
    SumServer,
    Trustee,
    combine_openings,
    join_public_keys,
    make_trustees,
    plan_sum,
)
from twinlab.protection.homomorphic.encrypted_sum.modular import (
    add_modular,
    evaluate,
    expand_uniform,
    interpolate,
    multiply_modular,
)
from twinlab.protection.homomorphic.encrypted_sum.sum_message import read_message
from twinlab.protection.homomorphic.encrypted_sum.trustees import (
    _draw_errors,
    _draw_smudging,
    _read_ciphertext,
    _reduce_wide,
    _round_scaled,
)
from twinlab.protection.homomorphic.seal import (
    KeyGenerator,
    PublicKey,
    make_public_key,
    make_sum_context,
    read_moduli,
    read_polynomials,
    write_object,
)

PLAN = plan_sum(40, bound=1.0, n_devices=5, bits=16, threshold=True, n_trustees=3)
UPDATES = np.random.default_rng(8).uniform(-1, 1, (4, 40))


@pytest.fixture(scope="module")
def trustees():
    return make_trustees(PLAN)


@pytest.fixture(scope="module")
def device(trustees):
    return SumDevice.from_bytes(join_public_keys(PLAN, [each.public_bytes() for each in trustees]), PLAN)


@pytest.fixture(scope="module")
def total(device):
    return SumServer(PLAN).add([device.encrypt(update) for update in UPDATES])


@pytest.fixture(scope="module")
def openings(trustees, total):
    return [each.open(total) for each in trustees]


def test_all_trustees_open_the_exact_sum_in_any_order(total, openings):
    for order in (openings, openings[::-1]):
        found = combine_openings(PLAN, total, order)
        assert found.n_devices == 4
        assert (found.integers == sum(PLAN.round_to_integers(update) for update in UPDATES)).all()
        assert np.abs(found.values - UPDATES.sum(0)).max() <= PLAN.find_worst_error(4)


@pytest.mark.parametrize(("n_trustees", "n_devices", "bits"), [(2, 2, 8), (5, 60, 12), (9, 3, 32)])
def test_other_numbers_of_trustees_and_devices(n_trustees, n_devices, bits):
    plan = plan_sum(
        3, bound=1.0, n_devices=n_devices, bits=bits, threshold=True, n_trustees=n_trustees, quantum_safe=True
    )
    everyone = make_trustees(plan)
    device = SumDevice.from_bytes(join_public_keys(plan, [each.public_bytes() for each in everyone]), plan)
    total = SumServer(plan).add([device.encrypt(np.array([1.0, -1.0, 0.0])) for _ in range(n_devices)])
    found = combine_openings(plan, total, [each.open(total) for each in everyone])
    assert found.integers.tolist() == [n_devices * plan.largest_integer, -n_devices * plan.largest_integer, 0]


def test_fewer_openings_are_refused_by_their_number(total, openings):
    with pytest.raises(EncryptionError, match=r"expected one of each of 3 trustees, got those of places \[0, 1\]"):
        combine_openings(PLAN, total, openings[:2])
    with pytest.raises(EncryptionError, match=r"got those of places \[0, 1, 1\]"):
        combine_openings(PLAN, total, [openings[0], openings[1], openings[1]])
    with pytest.raises(EncryptionError, match=r"got those of places \[\]"):
        combine_openings(PLAN, total, [])


def read_opening(message):
    return read_message(message, kind="opening", plan_digest=PLAN.digest, key_id=None, n_parts=PLAN.n_ciphertexts + 1)


def test_a_made_up_opening_in_place_of_the_missing_one_is_noticed(total, openings):
    """With one of three openings made of zeros, the plaintext is uniform: count and mark fit once in 2^75."""
    missing = read_opening(openings[2])
    parts = (missing.parts[0], *(bytes(len(part)) for part in missing.parts[1:]))
    with pytest.raises(EncryptionError, match="a trustee's opening is missing"):
        combine_openings(PLAN, total, [*openings[:2], replace(missing, parts=parts).write()])


def test_openings_of_another_total_or_key_are_refused(trustees, device, total, openings):
    other = SumServer(PLAN).add([device.encrypt(update) for update in UPDATES])
    with pytest.raises(EncryptionError, match="expected one of this total"):
        combine_openings(PLAN, total, [*openings[:2], trustees[2].open(other)])
    strangers = make_trustees(PLAN)
    with pytest.raises(EncryptionError, match="expected key"):
        strangers[0].open(total)
    key = join_public_keys(PLAN, [each.public_bytes() for each in strangers])
    theirs = SumServer(PLAN).add([SumDevice.from_bytes(key, PLAN).encrypt(update) for update in UPDATES])
    with pytest.raises(EncryptionError, match="expected key"):
        combine_openings(PLAN, total, [*openings[:2], strangers[2].open(theirs)])


def test_a_total_is_opened_once(trustees, total, openings):
    assert openings
    with pytest.raises(EncryptionError, match="expected one that is not opened yet"):
        trustees[0].open(total)


def test_openings_that_do_not_fit_are_refused(total, openings):
    found = read_opening(openings[2])
    for wrong, words in ((b"short", "polynomials of the plan's ring"), (b"\xff" * len(found.parts[1]), "below the")):
        spoiled = replace(found, parts=(found.parts[0], wrong)).write()
        with pytest.raises(EncryptionError, match=words):
            combine_openings(PLAN, total, [*openings[:2], spoiled])
    with pytest.raises(EncryptionError, match="checksum"):
        combine_openings(PLAN, total, [*openings[:2], openings[2][:900] + b"x" + openings[2][901:]])


def test_sums_of_few_are_refused(trustees, device):
    total = SumServer(PLAN).add([device.encrypt(update) for update in UPDATES[:2]])
    openings = [each.open(total) for each in trustees]
    with pytest.raises(EncryptionError, match="expected at least 3 devices, got 2"):
        combine_openings(PLAN, total, openings)
    assert combine_openings(PLAN, total, openings, fewest=2).n_devices == 2


def test_a_public_key_needs_all_parts(trustees):
    shares = [each.public_bytes() for each in trustees]
    with pytest.raises(EncryptionError, match=r"got those of places \[0, 2\]"):
        join_public_keys(PLAN, [shares[0], shares[2]])
    with pytest.raises(EncryptionError, match="expected key"):
        join_public_keys(PLAN, [*shares[:2], make_trustees(PLAN)[2].public_bytes()])
    with pytest.raises(EncryptionError, match="expected kind 'trustee share'"):
        join_public_keys(PLAN, [*shares[:2], join_public_keys(PLAN, shares)])


def test_trustees_are_for_plans_with_trustees_and_stay_where_they_are(trustees):
    plain = plan_sum(40, bound=1.0, n_devices=5)
    for refused in (
        lambda: make_trustees(plain),
        lambda: join_public_keys(plain, []),
        lambda: combine_openings(plain, b"", []),
    ):
        with pytest.raises(SpecificationError, match="plan with threshold=True"):
            refused()
    with pytest.raises(SpecificationError, match="a place below 3, got 16 bytes and place 3"):
        Trustee(PLAN, bytes(16), 3)
    for copying in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(EncryptionError, match="asked for a copy"):
            copying(trustees[0])
    assert repr(trustees[1]).startswith("Trustee(2 of 3, key ")
    assert repr(trustees[1]).endswith("experimental)")


def test_parts_of_the_key_are_ternary_and_each_trustee_has_another(trustees):
    primes, _ = read_moduli(trustees[0]._context)
    keys = [interpolate(each._key[0], primes[0]) for each in trustees]
    for key in keys:
        assert set(key.tolist()) == {0, 1, primes[0] - 1}
    # two of 8192 thirds each agree in a third of places; 0.4 is more than 12 deviations away
    assert max((one == other).mean() for one, other in itertools.pairwise(keys)) < 0.4


def test_a_share_hides_the_key_behind_errors(trustees):
    """b + a s is the error: not zero, and as SEAL's."""
    share = read_message(
        trustees[0].public_bytes(), kind="trustee share", plan_digest=PLAN.digest, key_id=None, n_parts=1
    )
    primes, _ = read_moduli(trustees[0]._context)
    words = np.frombuffer(share.parts[0], dtype="<u8").reshape(len(primes), -1).astype(np.uint64)
    common = expand_uniform(trustees[0].key_id, PLAN.ring_degree, primes[0])
    left = add_modular(words[0], multiply_modular(common, trustees[0]._key[0], primes[0]), primes[0])
    error = interpolate(left, primes[0]).astype(np.int64)
    error = np.where(error > primes[0] // 2, error - primes[0], error)
    assert np.abs(error).max() <= 21
    assert error.var() == pytest.approx(10.5, rel=0.15)  # 8192 numbers; 0.15 is nine deviations


def test_errors_are_those_of_coins():
    drawn = _draw_errors(100_000)
    assert np.abs(drawn).max() <= 21
    assert drawn.mean() == pytest.approx(0, abs=6 * np.sqrt(10.5 / 100_000))
    assert drawn.var() == pytest.approx(10.5, rel=6 * np.sqrt(2 / 100_000))


def test_noise_of_openings_is_uniform_over_all_its_bits():
    bits = PLAN.smudging_bits
    drawn = np.concatenate([_draw_smudging(PLAN) for _ in range(4)], axis=1)
    numbers = [(high << 40) + low for high, low in drawn.T.tolist()]
    assert max(numbers) < 2 ** (bits + 1)
    share = np.array(numbers, dtype=float) / 2.0 ** (bits + 1)
    assert share.mean() == pytest.approx(0.5, abs=6 / np.sqrt(12 * len(share)))
    assert share.var() == pytest.approx(1 / 12, rel=0.06)
    prime = read_moduli(make_sum_context(PLAN.ring, PLAN.plain_modulus_bits))[0][0]
    reduced = _reduce_wide(drawn, bits, prime)
    assert reduced.tolist() == [(number - 2**bits) % prime for number in numbers]


def test_what_openings_show_of_the_noise_is_the_trustees_own(trustees, device):
    """All openings together show the noise of the total, which depends on the key, under noise 40 bits wider."""
    total = SumServer(PLAN).add([device.encrypt(update) for update in UPDATES])
    context = trustees[0]._context
    primes, plain_modulus = read_moduli(context)
    primes = primes[:2]
    found = read_message(total, kind="total", plan_digest=PLAN.digest, key_id=None, n_parts=1)
    first, second = _read_ciphertext(PLAN, context, found.parts[0]).astype(object)

    def find_noise(opened):
        """Of c0 plus what was opened: what is left after taking the scaled plaintext away."""
        modulus = primes[0] * primes[1]
        residues = [(first[place] + opened[place]) % prime for place, prime in enumerate(primes)]
        number = residues[0] + primes[0] * ((residues[1] - residues[0]) * pow(primes[0], -1, primes[1]) % primes[1])
        rounded = np.array(_round_scaled(np.array(residues, dtype=np.uint64), primes, plain_modulus), dtype=object)
        noise = number - (modulus * rounded + plain_modulus // 2) // plain_modulus
        return np.array([each - modulus if each > modulus // 2 else each for each in (noise % modulus)], dtype=float)

    openings = [
        np.frombuffer(read_opening(each.open(total)).parts[1], dtype="<u8").reshape(2, -1).astype(object)
        for each in trustees
    ]
    shown = find_noise(sum(openings))
    bare = find_noise(
        [
            sum(
                interpolate(
                    multiply_modular(evaluate(second[place].astype(np.uint64), prime), each._key[place], prime), prime
                ).astype(object)
                for each in trustees
            )
            for place, prime in enumerate(primes)
        ]
    )
    assert 0 < bare.std() < 2**12, "without noise of their own, openings show this, which depends on the key"
    assert shown.std() == pytest.approx(2.0**PLAN.smudging_bits, rel=0.1)  # three uniform ones
    assert shown.std() > 2**39 * np.abs(bare).max()


def test_a_public_key_of_seal_is_the_same_made_from_its_polynomials():
    context = make_sum_context(PLAN.ring, PLAN.plain_modulus_bits)
    key = PublicKey()
    KeyGenerator(context).create_public_key(key)
    made = make_public_key(context, read_polynomials(key.data(), 2, 3, PLAN.ring_degree))
    assert write_object(made) == write_object(key)


def test_residues_that_are_none_make_no_public_key():
    context = make_sum_context(PLAN.ring, PLAN.plain_modulus_bits)
    with pytest.raises(EncryptionError, match="read PublicKey"):
        make_public_key(context, np.full((2, 3, PLAN.ring_degree), 2**63, dtype=np.uint64))
