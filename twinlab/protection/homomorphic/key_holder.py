"""The key holder: makes the keys, encrypts, and alone decrypts.

Encryption is symmetric, which halves a message, since half of a ciphertext follows from a public seed. No public key
is made, so nobody else can encrypt under it; evaluation keys are all that leaves.

CKKS never says that a key, a bit or a bound was wrong; it decrypts to something. So each answer is checked against what
the plan knows of it: its question, its level, its scale, the bound of the model's outputs, and its noise. Results are
real numbers, and the imaginary parts of the slots, where there should be zeros, show the noise of this very answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from random import SystemRandom
from typing import Any, NoReturn

import numpy as np

from twinlab.errors import DataContractError, EncryptionError
from twinlab.protection.homomorphic.encryption_plan import EncryptionPlan
from twinlab.protection.homomorphic.envelope import ID_BYTES, SECRET_BYTES, Envelope, Kind, open_message, seal_message
from twinlab.protection.homomorphic.noise import MOST_SHARED_RESULTS, SHARING_SLACK
from twinlab.protection.homomorphic.seal import (
    Ciphertext,
    CKKSEncoder,
    Decryptor,
    Encryptor,
    KeyGenerator,
    Plaintext,
    explain_faults,
    find_galois_element,
    make_context,
    read_object,
    write_object,
)

#: Bits by which the scale of an answer may differ from the plan's, as primes are not quite powers of two.
_SCALE_SLACK = 0.5


class KeyHolder:
    """A person, or a clinic for its patients: whoever's key it is. Cannot be copied, pickled or printed.

    Keys live in memory only; they are gone with the object. Memory is not wiped.

    Attributes:
      plan: what both sides agreed on.
      key_id: names the keys in messages; random and public.
      secret: of the envelopes, shared with the server and nobody else; private. Hand it over on a channel of its own.
    """

    def __init__(self, plan: EncryptionPlan) -> None:
        """Make keys for a plan; a few milliseconds, a second in large rings.

        Raises:
          EncryptionError: if SEAL does not accept the plan's ring, for example as not secure.
        """
        self.plan = plan
        self.key_id = secrets.token_bytes(ID_BYTES)
        self.secret = secrets.token_bytes(SECRET_BYTES)
        self._context = make_context(plan.ring)
        self._generator = KeyGenerator(self._context)
        secret_key = self._generator.secret_key()
        self._encryptor = Encryptor(self._context, secret_key)
        self._decryptor = Decryptor(self._context, secret_key)
        self._encoder = CKKSEncoder(self._context)
        self._open: dict[bytes, int] = {}
        self._head_id = bytes(ID_BYTES)
        self._n_shared = 0

    def public_bytes(self) -> bytes:
        """For the server: the keys to relinearize and for the plan's rotations, seeded; nothing that decrypts.

        Public, but tagged, so that the server knows whose they are.
        """
        plan, parts = self.plan, [b"", b""]
        with explain_faults("evaluation keys"):
            if plan.needs_relinearization:
                parts[0] = write_object(self._generator.create_relin_keys())
            if plan.rotation_steps:
                elements = [find_galois_element(step, plan.ring.ring_degree) for step in plan.rotation_steps]
                parts[1] = write_object(self._generator.create_galois_keys(elements))
        return self._seal("set-up", bytes(ID_BYTES), 0, parts)

    def encrypt(self, rows: np.ndarray | Sequence[Sequence[float]]) -> bytes:
        """A question about rows that the server must not see.

        Args:
          rows: (row, feature), at most the layout's capacity; private.

        Raises:
          DataContractError: if a number lies beyond what the plan was made for. Encrypted, it would wrap around.
          EncryptionError: if the plan's questions are in the clear, or there are too many rows.
        """
        if self.plan.head_is_encrypted:
            raise EncryptionError(
                "encrypt: expected a plan for encrypted features, got one for an encrypted head; use encrypt_head "
                "once, then write_question"
            )
        found = self._check_rows("row", rows, self.plan.find_column_bound())
        self._check_count(len(found))
        exchange_id = self._open_exchange(len(found))
        return self._seal("question", exchange_id, len(found), self._encrypt_slots(found))

    def encrypt_head(self, head: np.ndarray) -> bytes:
        """A person's weights, for the server to keep.

        Args:
          head: (output, feature); private.

        Raises:
          DataContractError: if a weight lies beyond what the plan was made for.
          EncryptionError: if the plan is not for an encrypted head.
        """
        self._require_head()
        found = self._check_rows("head", head, self.plan.find_column_bound())
        if len(found) != self.plan.layout.n_outputs:
            raise DataContractError(f"head: expected {self.plan.layout.n_outputs} outputs, got {len(found)}")
        self._head_id = secrets.token_bytes(ID_BYTES)
        return self._seal("head", self._head_id, 0, self._encrypt_slots(found))

    def write_question(self, features: np.ndarray | Sequence[Sequence[float]]) -> bytes:
        """A question in the clear, to an encrypted head.

        Args:
          features: (question, feature), at most the layout's capacity; the server reads them.

        Raises:
          DataContractError: if a feature lies beyond what the plan was made for.
          EncryptionError: if the plan is not for an encrypted head, or there are too many questions.
        """
        self._require_head()
        bound = np.array(self.plan.question_bound)
        found = self._check_rows("question", features, bound)
        self._check_count(len(found))
        exchange_id = self._open_exchange(len(found))
        return self._seal("question", exchange_id, len(found), [found.astype("<f8").tobytes()])

    def decrypt(self, answer: bytes) -> np.ndarray:
        """The answer to an open question: (row, output), private unless the plan shares results.

        Do not tell the server whether this failed, and how: that says something about what was decrypted.

        Raises:
          EncryptionError: if the message is not what the server made for a question of this key holder, or what is in
            it cannot be an answer: too large, or with more noise than the plan allows.
        """
        plan = self.plan
        found = self._unseal(answer, "answer")
        if found.exchange_id not in self._open:
            raise EncryptionError(
                "answer: expected one to a question that is open, got one to another; it was answered already or asked "
                "of another key holder: ask again"
            )
        head_id, *parts = found.parts or (b"",)
        if head_id != (self._head_id if plan.head_is_encrypted else b"") or len(parts) != plan.layout.n_answers:
            raise EncryptionError("answer: expected one about the newest head, got another; send the head again")
        slots = np.array([self._decrypt_slots(part) for part in parts])
        noise = slots.imag
        values = plan.layout.unpack(slots.real, self._open[found.exchange_id]).copy()
        self._check_values(values, noise)
        if plan.share_results:
            values = self._flood(values, noise, len(parts))
        del self._open[found.exchange_id]
        return values

    def _encrypt_slots(self, rows: np.ndarray) -> list[bytes]:
        """Scaled, packed, encrypted and seeded."""
        scale = 2.0 ** self.plan.scale_bits[0]
        parts = []
        for slots in self.plan.layout.pack(rows / np.array(self.plan.input_scale)):
            encoded = Plaintext()
            with explain_faults("encrypt"):
                self._encoder.encode(slots.tolist(), scale, encoded)
                parts.append(write_object(self._encryptor.encrypt_symmetric(encoded)))
        return parts

    def _decrypt_slots(self, part: bytes) -> np.ndarray:
        """All slots of one ciphertext, complex."""
        ciphertext = read_object(Ciphertext, self._context, part)
        level = self._context.get_context_data(ciphertext.parms_id()).chain_index() - self._lowest_level()
        away = abs(np.log2(ciphertext.scale) - self.plan.answer_scale_bits)
        if level != self.plan.answer_level or ciphertext.size() != 2 or not away < _SCALE_SLACK:
            raise EncryptionError(
                f"answer: expected level {self.plan.answer_level} and scale 2^{self.plan.answer_scale_bits}, got "
                f"others (level {level}); the server did not follow the plan"
            )
        decrypted = Plaintext()
        with explain_faults("decrypt"):
            self._decryptor.decrypt(ciphertext, decrypted)
            return np.array(self._encoder.decode_complex(decrypted))

    def _lowest_level(self) -> int:
        """What SEAL calls the last level."""
        return self._context.last_context_data().chain_index()

    def _check_values(self, values: np.ndarray, noise: np.ndarray) -> None:
        """Refuse what cannot be an answer."""
        most = max(self.plan.tolerance, 8 * self.plan.noise_deviation)
        if not np.abs(noise).max() <= most or not np.abs(values).max() <= self.plan.output_bound + most:
            raise EncryptionError(
                f"answer: expected noise below {most:.1e} and numbers that the model can give, got others; it was "
                "encrypted under another key, or the server did not follow the plan: set up again"
            )

    def _flood(self, values: np.ndarray, noise: np.ndarray, n_results: int) -> np.ndarray:
        """Hide what the noise says about the key, then round."""
        if self._n_shared + n_results > MOST_SHARED_RESULTS:
            raise EncryptionError(
                f"shared results: expected at most {MOST_SHARED_RESULTS} under one key, got "
                f"{self._n_shared + n_results}; make a new key holder"
            )
        if noise.std() > SHARING_SLACK * self.plan.noise_deviation:
            raise EncryptionError(
                "shared results: expected the noise of the plan, got more than its flooding hides; this answer must "
                "not be shared: make the plan anew with rows like these in its calibration"
            )
        self._n_shared += n_results
        draw = SystemRandom()
        flooding = [draw.gauss(0.0, self.plan.flooding_deviation) for _ in range(values.size)]
        flooded = values + np.array(flooding).reshape(values.shape)
        return np.round(flooded / self.plan.rounding) * self.plan.rounding

    def _check_rows(self, what: str, rows: Any, bound: np.ndarray) -> np.ndarray:
        """Refuse what would wrap around, without saying what it was."""
        found = np.asarray(rows, dtype=np.float64)
        found = found.reshape(len(found), -1) if found.ndim > 1 else found.reshape(1, -1)
        if found.shape[1] != len(bound) or not len(found):
            raise DataContractError(f"{what}: expected {len(bound)} features, got shape {np.shape(rows)}")
        beyond = ~(np.abs(found) <= bound)
        if beyond.any():
            columns = np.flatnonzero(beyond.any(0)).tolist()
            raise DataContractError(
                f"{what}: expected finite numbers within the plan's bounds, got {int(beyond.sum())} beyond them in "
                f"{len(columns)} features, the first of them number {columns[0]} with bound {bound[columns[0]]:g}; "
                "clip them, or make a plan whose calibration has such rows"
            )
        return found

    def _check_count(self, n_rows: int) -> None:
        if n_rows > self.plan.layout.capacity:
            raise EncryptionError(
                f"question: expected at most {self.plan.layout.capacity} rows in a message, got {n_rows}; send "
                "several, or plan for a larger batch"
            )

    def _require_head(self) -> None:
        if not self.plan.head_is_encrypted:
            raise EncryptionError("head: expected a plan for an EncryptedHead, got one for encrypted rows; use encrypt")

    def _open_exchange(self, n_rows: int) -> bytes:
        """A question's name, kept until it is answered."""
        exchange_id = secrets.token_bytes(ID_BYTES)
        self._open[exchange_id] = n_rows
        return exchange_id

    def _seal(self, kind: Kind, exchange_id: bytes, n_rows: int, parts: Sequence[bytes]) -> bytes:
        return seal_message(self.plan, self.secret, kind, self.key_id, exchange_id, n_rows, parts)

    def _unseal(self, data: bytes, kind: Kind) -> Envelope:
        return open_message(self.plan, self.secret, data, kind, self.key_id)

    def __repr__(self) -> str:
        return f"KeyHolder(key {self.key_id.hex()[:8]}, {self.plan!r})"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse to be copied or pickled: a copy of a key is a leak."""
        raise EncryptionError(
            "key holder: expected to stay where it was made, got asked for a copy; send public_bytes() and messages "
            "instead"
        )
