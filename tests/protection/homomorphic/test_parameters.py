"""Rings and the tables of their security."""

import pytest
from tenseal.sealapi import SEC_LEVEL_TYPE, CoeffModulus

from twinlab.errors import SpecificationError
from twinlab.protection.homomorphic.parameters import (
    CLASSICAL_CEILINGS,
    QUANTUM_CEILINGS,
    RingParameters,
    find_ceiling,
    hash_parameters,
)


def test_the_classical_table_is_that_of_seal():
    levels = {128: SEC_LEVEL_TYPE.TC128, 192: SEC_LEVEL_TYPE.TC192, 256: SEC_LEVEL_TYPE.TC256}
    for bits, by_degree in CLASSICAL_CEILINGS.items():
        assert by_degree == {degree: CoeffModulus.MaxBitCount(degree, levels[bits]) for degree in by_degree}


def test_the_quantum_table_is_stricter_everywhere_and_ordered():
    for bits, by_degree in QUANTUM_CEILINGS.items():
        assert all(ceiling < CLASSICAL_CEILINGS[bits][degree] for degree, ceiling in by_degree.items())
        assert list(by_degree.values()) == sorted(by_degree.values())
    assert QUANTUM_CEILINGS[128] == {1024: 25, 2048: 51, 4096: 101, 8192: 202, 16384: 411, 32768: 827}


@pytest.mark.parametrize(
    ("prime_bits", "security", "quantum"),
    [((60, 49), 128, 0), ((52, 49), 128, 128), ((60,), 192, 192), ((58,), 256, 192), ((54,), 256, 256)],
)
def test_security_is_read_from_both_tables(prime_bits, security, quantum):
    ring = RingParameters(4096, prime_bits)
    assert (ring.security_bits, ring.quantum_security_bits) == (security, quantum)


def test_what_is_not_secure_is_refused_and_a_ring_that_would_do_is_named():
    with pytest.raises(SpecificationError, match=r"at most 109 bits .* got 110; take ring degree 8192"):
        RingParameters(4096, (60, 50))
    with pytest.raises(SpecificationError, match="expected one of 2048"):
        RingParameters(3000, (40,))
    with pytest.raises(SpecificationError, match="primes of 20 to 60 bits"):
        RingParameters(8192, (61, 40))


def test_the_last_prime_of_several_is_set_aside():
    assert (RingParameters(8192, (60, 40, 50)).data_bits, RingParameters(8192, (60, 40, 50)).special_bits) == (
        (60, 40),
        50,
    )
    assert (RingParameters(4096, (60,)).data_bits, RingParameters(4096, (60,)).special_bits) == ((60,), 0)
    assert RingParameters(8192, (60, 40, 50)).find_bits_at(0) == 60


def test_ceilings_and_hash():
    assert find_ceiling(8192, quantum_safe=False) == 218
    assert find_ceiling(8192, quantum_safe=True) == 202
    assert hash_parameters({"a": 1, "b": (2, 3)}) == hash_parameters({"b": [2, 3], "a": 1})
    assert hash_parameters({"a": 1}) != hash_parameters({"a": 2})
