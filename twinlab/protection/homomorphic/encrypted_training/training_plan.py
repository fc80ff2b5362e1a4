"""What both sides of an encrypted training agree on before anything is encrypted. All of it public."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property

from twinlab.errors import IncompatibleChoicesError, SpecificationError
from twinlab.protection.homomorphic.encrypted_training.block_layout import BlockLayout, choose_width
from twinlab.protection.homomorphic.encrypted_training.scale_choice import (
    N_LAST,
    N_RESCALINGS,
    WEIGHT_BOUND,
    ChosenScales,
    TrainingScales,
    TrainingStage,
    choose_scales,
    list_stages,
)
from twinlab.protection.homomorphic.envelope import Kind
from twinlab.protection.homomorphic.parameters import RingParameters, hash_parameters
from twinlab.protection.homomorphic.plan_table import write_table

#: Smaller rings hold no modulus as long as an epoch needs; the largest is slow, and its keys are gigabytes.
_RING_DEGREES = (8192, 16384)
#: The mean gradient may be off by so much.
_TOLERANCE = 1e-3
_MOST_FEATURES, _MOST_RECORDS, _MOST_EPOCHS, _MOST_BYTES = 64, 1_000_000, 1000, 1 << 30
#: SEAL's compression writes the bytes of a number that its prime fills, and about so many bits for the others.
_BITS_OVERHEAD = 5.3


@dataclass(frozen=True, repr=False)
class TrainingPlan:
    """How a logistic regression is trained on encrypted records, chosen by `plan_training`.

    Attributes:
      n_records, n_features: of the training set.
      n_epochs: steps of gradient descent, each over all records.
      learning_rate: length of a step.
      l2: ridge penalty of the weights; the bias has none.
      bound: no feature may be larger in magnitude.
      weight_bound: nor may all weights together, the bias with them.
      quantum_safe: whether 128-bit security against quantum computers was asked for.
      layout: how numbers lie in slots.
      ring: degree and primes.
      scales: in bits.
      gradient_error: a number of the mean gradient is not further from the plain one, but once in 500 million; for
        standardised features and a model whose logits are within 5.
    """

    n_records: int
    n_features: int
    n_epochs: int
    learning_rate: float
    l2: float
    bound: float
    weight_bound: float
    quantum_safe: bool
    layout: BlockLayout
    ring: RingParameters
    scales: TrainingScales
    gradient_error: float

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of everything that both sides must agree on: 32 bytes."""
        return hash_parameters({"scheme": "CKKS", "program": "logistic training", **asdict(self)})

    @property
    def n_ciphertexts(self) -> int:
        """Ciphertexts of the encrypted training set."""
        return self.layout.n_ciphertexts

    @property
    def depth(self) -> int:
        """Multiplications one after the other in an epoch."""
        return N_RESCALINGS + 1

    @property
    def security_bits(self) -> int:
        """Security against ordinary computers."""
        return self.ring.security_bits

    @property
    def quantum_security_bits(self) -> int:
        """Security against quantum computers; 0 if below 128."""
        return self.ring.quantum_security_bits

    @property
    def rotation_steps(self) -> tuple[int, ...]:
        """Slots by which the server rotates: a key for each, and no others."""
        layout = self.layout
        return (*layout.gather_steps, *layout.spread_steps, *layout.sum_steps)

    @property
    def column_bound(self) -> float:
        """No number in a block is larger: features, and the ones that stand for the bias."""
        return max(self.bound, 1.0)

    @property
    def logit_bound(self) -> float:
        """No admitted record has a larger logit under admitted weights."""
        return self.column_bound * self.weight_bound

    @property
    def weight_error(self) -> float:
        """A weight after the last epoch is not further from the plain one, but once in 500 million.

        If steps do not overshoot, so that errors of earlier epochs do not grow: if the learning rate times the largest
        curvature of the loss is below 2, as it is wherever gradient descent works.
        """
        return self.n_epochs * self.learning_rate * self.gradient_error

    @property
    def set_up_bytes(self) -> int:
        """Size of the evaluation keys, roughly; once."""
        n_keys = len(self.rotation_steps) + 1
        return n_keys * len(self.ring.data_bits) * self._count_bytes(self.ring.prime_bits)

    @property
    def records_bytes(self) -> int:
        """Size of the encrypted training set, roughly; once."""
        data = self.ring.data_bits
        return self.layout.n_passes * (
            self.layout.n_blocks * self._count_bytes(data) + self._count_bytes(data[:N_LAST])
        )

    @property
    def weights_bytes(self) -> int:
        """Size of the encrypted weights, roughly; every epoch."""
        return self.layout.n_blocks * self._count_bytes(self.ring.data_bits)

    @property
    def gradient_bytes(self) -> int:
        """Size of the encrypted gradient, roughly; every epoch."""
        return 2 * self.layout.n_blocks * self._count_bytes(self.ring.data_bits[:N_LAST])

    @property
    def n_bytes(self) -> int:
        """All messages of a training, both ways, roughly."""
        return self.set_up_bytes + self.records_bytes + self.n_epochs * (self.weights_bytes + self.gradient_bytes)

    def find_level(self, kind: Kind) -> int:
        """Level that a message of a kind must have: rescalings left."""
        return N_LAST - 1 if kind == "gradient" else len(self.ring.data_bits) - 1

    def list_stages(self) -> tuple[TrainingStage, ...]:
        """Where values stand in an epoch, and the room that is left there; nowhere less than none."""
        return list_stages(self.ring, self.scales, self.layout, self.column_bound)

    def rows(self) -> list[dict[str, str]]:
        """The plan as a table."""
        layout, ring = self.layout, self.ring
        primes = f"{ring.ring_degree}, primes of {', '.join(map(str, ring.prime_bits))} bits"
        table = {
            "training set": f"{self.n_records} records of {self.n_features} features and a label",
            "training": f"{self.n_epochs} epochs, learning rate {self.learning_rate:g}, ridge penalty {self.l2:g}, "
            "sigmoid of degree 3",
            "block": f"{layout.block_records} records by {layout.width} features",
            "ciphertexts": f"{layout.n_passes} passes of {layout.n_blocks} blocks and labels: {self.n_ciphertexts}",
            "ring degree and modulus": f"{primes} = {ring.modulus_bits} bits",
            "security, classical": f"{self.security_bits} bits",
            "security, quantum": f"{self.quantum_security_bits or 'below 128'} bits",
            "multiplications in a row": f"{self.depth}",
            "features, at most": f"{self.bound:g} in magnitude",
            "weights, at most": f"{self.weight_bound:g} in magnitude, all together",
            "evaluation keys, once": f"{len(self.rotation_steps)} rotations and relinearization, "
            f"{self.set_up_bytes:,} bytes",
            "training set, once": f"{self.records_bytes:,} bytes",
            "weights to the server": f"{self.weights_bytes:,} bytes an epoch",
            "gradient to the key holder": f"{self.gradient_bytes:,} bytes an epoch",
            "error of a weight, at most": f"{self.weight_error:.1e}",
            "key holder sees": "its records, and weights and gradients of every epoch",
            "server sees": "this plan, sizes and times",
        }
        return [{"what": what, "value": value} for what, value in table.items()]

    def _count_bytes(self, prime_bits: tuple[int, ...]) -> int:
        """A seeded ciphertext, of which one polynomial is written."""
        bits = sum(8 * math.ceil(each / 8) + _BITS_OVERHEAD for each in prime_bits)
        return round(self.ring.ring_degree * bits / 8)

    def _repr_html_(self) -> str:
        """The same as a notebook shows it."""
        return write_table("Plan of an encrypted training", self.rows())

    def __repr__(self) -> str:
        return (
            f"TrainingPlan({self.n_records} records, {self.n_features} features, {self.n_epochs} epochs, ring degree "
            f"{self.ring.ring_degree}, {self.ring.modulus_bits} bits, error of a weight at most "
            f"{self.weight_error:.1e})"
        )


def plan_training(
    n_records: int,
    n_features: int,
    *,
    n_epochs: int = 5,
    learning_rate: float = 1.0,
    l2: float = 0.05,
    bound: float = 6.0,
    quantum_safe: bool = False,
) -> TrainingPlan:
    """Choose blocks, ring and scales for training a logistic regression on records that the server cannot read.

    Args:
      n_records, n_features: of the training set; public.
      n_epochs: steps of gradient descent, each over all records; public.
      learning_rate: length of a step; public.
      l2: ridge penalty of the weights; public.
      bound: of features, which are best standardised; public. Larger ones are refused before they are encrypted.
      quantum_safe: keep 128-bit security against quantum computers as well.

    Returns:
      A plan under which no admitted value can wrap around.

    Raises:
      SpecificationError: if something asked for makes no sense, or is more than is sensible this way.
      IncompatibleChoicesError: if no ring holds it.

    >>> plan = plan_training(780, 9)
    >>> plan.ring.ring_degree, plan.layout.n_passes
    (8192, 1)
    """
    _check_choices(n_records, n_features, n_epochs, learning_rate, l2, bound)
    best: ChosenScales | None = None
    for ring_degree in _RING_DEGREES:
        layout = choose_width(ring_degree // 2, n_records, n_features)
        chosen = choose_scales(layout, ring_degree, max(bound, 1.0), quantum_safe=quantum_safe)
        if chosen is not None and chosen.gradient_error <= _TOLERANCE:
            best = chosen
            break
    if best is None:
        raise IncompatibleChoicesError(
            f"training: expected features and records for which a ring of degree {_RING_DEGREES[-1]} keeps gradients "
            f"exact to {_TOLERANCE:g}, got {n_records} records with features up to {bound:g}; standardise features and "
            "take a bound of 6 or so, or take fewer records"
        )
    found = TrainingPlan(
        n_records=n_records,
        n_features=n_features,
        n_epochs=n_epochs,
        learning_rate=float(learning_rate),
        l2=float(l2),
        bound=float(bound),
        weight_bound=WEIGHT_BOUND,
        quantum_safe=quantum_safe,
        layout=layout,
        ring=best.ring,
        scales=best.scales,
        gradient_error=best.gradient_error,
    )
    if found.records_bytes > _MOST_BYTES:
        raise IncompatibleChoicesError(
            f"training: expected an encrypted training set of at most {_MOST_BYTES:,} bytes, got "
            f"{found.records_bytes:,}; take fewer records or features"
        )
    return found


def _check_choices(
    n_records: int, n_features: int, n_epochs: int, learning_rate: float, l2: float, bound: float
) -> None:
    """All faults at once."""
    wanted = {
        f"n_records: expected 2 to {_MOST_RECORDS:,}, got {n_records}": 2 <= n_records <= _MOST_RECORDS,
        f"n_features: expected 1 to {_MOST_FEATURES}, got {n_features}; choose among features or sum them up": 1
        <= n_features
        <= _MOST_FEATURES,
        f"n_epochs: expected 1 to {_MOST_EPOCHS}, got {n_epochs}": 1 <= n_epochs <= _MOST_EPOCHS,
        f"learning_rate: expected a positive number, got {learning_rate}": 0 < learning_rate < math.inf,
        f"l2: expected a number from 0, got {l2}": 0 <= l2 < math.inf,
        f"bound: expected a positive number, got {bound}": 0 < bound < math.inf,
    }
    faults = [fault for fault, is_right in wanted.items() if not is_right]
    if faults:
        raise SpecificationError("; ".join(faults))
