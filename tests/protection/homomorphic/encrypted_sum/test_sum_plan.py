"""Plans of encrypted sums: what is chosen, what is refused, and that what was planned for fits."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.homomorphic.encrypted_sum import (
    SumDevice,
    SumKeyHolder,
    SumPlan,
    SumServer,
    join_public_keys,
    make_trustees,
    plan_sum,
)
from twinlab.protection.homomorphic.encrypted_sum.sum_planner import _fit, find_noise_bound
from twinlab.protection.homomorphic.parameters import find_ceiling
from twinlab.protection.homomorphic.seal import read_moduli


def test_the_usual_plan_is_the_one_that_the_docs_speak_of():
    plan = plan_sum(100_000, bound=1.0, n_devices=10)
    assert (plan.ring_degree, plan.prime_bits, plan.values_per_slot) == (4096, (60,), 2)
    assert (plan.security_bits, plan.quantum_security_bits, plan.n_ciphertexts) == (192, 192, 13)
    assert plan.bytes_per_parameter <= 9
    assert plan.bytes_per_parameter == plan.bytes_per_device / 100_000
    assert (plan.fewest, plan.threshold, plan.n_trustees, plan.smudging_bits) == (3, False, 1, 0)
    assert len(plan.digest) == 32


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 300_000),
    st.integers(2, 5000),
    st.integers(8, 32),
    st.booleans(),
    st.booleans(),
    st.integers(2, 20),
)
def test_what_is_planned_for_fits(n_parameters, n_devices, bits, quantum_safe, threshold, n_trustees):
    plan = plan_sum(
        n_parameters,
        bound=0.3,
        n_devices=n_devices,
        bits=bits,
        quantum_safe=quantum_safe,
        threshold=threshold,
        n_trustees=n_trustees,
    )
    # in a slot: the sum of all, in every one of the numbers that share it
    most = 2 * plan.largest_integer * n_devices
    assert sum(most * plan.radix**place for place in range(plan.values_per_slot)) < 2 ** (plan.plain_modulus_bits - 1)
    assert n_devices < 2 ** (plan.plain_modulus_bits - 1)
    # in the modulus: twice the plain modulus times all noise
    noise = find_noise_bound(plan.ring, n_devices, plan.n_trustees)
    if threshold:
        # what hides an opening is 40 bits wider than what it hides, over all coefficients
        assert 2.0**plan.smudging_bits >= noise * 2.0**39 * plan.ring_degree * plan.n_ciphertexts
        noise += n_trustees * 2.0**plan.smudging_bits
    assert 2 * noise * 2.0**plan.plain_modulus_bits < 2.0 ** sum(plan.ring.data_bits)
    # in the ring: 128 bits of security
    assert plan.ring.modulus_bits <= find_ceiling(plan.ring_degree, quantum_safe=quantum_safe)
    assert plan.n_ciphertexts * plan.values_per_ciphertext >= n_parameters
    assert plan.plain_modulus_bits not in plan.prime_bits


@pytest.mark.parametrize(("n_devices", "bits"), [(2, 8), (10, 16), (300, 12), (400, 16), (3, 32)])
def test_noise_is_as_foreseen(n_devices, bits):
    """Of all slots of a sum, in the largest seen: between a tenth of the bound, which is ten deviations, and it."""
    plan = plan_sum(5, bound=1.0, n_devices=n_devices, bits=bits)
    holder = SumKeyHolder(plan)
    device = SumDevice.from_bytes(holder.public_bytes(), plan)
    messages = [device.encrypt(np.ones(5)) for _ in range(n_devices)]
    total = SumServer(plan).add(messages)
    from_total = holder._load(total)[0]
    left = holder._decryptor.invariant_noise_budget(from_total)
    primes, plain_modulus = read_moduli(holder._context)
    n_data = len(plan.ring.data_bits)
    bits_of_modulus = sum(math.log2(prime) for prime in primes[:n_data])
    foreseen = bits_of_modulus - math.log2(plain_modulus) - 1 - math.log2(find_noise_bound(plan.ring, n_devices))
    assert foreseen - 1 <= left <= foreseen + math.log2(10)
    assert holder.read(total).integers.tolist() == [n_devices * plan.largest_integer] * 5


def test_a_plan_for_fewer_devices_than_are_added_would_run_out():
    """The ring and packing for two devices are not offered for more: the noise of 500 has no room there."""
    few = plan_sum(100_000, bound=1.0, n_devices=2)
    naive = [replace(few, n_devices=n_devices) for n_devices in (2, 500)]
    assert [_fit(asked, few.ring, few.values_per_slot) is None for asked in naive] == [False, True]
    many = plan_sum(100_000, bound=1.0, n_devices=500)
    assert (many.ring, many.values_per_slot) != (few.ring, few.values_per_slot)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_parameters": 0}, "n_parameters: expected at least 1, got 0"),
        ({"bound": 0.0}, "bound: expected a finite number above 0"),
        ({"bound": math.nan}, "bound: expected a finite number above 0"),
        ({"n_devices": 1}, "n_devices: expected 2 to 1000000, got 1"),
        ({"bits": 7}, "bits: expected 8 to 32, got 7"),
        ({"bits": 33}, "bits: expected 8 to 32, got 33"),
        ({"n_trustees": 1}, "n_trustees: expected 2 to 20, got 1"),
        ({"fewest": 11}, "fewest: expected 1 to n_devices, got 11"),
    ],
)
def test_choices_out_of_range_are_refused_by_name(changes, words):
    choices = {"n_parameters": 10, "bound": 1.0, "n_devices": 10, **changes}
    with pytest.raises(SpecificationError, match=words):
        plan_sum(choices.pop("n_parameters"), **choices)


def test_all_faults_are_told_at_once():
    with pytest.raises(SpecificationError, match=r"bound: .*; n_devices: .*; bits: "):
        plan_sum(10, bound=-1.0, n_devices=0, bits=64, fewest=1)


def test_what_fits_no_ring_is_refused_with_what_would(monkeypatch):
    planner = "twinlab.protection.homomorphic.encrypted_sum.sum_planner"
    only = plan_sum(10, bound=1.0, n_devices=10).ring
    monkeypatch.setattr(f"{planner}._RINGS", (only,))
    with pytest.raises(SpecificationError, match=r"32 bits and 1000000 devices; take \d+ bits") as refused:
        plan_sum(10, bound=1.0, n_devices=1_000_000, bits=32)
    bits = int(str(refused.value).partition("take ")[2].split()[0])
    assert plan_sum(10, bound=1.0, n_devices=1_000_000, bits=bits).bits == bits
    monkeypatch.setattr(f"{planner}._MOST_DEVICES", 10**15)
    with pytest.raises(SpecificationError, match="add in groups of") as refused:
        plan_sum(10, bound=1.0, n_devices=10**14, bits=8)
    assert plan_sum(10, bound=1.0, n_devices=int(str(refused.value).split()[-2]), bits=8)


def test_everything_that_sides_must_agree_on_is_in_the_digest():
    choices = {"n_parameters": 10, "bound": 1.0, "n_devices": 10, "bits": 16, "fewest": 3}
    others = [{"n_parameters": 11}, {"bound": 1.5}, {"n_devices": 11}, {"bits": 17}, {"fewest": 4}, {"threshold": True}]
    digests = set()
    for changes in [{}, {}, *others]:
        changed = {**choices, **changes}
        digests.add(plan_sum(changed.pop("n_parameters"), **changed).digest)
    assert len(digests) == 1 + len(others)


def test_rounding_is_to_the_nearest_and_reaches_the_bound_on_both_sides():
    plan = plan_sum(7, bound=2.0, n_devices=5, bits=8)
    step = plan.step
    values = np.array([2.0, -2.0, 0.0, 0.49 * step, 0.51 * step, -0.51 * step, 3.2 * step])
    assert plan.round_to_integers(values).tolist() == [127, -127, 0, 0, 1, -1, 3]
    assert plan.find_worst_error(5) == pytest.approx(5 * step / 2)


@pytest.mark.parametrize("wrong", [2.0000001, -2.0000001, np.inf, -np.inf, np.nan])
def test_a_number_beyond_the_bound_is_refused_and_not_told(wrong):
    plan = plan_sum(3, bound=2.0, n_devices=5)
    with pytest.raises(DataContractError, match=r"within the bound 2, got 1 beyond it; clip") as refused:
        plan.round_to_integers(np.array([1.0, wrong, -1.0]))
    assert "0000001" not in str(refused.value)
    with pytest.raises(DataContractError, match=r"expected shape \(3,\), got \(4,\)"):
        plan.round_to_integers(np.zeros(4))


def test_the_table_says_both_securities_and_what_a_shared_key_means():
    plan = plan_sum(1000, bound=1.0, n_devices=2000, bits=16)
    table = {row["what"]: row["value"] for row in plan.rows()}
    assert table["security, classical"] == f"{plan.security_bits} bits"
    assert "one device together with the server" in table["if every device held the key"]
    assert "one device together with the server" in str(plan.state_guarantee(key_is_shared=True))
    assert str(plan.state_guarantee()).endswith("against everyone but the key holder")
    for row in plan.rows():
        assert row["value"] in plan._repr_html_().replace("&#x27;", "'")
    trusted = plan_sum(1000, bound=1.0, n_devices=20, threshold=True, n_trustees=4)
    assert "all 4 trustees together (experimental)" in str(trusted.state_guarantee())
    assert "none of whom may drop out (experimental)" in str(trusted.rows())
    assert "SumPlan(1000 numbers of 16 bits" in repr(plan)


def test_below_128_quantum_bits_is_said_in_words():
    plans = [plan_sum(n, bound=1.0, n_devices=m, bits=b) for n in (10, 10**5) for m in (2, 9, 40) for b in range(8, 33)]
    unsafe = [plan for plan in plans if not plan.quantum_security_bits]
    assert unsafe, "some plan takes the classical ceiling"
    assert "below 128" in str(unsafe[0].rows())
    safe = plan_sum(
        unsafe[0].n_parameters, bound=1.0, n_devices=unsafe[0].n_devices, bits=unsafe[0].bits, quantum_safe=True
    )
    assert isinstance(safe, SumPlan)
    assert safe.quantum_security_bits >= 128
    assert safe.state_guarantee().security_bits == safe.quantum_security_bits


@pytest.mark.parametrize(
    "choices", [{}, {"bits": 8}, {"n_devices": 1000}, {"bits": 24, "n_devices": 100}, {"threshold": True}]
)
def test_sizes_are_as_foreseen(choices):
    plan = plan_sum(9000, **{"bound": 1.0, "n_devices": 10, **choices})
    if plan.threshold:
        key = join_public_keys(plan, [trustee.public_bytes() for trustee in make_trustees(plan)])
    else:
        key = SumKeyHolder(plan).public_bytes()
    message = SumDevice.from_bytes(key, plan).encrypt(np.zeros(9000))
    assert len(message) == pytest.approx(plan.bytes_per_device, rel=0.04)
