"""X25519 against its published vectors, and whole rounds with key encapsulations in its place."""

import hashlib
import hmac
import secrets

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from twinlab.errors import ProtocolError
from twinlab.protection.federated.secure_sum import X25519Agreement, add_securely, choose_ring
from twinlab.protection.federated.secure_sum.messages import KeyList, SharesDown
from twinlab.protection.federated.secure_sum.session import NO_MODEL, make_clients


def prf(secret, *context):
    return hmac.digest(secret, b"|".join(context), hashlib.sha256)


class EncapsulatingKeys:
    """A pair's secret follows from the offerer's long secret, and travels under a fresh encapsulation."""

    def __init__(self, scheme, secret):
        self.scheme, self.secret = scheme, secret
        self.private = scheme.open_private(secret)
        self.public = scheme.find_public(self.private)

    def offer(self, peer_public, context):
        shared = prf(self.secret, b"pair", peer_public, context)
        key, capsule = self.scheme.encapsulate(peer_public)
        nonce = secrets.token_bytes(12)
        return shared, capsule + nonce + ChaCha20Poly1305(key).encrypt(nonce, shared, context)

    def accept(self, peer_public, context, offered):
        capsule, nonce, sealed = offered[: self.scheme.size], offered[self.scheme.size :][:12], offered[-48:]
        return ChaCha20Poly1305(self.scheme.decapsulate(self.private, capsule)).decrypt(nonce, sealed, context)


class Encapsulation:
    authenticates_sender = False

    def open_keys(self, secret):
        return EncapsulatingKeys(self, secret)


class HashedDiffieHellman(Encapsulation):
    name, size = "DHKEM", 32

    def open_private(self, secret):
        return X25519PrivateKey.from_private_bytes(secret)

    def find_public(self, private):
        return private.public_key().public_bytes_raw()

    def encapsulate(self, public):
        once = X25519PrivateKey.generate()
        return prf(once.exchange(X25519PublicKey.from_public_bytes(public))), self.find_public(once)

    def decapsulate(self, private, capsule):
        return prf(private.exchange(X25519PublicKey.from_public_bytes(capsule)))


class QuantumSafe(Encapsulation):
    name, size = "ML-KEM-768", 1088

    def __init__(self):
        self.library = pytest.importorskip(
            "cryptography.hazmat.primitives.asymmetric.mlkem", reason="this version of cryptography has no ML-KEM"
        )

    def open_private(self, secret):
        return self.library.MLKEM768PrivateKey.from_seed_bytes(prf(secret, b"d") + prf(secret, b"z"))

    def find_public(self, private):
        return private.public_key().public_bytes_raw()

    def encapsulate(self, public):
        return self.library.MLKEM768PublicKey.from_public_bytes(public).encapsulate()

    def decapsulate(self, private, capsule):
        return private.decapsulate(capsule)


@pytest.mark.parametrize("scheme", [HashedDiffieHellman, QuantumSafe])
@pytest.mark.parametrize("gone", [0, 2, 4])
def test_an_encapsulation_serves_a_round_with_dropouts(scheme, gone):
    """Lowest, middle and highest id: the one that vanishes has made all, some or none of its pairs' offers."""
    vectors = np.random.default_rng(1).uniform(-1, 1, (5, 20))
    found = add_securely(vectors, bound=1.0, agreement=scheme(), drop={"mask": {gone}})
    assert gone not in found.members
    assert np.abs(found.total - np.delete(vectors, gone, 0).sum(0)).max() <= found.worst_error


def test_an_encapsulation_that_names_no_sender_is_signed():
    """Anybody may encapsulate; a server that forges an offer is refused."""
    ring = choose_ring(bound=1.0, n_clients=3)
    scheme = HashedDiffieHellman()
    clients, _ = make_clients(3, 4, 2, ring, agreement=scheme)
    key_list = KeyList(1, tuple(each.advertise(1, NO_MODEL) for each in clients))
    pieces = [each.share_keys(key_list).pieces for each in clients]
    honest = pieces[0][1]
    _, forged = scheme.open_keys(secrets.token_bytes(32)).offer(key_list.advertisements[2].mask_public, b"")
    assert honest.receiver == 2
    fake = type(honest)(0, 2, forged, honest.share_offer, honest.box, honest.signature)
    with pytest.raises(ProtocolError, match="mask: expected client 0's own signature"):
        clients[2].mask(SharesDown(1, 2, (fake, pieces[1][1])), np.zeros(4))


def test_the_published_example():
    """RFC 7748, section 6.1: Bob's private and public key, Alice's public key and their secret."""
    bob, bob_public, alice_public, shared = map(
        bytes.fromhex,
        (
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
        ),
    )
    keys = X25519Agreement().open_keys(bob)
    assert keys.public == bob_public
    assert keys.accept(alice_public, b"", b"") == shared


def test_keys_that_anybody_could_guess_are_refused():
    keys = X25519Agreement().open_keys(secrets.token_bytes(32))
    for public in (bytes(32), (1).to_bytes(32, "little"), b"short", b""):
        with pytest.raises(ProtocolError, match="expected a point of X25519"):
            keys.offer(public, b"")


def test_an_offer_where_none_is_needed_is_refused():
    first, second = (X25519Agreement().open_keys(secrets.token_bytes(32)) for _ in range(2))
    assert first.offer(second.public, b"") == (second.accept(first.public, b"", b""), b"")
    with pytest.raises(ProtocolError, match="expected none with X25519"):
        first.accept(second.public, b"", b"x")
