"""Who is who, and with which key in this run: long-lived signing keys, and an opening key that lasts for one run.

An `Identity` signs. Its public half is handed over before, on a way that is trusted, and people compare fingerprints.
A `RunKey` opens. Its owner makes a new one for each run, signs it together with the run, and forgets it when the run
ends: whoever comes to the identity later can pretend to be its owner from then on, and opens nothing that was sent.

Everything public goes as bytes: four letters, version, suite, then fields of fixed length. Reading accepts exactly what
writing makes and raises `ProtocolError` for the rest.
"""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

from twinlab.errors import ProtocolError
from twinlab.protection.channel.suite import (
    RUN_KEY_BYTES,
    SIGNATURE_BYTES,
    SIGNING_SEED_BYTES,
    SUITE_NUMBER,
    VERIFYING_BYTES,
    OpeningKey,
    SigningKey,
    VerifyingKey,
    check_run_key,
)

VERSION = 1
FINGERPRINT_BYTES = 32
RUN_ID_BYTES = 16
_START = struct.Struct(">4sBB")
_IDENTITY, _SECRET, _ANNOUNCEMENT = b"TWID", b"TWIS", b"TWRK"


def check_start(data: bytes, letters: bytes, n_bytes: int | None, what: str) -> bytes:
    """The rest after letters, version and suite.

    Args:
      data: as it came; not to be trusted.
      letters: that it must begin with.
      n_bytes: length of all of it, or None if that is not known.
      what: its name in a refusal.

    Raises:
      ProtocolError: if it is something else, of another version or suite, too short or too long.
    """
    if len(data) < _START.size or not data.startswith(letters):
        raise ProtocolError(f"{what}: expected {letters.decode()} at its start, got something else; check who made it")
    _, version, suite = _START.unpack_from(data)
    if version != VERSION:
        raise ProtocolError(
            f"{what}: expected version {VERSION}, got {version}; there is no other that is accepted; install the same "
            "twinlab on both sides"
        )
    if suite != SUITE_NUMBER:
        raise ProtocolError(
            f"{what}: expected suite {SUITE_NUMBER}, got {suite}; no weaker or other one is ever agreed on; find out "
            "who changed it"
        )
    if n_bytes is not None and len(data) != n_bytes:
        raise ProtocolError(f"{what}: expected {n_bytes} bytes, got {len(data)}; it was cut off or added to")
    return bytes(data[_START.size :])


def write_start(letters: bytes) -> bytes:
    """Letters, version and suite."""
    return _START.pack(letters, VERSION, SUITE_NUMBER)


class PublicIdentity:
    """By what others know a device or a server. Public.

    Attributes:
      data: in bytes, as it is handed over.
    """

    N_BYTES = _START.size + VERIFYING_BYTES

    def __init__(self, data: bytes) -> None:
        """Read one.

        Args:
          data: as `Identity.public` has it; not to be trusted until somebody compared the fingerprint.

        Raises:
          ProtocolError: if it is something else.
        """
        self._key = VerifyingKey(check_start(data, _IDENTITY, self.N_BYTES, "identity"))
        self.data = bytes(data)

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of all of it, 32 bytes: what people compare, and what envelopes name it by."""
        return sha256(self.data).digest()

    def verify(self, signatures: tuple[bytes, bytes], statement: bytes) -> None:
        """Refuse, by `ProtocolError`, a statement that both keys of this identity did not sign."""
        self._key.verify(signatures, statement)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicIdentity) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return f"PublicIdentity({self.fingerprint.hex()[:16]})"


class Identity:
    """A device's or a server's own signing keys, for as long as it lives. Private.

    Attributes:
      public: what others need.
    """

    def __init__(self, key: SigningKey) -> None:
        """Use `make_identity` for a new one and `read_identity` for one that was kept."""
        self._key = key
        self.public = PublicIdentity(write_start(_IDENTITY) + key.verifying_key.data)

    def sign(self, statement: bytes) -> tuple[bytes, bytes]:
        """Both signatures of a statement."""
        return self._key.sign(statement)

    def write_secret(self) -> bytes:
        """The keys in bytes, to be kept where nobody else reads; private."""
        return write_start(_SECRET) + self._key.seeds

    def __repr__(self) -> str:
        return f"Identity({self.public.fingerprint.hex()[:16]})"


def make_identity() -> Identity:
    """New signing keys from the operating system's randomness."""
    return Identity(SigningKey(secrets.token_bytes(SIGNING_SEED_BYTES)))


def read_identity(secret: bytes) -> Identity:
    """The identity whose keys `write_secret` wrote.

    Raises:
      ProtocolError: if the bytes are anything else.
    """
    n_bytes = _START.size + SIGNING_SEED_BYTES
    return Identity(SigningKey(check_start(secret, _SECRET, n_bytes, "secret identity")))


@dataclass(frozen=True)
class RunAddress:
    """Where to send to somebody in one run: the public half of a run key, whose owner's signatures were checked.

    Attributes:
      owner: whose it is.
      run_id: of the run.
      public: of the opening key, in bytes.
    """

    owner: PublicIdentity
    run_id: bytes
    public: bytes = field(repr=False)

    @cached_property
    def key_id(self) -> bytes:
        """SHA-256 over owner, run and key: what envelopes name the key by."""
        return sha256(_state_run_key(self)).digest()


class RunKey:
    """An opening key for one run, until it is forgotten.

    Attributes:
      address: its public half.
      announcement: the same in bytes, signed: what others need to send to its owner.
    """

    def __init__(self, identity: Identity, run_id: bytes) -> None:
        """Make a new key and sign it.

        Args:
          identity: of its owner.
          run_id: `RUN_ID_BYTES` that name the run; public. Whoever starts the run draws them.

        Raises:
          ProtocolError: if the run's name has another length.
        """
        if len(run_id) != RUN_ID_BYTES:
            raise ProtocolError(
                f"run_id: expected {RUN_ID_BYTES} bytes, got {len(run_id)}; draw them with `draw_run_id`"
            )
        self._key: OpeningKey | None = OpeningKey()
        self.address = RunAddress(identity.public, bytes(run_id), self._key.public)
        statement = _state_run_key(self.address)
        self.announcement = statement + b"".join(identity.sign(statement))

    def open_box(self, box: bytes, info: bytes) -> bytes:
        """What was put in.

        Raises:
          ProtocolError: if it does not open, or the key was forgotten.
        """
        if self._key is None:
            raise ProtocolError("run key: expected one in use, got one forgotten at its run's end; start a new run")
        return self._key.open_box(box, info)

    def forget(self) -> None:
        """Drop the key. What was sealed for it stays closed for everybody; memory is not wiped."""
        self._key = None

    def __repr__(self) -> str:
        return f"RunKey({self.address.key_id.hex()[:16]}, {'forgotten' if self._key is None else 'in use'})"


def draw_run_id() -> bytes:
    """A new name for a run, from the operating system's randomness."""
    return secrets.token_bytes(RUN_ID_BYTES)


def read_announcement(data: bytes, owner: PublicIdentity, run_id: bytes) -> RunAddress:
    """Where to send to somebody in this run.

    Args:
      data: as it came; not to be trusted.
      owner: from whom it should be.
      run_id: of this run.

    Raises:
      ProtocolError: if it is from somebody else or for another run, is not signed by both keys, or was changed.
    """
    n_stated = _START.size + FINGERPRINT_BYTES + RUN_ID_BYTES + RUN_KEY_BYTES
    rest = check_start(data, _ANNOUNCEMENT, n_stated + sum(SIGNATURE_BYTES), "run key")
    whose, rest = rest[:FINGERPRINT_BYTES], rest[FINGERPRINT_BYTES:]
    if whose != owner.fingerprint:
        raise ProtocolError(
            f"run key: expected one of {owner.fingerprint.hex()[:16]}, got one of {whose.hex()[:16]}; pass each to the "
            "one it is for"
        )
    run, public = rest[:RUN_ID_BYTES], rest[RUN_ID_BYTES:][:RUN_KEY_BYTES]
    if run != run_id:
        raise ProtocolError("run key: expected one of this run, got one of another run; ask its owner for a new one")
    first, second = data[n_stated:][: SIGNATURE_BYTES[0]], data[n_stated + SIGNATURE_BYTES[0] :]
    owner.verify((bytes(first), bytes(second)), bytes(data[:n_stated]))
    check_run_key(public)
    return RunAddress(owner, run, public)


def _state_run_key(address: RunAddress) -> bytes:
    """What its owner signs."""
    return write_start(_ANNOUNCEMENT) + address.owner.fingerprint + address.run_id + address.public
