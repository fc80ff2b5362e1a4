"""Numbers as whole numbers modulo 2^32: sums of them are exact, and a uniform mask hides them perfectly.

A value v is sent as round(v * 2^f). The number of fractional bits f follows from two public facts, the bound on a
value and the number of clients, so that the largest possible sum still fits 31 bits and a sign. The sum of the whole
numbers is then exact; the only error is that of rounding each value once.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from typing import Literal

import numpy as np

from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.federated.secure_sum.masks import expand_key

Rounding = Literal["nearest", "stochastic"]

#: Sums lie from minus this to plus this.
LARGEST_SUM = 2**31 - 1
#: Part of the bound by which a value may exceed it: clipping in float32 rounds by less than that.
ROOM = 2.0**-20
#: No value needs finer steps, and float64 still scales by them without loss.
_MOST_FRACTION_BITS = 120


@dataclass(frozen=True)
class FixedPointRing:
    """How clients write their values, agreed by all before the round. `choose_ring` makes one. All public.

    Attributes:
      bound: largest absolute value of any one number of a client, in the unit of the numbers. A clip norm is one.
      n_clients: most clients whose numbers may be added.
      fraction_bits: f; a step is 2^-f.
      rounding: "nearest" has the smaller error; "stochastic" is right on average, however many sums are added up.
    """

    bound: float
    n_clients: int
    fraction_bits: int
    rounding: Rounding = "nearest"

    def __post_init__(self) -> None:
        """Refuse a ring in which a sum could wrap."""
        if not (math.isfinite(self.bound) and self.bound > 0):
            raise SpecificationError(f"bound: expected a positive number, got {self.bound}; give the clip bound")
        if self.n_clients < 1:
            raise SpecificationError(f"n_clients: expected at least 1, got {self.n_clients}; count those who may add")
        if self.rounding not in ("nearest", "stochastic"):
            raise SpecificationError(f"rounding: expected 'nearest' or 'stochastic', got {self.rounding!r}")
        if not 0 <= self.fraction_bits <= _MOST_FRACTION_BITS or not _fits(
            self.bound, self.n_clients, self.fraction_bits
        ):
            raise SpecificationError(
                f"fraction_bits: expected a whole number from 0 on, so that {self.n_clients} clients with values up to "
                f"the bound {self.bound:g} add up to less than 2^31 steps; got {self.fraction_bits}; lower the clip "
                "bound, take fewer clients or, where there is room, fewer fraction bits"
            )

    @property
    def step(self) -> float:
        """Distance between neighbouring values, in the unit of the numbers."""
        return 2.0**-self.fraction_bits

    @property
    def worst_error(self) -> float:
        """Most that rounding moves one client's number: half a step, or a whole one where it is stochastic."""
        return self.step * (0.5 if self.rounding == "nearest" else 1.0)

    def find_worst_sum_error(self, n_clients: int) -> float:
        """Most that the decoded sum of so many clients differs from the sum of their numbers."""
        return n_clients * self.worst_error

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Values as ring numbers.

        Args:
          values: float (parameter,) or (client, parameter); private.

        Returns:
          uint32 of the same shape; private until masked.

        Raises:
          DataContractError: if a value is not finite or exceeds the bound. Nothing is clipped here, since whoever
            clips must know it did.

        >>> ring = choose_ring(bound=1.0, n_clients=4)
        >>> ring.decode(ring.encode(np.array([0.25, -1.0]))).tolist()
        [0.25, -1.0]
        """
        exact = np.asarray(values, dtype=np.float64)
        n_outside = int(np.count_nonzero(~(np.abs(exact) <= self.bound * (1 + ROOM))))
        if n_outside:
            raise DataContractError(
                f"values: expected all finite and at most {self.bound:g} in size, got {n_outside} that are not; clip "
                "before adding securely"
            )
        steps = np.ldexp(exact, self.fraction_bits)
        if self.rounding == "nearest":
            whole = np.rint(steps)
        else:
            # Not protective, but a fresh key costs nothing and leaves every global generator alone.
            words = expand_key(secrets.token_bytes(32), steps.size).reshape(steps.shape)
            whole = np.floor(steps)
            whole += words < (steps - whole) * 2.0**32
        return whole.astype(np.int64).astype(np.uint32)

    def decode(self, total: np.ndarray) -> np.ndarray:
        """A sum of ring numbers as float64 of the same shape; exact, since 2^31 fits a float64."""
        return np.ldexp(np.asarray(total, dtype=np.uint32).view(np.int32).astype(np.float64), -self.fraction_bits)

    def describe(self) -> bytes:
        """The ring in bytes, for agreement by hash."""
        return f"2^32 {float(self.bound).hex()} {self.n_clients} {self.fraction_bits} {self.rounding}".encode()


def _fits(bound: float, n_clients: int, fraction_bits: int) -> bool:
    """Whether the largest sum fits, with a step of room a client for rounding."""
    return n_clients * (math.ldexp(bound * (1 + ROOM), fraction_bits) + 1) <= LARGEST_SUM


def choose_ring(
    *, bound: float, n_clients: int, fraction_bits: int | None = None, rounding: Rounding = "nearest"
) -> FixedPointRing:
    """The ring with the finest steps in which no sum can wrap.

    Args:
      bound: largest absolute value of one number, in its unit; public. For a vector clipped to an L2 norm, that norm.
      n_clients: most clients in a sum; public.
      fraction_bits: public; the finest possible when None. With 0, whole numbers are added exactly.
      rounding: public.

    Raises:
      SpecificationError: if even whole numbers could wrap, or the given fraction bits could.

    >>> choose_ring(bound=1.0, n_clients=100).fraction_bits
    24
    """
    if fraction_bits is None:
        fraction_bits = 0
        if math.isfinite(bound) and bound > 0 and n_clients >= 1:
            while fraction_bits < _MOST_FRACTION_BITS and _fits(bound, n_clients, fraction_bits + 1):
                fraction_bits += 1
    return FixedPointRing(bound, n_clients, fraction_bits, rounding)
