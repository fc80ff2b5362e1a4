"""Choosing ring, plain modulus and packing so that the sum of all devices fits, with the fewest bytes.

Three things have to fit. In a slot: the sum of all devices, for each of the numbers that share it. In the modulus: the
plain modulus times the noise of all devices' ciphertexts, twice; beyond, BFV decrypts to something else. In the ring:
a modulus so short that it stays secure.
"""

from __future__ import annotations

import math
from dataclasses import replace

from twinlab.errors import SpecificationError
from twinlab.protection.homomorphic.encrypted_sum.sum_plan import SumPlan
from twinlab.protection.homomorphic.noise import ERROR_VARIANCE, STATISTICAL_BITS
from twinlab.protection.homomorphic.parameters import RingParameters

#: A last prime, where there are several, divides the noise of encryption away before anything is sent.
_RINGS = (
    RingParameters(2048, (51,)),
    RingParameters(2048, (54,)),
    RingParameters(4096, (60,)),
    RingParameters(4096, (60, 40)),
    RingParameters(4096, (40, 40, 21)),
    RingParameters(8192, (60, 60, 30)),
    RingParameters(16384, (60, 60, 60, 30)),
)
#: Two primes at least, so that the noise that hides a trustee's key has room.
_THRESHOLD_RINGS = (RingParameters(8192, (60, 60, 30)), RingParameters(16384, (60, 60, 60, 30)))
#: For more security than was asked for, a message may be so many times as long.
_LENGTH_SLACK = 1.125
_KEY_VARIANCE = 2 / 3
#: Passed by one coefficient in 10^23.
_NOISE_SIGMAS = 10.0
_SHORTEST_PLAIN_MODULUS, _LONGEST_PLAIN_MODULUS = 20, 60
_FEWEST_BITS, _MOST_BITS = 8, 32
_MOST_DEVICES, _MOST_TRUSTEES = 1_000_000, 20
#: A sum of two tells each of the two what the other sent.
FEWEST_IN_A_SUM = 3


def plan_sum(
    n_parameters: int,
    *,
    bound: float,
    n_devices: int,
    bits: int = 16,
    quantum_safe: bool = False,
    threshold: bool = False,
    n_trustees: int = 3,
    fewest: int | None = None,
) -> SumPlan:
    """The plan with the fewest bytes per device, or one an eighth longer if that is safer.

    Args:
      n_parameters: numbers in an update.
      bound: largest magnitude of one number, such as the clip norm.
      n_devices: at most so many updates in a sum, 2 at least.
      bits: of a rounded number, 8 to 32. Each halves the error and adds about 1/16 of the bytes.
      quantum_safe: whether 128 bits of security must hold against quantum computers too.
      threshold: whether trustees share the key, all of whom are needed to read a sum. Experimental: it holds against
        trustees and a server that follow the protocol, and no trustee may drop out.
      n_trustees: how many, 2 to 20; only with `threshold`.
      fewest: the key holder reads no sum of fewer; 3 (or 2 of 2) when None.

    Raises:
      SpecificationError: if a choice is out of range, or no ring holds the sum; it names what would.

    >>> plan_sum(100_000, bound=1.0, n_devices=10, quantum_safe=True)
    SumPlan(100000 numbers of 16 bits, up to 10 devices, ring degree 4096, 8.52 bytes a number)
    """
    fewest = min(FEWEST_IN_A_SUM, n_devices) if fewest is None else fewest
    _check_choices(n_parameters, bound, n_devices, bits, n_trustees, fewest)
    asked = SumPlan(
        n_parameters=n_parameters,
        bound=float(bound),
        n_devices=n_devices,
        bits=bits,
        fewest=fewest,
        ring=_RINGS[0],
        plain_modulus_bits=0,
        values_per_slot=1,
        quantum_safe=quantum_safe,
        threshold=threshold,
        n_trustees=n_trustees if threshold else 1,
        smudging_bits=0,
    )
    found = _find_best(asked)
    if found is None:
        raise SpecificationError(f"plan_sum: {_explain_misfit(asked)}")
    return found


def find_noise_bound(ring: RingParameters, n_devices: int, n_trustees: int = 1) -> float:
    """Most noise in a coefficient of a sum of fresh ciphertexts, but once in 10^23.

    A ciphertext under a public key has noise e u + e1 + e2 s: errors e, ternary u, key s, which is the sum of the
    trustees' if there are several, as is e. Dividing by a last prime leaves that part of it, and rounding.

    Source: Fan and Vercauteren, "Somewhat Practical Fully Homomorphic Encryption" (2012), lemma 1, with averages
    instead of worst cases.
    """
    degree, key_variance = ring.ring_degree, _KEY_VARIANCE * n_trustees
    variance = ERROR_VARIANCE * (degree * _KEY_VARIANCE * n_trustees + 1 + degree * key_variance)
    if ring.special_bits:
        variance = variance / 4.0**ring.special_bits + (1 + degree * key_variance) / 12
    # the last part is from rounding the scaled plaintext
    return _NOISE_SIGMAS * math.sqrt(n_devices * (variance + 1 / 12))


def _find_best(asked: SumPlan) -> SumPlan | None:
    """Of all that fit: the safest of those that are not much longer than the shortest."""
    rings = _THRESHOLD_RINGS if asked.threshold else _RINGS
    plans = []
    for ring in rings:
        if asked.quantum_safe and not ring.quantum_security_bits:
            continue
        plans += [plan for n_values in range(1, 8) if (plan := _fit(asked, ring, n_values)) is not None]
    fewest = min((plan.bytes_per_device for plan in plans), default=0)
    return min(
        (plan for plan in plans if plan.bytes_per_device <= _LENGTH_SLACK * fewest),
        key=lambda plan: (
            -plan.quantum_security_bits,
            -plan.security_bits,
            plan.bytes_per_device,
            plan.ring.modulus_bits,
        ),
        default=None,
    )


def _fit(asked: SumPlan, ring: RingParameters, values_per_slot: int) -> SumPlan | None:
    """The plan in this ring with so many values in a slot, or None if they do not fit."""
    plain_bits = max(_SHORTEST_PLAIN_MODULUS, (asked.radix**values_per_slot).bit_length() + 1)
    # The plain modulus must not be one of the ring's primes, which are the largest of their length.
    while plain_bits in ring.prime_bits:
        plain_bits += 1
    if plain_bits > _LONGEST_PLAIN_MODULUS:
        return None
    plan = replace(asked, ring=ring, plain_modulus_bits=plain_bits, values_per_slot=values_per_slot)
    noise = find_noise_bound(ring, asked.n_devices, plan.n_trustees)
    if asked.threshold:
        plan = replace(plan, smudging_bits=_find_smudging_bits(plan, noise))
        noise += plan.n_trustees * 2.0**plan.smudging_bits
    # Primes are a little shorter than their length says.
    return plan if plain_bits + 1 + math.log2(noise) < sum(ring.data_bits) - 0.1 else None


def _find_smudging_bits(plan: SumPlan, noise: float) -> int:
    """Bits of uniform noise that hide noise of this size in all coefficients of a sum at once.

    Shifting a uniform number below 2^b in magnitude by e changes it by a statistical distance of e / 2^(b + 1). Over
    all coefficients that stays under 2^-40.

    Source: Asharov et al., "Multiparty Computation with Low Communication, Computation and Interaction via Threshold
    FHE", EUROCRYPT 2012, lemma 1 ("smudging").
    """
    return math.ceil(math.log2(noise) + STATISTICAL_BITS + math.log2(plan.ring_degree * plan.n_ciphertexts)) - 1


def _explain_misfit(asked: SumPlan) -> str:
    """What was asked for in vain, and the nearest that would do."""
    said = f"expected sums that fit a ring, got {asked.bits} bits and {asked.n_devices} devices"
    for bits in range(asked.bits - 1, _FEWEST_BITS - 1, -1):
        if _find_best(replace(asked, bits=bits)) is not None:
            return f"{said}; take {bits} bits, or add in groups of fewer devices"
    devices = asked.n_devices
    while devices > 2:
        devices //= 2
        if _find_best(replace(asked, n_devices=devices)) is not None:
            return f"{said}; add in groups of {devices} devices"
    return f"{said}; take fewer trustees, or shorter updates"


def _check_choices(n_parameters: int, bound: float, n_devices: int, bits: int, n_trustees: int, fewest: int) -> None:
    """All faults at once."""
    faults = []
    if n_parameters < 1:
        faults.append(f"n_parameters: expected at least 1, got {n_parameters}")
    if not (math.isfinite(bound) and bound > 0):
        faults.append(f"bound: expected a finite number above 0, got {bound}; take the clip norm")
    if not 2 <= n_devices <= _MOST_DEVICES:
        faults.append(f"n_devices: expected 2 to {_MOST_DEVICES}, got {n_devices}; a sum of one is that one's update")
    if not _FEWEST_BITS <= bits <= _MOST_BITS:
        faults.append(f"bits: expected {_FEWEST_BITS} to {_MOST_BITS}, got {bits}")
    if not 2 <= n_trustees <= _MOST_TRUSTEES:
        faults.append(f"n_trustees: expected 2 to {_MOST_TRUSTEES}, got {n_trustees}; one alone is a key holder")
    if not 1 <= fewest <= max(n_devices, 1):
        faults.append(f"fewest: expected 1 to n_devices, got {fewest}; no sum could be read")
    if faults:
        raise SpecificationError("plan_sum: " + "; ".join(faults))
