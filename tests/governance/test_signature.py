import os
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from twinlab.errors import DataContractError
from twinlab.governance.signature import SIGNATURE_BYTES, SigningKey, VerifyingKey, load_signing_key


def test_both_signatures_must_be_right(key):
    verifying, signature, other = key.verifying_key, key.sign(b"head"), SigningKey().sign(b"head")
    assert len(signature) == SIGNATURE_BYTES == 3373
    assert verifying.verify(b"head", signature)
    assert VerifyingKey(verifying.to_bytes()).verify(b"head", signature)
    assert not verifying.verify(b"head", signature[:-64] + other[-64:])
    assert not verifying.verify(b"head", other[:-64] + signature[-64:])
    assert not verifying.verify(b"heap", signature)
    for broken in (b"", signature[:-1], signature + b"x", signature[:-64], signature[-64:]):
        assert not verifying.verify(b"head", broken)


def test_a_signature_for_another_use_of_the_keys_is_none(key):
    lattice = MLDSA65PrivateKey.from_seed_bytes(key.to_bytes()[:32])
    curve = Ed25519PrivateKey.from_private_bytes(key.to_bytes()[32:])
    signature = key.sign(b"head")
    assert not key.verifying_key.verify(b"head", lattice.sign(b"head") + signature[-64:])
    assert not key.verifying_key.verify(b"head", signature[:-64] + curve.sign(b"head"))


def test_a_key_is_kept_in_a_file_of_its_owner(tmp_path):
    path = tmp_path / "keys" / "signing.key"
    first, again = load_signing_key(path), load_signing_key(path)
    assert first.to_bytes() == again.to_bytes() == path.read_bytes()
    assert again.verifying_key.verify(b"x", first.sign(b"x"))
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["signing.key"]
    path.write_bytes(b"short")
    with pytest.raises(DataContractError, match="expected 64 bytes, got 5"):
        load_signing_key(path)
    with pytest.raises(DataContractError, match="verifying key: expected 1984 bytes"):
        VerifyingKey(b"x")
