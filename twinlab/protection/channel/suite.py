"""The one suite of sealed envelopes, and the only place that knows the library behind it.

A key encapsulation that holds if either of its halves does, X-Wing: ML-KEM-768 (FIPS 203), for which no algorithm
that breaks it is known, on quantum computers either, with X25519, which has been attacked in vain for longer. A cipher
under what it gives, AES-256-GCM, keyed by HKDF-SHA256 as HPKE does it. And two signatures of which both must fit:
ML-DSA-65 (FIPS 204) and Ed25519. HPKE and X-Wing come whole from `cryptography`; only the pair of signatures is put
together here, and each of them covers all of a statement.

There is one suite and no way to agree on another. What is not offered cannot be talked down to.

Sources
  RFC 9180; draft-ietf-hpke-pq and draft-connolly-cfrg-xwing-kem for KEM 0x647A; FIPS 203 and 204; RFC 8032.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from twinlab.errors import ProtocolError

#: Stands in everything that is sent. Another one is refused.
SUITE_NUMBER = 1
SCHEME = "sealed envelope: ML-KEM-768 with X25519, AES-256-GCM; signed by ML-DSA-65 with Ed25519"
#: What X-Wing states for itself. Its halves have about that, ML-KEM-768 more.
SECURITY_BITS = 128
#: Of each kind of signature, in the order in which they stand.
SIGNATURES = ("ML-DSA-65", "Ed25519")
SIGNATURE_BYTES = (3309, 64)
#: Of both public keys, one after the other.
VERIFYING_BYTES = 1952 + 32
SIGNING_SEED_BYTES = 32 + 32
RUN_KEY_BYTES = 1184 + 32
#: By which a box is longer than what is in it: what X-Wing sends, and the tag.
BOX_BYTES = 1088 + 32 + 16
_MLDSA_BYTES, _MLKEM_BYTES, _SEED_BYTES = 1952, 1184, 32
#: ML-DSA signs for a purpose; a signature for another one does not fit.
_PURPOSE = b"twinlab channel 1"
_BOXES = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class SigningKey:
    """Two keys that sign together. Private."""

    def __init__(self, seeds: bytes) -> None:
        """Open the keys that follow from `SIGNING_SEED_BYTES` secret bytes.

        Raises:
          ProtocolError: if they are fewer or more.
        """
        if len(seeds) != SIGNING_SEED_BYTES:
            raise ProtocolError(
                f"signing keys: expected {SIGNING_SEED_BYTES} secret bytes, got {len(seeds)}; give what was kept whole"
            )
        self._mldsa = MLDSA65PrivateKey.from_seed_bytes(seeds[:_SEED_BYTES])
        self._ed25519 = Ed25519PrivateKey.from_private_bytes(seeds[_SEED_BYTES:])

    @property
    def verifying_key(self) -> VerifyingKey:
        """What others need to check signatures."""
        mldsa, ed25519 = self._mldsa.public_key(), self._ed25519.public_key()
        return VerifyingKey(mldsa.public_bytes_raw() + ed25519.public_bytes_raw())

    @property
    def seeds(self) -> bytes:
        """The secret bytes from which both keys follow; private."""
        return self._mldsa.private_bytes_raw() + self._ed25519.private_bytes_raw()

    def sign(self, statement: bytes) -> tuple[bytes, bytes]:
        """Both signatures of a statement, as `SIGNATURES` names them."""
        return self._mldsa.sign(statement, _PURPOSE), self._ed25519.sign(statement)


class VerifyingKey:
    """The public halves of a `SigningKey`."""

    def __init__(self, data: bytes) -> None:
        """Read both keys.

        Raises:
          ProtocolError: if they are not two such keys.
        """
        self.data = bytes(data)
        try:
            self._mldsa = MLDSA65PublicKey.from_public_bytes(self.data[:_MLDSA_BYTES])
            self._ed25519 = Ed25519PublicKey.from_public_bytes(self.data[_MLDSA_BYTES:])
        except ValueError:
            raise ProtocolError(
                f"identity: expected keys of {' and '.join(SIGNATURES)}, got something else; ask its owner for it"
            ) from None

    def verify(self, signatures: tuple[bytes, bytes], statement: bytes) -> None:
        """Refuse a statement that both keys did not sign.

        Raises:
          ProtocolError: with the kinds of signature that are missing or do not fit.
        """
        keys = (lambda given: self._mldsa.verify(given, statement, _PURPOSE),
                lambda given: self._ed25519.verify(given, statement))  # fmt: skip
        faults = []
        for name, verify, given in zip(SIGNATURES, keys, signatures, strict=True):
            try:
                verify(given)
            except InvalidSignature:
                faults.append(f"{name} {'that does not fit' if given else 'missing'}")
        if faults:
            raise ProtocolError(
                f"signature: expected {' and '.join(SIGNATURES)} of the sender, got {', '.join(faults)}; nothing of it "
                "was used; find out who made it"
            )


class OpeningKey:
    """The key that opens boxes. It exists in memory alone, and cannot be written down."""

    def __init__(self) -> None:
        """Make a new key from the operating system's randomness."""
        mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
        self._private = hpke.MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    def open_box(self, box: bytes, info: bytes) -> bytes:
        """What was put in, if the box was made for this key and with this info.

        Raises:
          ProtocolError: if not, or if a bit of it was changed.
        """
        try:
            return _BOXES.decrypt(box, self._private, info)
        except (InvalidTag, ValueError):
            raise ProtocolError(
                "envelope: expected one that opens, got one cut off, altered or sealed for another key; nothing of it "
                "was used; have it sent again"
            ) from None


def check_run_key(public: bytes) -> None:
    """Refuse what is no public key of X-Wing, or one that would give anybody the secret's second half.

    Raises:
      ProtocolError: if so.
    """
    try:
        # A point of low order shows itself only in use.
        X25519PrivateKey.generate().exchange(_read_run_key(public)[1])
    except ValueError:
        raise ProtocolError("run key: expected one of ML-KEM-768 with X25519, got something else; drop it") from None


def seal_box(message: bytes, public: bytes, info: bytes) -> bytes:
    """Lock something up for whoever has the opening key.

    Args:
      message: private.
      public: of the opening key, checked by `check_run_key`.
      info: public; the same is needed to open.
    """
    return _BOXES.encrypt(message, hpke.MLKEM768X25519PublicKey(*_read_run_key(public)), info)


def _read_run_key(public: bytes) -> tuple[MLKEM768PublicKey, X25519PublicKey]:
    """Both halves. Raises `ValueError`."""
    mlkem, x25519 = public[:_MLKEM_BYTES], public[_MLKEM_BYTES:]
    return MLKEM768PublicKey.from_public_bytes(mlkem), X25519PublicKey.from_public_bytes(x25519)


@dataclass(frozen=True)
class Primitive:
    """One building block, opened with a key of its own so that it can be measured.

    Attributes:
      name: as standards call it.
      use: "encapsulate" or "sign".
      is_quantum_safe: whether no algorithm for quantum computers is known to break it.
      public_bytes: of the public key.
      make: makes a key pair.
      apply: encapsulates or signs; returns what is sent.
      undo: decapsulates or verifies what `apply` returned.
    """

    name: str
    use: str
    is_quantum_safe: bool
    public_bytes: int
    make: Callable[[], object] = field(repr=False)
    apply: Callable[[], bytes] = field(repr=False)
    undo: Callable[[bytes], object] = field(repr=False)


def make_primitives(statement: bytes) -> tuple[Primitive, ...]:
    """What the suite is made of, and its classical half alone beside it.

    Args:
      statement: what is signed; public.
    """
    peer, mlkem = X25519PrivateKey.generate(), MLKEM768PrivateKey.generate()
    ed25519, mldsa = Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate()
    opening = OpeningKey()
    ed25519_public, mldsa_public = ed25519.public_key(), mldsa.public_key()
    peer_public, mlkem_public = peer.public_key(), mlkem.public_key()

    def send_point() -> bytes:
        once = X25519PrivateKey.generate()
        once.exchange(peer_public)
        return once.public_key().public_bytes_raw()

    return (
        Primitive("X25519", "encapsulate", False, 32, X25519PrivateKey.generate, send_point,
                  lambda sent: peer.exchange(X25519PublicKey.from_public_bytes(sent))),
        Primitive("ML-KEM-768", "encapsulate", True, 1184, MLKEM768PrivateKey.generate,
                  lambda: mlkem_public.encapsulate()[1], mlkem.decapsulate),
        Primitive("X-Wing in HPKE, with an empty box", "encapsulate", True, RUN_KEY_BYTES, OpeningKey,
                  lambda: seal_box(b"", opening.public, b""), lambda sent: opening.open_box(sent, b"")),
        Primitive("Ed25519", "sign", False, 32, Ed25519PrivateKey.generate,
                  lambda: ed25519.sign(statement), lambda sent: ed25519_public.verify(sent, statement)),
        Primitive("ML-DSA-65", "sign", True, 1952, MLDSA65PrivateKey.generate,
                  lambda: mldsa.sign(statement), lambda sent: mldsa_public.verify(sent, statement)),
    )  # fmt: skip
