"""An epoch's arithmetic on ciphertexts: from encrypted weights to the encrypted sum of all records' gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twinlab.protection.homomorphic.encrypted_training.block_layout import BlockLayout
from twinlab.protection.homomorphic.encrypted_training.exact_scales import ExactScales, find_last_level
from twinlab.protection.homomorphic.encrypted_training.plain_training import CUBIC, LINEAR
from twinlab.protection.homomorphic.seal import (
    Ciphertext,
    CKKSEncoder,
    Evaluator,
    GaloisKeys,
    Plaintext,
    RelinKeys,
    SEALContext,
    explain_faults,
)


@dataclass(frozen=True)
class Pass:
    """Encrypted records that are worked on together.

    Attributes:
      blocks: fresh ciphertexts, by block.
      last_blocks: the same at the level of residuals.
      labels: at that level.
    """

    blocks: Sequence[Any] = field(repr=False)
    last_blocks: Sequence[Any] = field(repr=False)
    labels: Any = field(repr=False)


class EncryptedEpoch:
    """Runs epochs, without any secret.

    Args:
      layout: of records; public.
      context: of the plan's ring.
      scales: as they come out in it.
      rotation_keys, relinearization_key: evaluation keys; public.
    """

    def __init__(
        self,
        layout: BlockLayout,
        context: SEALContext,
        scales: ExactScales,
        rotation_keys: GaloisKeys,
        relinearization_key: RelinKeys,
    ) -> None:
        """Start with nothing encoded."""
        self._layout, self._scales = layout, scales
        self._rotation_keys, self._relinearization_key = rotation_keys, relinearization_key
        self._evaluator, self._encoder = Evaluator(context), CKKSEncoder(context)
        self._last_level = find_last_level(context)
        self._encoded: dict[float, Any] = {}

    def keep_pass(self, blocks: Sequence[Any], labels: Any) -> Pass:
        """Records with a copy at the level where residuals will be; made once, used every epoch."""
        return Pass(blocks, [self._lower(block, self._last_level) for block in blocks], labels)

    def run(self, passes: Sequence[Pass], weights: Sequence[Any]) -> list[Any]:
        """Sum of all records' gradients, by block, the same in all slots of a feature.

        Sums over passes come first. So keys are switched and slots are added up once for all of them.
        """
        totals: list[Any] = []
        with explain_faults("epoch"):
            for records in passes:
                residual = self._find_residual(records, weights)
                products = [self._multiply(residual, block) for block in records.last_blocks]
                if totals:
                    for total, product in zip(totals, products, strict=True):
                        self._evaluator.add_inplace(total, product)
                else:
                    totals = products
            for total in totals:
                self._evaluator.relinearize_inplace(total, self._relinearization_key)
            return [self._add_rotated(total, self._layout.sum_steps) for total in totals]

    def _find_residual(self, records: Pass, weights: Sequence[Any]) -> Any:
        """Cubic sigmoid less label, in all slots of a record: logit * (LINEAR + CUBIC * logit^2) - (label - 1/2)."""
        evaluator = self._evaluator
        logit = self._multiply(weights[0], records.blocks[0])
        for weight, block in zip(weights[1:], records.blocks[1:], strict=True):
            evaluator.add_inplace(logit, self._multiply(weight, block))
        self._shrink(logit)
        logit = self._add_rotated(logit, self._layout.gather_steps)
        square, slope = Ciphertext(), Ciphertext()
        evaluator.square(logit, square)
        self._shrink(square)
        # Only the first slot of a record holds its logit. The factor is zero in the others, and so is what follows.
        evaluator.multiply_plain(square, self._encode(CUBIC, square, self._scales.factor), slope)
        evaluator.rescale_to_next_inplace(slope)
        evaluator.add_plain_inplace(slope, self._encode(LINEAR, slope, slope.scale))
        residual = self._multiply(self._lower(logit, slope.parms_id()), slope)
        self._shrink(residual)
        evaluator.sub_inplace(residual, records.labels)
        return self._add_rotated(residual, self._layout.spread_steps)

    def _multiply(self, one: Any, other: Any) -> Any:
        """A product of three parts, until it is relinearized."""
        product = Ciphertext()
        self._evaluator.multiply(one, other, product)
        return product

    def _shrink(self, value: Any) -> None:
        """Back to two parts, and to the scale before the product."""
        self._evaluator.relinearize_inplace(value, self._relinearization_key)
        self._evaluator.rescale_to_next_inplace(value)

    def _add_rotated(self, value: Any, steps: Sequence[int]) -> Any:
        """Each slot plus its neighbours, by doubling."""
        for step in steps:
            turned = Ciphertext()
            self._evaluator.rotate_vector(value, step, self._rotation_keys, turned)
            self._evaluator.add_inplace(value, turned)
        return value

    def _lower(self, value: Any, level: Any) -> Any:
        """A copy at a lower level, its scale unchanged."""
        found = Ciphertext()
        self._evaluator.mod_switch_to(value, level, found)
        return found

    def _encode(self, number: float, like: Any, scale: float) -> Any:
        """A number for the first slot of each record, kept, as every epoch needs it at the same level."""
        if number not in self._encoded:
            encoded = Plaintext()
            self._encoder.encode(self._layout.fill_first(number).tolist(), like.parms_id(), scale, encoded)
            self._encoded[number] = encoded
        return self._encoded[number]
