"""What a party of secret sums reads of them: the totals that were opened, from the shares that came to it.

Every party is sent a share of each sum by every other one, and any `threshold` of those open it: that is no attack, as
all parties are to learn the totals. The attacks that begin with totals begin here, with what one party was sent.

Source: Shamir, "How to share a secret", CACM 1979.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from twinlab.errors import DataContractError
from twinlab.release import Message
from twinlab.threat import PublicKnowledge

#: How a transcript calls a share of a sum, and the round that it is of.
_OPENED = re.compile(r"share of the sum(?:, round (\d+))?")


@dataclass(frozen=True)
class SharingRules:
    """What everybody knows of how secrets are shared; public.

    Attributes:
      parties: names in order; the first holds the value of the polynomials at 1, and so on.
      threshold: how many shares open a secret.
      fraction_bits: values stand as multiples of 2^-fraction_bits.
      prime: what shares are counted modulo.
    """

    parties: tuple[str, ...]
    threshold: int
    fraction_bits: int
    prime: int

    @classmethod
    def of(cls, knowledge: PublicKnowledge) -> Self:
        """From the facts parties, threshold, fraction_bits and prime; raises `SpecificationError` if one is missing."""
        facts = [knowledge.find(name) for name in ("parties", "threshold", "fraction_bits", "prime")]
        return cls(tuple(facts[0]), int(facts[1]), int(facts[2]), int(facts[3]))

    def find_point(self, party: str) -> int:
        """Where a party's shares are taken; raises `DataContractError` for a stranger."""
        if party not in self.parties:
            raise DataContractError(f"parties: expected one of {', '.join(self.parties)}, got {party!r}; name them all")
        return self.parties.index(party) + 1

    def encode(self, values: np.ndarray) -> list[int]:
        """Real numbers (value,) as elements."""
        return [round(float(value) * 2**self.fraction_bits) % self.prime for value in values]

    def decode(self, elements: Sequence[int]) -> np.ndarray:
        """Elements as real numbers, float (value,)."""
        signed = [each - self.prime if each > self.prime // 2 else each for each in elements]
        return np.array([each / 2**self.fraction_bits for each in signed])


def read_opened_sums(seen: Sequence[Message], rules: SharingRules) -> tuple[np.ndarray, ...]:
    """The totals that were opened, float (value,) each, in the order of their rounds.

    Args:
      seen: what one party was sent; messages that are no share of a sum are passed over.
      rules: public.

    Raises:
      DataContractError: if too few shares of a sum came to open it.
    """
    by_round: dict[int, dict[int, list[int]]] = {}
    for message in seen:
        if found := _OPENED.fullmatch(message.kind):
            shares = by_round.setdefault(int(found[1] or 1), {})
            shares[rules.find_point(message.sender)] = [int(each) for each in message.payload]
    for shares in by_round.values():
        if len(shares) < rules.threshold:
            raise DataContractError(
                f"seen: expected shares of each sum from {rules.threshold} parties, got {len(shares)}; show all that "
                "one party was sent"
            )
    return tuple(rules.decode(interpolate(by_round[number], 0, rules.prime)) for number in sorted(by_round))


def interpolate(values: Mapping[int, Sequence[int]], at: int, prime: int) -> list[int]:
    """The values at a point of the polynomials of least degree through all of those given.

    Args:
      values: point to elements (value,), a polynomial for each value.
      at: the point.
      prime: what elements are counted modulo.

    >>> interpolate({1: [7], 2: [9]}, 0, 2**61 - 1)
    [5]
    """
    total = [0] * len(next(iter(values.values())))
    for one, elements in values.items():
        above = below = 1
        for other in values:
            if other != one:
                above, below = above * (at - other) % prime, below * (one - other) % prime
        weight = above * pow(below, -1, prime) % prime
        total = [(sum_ + weight * element) % prime for sum_, element in zip(total, elements, strict=True)]
    return total
