"""The door to SEAL."""

import os
from pathlib import Path

import pytest

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic.parameters import RingParameters
from twinlab.protection.homomorphic.seal import (
    Ciphertext,
    CKKSEncoder,
    Decryptor,
    Encryptor,
    KeyGenerator,
    Plaintext,
    explain_faults,
    find_galois_element,
    find_library_versions,
    make_context,
    read_object,
    write_object,
)


@pytest.fixture(scope="module")
def context():
    return make_context(RingParameters(2048, (54,)))


def encrypt(context, keys, number):
    encoded = Plaintext()
    CKKSEncoder(context).encode(number, 2.0**30, encoded)
    return write_object(Encryptor(context, keys.secret_key()).encrypt_symmetric(encoded))


def decrypt(context, keys, data):
    decrypted = Plaintext()
    Decryptor(context, keys.secret_key()).decrypt(read_object(Ciphertext, context, data), decrypted)
    return CKKSEncoder(context).decode_double(decrypted)[0]


def test_objects_survive_the_way_through_bytes_and_seeds_halve_them(context):
    keys = KeyGenerator(context)
    data = encrypt(context, keys, 1.25)
    assert decrypt(context, keys, data) == pytest.approx(1.25, abs=1e-5)
    whole = write_object(read_object(Ciphertext, context, data))
    assert len(data) < 0.52 * len(whole)


def test_where_there_are_no_files_in_memory_nothing_is_left_behind(context, monkeypatch, tmp_path):
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen = []
    write_bytes = Path.write_bytes

    def note(path, data):
        seen.append((path.parent.parent, path.parent.stat().st_mode & 0o077))
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", note)
    keys = KeyGenerator(context)
    assert decrypt(context, keys, encrypt(context, keys, -3.5)) == pytest.approx(-3.5, abs=1e-5)
    assert seen == [(tmp_path, 0)]
    assert list(tmp_path.iterdir()) == []


def test_no_descriptor_is_left_open(context):
    keys = KeyGenerator(context)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        encrypt(context, keys, 1.0)
    with pytest.raises(EncryptionError):
        read_object(Ciphertext, context, b"nothing")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 1000, bytes(100)])
def test_what_seal_cannot_read_is_an_encryption_error(context, data):
    with pytest.raises(EncryptionError, match=r"read Ciphertext: expected .* SEAL refused"):
        read_object(Ciphertext, context, data)


def test_errors_of_our_own_pass_through():
    with pytest.raises(EncryptionError, match=r"^mine$"), explain_faults("x"):
        raise EncryptionError("mine")
    with pytest.raises(KeyError), explain_faults("x"):
        raise KeyError("not SEAL's")


def test_versions_and_galois_elements():
    tenseal, seal = find_library_versions()
    assert tenseal.count(".") == 2
    assert float(seal) >= 4
    assert [find_galois_element(step, 4096) for step in (1, 2, 2048 + 1)] == [3, 9, 3]
