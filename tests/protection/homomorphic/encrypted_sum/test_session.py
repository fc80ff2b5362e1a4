"""A whole encrypted sum in one call."""

import numpy as np
import pytest

from twinlab.errors import DataContractError, EncryptionError, SpecificationError
from twinlab.protection.homomorphic.encrypted_sum import add_encrypted
from twinlab.release import Encrypted, NoGuarantee

UPDATES = np.random.default_rng(2).uniform(-0.5, 0.5, (5, 3000))


def test_the_key_holder_reads_the_sum_and_the_server_ciphertexts():
    found = add_encrypted(UPDATES, bound=0.5)
    assert found.n_devices == 5
    assert np.abs(found.values - UPDATES.sum(0)).max() <= found.worst_error
    assert (found.integers == sum(found.plan.round_to_integers(update) for update in UPDATES)).all()
    whats = [(message.sender, message.receiver, message.kind, message.n_messages) for message in found.messages]
    assert whats == [
        ("key holder", "device", "public key", 1),
        ("device", "adding server", "encrypted update", 5),
        ("adding server", "key holder", "encrypted sum", 1),
        ("key holder", "adding server", "sum", 1),
    ]
    updates, total = list(found.messages)[1:3]
    assert len(set(updates.payload)) == 5
    assert isinstance(updates.guarantee, Encrypted)
    assert updates.guarantee.key_holder == "the key holder"
    assert isinstance(total.guarantee, NoGuarantee)
    assert [message.kind for message in found.messages.seen_by("key holder")] == ["encrypted sum"]


def test_trustees_open_it_together():
    found = add_encrypted(UPDATES, bound=0.5, threshold=True, n_trustees=2)
    assert (found.integers == sum(found.plan.round_to_integers(update) for update in UPDATES)).all()
    whats = [(message.sender, message.receiver, message.kind, message.n_messages) for message in found.messages]
    assert whats == [
        ("trustee", "adding server", "part of the public key", 2),
        ("adding server", "device", "public key", 1),
        ("device", "adding server", "encrypted update", 5),
        ("adding server", "trustee", "encrypted sum", 1),
        ("trustee", "adding server", "opening", 2),
    ]
    assert all("experimental" in str(message.guarantee) for message in list(found.messages)[2:])


def test_steps_add_up_and_are_a_table():
    found = add_encrypted(UPDATES, bound=0.5, bits=8, quantum_safe=True)
    assert found.n_bytes == sum(message.n_bytes for message in found.messages)
    assert found.seconds == sum(row["seconds"] for row in found.rows())
    assert [row["what"] for row in found.rows()] == [
        *("make keys", "public key", "load key", "encrypted update", "encrypted sum", "decrypt", "sum")
    ]
    assert found.plan.quantum_security_bits >= 128
    assert repr(found).startswith("EncryptedSumResult(5 devices, 3000 numbers, error at most ")


def test_devices_may_have_dropped_out_and_few_are_refused():
    assert add_encrypted(UPDATES, bound=0.5, n_devices=50).n_devices == 5
    with pytest.raises(EncryptionError, match="expected at least 10 devices, got 5"):
        add_encrypted(UPDATES, bound=0.5, n_devices=50, fewest=10)
    with pytest.raises(EncryptionError, match="expected 1 to 4, got 5"):
        add_encrypted(UPDATES, bound=0.5, n_devices=4)


def test_what_cannot_be_added_is_refused():
    with pytest.raises(SpecificationError, match=r"expected shape \(device, parameter\), got \(3000,\)"):
        add_encrypted(UPDATES[0], bound=0.5)
    with pytest.raises(DataContractError, match="beyond it"):
        add_encrypted(UPDATES, bound=0.1)
