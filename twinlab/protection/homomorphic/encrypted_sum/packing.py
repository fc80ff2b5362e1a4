"""How numbers lie in slots: several in each, beside a count of devices and a mark.

Each number gets an offset so that none is below zero, and room for the sum of all devices, so that sums of numbers that
share a slot do not touch. How many offsets a sum holds, the counter says: it is in each ciphertext, one for every
device, so that a sum is read rightly whichever devices dropped out. The mark follows from plan and place of the
ciphertext. Summed, it must be the count times the mark; another key, parts in another order, or a part that came from
other devices than the rest, make that fail.

None of this stops a server that lies: it can add a message twice, and both count.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic.encrypted_sum.sum_plan import RESERVED_SLOTS, SumPlan


def pack_integers(plan: SumPlan, integers: np.ndarray, plain_modulus: int) -> np.ndarray:
    """Slots of an update's ciphertexts.

    Args:
      plan: how.
      integers: int64 (parameter,), within `largest_integer`; private.
      plain_modulus: of a slot.

    Returns:
      int64 (ciphertext, slot), from 0 up to the modulus; private.
    """
    values = np.zeros(plan.n_ciphertexts * plan.values_per_ciphertext, dtype=np.int64)
    values[: plan.n_parameters] = integers + plan.largest_integer
    by_place = values.reshape(plan.n_ciphertexts, plan.values_per_slot, -1)
    powers = plan.radix ** np.arange(plan.values_per_slot, dtype=np.int64)
    slots = np.empty((plan.n_ciphertexts, plan.ring_degree), dtype=np.int64)
    slots[:, 0] = 1
    slots[:, 1] = [find_mark(plan, place, plain_modulus) for place in range(plan.n_ciphertexts)]
    slots[:, RESERVED_SLOTS:] = (by_place * powers[:, None]).sum(1)
    return slots


def unpack_sum(plan: SumPlan, slots: Sequence[Sequence[int]], plain_modulus: int) -> tuple[np.ndarray, int]:
    """The sum of the devices' integers, and how many devices are in it.

    Args:
      plan: as when packing.
      slots: (ciphertext, slot), decrypted.
      plain_modulus: of a slot.

    Returns:
      int64 (parameter,), and the count.

    Raises:
      EncryptionError: if this is no sum of one to all devices' messages.
    """
    found = np.array(slots, dtype=np.int64)
    n_devices = int(found[0, 0])
    marks = [n_devices * find_mark(plan, place, plain_modulus) % plain_modulus for place in range(plan.n_ciphertexts)]
    if (found[:, 0] != n_devices).any() or (found[:, 1] != marks).any() or n_devices < 1:
        raise EncryptionError(
            "total: expected the sum of messages of this plan and key, got something else; it was encrypted under "
            "another key or altered, a trustee's opening is missing, or its parts are not of the same devices"
        )
    if n_devices > plan.n_devices:
        raise EncryptionError(
            f"total: expected at most {plan.n_devices} devices, got {n_devices}, for which numbers have no room; plan "
            "for more devices"
        )
    left, by_place = found[:, RESERVED_SLOTS:], []
    for _ in range(plan.values_per_slot):
        by_place.append(left % plan.radix)
        left = left // plan.radix
    values = np.stack(by_place, axis=1).reshape(-1)
    most = 2 * plan.largest_integer * n_devices
    if left.any() or (values > most).any() or values[plan.n_parameters :].any():
        raise EncryptionError(
            "total: expected numbers within the bound, got others; a device or the server did not follow the plan"
        )
    return values[: plan.n_parameters] - n_devices * plan.largest_integer, n_devices


def find_mark(plan: SumPlan, place: int, plain_modulus: int) -> int:
    """What the ciphertext at a place bears; public, and never 0."""
    return 1 + int.from_bytes(sha256(plan.digest + place.to_bytes(4, "big")).digest(), "big") % (plain_modulus - 1)
