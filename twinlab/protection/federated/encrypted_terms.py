"""What server and devices agree on before updates are added under encryption, and who takes part in that."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from twinlab.errors import SpecificationError
from twinlab.protection.federated.secure_terms import FEWEST_IN_A_GROUP
from twinlab.roles import SumAdder, SumEncrypter, SumOpener

#: The record that holds an encrypted update, and the name of its bytes in it.
ENCRYPTED, UPDATE = "encrypted", "update"
#: Noise this many standard deviations long still fits; longer noise has probability below 1e-18 a number.
_NOISE_ROOM = 9.0


@dataclass(frozen=True, kw_only=True)
class EncryptedTerms:
    """How updates are bounded, made noisy and added under encryption. Devices and server hold the same terms.

    The server adds ciphertexts without a key, and has one total a round opened by whoever holds the key. What is
    promised: whoever does not hold the key, the server above all, reads sums of at least `fewest` devices and no single
    update. What is not:

    - The server and the key holder are trusted not to side with each other, nor the server with any device if all
      devices hold the key. Together they open every update.
    - The server is trusted to add what it says. A ciphertext can be multiplied, and a server that lies could have one
      update opened that way, or send devices different models so that an update stands out in the sum. Masks with
      signed lists of survivors, as `SecureTerms` has them, hold against that.
    - Devices are trusted to encrypt a bounded update. One that encrypts something else spoils the sum, and nobody can
      tell which it was.

    With `noise`, each device adds its part of Gaussian noise before it encrypts: standard deviation
    noise_multiplier * clip_norm / sqrt(fewest). No total of fewer devices is opened, so the noise in any sum that
    anybody reads, the key holder included, is at least noise_multiplier * clip_norm; mostly it is more. It counts on
    devices that do not tell their noise. Numbers are rounded after the noise, each device on its own; steps much finer
    than the noise make that negligible, and it is neglected (Kairouz, Liu and Steinke, "The distributed discrete
    Gaussian mechanism for federated learning with secure aggregation", ICML 2021, account for it exactly).

    Attributes:
      clip_norm: bound of one device's update in Euclidean length over all parameters, rounding included; public.
      fewest: devices without which no total is opened; at least three, since of two each knows the other's; public.
      noise: noise(shape) draws independent standard normal numbers, on the device; none when None. Handed in, and never
        seeded by a run's seed.
      noise_multiplier: least standard deviation of the noise in a sum, over clip_norm; public.

    Raises:
      SpecificationError: if a number is out of its limits.

    >>> EncryptedTerms(clip_norm=0.5).bound
    0.5
    """

    clip_norm: float
    fewest: int = FEWEST_IN_A_GROUP
    noise: Callable[[tuple[int, ...]], Any] | None = field(default=None, repr=False)
    noise_multiplier: float = 0.0

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.clip_norm < math.inf:
            faults.append(f"clip_norm: expected a number above 0, got {self.clip_norm}")
        if self.fewest < FEWEST_IN_A_GROUP:
            faults.append(f"fewest: expected at least {FEWEST_IN_A_GROUP}, got {self.fewest}")
        if not 0 <= self.noise_multiplier < math.inf:
            faults.append(f"noise_multiplier: expected at least 0, got {self.noise_multiplier}")
        if (self.noise_multiplier > 0) != (self.noise is not None):
            faults.append("noise: expected a source and a noise_multiplier above 0, or neither, got one of them")
        if faults:
            raise SpecificationError("encrypted sum cannot work as asked\n" + "\n".join(f"  - {f}" for f in faults))

    @property
    def noise_scale(self) -> float:
        """Standard deviation of the noise that each device adds, in the update's unit."""
        return self.noise_multiplier * self.clip_norm / math.sqrt(self.fewest)

    @property
    def bound(self) -> float:
        """Largest number that a device encrypts, of either sign: a bounded update's and the noise on it."""
        return self.clip_norm + _NOISE_ROOM * self.noise_scale

    def find_longest(self, step: float, n_parameters: int) -> float:
        """Length to which a device shortens its update, so that it is no longer than the bound once it is rounded.

        Args:
          step: numbers are rounded to multiples of it.
          n_parameters: of the model.

        Raises:
          SpecificationError: if rounding could take more than half of the bound.
        """
        lost = step / 2 * math.sqrt(n_parameters)
        if lost > self.clip_norm / 2:
            n_more = math.ceil(math.log2(2 * lost / self.clip_norm))
            raise SpecificationError(
                f"encrypted sum: expected steps that keep most of an update of {n_parameters} numbers, got ones that "
                f"may round half of its bound away; choose {n_more} bits more"
            )
        return self.clip_norm - lost


@dataclass(frozen=True)
class EncryptedAddition:
    """Terms of encrypted sums and who takes part in them; handed in by whoever knows the cryptography.

    Attributes:
      terms: public.
      encrypter: for devices; holds what is public.
      adder: adds, and finishes what openers began; holds no key.
      openers: one who holds the key, or several who hold shares of it, all of whom are needed.
    """

    terms: EncryptedTerms
    encrypter: SumEncrypter = field(repr=False)
    adder: SumAdder = field(repr=False)
    openers: Sequence[SumOpener] = field(repr=False)
