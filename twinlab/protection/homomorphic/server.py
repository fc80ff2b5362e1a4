"""The server: made from bytes, computes on what it cannot read.

It has the evaluation keys, the model and the secret of the envelopes. No object of the key holder's reaches it, and
nothing it has decrypts: `tests/claims/test_encrypted_leaks.py` looks through everything that can be reached from one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic.encryption_plan import EncryptionPlan
from twinlab.protection.homomorphic.envelope import Envelope, Kind, open_message, seal_message
from twinlab.protection.homomorphic.linear_layout import InterleavedLayout
from twinlab.protection.homomorphic.model import AnyModel, EncryptedHead
from twinlab.protection.homomorphic.seal import (
    Ciphertext,
    GaloisKeys,
    RelinKeys,
    make_context,
    read_object,
    write_object,
)
from twinlab.protection.homomorphic.seal_machine import Held, SealMachine

#: A part of a message may be so many times as long as planned.
_SIZE_SLACK = 1.5
_LEAST_SIZE = 4096


@dataclass(frozen=True)
class OpenedQuestion:
    """A question that was verified and read; still encrypted.

    Attributes:
      exchange_id: names it.
      inputs: ciphertexts.
      features: (question, feature) in the clear, for an encrypted head; else None.
    """

    exchange_id: bytes
    inputs: Sequence[Any] = field(repr=False)
    features: np.ndarray | None = field(repr=False)


class Server:
    """The provider of a model, or of a place to keep encrypted heads."""

    def __init__(self, *_: object, **__: object) -> None:
        """Not the way in."""
        raise EncryptionError("server: expected to be made from bytes; use Server.from_bytes(public_bytes, ...)")

    _plan: EncryptionPlan
    _secret: bytes
    _key_id: bytes
    _context: Any
    _machine: SealMachine
    _constants: Any
    _head: Sequence[Any]
    _head_id: bytes

    @classmethod
    def from_bytes(cls, public_bytes: bytes, *, plan: EncryptionPlan, model: AnyModel, secret: bytes) -> Server:
        """Set up for one key holder.

        Args:
          public_bytes: from `KeyHolder.public_bytes`: evaluation keys.
          plan: what both sides agreed on; public.
          model: the provider's; for an encrypted head only its shape counts.
          secret: of the envelopes, from `KeyHolder.secret`; private to the two.

        Raises:
          EncryptionError: if the bytes were altered, or are of another plan, version or key holder.
        """
        if model.describe() != dict(plan.shape):
            raise EncryptionError(
                f"server: expected the model that the plan was made for ({dict(plan.shape)}), got {model!r}; plan anew"
            )
        server = cls.__new__(cls)
        server._plan, server._secret = plan, secret
        opened = server._open(public_bytes, "set-up", None)
        if len(opened.parts) != 2:
            raise EncryptionError(f"set-up: expected 2 kinds of keys, got {len(opened.parts)}; check who made it")
        context = make_context(plan.ring)
        relinearization, rotations = (
            read_object(kind, context, part) if part else kind()
            for kind, part in zip((RelinKeys, GaloisKeys), opened.parts, strict=True)
        )
        server._context, server._key_id = context, opened.key_id
        server._machine = SealMachine(plan, context, rotations, relinearization)
        server._constants = (
            None
            if isinstance(model, EncryptedHead)
            else plan.layout.prepare(model.scale_inputs(np.array(plan.input_scale)))
        )
        server._head, server._head_id = (), b""
        return server

    def store_head(self, data: bytes) -> None:
        """Keep a person's encrypted weights, in place of earlier ones.

        Raises:
          EncryptionError: if it is no head of this key holder.
        """
        opened = self._open(data, "head", self._key_id)
        self._head, self._head_id = self._read_inputs(opened.parts), opened.exchange_id

    def answer(self, question: bytes) -> bytes:
        """From question to answer, both encrypted.

        Raises:
          EncryptionError: if the question was altered, or is of another plan, version or key holder.
        """
        opened = self.read(question)
        return self.write(opened, self.compute(opened))

    def read(self, question: bytes) -> OpenedQuestion:
        """Verify and load a question."""
        opened = self._open(question, "question", self._key_id)
        if not 1 <= opened.n_rows <= self._plan.layout.capacity:
            raise EncryptionError(
                f"question: expected 1 to {self._plan.layout.capacity} rows, got {opened.n_rows}; check who made it"
            )
        if not self._plan.head_is_encrypted:
            return OpenedQuestion(opened.exchange_id, self._read_inputs(opened.parts), None)
        if not self._head:
            raise EncryptionError("question: expected a head to be stored first, got none; send encrypt_head before it")
        return OpenedQuestion(opened.exchange_id, self._head, self._read_features(opened))

    def compute(self, question: OpenedQuestion) -> list[Any]:
        """The layout's program on ciphertexts."""
        constants, layout = self._constants, self._plan.layout
        if question.features is not None:
            assert isinstance(layout, InterleavedLayout)
            self._machine.forget("question")
            constants = layout.prepare_question(question.features * np.array(self._plan.input_scale))
        answers = layout.run(self._machine, [Held(each, 0) for each in question.inputs], constants)
        return [each.ciphertext for each in answers]

    def write(self, question: OpenedQuestion, answers: Sequence[Any]) -> bytes:
        """The answer as a message."""
        parts = (self._head_id, *(write_object(each) for each in answers))
        return seal_message(self._plan, self._secret, "answer", self._key_id, question.exchange_id, 0, parts)

    def _open(self, data: bytes, kind: Kind, key_id: bytes | None) -> Envelope:
        return open_message(self._plan, self._secret, data, kind, key_id)

    def _read_inputs(self, parts: Sequence[bytes]) -> list[Any]:
        """Ciphertexts as fresh ones of the plan are."""
        plan = self._plan
        n_expected = plan.layout.n_ciphertexts
        most = _LEAST_SIZE + _SIZE_SLACK * plan.question_bytes / n_expected
        if len(parts) != n_expected or max(map(len, parts)) > most:
            raise EncryptionError(
                f"message: expected {n_expected} ciphertexts of at most {most:.0f} bytes, got {len(parts)}; check who "
                "made it"
            )
        found = []
        for part in parts:
            ciphertext = read_object(Ciphertext, self._context, part)
            is_fresh = (
                ciphertext.parms_id() == self._context.first_parms_id()
                and ciphertext.size() == 2
                and ciphertext.scale == 2.0 ** plan.scale_bits[0]
                and not ciphertext.is_transparent()
            )
            if not is_fresh:
                raise EncryptionError(
                    f"message: expected fresh ciphertexts of scale 2^{plan.scale_bits[0]}, got others; encrypt with "
                    "the same plan"
                )
            found.append(ciphertext)
        return found

    def _read_features(self, opened: Envelope) -> np.ndarray:
        """Features in the clear."""
        n_features, bound = self._plan.layout.n_features, np.array(self._plan.question_bound)
        if len(opened.parts) != 1 or len(opened.parts[0]) != 8 * opened.n_rows * n_features:
            raise EncryptionError(
                f"question: expected {opened.n_rows} rows of {n_features} features, got other sizes; check who made it"
            )
        features = np.frombuffer(opened.parts[0], dtype="<f8").reshape(opened.n_rows, n_features)
        if not (np.abs(features) <= bound).all():
            raise EncryptionError(
                "question: expected features within the plan's bounds, got some beyond; make a plan whose calibration "
                "has such questions"
            )
        return features

    def __repr__(self) -> str:
        return f"Server(key {self._key_id.hex()[:8]}, {self._plan!r})"
