"""The key holder of a training: has the records, encrypts them once, and takes each step of the descent.

It decrypts the gradient, takes a step and encrypts the new weights: fresh ciphertexts, so that any number of epochs
fit a ring that holds one. Hence it sees the weights and the gradient of every epoch. Records it needs once, to encrypt
them; it keeps none.

A gradient is checked before it is used: its name, its level, its scale, that all slots of a sum agree, which they do
not if a key, a bit or a bound was wrong, and its noise, which shows in the imaginary parts: there should be zeros.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic.encrypted_training.exact_scales import find_exact_scales, find_last_level
from twinlab.protection.homomorphic.encrypted_training.plain_training import check_records
from twinlab.protection.homomorphic.encrypted_training.scale_choice import find_largest_residual
from twinlab.protection.homomorphic.encrypted_training.training_plan import TrainingPlan
from twinlab.protection.homomorphic.envelope import ID_BYTES, SECRET_BYTES, Envelope, Kind, open_message, seal_message
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

#: A gradient with so many times the planned error is not used. Some logits beyond the polynomial's range do no harm.
_NOISE_SLACK = 10.0


class TrainingKeyHolder:
    """Whoever has the key, and has the records when they are encrypted. Cannot be copied, pickled or printed.

    Attributes:
      plan: what both sides agreed on.
      key_id: names the keys in messages; random and public.
      secret: of the envelopes, shared with the server and nobody else; private. Hand it over on a channel of its own.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        """Make keys for a plan.

        Raises:
          EncryptionError: if SEAL does not accept the plan's ring, for example as not secure.
        """
        self.plan = plan
        self.key_id = secrets.token_bytes(ID_BYTES)
        self.secret = secrets.token_bytes(SECRET_BYTES)
        self._context = make_context(plan.ring)
        self._scales = find_exact_scales(self._context, plan.scales)
        self._generator = KeyGenerator(self._context)
        secret_key = self._generator.secret_key()
        self._encryptor = Encryptor(self._context, secret_key)
        self._decryptor = Decryptor(self._context, secret_key)
        self._encoder = CKKSEncoder(self._context)
        self._records_id = bytes(ID_BYTES)
        self._epoch, self._open_id = 0, b""

    def public_bytes(self) -> bytes:
        """For the server: the keys to relinearize and for the plan's rotations; nothing that decrypts. Tagged."""
        elements = [find_galois_element(step, self.plan.ring.ring_degree) for step in self.plan.rotation_steps]
        with explain_faults("evaluation keys"):
            parts = [
                write_object(self._generator.create_relin_keys()),
                write_object(self._generator.create_galois_keys(elements)),
            ]
        return self._seal("set-up", bytes(ID_BYTES), 0, parts)

    def encrypt_records(self, rows: Any, labels: Any) -> bytes:
        """The training set, once.

        Args:
          rows: (record, feature) within the plan's bound; private.
          labels: (record,), 0 or 1; private.

        Raises:
          DataContractError: if rows or labels are not what the plan was made for. Encrypted, they would wrap around.
        """
        found, given = check_records(rows, labels, self.plan)
        layout, top, low = self.plan.layout, self._context.first_parms_id(), find_last_level(self._context)
        packed, marks = layout.pack_records(found), layout.pack_labels(given)
        parts = []
        for blocks, mark in zip(packed, marks, strict=True):
            parts += [self._encrypt_slots(block, self._scales.record, top) for block in blocks]
            parts.append(self._encrypt_slots(mark, self._scales.residual, low))
        self._records_id = secrets.token_bytes(ID_BYTES)
        self._epoch, self._open_id = 0, b""
        return self._seal("records", self._records_id, len(found), parts)

    def encrypt_weights(self, weights: np.ndarray) -> bytes:
        """Weights for the next epoch.

        Args:
          weights: (feature,) with the bias last; private.

        Raises:
          EncryptionError: if they are beyond the plan's bound, where logits could wrap around. Training ran off.
        """
        found = np.asarray(weights, dtype=np.float64)
        if found.shape != (self.plan.n_features + 1,):
            raise EncryptionError(
                f"weights: expected {self.plan.n_features + 1} with the bias, got shape {found.shape}; use the weights "
                "of this plan's training"
            )
        if not np.abs(found).sum() <= self.plan.weight_bound:
            raise EncryptionError(
                f"weights: expected at most {self.plan.weight_bound:g} in magnitude all together, got more before "
                f"epoch {self._epoch + 1}; training ran off: standardise features, or take a lower learning rate, more "
                "l2 or fewer epochs"
            )
        top = self._context.first_parms_id()
        parts = [self._encrypt_slots(block, self._scales.weight, top) for block in self.plan.layout.pack_weights(found)]
        self._epoch += 1
        self._open_id = secrets.token_bytes(ID_BYTES)
        return self._seal("weights", self._open_id, self._epoch, parts)

    def decrypt_gradient(self, gradient: bytes) -> np.ndarray:
        """The mean gradient at the weights that were sent last: (feature,) with the bias last; private.

        Do not tell the server whether this failed, and how: that says something about what was decrypted.

        Raises:
          EncryptionError: if the message is not what the server made of the newest weights, or what is in it cannot be
            a gradient.
        """
        plan = self.plan
        found = self._unseal(gradient, "gradient")
        if not self._open_id or found.exchange_id != self._open_id:
            raise EncryptionError(
                "gradient: expected one at the newest weights, got another; it was used already or is of another "
                "epoch: send weights again"
            )
        records_id, *parts = found.parts or (b"",)
        if records_id != self._records_id or len(parts) != plan.layout.n_blocks:
            raise EncryptionError("gradient: expected one of the newest records, got another; set up again")
        slots = np.array([self._decrypt_slots(part) for part in parts]) / plan.n_records
        columns = plan.layout.split_columns(slots.real)
        mean = columns.mean(0)
        largest = plan.column_bound * find_largest_residual(plan.logit_bound)
        if not np.abs(columns - mean).max() <= plan.gradient_error or not np.abs(mean).max() <= largest:
            raise EncryptionError(
                f"gradient: expected slots that agree to {plan.gradient_error:.1e}, got others; it was encrypted under "
                "another key, or the server did not follow the plan: set up again"
            )
        if not np.abs(slots.imag).max() <= _NOISE_SLACK * plan.gradient_error:
            raise EncryptionError(
                f"gradient: expected noise below {_NOISE_SLACK * plan.gradient_error:.1e}, got more; logits left the "
                "range of the sigmoid's polynomial by far, or the server did not follow the plan: standardise "
                "features, or take a lower learning rate or more l2"
            )
        self._open_id = b""
        return np.asarray(mean)

    def _encrypt_slots(self, slots: np.ndarray, scale: float, level: Any) -> bytes:
        """Encrypted and seeded."""
        encoded = Plaintext()
        with explain_faults("encrypt"):
            self._encoder.encode(slots.tolist(), level, scale, encoded)
            return write_object(self._encryptor.encrypt_symmetric(encoded))

    def _decrypt_slots(self, part: bytes) -> np.ndarray:
        """All slots of one ciphertext, complex."""
        ciphertext = read_object(Ciphertext, self._context, part)
        expected = self._scales.residual * self._scales.record
        is_planned = (
            ciphertext.parms_id() == find_last_level(self._context)
            and ciphertext.size() == 2
            and abs(ciphertext.scale / expected - 1) < 1e-9
        )
        if not is_planned:
            raise EncryptionError(
                "gradient: expected the plan's level and scale, got others; the server did not follow"
            )
        decrypted = Plaintext()
        with explain_faults("decrypt"):
            self._decryptor.decrypt(ciphertext, decrypted)
            return np.array(self._encoder.decode_complex(decrypted))

    def _seal(self, kind: Kind, exchange_id: bytes, n_rows: int, parts: Sequence[bytes]) -> bytes:
        return seal_message(self.plan, self.secret, kind, self.key_id, exchange_id, n_rows, parts)

    def _unseal(self, data: bytes, kind: Kind) -> Envelope:
        return open_message(self.plan, self.secret, data, kind, self.key_id)

    def __repr__(self) -> str:
        return f"TrainingKeyHolder(key {self.key_id.hex()[:8]}, {self.plan!r})"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse to be copied or pickled: a copy of a key is a leak."""
        raise EncryptionError(
            "key holder: expected to stay where it was made, got asked for a copy; send public_bytes() and messages "
            "instead"
        )
