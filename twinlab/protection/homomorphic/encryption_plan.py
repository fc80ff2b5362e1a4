"""What key holder and server agree on before anything is encrypted. All of it public."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic.envelope import Kind
from twinlab.protection.homomorphic.layout import Layout
from twinlab.protection.homomorphic.model import Link
from twinlab.protection.homomorphic.parameters import RingParameters, hash_parameters
from twinlab.protection.homomorphic.plan_bytes import read_fields, write_fields
from twinlab.protection.homomorphic.plan_table import write_table
from twinlab.protection.homomorphic.schedule import Stage

#: SEAL's compression writes so many times the bits of a number.
_BYTES_OVERHEAD = 1.09


@dataclass(frozen=True, repr=False)
class EncryptionPlan:
    """Ring, layout and scales for one model, chosen by `plan`.

    Everything here may be published. What it tells of the model is its shape and, by scales and the bound on outputs,
    how large it gets; what it tells of the calibration rows is the power of two above each feature's largest magnitude.

    Attributes:
      shape: of the model.
      link: how answers are read.
      layout: how numbers lie in slots.
      ring: degree and primes.
      stages: how the program moves through levels.
      scale_bits: by stage.
      weight_bits: by stage, scale of what is multiplied there; 0 where nothing is.
      input_scale: (feature,), powers of two by which encrypted numbers are divided.
      input_margin: encrypted numbers may be so many times their scale.
      question_bound: (feature,) bound on features in the clear, where the head is what is encrypted.
      output_bound: no admitted question has a larger answer.
      noise_deviation: of the noise in an answer.
      flooding_deviation: of noise added before a result is shared; 0 if it is not.
      rounding: shared results are multiples of this; 0 if not rounded.
      expected_error: an answer is not further from the plain one, but once in 500 million.
      tolerance, batch, quantum_safe, share_results: as asked for.
      seconds: rough processor time of the batch, all sides, on an ordinary core.
    """

    shape: Mapping[str, Any]
    link: Link
    layout: Layout
    ring: RingParameters
    stages: tuple[Stage, ...]
    scale_bits: tuple[int, ...]
    weight_bits: tuple[int, ...]
    input_scale: tuple[float, ...] = field(repr=False)
    input_margin: float
    question_bound: tuple[float, ...] | None
    output_bound: float
    noise_deviation: float
    flooding_deviation: float
    rounding: float
    expected_error: float
    tolerance: float
    batch: int
    quantum_safe: bool
    share_results: bool
    seconds: float

    def to_bytes(self) -> bytes:
        """The plan for the other side: JSON with its version and its own hash. Public, like everything in it."""
        return write_fields({each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def from_bytes(cls, data: bytes) -> EncryptionPlan:
        """The plan that `to_bytes` wrote, equal in every number.

        Args:
          data: as they came; nothing in them is run.

        Raises:
          EncryptionError: if they were cut off or altered, are of another version, or are no plan's. A forger can make
            bytes of another plan: compare `digest` where its author matters.
        """
        found = cls(**read_fields(data, frozenset(each.name for each in fields(cls))))
        if found.to_bytes() != bytes(data):
            raise EncryptionError(
                "plan: expected bytes exactly as to_bytes writes them, got others that say something similar; send "
                "the bytes as they were made"
            )
        return found

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of everything that both sides must agree on: 32 bytes."""
        return hash_parameters(
            {
                "scheme": "CKKS",
                "shape": dict(self.shape),
                "layout": {"name": self.layout.name, **asdict(self.layout)},
                "ring": asdict(self.ring),
                "scales": [self.scale_bits, self.weight_bits],
                "inputs": [self.input_scale, self.input_margin, self.question_bound],
                "output_bound": self.output_bound,
                "flooding": [self.flooding_deviation, self.rounding],
            }
        )

    @property
    def head_is_encrypted(self) -> bool:
        """Whether weights are encrypted and features in the clear."""
        return self.shape["kind"] == "head"

    @property
    def needs_relinearization(self) -> bool:
        """Whether the server squares, and so needs that key."""
        return self.layout.n_squares > 0

    @property
    def rotation_steps(self) -> tuple[int, ...]:
        """Slots by which the server rotates: a key for each, and no others."""
        return tuple(step * self.layout.width for step in self.layout.steps)

    @property
    def question_level(self) -> int:
        """Rescalings that a fresh ciphertext has left."""
        return self.stages[0].level

    @property
    def answer_level(self) -> int:
        """Rescalings that an answer has left."""
        return self.stages[-1].level

    def find_level(self, kind: Kind) -> int:
        """Level that a message of a kind must have."""
        if kind == "answer":
            return self.answer_level
        # questions to an encrypted head are in the clear
        return 0 if kind == "question" and self.head_is_encrypted else self.question_level

    @property
    def answer_scale_bits(self) -> int:
        """Scale of an answer."""
        return self.scale_bits[-1]

    @property
    def depth(self) -> int:
        """Multiplications one after the other."""
        return sum(stage.step in ("multiply", "square") for stage in self.stages)

    @property
    def set_up_bytes(self) -> int:
        """Size of the evaluation keys, roughly."""
        n_keys = len(self.rotation_steps) + self.needs_relinearization
        return round(n_keys * len(self.ring.data_bits) * self._count_bytes(self.ring.modulus_bits))

    @property
    def question_bytes(self) -> int:
        """Size of a message to the server, roughly; of the stored head where that is what is encrypted."""
        return round(self.layout.n_ciphertexts * self._count_bytes(self.ring.find_bits_at(self.question_level)))

    @property
    def answer_bytes(self) -> int:
        """Size of a message from the server, roughly."""
        return round(2 * self.layout.n_answers * self._count_bytes(self.ring.find_bits_at(self.answer_level)))

    def _count_bytes(self, bits: int) -> float:
        return self.ring.ring_degree * bits / 8 * _BYTES_OVERHEAD

    def rows(self) -> list[dict[str, str]]:
        """The plan as a table."""
        head = "encrypted head kept by the server" if self.head_is_encrypted else "question to the server"
        ring = f"{self.ring.ring_degree}, primes of {', '.join(map(str, self.ring.prime_bits))} bits"
        table = {
            "layout": f"{self.layout.name}: {self.layout.idea}",
            "questions in a message": f"{self.layout.capacity}",
            "ring degree and modulus": f"{ring} = {self.ring.modulus_bits} bits",
            "security, classical": f"{self.ring.security_bits} bits",
            "security, quantum": f"{self.ring.quantum_security_bits or 'below 128'} bits",
            "multiplications in a row": f"{self.depth}",
            "scales": ", ".join(
                f"{stage.operation} 2^{bits}" for stage, bits in zip(self.stages, self.scale_bits, strict=True)
            ),
            "evaluation keys, once": f"{len(self.rotation_steps)} rotations"
            f"{' and relinearization' if self.needs_relinearization else ''}, {self.set_up_bytes:,} bytes",
            head: f"{self.question_bytes:,} bytes",
            "answer": f"{self.answer_bytes:,} bytes",
            "error, at most": f"{self.expected_error:.1e} (tolerance {self.tolerance:.1e})",
            "results may be shared": "yes, with noise that hides the key" if self.share_results else "no",
        }
        return [{"what": what, "value": value} for what, value in table.items()]

    def _repr_html_(self) -> str:
        """The same as a notebook shows it."""
        return write_table("Encryption plan", self.rows())

    def __repr__(self) -> str:
        return (
            f"EncryptionPlan({self.shape['kind']}, {self.layout.name}, ring degree {self.ring.ring_degree}, "
            f"{self.ring.modulus_bits} bits, error at most {self.expected_error:.1e})"
        )

    def find_column_bound(self) -> np.ndarray:
        """(feature,): largest magnitude that may be encrypted."""
        return np.array(self.input_scale) * self.input_margin
