"""How two clients come to a secret that the server between them does not learn.

X25519 today. A key encapsulation, such as a quantum-safe one, fits the same protocol: one side makes an offer that
travels with its message and the other accepts it. Whatever it is, the secret of a pair must follow from the long
secret of either side, since survivors give the server that of a client which vanished, to take its masks off.
"""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from twinlab.errors import ProtocolError


class KeyPair(Protocol):
    """The keys of one client for one purpose and one round."""

    @property
    def public(self) -> bytes:
        """What others see."""

    def offer(self, peer_public: bytes, context: bytes) -> tuple[bytes, bytes]:
        """The secret with a peer, at least 32 bytes, and what the peer needs to find it too.

        Called again with the same arguments, by whoever holds the long secret, it returns the same secret.
        """

    def accept(self, peer_public: bytes, context: bytes, offered: bytes) -> bytes:
        """The same secret, from what the peer offered. Raises `ProtocolError` on a malformed offer."""


class KeyAgreement(Protocol):
    """A way to agree on keys; one object serves all clients and rounds.

    Attributes:
      name: part of what clients sign, so that no two of them agree by different ways.
      authenticates_sender: whether only the holder of the sender's long secret could have made an offer. If not, as in
        a key encapsulation, clients sign what they send each other with their identity key.
    """

    name: str
    authenticates_sender: bool

    def open_keys(self, secret: bytes) -> KeyPair:
        """The key pair that follows from 32 secret bytes."""


class X25519KeyPair:
    """Diffie-Hellman keys on Curve25519 (RFC 7748). Nothing needs to be offered."""

    def __init__(self, secret: bytes) -> None:
        """Open the pair that belongs to 32 secret bytes."""
        self._private = X25519PrivateKey.from_private_bytes(secret)
        self._public = self._private.public_key().public_bytes_raw()
        self._found: dict[bytes, bytes] = {}

    @property
    def public(self) -> bytes:
        """32 bytes."""
        return self._public

    def offer(self, peer_public: bytes, context: bytes) -> tuple[bytes, bytes]:
        """The secret with a peer; the offer is empty."""
        return self.accept(peer_public, context, b""), b""

    def accept(self, peer_public: bytes, context: bytes, offered: bytes) -> bytes:
        """The secret with a peer. The context enters later, where keys are derived from it."""
        if offered:
            raise ProtocolError("offer: expected none with X25519, got one; use the same key agreement on both sides")
        if peer_public not in self._found:
            try:
                self._found[peer_public] = self._private.exchange(X25519PublicKey.from_public_bytes(peer_public))
            except ValueError as fault:
                # Wrong length, or a point of low order: anybody would know the secret.
                raise ProtocolError("public key: expected a point of X25519, got something else; drop it") from fault
        return self._found[peer_public]


class X25519Agreement:
    """X25519, which a large quantum computer would break."""

    name = "X25519"
    authenticates_sender = True

    def open_keys(self, secret: bytes) -> X25519KeyPair:
        """The key pair that follows from 32 secret bytes."""
        return X25519KeyPair(secret)
