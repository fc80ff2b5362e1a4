"""The machine that runs a layout's program on ciphertexts: the server's arithmetic, without any secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinlab.protection.homomorphic.encryption_plan import EncryptionPlan
from twinlab.protection.homomorphic.machine import Constant
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


@dataclass
class Held:
    """A ciphertext and the stage of the schedule where it stands."""

    ciphertext: Any
    stage: int


class SealMachine:
    """Runs programs on ciphertexts. Encoded constants are kept, since a model's weights serve every question.

    Args:
      plan: layout and scales; public.
      context: of the plan's ring.
      rotation_keys, relinearization_key: evaluation keys; public.
    """

    def __init__(
        self, plan: EncryptionPlan, context: SEALContext, rotation_keys: GaloisKeys, relinearization_key: RelinKeys
    ) -> None:
        """Start with nothing encoded."""
        self._plan = plan
        self._rotation_keys, self._relinearization_key = rotation_keys, relinearization_key
        self._evaluator, self._encoder = Evaluator(context), CKKSEncoder(context)
        self._encoded: dict[tuple[str, int], Any] = {}

    def forget(self, name: str) -> None:
        """Drop what was encoded under a name, before the name means something else."""
        self._encoded = {key: value for key, value in self._encoded.items() if key[0] != name}

    def multiply(self, value: Held, constant: Constant) -> Held:
        """Position by position, at the scale that the plan has for this stage."""
        found = Ciphertext()
        factor = self._encode(constant, value, 2.0 ** self._plan.weight_bits[value.stage], is_factor=True)
        with explain_faults("multiply"):
            self._evaluator.multiply_plain(value.ciphertext, factor, found)
        return Held(found, value.stage + 1)

    def weigh(self, values: Sequence[Held], weights: np.ndarray) -> Held:
        """A weighted sum. Weights too small for their scale are left out, but not all of them: the sum of none has no
        ciphertext.
        """
        first = values[0]
        scale = 2.0 ** self._plan.weight_bits[first.stage]
        kept = np.flatnonzero(np.abs(weights) * scale >= 0.5).tolist()
        numbers = weights[kept].tolist() if kept else [1 / scale]
        total = None
        evaluator, encoder = self._evaluator, self._encoder
        level = first.ciphertext.parms_id()
        with explain_faults("weigh"):
            for place, number in zip(kept or [0], numbers, strict=True):
                factor, product = Plaintext(), Ciphertext()
                encoder.encode(number, level, scale, factor)
                evaluator.multiply_plain(values[place].ciphertext, factor, product)
                if total is None:
                    total = product
                else:
                    evaluator.add_inplace(total, product)
        return Held(total, first.stage + 1)

    def add(self, total: Held, value: Held) -> Held:
        """Into the first."""
        with explain_faults("add"):
            self._evaluator.add_inplace(total.ciphertext, value.ciphertext)
        return total

    def shift(self, value: Held, constant: Constant) -> Held:
        """In place, at the ciphertext's own scale."""
        number = self._encode(constant, value, value.ciphertext.scale, is_factor=False)
        with explain_faults("shift"):
            self._evaluator.add_plain_inplace(value.ciphertext, number)
        return value

    def rotate(self, value: Held, step: int) -> Held:
        """By whole positions; the plan has a key for each step that its layout takes."""
        found = Ciphertext()
        with explain_faults("rotate"):
            self._evaluator.rotate_vector(value.ciphertext, step * self._plan.layout.width, self._rotation_keys, found)
        return Held(found, value.stage)

    def square(self, value: Held) -> Held:
        """In place."""
        with explain_faults("square"):
            self._evaluator.square_inplace(value.ciphertext)
        return Held(value.ciphertext, value.stage + 1)

    def relinearize(self, value: Held) -> Held:
        """In place."""
        with explain_faults("relinearize"):
            self._evaluator.relinearize_inplace(value.ciphertext, self._relinearization_key)
        return value

    def rescale(self, value: Held) -> Held:
        """In place."""
        with explain_faults("rescale"):
            self._evaluator.rescale_to_next_inplace(value.ciphertext)
        return Held(value.ciphertext, value.stage + 1)

    def _encode(self, constant: Constant, value: Held, scale: float, *, is_factor: bool) -> Any:
        """A constant as a plaintext of the value's level."""
        key = (constant.name, value.stage)
        if key in self._encoded:
            return self._encoded[key]
        level, encoded = value.ciphertext.parms_id(), Plaintext()
        with explain_faults("encode"):
            if constant.numbers.size == 1:
                self._encoder.encode(float(constant.numbers.flat[0]), level, scale, encoded)
            else:
                self._encoder.encode(self._plan.layout.fill_slots(constant).tolist(), level, scale, encoded)
            if is_factor and encoded.is_zero():
                # A product with zero would be no ciphertext; the smallest number there is stands in for it.
                self._encoder.encode(1 / scale, level, scale, encoded)
        self._encoded[key] = encoded
        return encoded
