"""What devices, the adding server and the key holder agree on before anything is encrypted. All of it public."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from twinlab.errors import DataContractError
from twinlab.protection.homomorphic.noise import STATISTICAL_BITS
from twinlab.protection.homomorphic.parameters import RingParameters, hash_parameters
from twinlab.protection.homomorphic.plan_table import write_table
from twinlab.release import Encrypted

#: Slots of each ciphertext that hold no values: one counts devices, one marks plan and place.
RESERVED_SLOTS = 2
#: Compression takes away all but so many of the unused bits of a 64-bit word.
_BITS_LEFT = 6
SHARED_KEY = "every device: with one key for all, one device together with the server opens every update"


@dataclass(frozen=True, repr=False)
class SumPlan:
    """Ring, rounding and packing of encrypted sums, chosen by `plan_sum`. Everything here may be published.

    Attributes:
      n_parameters: numbers in an update.
      bound: largest magnitude of one number.
      n_devices: at most so many updates in a sum.
      bits: of a rounded number.
      fewest: the key holder reads no sum of fewer, unless it asks for that itself.
      ring: degree and primes.
      plain_modulus_bits: length of the modulus of a slot.
      values_per_slot: numbers that share a slot, each with room for the sum of all devices.
      quantum_safe: as asked for.
      threshold: whether the key is shared out over trustees; experimental.
      n_trustees: how many, all of whom are needed; 1 is the key holder.
      smudging_bits: a trustee's opening is hidden by noise below 2 to this; 0 without trustees.
    """

    n_parameters: int
    bound: float
    n_devices: int
    bits: int
    fewest: int
    ring: RingParameters
    plain_modulus_bits: int
    values_per_slot: int
    quantum_safe: bool
    threshold: bool
    n_trustees: int
    smudging_bits: int

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of everything that all sides must agree on: 32 bytes."""
        return hash_parameters({"scheme": "BFV sum", **asdict(self)})

    @property
    def ring_degree(self) -> int:
        """Degree of the polynomials, and slots of a ciphertext."""
        return self.ring.ring_degree

    @property
    def prime_bits(self) -> tuple[int, ...]:
        """Lengths of the primes of the modulus."""
        return self.ring.prime_bits

    @property
    def security_bits(self) -> int:
        """Security against ordinary computers."""
        return self.ring.security_bits

    @property
    def quantum_security_bits(self) -> int:
        """Security against quantum computers; 0 if below 128."""
        return self.ring.quantum_security_bits

    @property
    def largest_integer(self) -> int:
        """A rounded number lies between minus this and this, which stands for the bound."""
        return int(2 ** (self.bits - 1)) - 1

    @property
    def step(self) -> float:
        """Numbers are rounded to the nearest multiple of this."""
        return self.bound / self.largest_integer

    @property
    def radix(self) -> int:
        """Room of a value in its slot: one more than the largest sum of all devices, counted from zero."""
        return 2 * self.largest_integer * self.n_devices + 1

    @property
    def values_per_ciphertext(self) -> int:
        """Numbers of an update that a ciphertext holds."""
        return self.values_per_slot * (self.ring_degree - RESERVED_SLOTS)

    @property
    def n_ciphertexts(self) -> int:
        """Ciphertexts of an update, and of a sum."""
        return -(-self.n_parameters // self.values_per_ciphertext)

    @property
    def bytes_per_device(self) -> int:
        """Size of a device's message, roughly."""
        return self.n_ciphertexts * count_ciphertext_bytes(self.ring)

    @property
    def bytes_per_parameter(self) -> float:
        """The same for each number of the update; 4 would be plain float32."""
        return self.bytes_per_device / self.n_parameters

    def find_worst_error(self, n_devices: int) -> float:
        """Most that a number of the sum differs from the plain sum of so many devices: half a step for each.

        The rest is how far double precision itself is off.
        """
        return n_devices * (self.step / 2 + self.bound * 2.0**-50)

    def round_to_integers(self, values: np.ndarray) -> np.ndarray:
        """What is encrypted: each number in steps, rounded to the nearest.

        Args:
          values: float (parameter,); private.

        Returns:
          int64 (parameter,), between minus and plus `largest_integer`; private.

        Raises:
          DataContractError: if there are more or fewer than planned, or one is beyond the bound or not a number. It
            would wrap around, or spill over into its neighbour in the slot.
        """
        found = np.asarray(values, dtype=np.float64)
        if found.shape != (self.n_parameters,):
            raise DataContractError(
                f"update: expected shape ({self.n_parameters},), got {found.shape}; flatten it, or plan for its size"
            )
        n_beyond = int((~(np.abs(found) <= self.bound)).sum())
        if n_beyond:
            raise DataContractError(
                f"update: expected finite numbers within the bound {self.bound:g}, got {n_beyond} beyond it; clip the "
                "update, or plan for a larger bound"
            )
        return np.rint(found / self.step).astype(np.int64)

    def state_guarantee(self, *, key_is_shared: bool = False) -> Encrypted:
        """What protects an update on its way, and from whom not.

        Args:
          key_is_shared: whether every device holds the secret key.
        """
        bits = self.quantum_security_bits if self.quantum_safe else self.security_bits
        if key_is_shared:
            return Encrypted("BFV", bits, SHARED_KEY)
        if self.threshold:
            return Encrypted("BFV", bits, f"all {self.n_trustees} trustees together (experimental)")
        return Encrypted("BFV", bits, "the key holder")

    def rows(self) -> list[dict[str, str]]:
        """The plan as a table."""
        ring = f"{self.ring_degree}, primes of {', '.join(map(str, self.prime_bits))} bits"
        reader = "the key holder, who is not the server that adds"
        if self.threshold:
            reader = f"all {self.n_trustees} trustees together, none of whom may drop out (experimental)"
        table = {
            "scheme": "BFV, exact integers",
            "ring degree and modulus": f"{ring} = {self.ring.modulus_bits} bits",
            "security, classical": f"{self.security_bits} bits",
            "security, quantum": f"{self.quantum_security_bits or 'below 128'} bits",
            "devices in a sum": f"{self.fewest} to {self.n_devices}",
            "a number": f"{self.bits} bits within {self.bound:g}, steps of {self.step:.3g}",
            "numbers in a slot": f"{self.values_per_slot}, in {self.plain_modulus_bits} bits",
            "message of a device": f"{self.n_ciphertexts} ciphertexts, {self.bytes_per_device:,} bytes, "
            f"{self.bytes_per_parameter:.2f} for each of {self.n_parameters:,} numbers",
            "error of the sum of all, at most": f"{self.find_worst_error(self.n_devices):.3g}",
            "who reads the sum": reader,
            "if every device held the key": "one device together with the server would open every update",
        }
        if self.threshold:
            table["noise of an opening"] = (
                f"{self.smudging_bits} bits, which hides what it says about the key to {STATISTICAL_BITS} bits"
            )
        return [{"what": what, "value": value} for what, value in table.items()]

    def _repr_html_(self) -> str:
        """The same as a notebook shows it."""
        return write_table("Plan of encrypted sums", self.rows())

    def __repr__(self) -> str:
        return (
            f"SumPlan({self.n_parameters} numbers of {self.bits} bits, up to {self.n_devices} devices, ring degree "
            f"{self.ring_degree}, {self.bytes_per_parameter:.2f} bytes a number)"
        )


def count_ciphertext_bytes(ring: RingParameters) -> int:
    """Size of a fresh ciphertext, roughly."""
    return sum(2 * ring.ring_degree * min(64, bits + _BITS_LEFT) // 8 for bits in ring.data_bits)
