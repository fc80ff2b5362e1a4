"""Device, server and key holder of an encrypted sum."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest

from twinlab.errors import DataContractError, EncryptionError, SpecificationError
from twinlab.protection.homomorphic import encrypted_sum
from twinlab.protection.homomorphic.encrypted_sum import SumDevice, SumKeyHolder, SumServer, plan_sum
from twinlab.protection.homomorphic.encrypted_sum.sum_message import read_message
from twinlab.protection.homomorphic.seal import Ciphertext, write_object

PLAN = plan_sum(20_000, bound=1.0, n_devices=6, bits=16)
DRAW = np.random.default_rng(4)
UPDATES = DRAW.uniform(-1, 1, (6, 20_000))


@pytest.fixture(scope="module")
def holder():
    return SumKeyHolder(PLAN)


@pytest.fixture(scope="module")
def device(holder):
    return SumDevice.from_bytes(holder.public_bytes(), PLAN)


@pytest.fixture(scope="module")
def messages(device):
    return [device.encrypt(update) for update in UPDATES]


@pytest.fixture(scope="module")
def server(holder):
    return SumServer(PLAN, holder.public_bytes())


def rewrite(message, what, plan=PLAN, **changes):
    """A message altered by somebody who makes the checksum anew."""
    n_parts = plan.n_ciphertexts if what in ("update", "total") else 1
    found = read_message(message, kind=what, plan_digest=plan.digest, key_id=None, n_parts=n_parts)
    return replace(found, **changes).write()


def read_parts(message, kind="update"):
    return read_message(message, kind=kind, plan_digest=PLAN.digest, key_id=None, n_parts=PLAN.n_ciphertexts).parts


@pytest.mark.parametrize("members", [(0, 1, 2, 3, 4, 5), (0, 2, 5), (5, 1, 3, 0)])
def test_the_sum_is_exact_whoever_dropped_out(holder, server, messages, members):
    found = holder.read(server.add([messages[member] for member in members]))
    expected = sum(PLAN.round_to_integers(UPDATES[member]) for member in members)
    assert found.n_devices == len(members)
    assert found.integers.dtype == np.int64
    assert (found.integers == expected).all()
    error = np.abs(found.values - UPDATES[list(members)].sum(0)).max()
    assert 0 < error <= PLAN.find_worst_error(len(members))
    assert "values" not in repr(found)


def test_two_encryptions_of_one_update_have_nothing_in_common(device):
    first, second = (read_parts(device.encrypt(UPDATES[0])) for _ in range(2))
    assert not set(first) & set(second)
    words = [np.frombuffer(part[200:30_000], dtype=np.uint8) for part in (first[0], second[0])]
    # equal bytes by chance: 1 in 256, with 30 000 of them; 0.1 is a thousand deviations away
    assert (words[0] == words[1]).mean() < 0.1


def test_sums_of_few_are_refused_unless_asked_for(holder, server, messages):
    total = server.add(messages[:2])
    with pytest.raises(EncryptionError, match="expected at least 3 devices, got 2"):
        holder.read(total)
    assert holder.read(total, fewest=2).n_devices == 2
    with pytest.raises(EncryptionError, match="expected at least 6 devices, got 5"):
        holder.read(server.add(messages[:5]), fewest=6)


def test_one_update_alone_is_no_total(holder, messages):
    with pytest.raises(EncryptionError, match="expected kind 'total', got 'update'"):
        holder.read(messages[0], fewest=1)


def test_more_messages_than_planned_or_none_are_refused(server, device, messages):
    with pytest.raises(EncryptionError, match="expected 1 to 6, got 7"):
        server.add([*messages, device.encrypt(UPDATES[0])])
    with pytest.raises(EncryptionError, match="expected 1 to 6, got 0"):
        server.add([])


def test_the_key_holder_refuses_more_devices_than_planned_even_if_the_server_adds_them(holder, server, messages):
    total = server.add(messages[:4])
    twice = double(total)
    with pytest.raises(EncryptionError, match="at most 6 devices, got 8"):
        holder.read(twice)


def double(total):
    """A server that lies: the total of a total with itself."""
    as_update = rewrite(total, "total", kind="update", number=0)
    again = rewrite(total, "total", kind="update", number=1)
    return SumServer(PLAN).add([as_update, again])


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data[:-1], "cut off"),
        (lambda data: data[: len(data) // 2], "cut off"),
        (lambda data: data[:500] + bytes([data[500] ^ 1]) + data[501:], "checksum"),
        (lambda data: b"", "cut off"),
        (lambda data: b"junk" * 100, "something else"),
        (lambda data: rewrite(data, "update", key_id=b"x" * 16), "expected key"),
        (lambda data: rewrite(data, "update", kind="total"), "expected kind 'update', got 'total'"),
        (lambda data: rewrite(data, "update", plan_digest=b"x" * 32), "same plan"),
        (lambda data: rewrite(data, "update", parts=(b"",) * PLAN.n_ciphertexts), "read Ciphertext"),
        (lambda data: rewrite(data, "update", parts=(b"x",)), "parts, got 1"),
    ],
)
def test_a_message_that_cannot_be_added_is_refused_with_its_place(server, messages, spoil, words, place):
    sent = list(messages[:3])
    sent[place] = spoil(sent[place])
    with pytest.raises(EncryptionError, match=rf"^place {place} of 3: .*{words}"):
        server.add(sent)
    with pytest.raises(EncryptionError, match=words):
        server.check(sent[place])
    for other in range(3):
        if other != place:
            server.check(sent[other])


def test_messages_of_another_plan_or_key_are_refused_with_their_place(messages):
    plan = plan_sum(20_000, bound=1.0, n_devices=6, bits=15)
    foreign = SumDevice.from_bytes(SumKeyHolder(plan).public_bytes(), plan).encrypt(UPDATES[0])
    with pytest.raises(EncryptionError, match=r"^place 1 of 2: .*same plan on all sides"):
        SumServer(PLAN).add([messages[0], foreign])
    stranger = SumDevice.from_bytes(SumKeyHolder(PLAN).public_bytes(), PLAN).encrypt(UPDATES[0])
    with pytest.raises(EncryptionError, match=r"^place 2 of 3: .*expected key"):
        SumServer(PLAN).add([messages[0], messages[1], stranger])


def test_a_message_that_came_twice_is_refused(server, messages):
    with pytest.raises(EncryptionError, match=r"^place 2 of 3: .*got that of place 0"):
        server.add([messages[0], messages[1], messages[0]])


def test_a_total_under_another_key_is_refused_even_with_the_name_of_this_one(holder):
    other = SumKeyHolder(PLAN)
    device = SumDevice.from_bytes(other.public_bytes(), PLAN)
    total = SumServer(PLAN).add([device.encrypt(update) for update in UPDATES])
    with pytest.raises(EncryptionError, match="expected key"):
        holder.read(total)
    with pytest.raises(EncryptionError, match="noise as planned"):
        holder.read(rewrite(total, "total", key_id=holder.key_id))


def test_parts_in_another_order_or_of_other_devices_are_refused(holder):
    plan = plan_sum(20_000, bound=1.0, n_devices=6)
    keys = SumKeyHolder(plan)
    device, server = SumDevice.from_bytes(keys.public_bytes(), plan), SumServer(plan)
    totals = [server.add([device.encrypt(np.full(20_000, 0.5)) for _ in range(n)]) for n in (3, 4)]
    ours, theirs = (
        read_message(total, kind="total", plan_digest=plan.digest, key_id=None, n_parts=plan.n_ciphertexts).parts
        for total in totals
    )
    for parts in (ours[::-1], (*ours[:-1], theirs[-1])):
        with pytest.raises(EncryptionError, match="not of the same devices"):
            keys.read(rewrite(totals[0], "total", plan, parts=parts))


def test_a_plaintext_that_was_not_encrypted_is_refused(server, messages):
    """What anybody could read: no noise, no key in it. SEAL itself would load it."""
    context = server._context
    part = Ciphertext()
    part.resize(context, 2)
    written = write_object(part)
    bare = rewrite(messages[0], "update", parts=(written,) * PLAN.n_ciphertexts)
    with pytest.raises(EncryptionError, match="expected a fresh ciphertext"):
        server.check(bare)


def test_what_cannot_be_encrypted_is_refused_first(device):
    for wrong in (1.00001, -1.00001, np.nan, np.inf):
        update = UPDATES[0].copy()
        update[77] = wrong
        with pytest.raises(DataContractError, match="got 1 beyond it"):
            device.encrypt(update)
    with pytest.raises(DataContractError, match="expected shape"):
        device.encrypt(UPDATES)


def test_keys_stay_where_they_are(holder):
    for copying in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(EncryptionError, match="asked for a copy"):
            copying(holder)
    with pytest.raises(EncryptionError, match=r"use SumDevice.from_bytes"):
        SumDevice(PLAN)
    with pytest.raises(SpecificationError, match="got one for trustees"):
        SumKeyHolder(plan_sum(10, bound=1.0, n_devices=5, threshold=True))


def test_public_bytes_are_no_shared_bytes(holder):
    with pytest.raises(EncryptionError, match="expected kind 'shared key', got 'public key'"):
        SumKeyHolder.from_shared_bytes(holder.public_bytes(), PLAN)
    with pytest.raises(EncryptionError, match="expected kind 'public key', got 'shared key'"):
        SumDevice.from_bytes(holder.shared_bytes(), PLAN)
    with pytest.raises(EncryptionError, match="cut off"):
        SumDevice.from_bytes(holder.public_bytes()[:100], PLAN)


def test_reprs_say_what_is_public(holder, device, server):
    for each in (holder, device, server):
        assert "20000 numbers of 16 bits" in repr(each)


def test_public_names_are_there_and_others_are_named():
    for name in encrypted_sum.__all__:
        assert getattr(encrypted_sum, name).__name__ == name
    assert dir(encrypted_sum) == encrypted_sum.__all__
    with pytest.raises(AttributeError, match="it has: EncryptedSumResult"):
        encrypted_sum.plan_nothing  # noqa: B018
