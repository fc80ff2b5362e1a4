"""The ring that ciphertexts live in, and how much security it leaves: tables, checks and a hash.

The longer the modulus, the deeper and the more exactly one can compute, and the less secure the ring is. How long it
may be at a ring degree is tabulated for attackers with ordinary and with quantum computers.

Source: Albrecht et al., "Homomorphic Encryption Security Standard" (2018), tables 1 and 2 for a ternary secret and
errors of standard deviation 3.2, as shipped in Microsoft SEAL (hestdparms.h).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from twinlab.errors import SpecificationError

#: Longest modulus in bits, by security in bits and ring degree.
CLASSICAL_CEILINGS: Mapping[int, Mapping[int, int]] = {
    128: {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881},
    192: {1024: 19, 2048: 37, 4096: 75, 8192: 152, 16384: 305, 32768: 611},
    256: {1024: 14, 2048: 29, 4096: 58, 8192: 118, 16384: 237, 32768: 476},
}
QUANTUM_CEILINGS: Mapping[int, Mapping[int, int]] = {
    128: {1024: 25, 2048: 51, 4096: 101, 8192: 202, 16384: 411, 32768: 827},
    192: {1024: 17, 2048: 35, 4096: 70, 8192: 141, 16384: 284, 32768: 571},
    256: {1024: 13, 2048: 27, 4096: 54, 8192: 109, 16384: 220, 32768: 443},
}
#: Every plan has at least this security, in bits.
LEAST_SECURITY = 128
RING_DEGREES = (2048, 4096, 8192, 16384, 32768)
LONGEST_PRIME = 60
#: Shorter primes that fit the larger rings are few, and multiply noise more than they divide it.
SHORTEST_PRIME = 20


@dataclass(frozen=True)
class RingParameters:
    """Degree and modulus of the ring. Public.

    Attributes:
      ring_degree: of the polynomials; half as many numbers fit a ciphertext.
      prime_bits: lengths of the primes whose product is the modulus. With more than one, the last serves only to
        switch keys, and a ciphertext lives on the others.

    >>> RingParameters(8192, (60, 49, 49, 60)).security_bits
    128
    """

    ring_degree: int
    prime_bits: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse what SEAL would refuse later, and what would not be secure."""
        if self.ring_degree not in RING_DEGREES:
            raise SpecificationError(
                f"ring_degree: expected one of {', '.join(map(str, RING_DEGREES))}, got {self.ring_degree}"
            )
        wrong = [bits for bits in self.prime_bits if not SHORTEST_PRIME <= bits <= LONGEST_PRIME]
        if wrong or not self.prime_bits:
            raise SpecificationError(
                f"prime_bits: expected primes of {SHORTEST_PRIME} to {LONGEST_PRIME} bits, got {list(self.prime_bits)}"
            )
        if self.security_bits < LEAST_SECURITY:
            ceiling = CLASSICAL_CEILINGS[LEAST_SECURITY][self.ring_degree]
            raise SpecificationError(
                f"prime_bits: expected at most {ceiling} bits in all at ring degree {self.ring_degree} for "
                f"{LEAST_SECURITY}-bit security, got {self.modulus_bits}; {_name_larger_ring(self.modulus_bits)}"
            )

    @property
    def n_slots(self) -> int:
        """Numbers in a ciphertext."""
        return self.ring_degree // 2

    @property
    def modulus_bits(self) -> int:
        """Length of the whole modulus, which is what security depends on."""
        return sum(self.prime_bits)

    @property
    def data_bits(self) -> tuple[int, ...]:
        """Lengths of the primes that a fresh ciphertext lives on."""
        return self.prime_bits if len(self.prime_bits) == 1 else self.prime_bits[:-1]

    @property
    def special_bits(self) -> int:
        """Length of the prime that serves to switch keys; 0 without one."""
        return 0 if len(self.prime_bits) == 1 else self.prime_bits[-1]

    @property
    def security_bits(self) -> int:
        """Security against ordinary computers: 256, 192, 128, or 0 if less."""
        return _find_security(CLASSICAL_CEILINGS, self.ring_degree, self.modulus_bits)

    @property
    def quantum_security_bits(self) -> int:
        """Security against quantum computers: 256, 192, 128, or 0 if less."""
        return _find_security(QUANTUM_CEILINGS, self.ring_degree, self.modulus_bits)

    def find_bits_at(self, level: int) -> int:
        """Length of the modulus of a ciphertext that has `level` rescalings left."""
        return sum(self.data_bits[: level + 1])


def find_ceiling(ring_degree: int, *, quantum_safe: bool) -> int:
    """Longest modulus in bits that keeps 128-bit security at a ring degree."""
    return (QUANTUM_CEILINGS if quantum_safe else CLASSICAL_CEILINGS)[LEAST_SECURITY][ring_degree]


def hash_parameters(described: Mapping[str, object]) -> bytes:
    """SHA-256 of public parameters, the same wherever they are written down: 32 bytes."""
    return sha256(json.dumps(described, sort_keys=True, separators=(",", ":")).encode()).digest()


def _find_security(ceilings: Mapping[int, Mapping[int, int]], ring_degree: int, modulus_bits: int) -> int:
    """The most security whose ceiling the modulus keeps."""
    return max((bits for bits, by_degree in ceilings.items() if modulus_bits <= by_degree[ring_degree]), default=0)


def _name_larger_ring(modulus_bits: int) -> str:
    """What to do about a modulus that is too long."""
    for ring_degree in RING_DEGREES:
        if modulus_bits <= CLASSICAL_CEILINGS[LEAST_SECURITY][ring_degree]:
            return f"take ring degree {ring_degree} or shorter primes"
    return "take shorter primes"
