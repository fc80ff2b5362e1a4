"""Real numbers as elements of the field: multiples of a step, with room for the sum of all parties.

A value v stands as round(v / step), negative ones from the prime downwards. The sum of such numbers is exact as long as
it stays within half the prime, which a public bound on each value sees to. What is lost is half a step a party.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from twinlab.errors import DataContractError, ProtocolError, SpecificationError
from twinlab.protection.joint.field import PRIME

#: Sums lie from minus this to plus this.
LARGEST_SUM = (PRIME - 1) // 2
#: Bounds between these are served; beyond them floats run out before the field does.
_LEAST_BOUND, _MOST_BOUND = 1e-30, 1e30
#: How exactly the opened sum can stand in a float.
_FLOAT_BITS = 53


@dataclass(frozen=True)
class FixedPoint:
    """The grid that all parties put their values on; public. `choose_fixed_point` makes one that fits.

    Attributes:
      largest: no value is larger than this, plus or minus.
      n_parties: how many are added.
      fraction_bits: the step is 2^-fraction_bits.
    """

    largest: float
    n_parties: int
    fraction_bits: int

    def __post_init__(self) -> None:
        """Check that the largest sum fits."""
        most_bits = _find_most_bits(self.largest, self.n_parties)
        if not -1000 <= self.fraction_bits <= most_bits:
            raise SpecificationError(
                f"fraction_bits: expected at most {most_bits}, so that {self.n_parties} values up to {self.largest:g} "
                f"cannot wrap around when they are added, got {self.fraction_bits}; take fewer bits or a smaller bound"
            )

    @property
    def step(self) -> float:
        """What neighbouring numbers of the grid differ by."""
        return math.ldexp(1.0, -self.fraction_bits)

    @property
    def worst_error(self) -> float:
        """How far an opened sum can be from the exact one: half a step a party, and the last bit of a float."""
        return self.n_parties * (self.step / 2 + self.largest * 2.0**-_FLOAT_BITS)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Values as elements, each at the nearest point of the grid.

        Args:
          values: float, any shape; private.

        Returns:
          uint64 of the same shape; private.

        Raises:
          DataContractError: if a value is not finite or beyond the bound. The message has their number, no value.
        """
        numbers = np.asarray(values, dtype=np.float64)
        if n_beyond := numbers.size - int((np.abs(numbers) <= self.largest).sum()):
            raise DataContractError(
                f"values: expected finite ones up to {self.largest:g}, plus or minus, got {n_beyond} of {numbers.size} "
                "beyond that; scale or clip them, or agree on a larger bound, at the price of a larger step"
            )
        whole = np.rint(np.ldexp(numbers, self.fraction_bits)).astype(np.int64)
        return np.where(whole < 0, whole + PRIME, whole).astype(np.uint64)

    def decode_sum(self, elements: np.ndarray) -> np.ndarray:
        """The sum of all parties' encoded values as floats.

        Raises:
          ProtocolError: if it is beyond what values within the bound can add up to: somebody shared others.
        """
        whole = elements.astype(np.int64)
        whole = np.where(elements > LARGEST_SUM, whole - PRIME, whole)
        if n_beyond := int(
            (np.abs(whole) > self.n_parties * _find_largest_code(self.largest, self.fraction_bits)).sum()
        ):
            raise ProtocolError(
                f"sum: expected at most {self.n_parties} times {self.largest:g}, got {n_beyond} of {elements.size} "
                "beyond that; some party shared values beyond the bound, so nothing of this sum is right"
            )
        return np.ldexp(whole.astype(np.float64), -self.fraction_bits)


def choose_fixed_point(*, largest: float, n_parties: int, fraction_bits: int | None = None) -> FixedPoint:
    """The finest grid on which sums cannot wrap around, or a coarser one.

    Args:
      largest: bound on the magnitude of each value of each party, from 1e-30 to 1e30; public.
      n_parties: how many vectors are added; public.
      fraction_bits: the step is 2^-fraction_bits; as many as there is room for when None; public.

    Raises:
      SpecificationError: if the bound is not in range, or sums could wrap around.

    >>> choose_fixed_point(largest=1000.0, n_parties=3).fraction_bits
    48
    """
    if fraction_bits is None:
        fraction_bits = _find_most_bits(largest, n_parties)
    return FixedPoint(float(largest), n_parties, fraction_bits)


def _find_most_bits(largest: float, n_parties: int) -> int:
    """The most fractional bits for which the largest sum fits."""
    if not _LEAST_BOUND <= largest <= _MOST_BOUND:
        raise SpecificationError(
            f"largest: expected a bound from {_LEAST_BOUND:g} to {_MOST_BOUND:g}, got {largest!r}; rescale the values"
        )
    if n_parties < 1:
        raise SpecificationError(f"n_parties: expected at least 1, got {n_parties}; count those who add")
    bits = math.floor(math.log2(LARGEST_SUM) - math.log2(largest) - math.log2(n_parties)) + 1
    while n_parties * _find_largest_code(largest, bits) > LARGEST_SUM:
        bits -= 1
    return bits


def _find_largest_code(largest: float, fraction_bits: int) -> int:
    """The whole number that no encoded value exceeds; rounding may add one."""
    numerator, denominator = float(largest).as_integer_ratio()
    shifted = (numerator << max(fraction_bits, 0), denominator << max(-fraction_bits, 0))
    return shifted[0] // shifted[1] + 1
