"""The three roles of an encrypted sum: devices encrypt, a server without a key adds, and the key holder reads.

Only integers are published, and BFV's are exact: the noise, which depends on the key, is gone from them. So what a key
holder reads may be told to the server, unlike a CKKS result.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from twinlab.errors import EncryptionError, SpecificationError
from twinlab.protection.homomorphic.encrypted_sum.packing import pack_integers, unpack_sum
from twinlab.protection.homomorphic.encrypted_sum.sum_message import KEY_ID_BYTES, Kind, SumMessage, read_message
from twinlab.protection.homomorphic.encrypted_sum.sum_plan import SumPlan
from twinlab.protection.homomorphic.seal import (
    BatchEncoder,
    Ciphertext,
    Decryptor,
    Encryptor,
    Evaluator,
    KeyGenerator,
    Plaintext,
    PublicKey,
    SecretKey,
    explain_faults,
    make_sum_context,
    read_moduli,
    read_object,
    write_object,
)


@dataclass(frozen=True)
class OpenedSum:
    """What a sum says, in the clear.

    Attributes:
      values: float64 (parameter,), the sum; it gives away what a sum gives away.
      integers: int64 (parameter,), the same in steps of the plan; exact.
      n_devices: in it, as the plaintext says, whoever dropped out. A server that lies can add one twice.
    """

    values: np.ndarray = field(repr=False)
    integers: np.ndarray = field(repr=False)
    n_devices: int


class SumKeyHolder:
    """Makes the keys and reads sums: somebody that the devices trust not to side with the server.

    Cannot be copied or pickled; keys live in memory only. Memory is not wiped.

    Attributes:
      plan: what all sides agreed on.
      key_id: names the key in messages; random and public.
    """

    def __init__(self, plan: SumPlan) -> None:
        """Make keys; a few milliseconds.

        Raises:
          SpecificationError: if the plan shares the key out over trustees.
        """
        _require_threshold(plan, False)
        self._set_up(plan, secrets.token_bytes(KEY_ID_BYTES))
        self._generator = KeyGenerator(self._context)
        self._secret_key = self._generator.secret_key()
        self._decryptor = Decryptor(self._context, self._secret_key)

    @classmethod
    def from_shared_bytes(cls, shared_bytes: bytes, plan: SumPlan) -> SumKeyHolder:
        """Whoever has the key that all devices share: it reads every message, of any device.

        Args:
          shared_bytes: from `shared_bytes`; private.
          plan: what all sides agreed on.
        """
        _require_threshold(plan, False)
        found = read_message(shared_bytes, kind="shared key", plan_digest=plan.digest, key_id=None, n_parts=1)
        holder = cls.__new__(cls)
        holder._set_up(plan, found.key_id)
        holder._secret_key = read_object(SecretKey, holder._context, found.parts[0])
        with explain_faults("shared key"):
            holder._generator = KeyGenerator(holder._context, holder._secret_key)
            holder._decryptor = Decryptor(holder._context, holder._secret_key)
        return holder

    def _set_up(self, plan: SumPlan, key_id: bytes) -> None:
        self.plan, self.key_id = plan, key_id
        self._context = make_sum_context(plan.ring, plan.plain_modulus_bits)

    def public_bytes(self) -> bytes:
        """The public key, for devices: it encrypts and does not decrypt.

        Public, but devices must get it unaltered: a server that puts its own in its place reads everything.
        """
        key = PublicKey()
        with explain_faults("public key"):
            self._generator.create_public_key(key)
        return self._write("public key", [write_object(key)])

    def shared_bytes(self) -> bytes:
        """The secret key itself, to be given to every device as some frameworks for federated learning do.

        With it one device together with the server opens every update. Made only if this is called; for lessons.
        """
        return self._write("shared key", [write_object(self._secret_key)])

    def read(self, total: bytes, *, fewest: int | None = None) -> OpenedSum:
        """Decrypt a sum.

        A server that lies can send one device's message as often as it takes to seem like `fewest`, or old ones. And
        one that makes up totals and learns what is read from them, or whether they were refused, can learn the key.
        Masks hold against such a server.

        Args:
          total: from `SumServer.add`.
          fewest: refuse sums of fewer devices; the plan's when None.

        Raises:
          EncryptionError: if the message is cut off or altered, is no sum under this plan and key, or of too few or too
            many devices.
        """
        encoder, slots = BatchEncoder(self._context), []
        for ciphertext in self._load(total):
            decrypted = Plaintext()
            with explain_faults("decrypt"):
                # How much noise is left depends on the key: looked at here, and told to nobody.
                if self._decryptor.invariant_noise_budget(ciphertext) < 1:
                    raise EncryptionError(
                        "total: expected noise as planned, got more; it was encrypted under another key or altered"
                    )
                self._decryptor.decrypt(ciphertext, decrypted)
                slots.append(encoder.decode_uint64(decrypted))
        return open_slots(self.plan, slots, read_moduli(self._context)[1], fewest)

    def _load(self, total: bytes) -> list[Any]:
        """A total's ciphertexts."""
        plan = self.plan
        found = read_message(
            total, kind="total", plan_digest=plan.digest, key_id=self.key_id, n_parts=plan.n_ciphertexts
        )
        return [load_ciphertext(self._context, part) for part in found.parts]

    def _write(self, kind: Kind, parts: Sequence[bytes]) -> bytes:
        return SumMessage(kind, self.plan.digest, self.key_id, 0, tuple(parts)).write()

    def __repr__(self) -> str:
        return f"SumKeyHolder(key {self.key_id.hex()[:8]}, {self.plan!r})"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse to be copied or pickled: a copy of a key is a leak."""
        raise EncryptionError(
            "key holder: expected to stay where it was made, got asked for a copy; send public_bytes() instead"
        )


class SumDevice:
    """A device with the public key: it encrypts, and cannot read what others encrypt."""

    def __init__(self, *_: object, **__: object) -> None:
        """Not the way in."""
        raise EncryptionError("device: expected to be made from bytes; use SumDevice.from_bytes(public_bytes, plan)")

    plan: SumPlan
    key_id: bytes
    _encryptor: Any
    _encoder: Any
    _plain_modulus: int

    @classmethod
    def from_bytes(cls, public_bytes: bytes, plan: SumPlan) -> SumDevice:
        """A device for one key.

        Args:
          public_bytes: from `SumKeyHolder.public_bytes` or `join_public_keys`.
          plan: what all sides agreed on; public.

        Raises:
          EncryptionError: if the bytes were cut off or altered, or are of another plan or version.
        """
        found = read_message(public_bytes, kind="public key", plan_digest=plan.digest, key_id=None, n_parts=1)
        device = cls.__new__(cls)
        device.plan, device.key_id = plan, found.key_id
        context = make_sum_context(plan.ring, plan.plain_modulus_bits)
        with explain_faults("public key"):
            device._encryptor = Encryptor(context, read_object(PublicKey, context, found.parts[0]))
        device._encoder = BatchEncoder(context)
        device._plain_modulus = read_moduli(context)[1]
        return device

    def encrypt(self, values: np.ndarray) -> bytes:
        """An update that the server can add and not read.

        Args:
          values: float (parameter,), within the plan's bound; private.

        Raises:
          DataContractError: if a number is beyond the bound, or there are more or fewer than planned.
        """
        parts = []
        for slots in pack_integers(self.plan, self.plan.round_to_integers(values), self._plain_modulus):
            encoded, ciphertext = Plaintext(), Ciphertext()
            with explain_faults("encrypt"):
                self._encoder.encode(slots.tolist(), encoded)
                self._encryptor.encrypt(encoded, ciphertext)
            parts.append(write_object(ciphertext))
        return SumMessage("update", self.plan.digest, self.key_id, 0, tuple(parts)).write()

    def __repr__(self) -> str:
        return f"SumDevice(key {self.key_id.hex()[:8]}, {self.plan!r})"


class SumServer:
    """Adds what it cannot read. It holds no key, not even the public one.

    Attributes:
      plan: what all sides agreed on.
      key_id: names the key that messages must be under; that of each sum's first message when None.
    """

    def __init__(self, plan: SumPlan, public_bytes: bytes | None = None) -> None:
        """Set up for one plan.

        Args:
          plan: what all sides agreed on; public.
          public_bytes: the devices' public key, of which the server keeps the name; any key when None.

        Raises:
          EncryptionError: if the bytes are no public key of this plan.
        """
        self.plan = plan
        self.key_id = None
        if public_bytes is not None:
            digest = plan.digest
            self.key_id = read_message(
                public_bytes, kind="public key", plan_digest=digest, key_id=None, n_parts=1
            ).key_id
        self._context = make_sum_context(plan.ring, plan.plain_modulus_bits)

    def check(self, message: bytes) -> None:
        """Whether a device's message could be added: so that one that cannot is refused, and no other.

        Raises:
          EncryptionError: if it is cut off or altered, of another plan, key or version, or holds no ciphertexts.
        """
        self._load(message, self.key_id)

    def add(self, messages: Sequence[bytes]) -> bytes:
        """The sum, still encrypted.

        Args:
          messages: from `SumDevice.encrypt`, one of each device.

        Raises:
          EncryptionError: if there are none or more than planned, or one is not what a device of this plan and key
            makes, or came twice; it says at which place, counted from 0.
        """
        if not 1 <= len(messages) <= self.plan.n_devices:
            raise EncryptionError(
                f"messages: expected 1 to {self.plan.n_devices}, got {len(messages)}; plan for more devices, or add "
                "what came"
            )
        places: dict[bytes, int] = {}
        key_id = self.key_id
        sums: list[Any] = []
        evaluator = Evaluator(self._context)
        for place, message in enumerate(messages):
            try:
                found, ciphertexts = self._load(message, key_id)
                if message in places:
                    raise EncryptionError(f"message: expected one of each device, got that of place {places[message]}")
                if sums:
                    with explain_faults("add"):
                        for total, ciphertext in zip(sums, ciphertexts, strict=True):
                            evaluator.add_inplace(total, ciphertext)
            except EncryptionError as fault:
                raise EncryptionError(f"place {place} of {len(messages)}: {fault}") from fault
            sums = sums or ciphertexts
            key_id, places[message] = found.key_id, place
        parts = tuple(write_object(total) for total in sums)
        return SumMessage("total", self.plan.digest, key_id or b"", len(messages), parts).write()

    def _load(self, message: bytes, key_id: bytes | None) -> tuple[SumMessage, list[Any]]:
        """A device's message and its ciphertexts."""
        plan = self.plan
        found = read_message(message, kind="update", plan_digest=plan.digest, key_id=key_id, n_parts=plan.n_ciphertexts)
        return found, [load_ciphertext(self._context, part) for part in found.parts]

    def __repr__(self) -> str:
        return f"SumServer({self.plan!r})"


def load_ciphertext(context: Any, part: bytes) -> Any:
    """A ciphertext as a device or the server makes it.

    Raises:
      EncryptionError: if it is something else, or not encrypted at all.
    """
    found = read_object(Ciphertext, context, part)
    if (
        found.size() != 2
        or found.is_ntt_form()
        or found.is_transparent()
        or found.parms_id() != context.first_parms_id()
    ):
        raise EncryptionError(
            "message: expected a fresh ciphertext of two polynomials, got another; its maker is at fault"
        )
    return found


def open_slots(
    plan: SumPlan, slots: Sequence[Sequence[int]], plain_modulus: int, fewest: int | None = None
) -> OpenedSum:
    """What decrypted slots say, if they may be read.

    Raises:
      EncryptionError: if they are no sum, or one of too few or too many devices.
    """
    integers, n_devices = unpack_sum(plan, slots, plain_modulus)
    least = plan.fewest if fewest is None else fewest
    if n_devices < least:
        raise EncryptionError(
            f"total: expected at least {least} devices, got {n_devices}; a sum of few says much about each: wait for "
            "more"
        )
    return OpenedSum(integers * plan.step, integers, n_devices)


def _require_threshold(plan: SumPlan, wanted: bool) -> None:
    """Refuse a plan of the other kind."""
    if plan.threshold != wanted:
        raise SpecificationError(
            "plan: expected one for a key holder, got one for trustees; use make_trustees, or plan without threshold"
        )
