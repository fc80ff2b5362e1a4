"""How numbers lie in slots."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic.encrypted_sum import plan_sum
from twinlab.protection.homomorphic.encrypted_sum.packing import find_mark, pack_integers, unpack_sum
from twinlab.protection.homomorphic.seal import make_sum_context, read_moduli


def find_modulus(plan):
    return read_moduli(make_sum_context(plan.ring, plan.plain_modulus_bits))[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9000), st.integers(2, 2000), st.integers(8, 32), st.integers(0, 2**32 - 1), st.data())
def test_sums_of_packed_numbers_are_sums_of_numbers(n_parameters, n_devices, bits, seed, data):
    """By plain integers modulo the plain modulus, which is what BFV does; extremes at both bounds among them."""
    plan = plan_sum(n_parameters, bound=1.0, n_devices=n_devices, bits=bits, fewest=1)
    modulus = find_modulus(plan)
    draw = np.random.default_rng(seed)
    most = plan.largest_integer
    rows = [draw.integers(-most, most + 1, n_parameters) for _ in range(3)]
    rows += [np.full(n_parameters, most), np.full(n_parameters, -most)]
    counts = [data.draw(st.integers(0, n_devices)) for _ in rows]
    while sum(counts) > n_devices or not sum(counts):
        counts = [count // 2 for count in counts] if sum(counts) else [0, 0, 0, n_devices, 0]
    slots = sum(
        count * pack_integers(plan, row, modulus).astype(object) for count, row in zip(counts, rows, strict=True)
    )
    total, count = unpack_sum(plan, (slots % modulus).astype(np.int64), modulus)
    assert count == sum(counts)
    assert (total == sum(times * row for times, row in zip(counts, rows, strict=True))).all()


@pytest.fixture
def example():
    plan = plan_sum(30_000, bound=1.0, n_devices=5, bits=12)
    modulus = find_modulus(plan)
    draw = np.random.default_rng(7)
    updates = draw.integers(-plan.largest_integer, plan.largest_integer + 1, (3, plan.n_parameters))
    assert plan.n_ciphertexts > 1
    return plan, modulus, sum(pack_integers(plan, update, modulus) for update in updates), updates


def test_the_example_is_read(example):
    plan, modulus, slots, updates = example
    total, count = unpack_sum(plan, slots % modulus, modulus)
    assert count == 3
    assert (total == updates.sum(0)).all()


def spoil(slots, place, by):
    slots = slots.copy()
    slots[place] += by
    return slots


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda slots, plan: spoil(slots, (0, 0), 1), "expected the sum of messages of this plan"),
        (lambda slots, plan: spoil(slots, (1, 0), 1), "expected the sum of messages of this plan"),
        (lambda slots, plan: spoil(slots, (1, 1), 1), "expected the sum of messages of this plan"),
        (lambda slots, plan: slots[::-1], "expected the sum of messages of this plan"),
        (lambda slots, plan: 0 * slots, "expected the sum of messages of this plan"),
        (lambda slots, plan: spoil(slots, (0, 5), 3 * 2 * plan.largest_integer + 1), "numbers within the bound"),
        (lambda slots, plan: spoil(slots, (0, 5), plan.radix**plan.values_per_slot), "numbers within the bound"),
        (
            lambda slots, plan: spoil(slots, (-1, -1), plan.radix ** (plan.values_per_slot - 1)),
            "numbers within the bound",
        ),
        (lambda slots, plan: 2 * slots, "at most 5 devices, got 6"),
    ],
)
def test_what_is_no_sum_is_refused(example, change, words):
    plan, modulus, slots, _ = example
    with pytest.raises(EncryptionError, match=words):
        unpack_sum(plan, change(slots, plan) % modulus, modulus)


def test_marks_differ_by_place_and_plan_and_are_never_zero(example):
    plan, modulus, _, _ = example
    other = plan_sum(30_000, bound=1.25, n_devices=5, bits=12)
    marks = {find_mark(each, place, modulus) for each in (plan, other) for place in range(50)}
    assert len(marks) == 100
    assert 0 not in marks
    assert find_mark(plan, 0, 2) == 1
