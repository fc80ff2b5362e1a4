import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.federated.secure_sum.ring import LARGEST_SUM, FixedPointRing, choose_ring


@given(st.floats(1e-6, 1e5), st.integers(1, 2000), st.sampled_from(["nearest", "stochastic"]))
def test_the_largest_sum_fits_and_one_more_bit_would_not(bound, n_clients, rounding):
    ring = choose_ring(bound=bound, n_clients=n_clients, rounding=rounding)
    one = ring.encode(np.array([bound, -bound])).view(np.int32).astype(int)
    assert n_clients * abs(one).max() <= LARGEST_SUM
    with pytest.raises(SpecificationError, match="lower the clip bound, take fewer clients"):
        FixedPointRing(bound, n_clients, ring.fraction_bits + 1)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=30), st.sampled_from(["nearest", "stochastic"]))
def test_a_value_moves_by_no_more_than_the_stated_error(values, rounding):
    ring = choose_ring(bound=3.0, n_clients=1_000_000, rounding=rounding)
    assert np.abs(ring.decode(ring.encode(np.array(values))) - values).max() <= ring.worst_error


def test_the_worst_error_is_reached():
    ring = choose_ring(bound=1.0, n_clients=2, fraction_bits=3)
    assert ring.step == 0.125
    assert abs(ring.decode(ring.encode(np.array([0.0625])))[0] - 0.0625) == ring.worst_error == 0.0625
    assert ring.find_worst_sum_error(10) == 0.625


@pytest.mark.parametrize(("bound", "n_clients"), [(1e8, 100), (2.0**31, 1), (1.0, 2**31)])
def test_sums_that_would_wrap_even_as_whole_numbers_are_refused(bound, n_clients):
    with pytest.raises(SpecificationError, match=f"{n_clients} clients with values up to the bound .* lower the clip"):
        choose_ring(bound=bound, n_clients=n_clients)


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bound_that_is_none_is_refused(bound):
    with pytest.raises(SpecificationError, match="expected a positive number"):
        choose_ring(bound=bound, n_clients=3)


def test_other_malformed_rings_are_refused():
    with pytest.raises(SpecificationError, match="n_clients"):
        choose_ring(bound=1.0, n_clients=0)
    with pytest.raises(SpecificationError, match="rounding"):
        choose_ring(bound=1.0, n_clients=2, rounding="up")  # type: ignore[arg-type]
    with pytest.raises(SpecificationError, match="fraction_bits"):
        choose_ring(bound=1.0, n_clients=2, fraction_bits=-1)


@pytest.mark.parametrize("wrong", [1.01, -7.25, float("nan"), float("inf")])
def test_values_beyond_the_bound_are_counted_and_never_shown(wrong):
    with pytest.raises(DataContractError, match="got 2 that are not; clip") as caught:
        choose_ring(bound=1.0, n_clients=3).encode(np.array([0.5, wrong, wrong]))
    assert str(wrong) not in str(caught.value)


def test_a_vector_clipped_in_single_precision_is_within_the_bound():
    """The nearest single to 0.1 is above 0.1."""
    ring = choose_ring(bound=0.1, n_clients=4)
    assert abs(ring.decode(ring.encode(np.array([0.1], dtype=np.float32)))[0] - np.float32(0.1)) <= ring.worst_error


def test_rings_describe_themselves_apart():
    rings = [choose_ring(bound=b, n_clients=n, rounding=r) for b in (1.0, 1.5) for n in (3, 4)
             for r in ("nearest", "stochastic")]  # fmt: skip
    assert len({ring.describe() for ring in rings}) == len(rings)
