"""The server of a training: made from bytes, works out gradients of records and weights that it cannot read.

It has evaluation keys, ciphertexts and the secret of the envelopes. No object of the key holder's reaches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic.encrypted_training.encrypted_epoch import EncryptedEpoch, Pass
from twinlab.protection.homomorphic.encrypted_training.exact_scales import (
    ExactScales,
    find_exact_scales,
    find_last_level,
)
from twinlab.protection.homomorphic.encrypted_training.training_plan import TrainingPlan
from twinlab.protection.homomorphic.envelope import Envelope, Kind, open_message, seal_message
from twinlab.protection.homomorphic.seal import (
    Ciphertext,
    GaloisKeys,
    RelinKeys,
    make_context,
    read_object,
    write_object,
)

#: A part of a message may be so many times as long as planned.
_SIZE_SLACK = 1.5
_LEAST_SIZE = 4096


@dataclass(frozen=True)
class OpenedWeights:
    """Weights that were verified and read; still encrypted.

    Attributes:
      exchange_id: names them.
      blocks: ciphertexts.
    """

    exchange_id: bytes
    blocks: Sequence[Any] = field(repr=False)


class TrainingServer:
    """Whoever lends its computer. It trains for one key holder, on one training set."""

    def __init__(self, *_: object, **__: object) -> None:
        """Not the way in."""
        raise EncryptionError(
            "training server: expected to be made from bytes; use TrainingServer.from_bytes(public_bytes, ...)"
        )

    _plan: TrainingPlan
    _secret: bytes
    _key_id: bytes
    _context: Any
    _scales: ExactScales
    _program: EncryptedEpoch
    _passes: Sequence[Pass]
    _records_id: bytes
    _epoch: int

    @classmethod
    def from_bytes(cls, public_bytes: bytes, *, plan: TrainingPlan, secret: bytes) -> TrainingServer:
        """Set up for one key holder.

        Args:
          public_bytes: from `TrainingKeyHolder.public_bytes`: evaluation keys.
          plan: what both sides agreed on; public.
          secret: of the envelopes, from `TrainingKeyHolder.secret`; private to the two.

        Raises:
          EncryptionError: if the bytes were altered, or are of another plan, version or key holder.
        """
        server = cls.__new__(cls)
        server._plan, server._secret = plan, secret
        opened = server._open(public_bytes, "set-up", None)
        if len(opened.parts) != 2:
            raise EncryptionError(f"set-up: expected 2 kinds of keys, got {len(opened.parts)}; check who made it")
        context = make_context(plan.ring)
        relinearization, rotations = (
            read_object(kind, context, part) for kind, part in zip((RelinKeys, GaloisKeys), opened.parts, strict=True)
        )
        server._context, server._key_id = context, opened.key_id
        server._scales = find_exact_scales(context, plan.scales)
        server._program = EncryptedEpoch(plan.layout, context, server._scales, rotations, relinearization)
        server._passes, server._records_id, server._epoch = (), b"", 0
        return server

    def store_records(self, data: bytes) -> None:
        """Keep the encrypted training set. There is one in a server's life, so that none is put in place of another.

        Raises:
          EncryptionError: if it is none of this key holder, or there is one already.
        """
        opened = self._open(data, "records", self._key_id)
        if self._passes:
            raise EncryptionError("records: expected none after the first, got more; set up again for other records")
        layout = self._plan.layout
        n_parts = layout.n_blocks + 1
        if opened.n_rows != layout.n_records or len(opened.parts) != layout.n_ciphertexts:
            raise EncryptionError(
                f"records: expected {layout.n_records} in {layout.n_ciphertexts} ciphertexts, got {opened.n_rows} in "
                f"{len(opened.parts)}; check who made them"
            )
        top, last = self._context.first_parms_id(), find_last_level(self._context)
        passes = []
        for first in range(0, len(opened.parts), n_parts):
            *blocks, labels = opened.parts[first : first + n_parts]
            passes.append(
                self._program.keep_pass(
                    [self._read_fresh(block, self._scales.record, top) for block in blocks],
                    self._read_fresh(labels, self._scales.residual, last),
                )
            )
        self._passes, self._records_id = tuple(passes), opened.exchange_id

    def answer(self, weights: bytes) -> bytes:
        """From weights to gradient, both encrypted.

        Raises:
          EncryptionError: if the weights were altered, were answered before, or are of another plan, version or key
            holder, or if records are missing.
        """
        opened = self.read_weights(weights)
        return self.write_gradient(opened, self.compute(opened))

    def read_weights(self, data: bytes) -> OpenedWeights:
        """Verify and load the weights of an epoch. Each epoch is computed once."""
        opened = self._open(data, "weights", self._key_id)
        if not self._passes:
            raise EncryptionError("weights: expected records to be stored first, got none; send them before")
        if opened.n_rows <= self._epoch:
            raise EncryptionError(
                f"weights: expected those of an epoch after {self._epoch}, got epoch {opened.n_rows}; they were "
                "answered already"
            )
        if len(opened.parts) != self._plan.layout.n_blocks:
            raise EncryptionError(
                f"weights: expected {self._plan.layout.n_blocks} ciphertexts, got {len(opened.parts)}; check who made "
                "them"
            )
        top = self._context.first_parms_id()
        blocks = [self._read_fresh(part, self._scales.weight, top) for part in opened.parts]
        self._epoch = opened.n_rows
        return OpenedWeights(opened.exchange_id, blocks)

    def compute(self, weights: OpenedWeights) -> list[Any]:
        """An epoch on ciphertexts."""
        return self._program.run(self._passes, weights.blocks)

    def write_gradient(self, weights: OpenedWeights, gradient: Sequence[Any]) -> bytes:
        """The gradient as a message."""
        parts = (self._records_id, *(write_object(each) for each in gradient))
        return seal_message(self._plan, self._secret, "gradient", self._key_id, weights.exchange_id, 0, parts)

    def _open(self, data: bytes, kind: Kind, key_id: bytes | None) -> Envelope:
        return open_message(self._plan, self._secret, data, kind, key_id)

    def _read_fresh(self, part: bytes, scale: float, level: Any) -> Any:
        """A ciphertext as fresh ones of the plan are."""
        most = _LEAST_SIZE + _SIZE_SLACK * self._plan.weights_bytes / self._plan.layout.n_blocks
        if len(part) > most:
            raise EncryptionError(
                f"message: expected ciphertexts of at most {most:.0f} bytes, got {len(part)}; check who made it"
            )
        ciphertext = read_object(Ciphertext, self._context, part)
        is_fresh = (
            ciphertext.parms_id() == level
            and ciphertext.size() == 2
            and ciphertext.scale == scale
            and not ciphertext.is_transparent()
        )
        if not is_fresh:
            raise EncryptionError(
                "message: expected fresh ciphertexts at the plan's level and scale, got others; encrypt with the same "
                "plan"
            )
        return ciphertext

    def __repr__(self) -> str:
        return f"TrainingServer(key {self._key_id.hex()[:8]}, {self._plan!r})"
