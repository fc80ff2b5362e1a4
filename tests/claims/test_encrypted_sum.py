"""Claim: an encrypted sum is exact, and nobody reads an update but who holds the key.

Exact: the opened integers are numpy's sum of the same integers, whatever sizes, bits and bounds, whoever dropped out.
Nobody: not the server, not other devices, not fewer than all trustees; and the published sum says nothing of the key.
What is not promised is shown too: a key that every device holds, and a server that lies.
"""

import gc
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tenseal import sealapi

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic.encrypted_sum import (
    SumDevice,
    SumKeyHolder,
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
    interpolate,
    multiply_modular,
    subtract_modular,
)
from twinlab.protection.homomorphic.encrypted_sum.packing import pack_integers
from twinlab.protection.homomorphic.encrypted_sum.sum_message import SumMessage, read_message
from twinlab.protection.homomorphic.seal import (
    BatchEncoder,
    Ciphertext,
    Plaintext,
    read_moduli,
    read_object,
    read_polynomials,
    write_object,
)

N_PARAMETERS = 300
UPDATES = np.random.default_rng(21).uniform(-1, 1, (5, N_PARAMETERS))
PLAN = plan_sum(N_PARAMETERS, bound=1.0, n_devices=5)


def draw_update(draw, n_parameters, bound, kind):
    """Numbers within the bound; all at one of its ends, at either, or anywhere."""
    if kind == "ends":
        return bound * draw.choice([-1.0, 1.0], n_parameters)
    if kind == "anywhere":
        return draw.uniform(-bound, bound, n_parameters)
    return np.full(n_parameters, {"top": bound, "bottom": -bound, "zero": 0.0}[kind])


KINDS = st.sampled_from(["ends", "anywhere", "top", "bottom", "zero"])


def check_exact(plan, updates, opened):
    """Bit for bit, and within the stated error of the plain sum."""
    expected = sum(plan.round_to_integers(update) for update in updates)
    assert opened.n_devices == len(updates)
    assert opened.integers.tolist() == expected.tolist()
    assert np.abs(opened.values - np.sum(updates, 0)).max() <= plan.find_worst_error(len(updates))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12_000),
    st.integers(2, 12),
    st.integers(8, 32),
    st.sampled_from([1e-6, 0.7, 1.0, 1e9]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
    st.data(),
)
def test_sums_are_exact(n_parameters, n_devices, bits, bound, quantum_safe, seed, data):
    draw = np.random.default_rng(seed)
    plan = plan_sum(n_parameters, bound=bound, n_devices=n_devices, bits=bits, quantum_safe=quantum_safe, fewest=1)
    n_stay = data.draw(st.integers(1, n_devices))
    updates = [draw_update(draw, n_parameters, bound, data.draw(KINDS)) for _ in range(n_stay)]
    holder = SumKeyHolder(plan)
    device = SumDevice.from_bytes(holder.public_bytes(), plan)
    total = SumServer(plan, holder.public_bytes()).add([device.encrypt(update) for update in updates])
    check_exact(plan, updates, holder.read(total))


@settings(max_examples=4, deadline=None)
@given(
    st.integers(1, 500), st.integers(2, 6), st.integers(8, 32), st.integers(2, 4), st.integers(0, 2**32 - 1), st.data()
)
def test_sums_that_trustees_open_are_exact(n_parameters, n_devices, bits, n_trustees, seed, data):
    draw = np.random.default_rng(seed)
    plan = plan_sum(
        n_parameters, bound=1.0, n_devices=n_devices, bits=bits, threshold=True, n_trustees=n_trustees, fewest=1
    )
    updates = [draw_update(draw, n_parameters, 1.0, data.draw(KINDS)) for _ in range(n_devices)]
    trustees = make_trustees(plan)
    device = SumDevice.from_bytes(join_public_keys(plan, [each.public_bytes() for each in trustees]), plan)
    total = SumServer(plan).add([device.encrypt(update) for update in updates])
    check_exact(plan, updates, combine_openings(plan, total, [each.open(total) for each in trustees]))


def test_numbers_without_room_for_their_sum_spill_over():
    """The naive way: 16 bits for a number and for the sum alike. The first number's carry ends up in the second."""
    one = (2**16 - 1) + (5 << 16)
    total = one + one
    assert [total % 2**16, total >> 16] != [2 * (2**16 - 1), 10]
    plan = plan_sum(2, bound=1.0, n_devices=2)
    assert plan.radix > 2 * 2 * plan.largest_integer


# who can read an update

LIVE_KEYS = (sealapi.SecretKey, sealapi.Decryptor, sealapi.KeyGenerator, SumKeyHolder, Trustee)


def find_live_keys(start):
    """Everything that decrypts, among all objects that can be reached from one."""
    seen, waiting, found = set(), [start], []
    while waiting:
        here = waiting.pop()
        if id(here) in seen or isinstance(here, type | types.ModuleType | types.FunctionType | types.CodeType):
            continue
        seen.add(id(here))
        if isinstance(here, LIVE_KEYS):
            found.append(here)
        waiting += gc.get_referents(here)
        waiting += list(getattr(here, "__dict__", {}).values())
    return found


def collude(shared_bytes, message):
    """What one device with the key that all share, and the server with what it got, read of another device."""
    alone = SumServer(PLAN).add([message])
    return SumKeyHolder.from_shared_bytes(shared_bytes, PLAN).read(alone, fewest=1).values


def test_with_a_key_that_every_device_holds_one_device_and_the_server_open_every_update():
    holder = SumKeyHolder(PLAN)
    device = SumDevice.from_bytes(holder.public_bytes(), PLAN)
    for update in UPDATES:
        stolen = collude(holder.shared_bytes(), device.encrypt(update))
        assert np.abs(stolen - update).max() <= PLAN.step


def test_where_only_the_key_holder_has_the_key_they_cannot():
    holder = SumKeyHolder(PLAN)
    public = holder.public_bytes()
    device, server = SumDevice.from_bytes(public, PLAN), SumServer(PLAN, public)
    messages = [device.encrypt(update) for update in UPDATES]
    server.add(messages)
    for each in (device, server):
        assert find_live_keys(each) == []
    assert {type(each) for each in find_live_keys(holder)} >= {SumKeyHolder, sealapi.Decryptor, sealapi.SecretKey}
    # what crossed holds no key, and no key of their own opens it
    key = holder._secret_key
    pieces = [
        b"".join(key.data()[place + k].to_bytes(8, "little") for k in range(2))
        for place in range(0, PLAN.ring_degree, 64)
    ]
    assert not any(piece in public + b"".join(messages) for piece in pieces)
    with pytest.raises(EncryptionError):
        collude(public, messages[0])
    own = SumKeyHolder(PLAN).shared_bytes()
    renamed = read_message(own, kind="shared key", plan_digest=PLAN.digest, key_id=None, n_parts=1)
    forged = SumMessage("shared key", PLAN.digest, holder.key_id, 0, renamed.parts).write()
    with pytest.raises(EncryptionError, match="under another key"):
        collude(forged, messages[0])


def test_a_server_that_lies_can_have_one_update_read():
    """Not promised: it adds one message to itself until the count looks right. Masks hold against that better."""
    holder = SumKeyHolder(PLAN)
    message = SumDevice.from_bytes(holder.public_bytes(), PLAN).encrypt(UPDATES[0])
    server = SumServer(PLAN)
    with pytest.raises(EncryptionError, match="expected one of each device"):
        server.add([message, message, message])
    parts = []
    for part in read_message(
        message, kind="update", plan_digest=PLAN.digest, key_id=None, n_parts=PLAN.n_ciphertexts
    ).parts:
        copies = [read_object(Ciphertext, server._context, part) for _ in range(PLAN.fewest)]
        total = Ciphertext()
        sealapi.Evaluator(server._context).add_many(copies, total)
        parts.append(write_object(total))
    opened = holder.read(SumMessage("total", PLAN.digest, holder.key_id, 5, tuple(parts)).write())
    assert opened.n_devices == 3
    assert np.abs(opened.values / 3 - UPDATES[0]).max() <= PLAN.step


def test_all_trustees_but_one_read_nothing():
    plan = plan_sum(N_PARAMETERS, bound=1.0, n_devices=5, threshold=True, n_trustees=3)
    trustees = make_trustees(plan)
    public = join_public_keys(plan, [each.public_bytes() for each in trustees])
    device = SumDevice.from_bytes(public, plan)
    assert find_live_keys(device) == []
    total = SumServer(plan, public).add([device.encrypt(update) for update in UPDATES])
    openings = [each.open(total) for each in trustees]
    assert combine_openings(plan, total, openings).n_devices == 5
    for left_out in range(3):
        known = [openings[place] for place in range(3) if place != left_out]
        with pytest.raises(EncryptionError, match="all are needed"):
            combine_openings(plan, total, known)
        # the place of the missing one filled with nothing, or with what another opened
        for filling in (None, known[0]):
            guess = make_opening(plan, openings[left_out], filling)
            with pytest.raises(EncryptionError, match="a trustee's opening is missing"):
                combine_openings(plan, total, [*known, guess])


def make_opening(plan, like, filling):
    """An opening in the name of one trustee, of zeros or of another's."""
    expected = {"kind": "opening", "plan_digest": plan.digest, "key_id": None, "n_parts": plan.n_ciphertexts + 1}
    found = read_message(like, **expected)
    parts = [bytes(len(part)) for part in found.parts[1:]]
    if filling is not None:
        parts = read_message(filling, **expected).parts[1:]
    return SumMessage("opening", plan.digest, found.key_id, found.number, (found.parts[0], *parts)).write()


# what a published sum says about the key


def recover_key(holder, total, published):
    """The secret key, if what was published about a total is all that decryption has in it (Li and Micciancio 2021).

    Args:
      holder: for its context only.
      total: the one ciphertext.
      published: uint64 (coefficient,): c0 + c1 s, or what one takes for it.
    """
    degree, prime = PLAN.ring_degree, read_moduli(holder._context)[0][0]
    first, second = read_polynomials(total, 2, degree)
    wanted = subtract_modular(evaluate(published, prime), evaluate(first, prime), prime)
    inverse = np.array([pow(each, -1, prime) for each in evaluate(second, prime).tolist()], dtype=np.uint64)
    return multiply_modular(wanted, inverse, prime)


def test_a_published_sum_does_not_give_the_key_away():
    """Twin attacks: on the decryption before rounding, as CKKS publishes it, and on the integers that BFV does."""
    assert len(PLAN.prime_bits) == 1
    assert PLAN.n_ciphertexts == 1
    holder = SumKeyHolder(PLAN)
    device = SumDevice.from_bytes(holder.public_bytes(), PLAN)
    sent = SumServer(PLAN).add([device.encrypt(update) for update in UPDATES])
    opened = holder.read(sent)
    total = holder._load(sent)[0]
    (prime,), plain_modulus = read_moduli(holder._context)
    true = read_polynomials(holder._secret_key.data(), PLAN.ring_degree)
    # naive: c0 + c1 s itself
    first, second = read_polynomials(total, 2, PLAN.ring_degree)
    product = multiply_modular(evaluate(second, prime), true, prime)
    naive = interpolate(add_modular(evaluate(first, prime), product, prime), prime)
    assert (recover_key(holder, total, naive) == true).mean() == 1.0
    # ours: the integers, which everybody can put back into the slots and scale up
    scaled = scale_up(PLAN, holder, opened, prime, plain_modulus)
    assert (recover_key(holder, total, scaled) == true).mean() < 0.01
    # and this is all that was missing: the noise, which rounding took away
    noise = subtract_modular(naive, scaled, prime).astype(np.int64)
    noise = np.where(noise > prime // 2, noise - prime, noise)
    assert 0 < np.abs(noise).max() < 2**16
    again = add_modular(scaled, (noise % prime).astype(np.uint64), prime)
    assert (recover_key(holder, total, again) == true).mean() == 1.0


def scale_up(plan, holder, opened, prime, plain_modulus):
    """The scaled plaintext of what was published, by what is public: uint64 (coefficient,)."""
    offset = (opened.n_devices - 1) * plan.largest_integer
    slots = pack_integers(plan, opened.integers + offset, plain_modulus)[0]
    slots[:2] = slots[:2] * opened.n_devices % plain_modulus
    encoded = Plaintext()
    BatchEncoder(holder._context).encode(slots.tolist(), encoded)
    coefficients = [encoded[place] for place in range(encoded.coeff_count())]
    coefficients += [0] * (plan.ring_degree - len(coefficients))
    return np.array([(prime * each + plain_modulus // 2) // plain_modulus for each in coefficients], dtype=np.uint64)
