"""Claim: the secure sum is the plain sum, whoever vanishes and when, and a masked vector looks like noise."""

from collections.abc import Iterator
from itertools import combinations_with_replacement, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from twinlab.errors import ProtocolError
from twinlab.protection.federated.secure_sum import add_securely, choose_ring
from twinlab.protection.federated.secure_sum.messages import PHASES

#: Of each look at the bytes below; a test takes about ten.
FALSE_ALARM_RATE = 1e-8
N_CLIENTS, THRESHOLD = 5, 3
#: A client vanishes before one of the phases, or never.
FATES = range(len(PHASES) + 1)


def draw_vectors(n_clients, n_parameters, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, (n_clients, n_parameters))


def check_pattern(vectors, fates, threshold):
    """One round against the plain sum over whoever sent a vector, or a refusal in the first phase with too few."""
    drop = {phase: {who for who, fate in enumerate(fates) if fate == when} for when, phase in enumerate(PHASES)}
    left = [sum(fate > when for fate in fates) for when in range(len(PHASES))]
    short = next((phase for phase, n_left in zip(PHASES, left, strict=True) if n_left < threshold), None)
    if short:
        n_left = left[PHASES.index(short)]
        with pytest.raises(ProtocolError, match=f"^{short}: expected at least {threshold} clients, got {n_left};"):
            add_securely(vectors, bound=1.0, threshold=threshold, drop=drop)
        return False
    found = add_securely(vectors, bound=1.0, threshold=threshold, drop=drop)
    members = [who for who, fate in enumerate(fates) if fate > PHASES.index("mask")]
    assert found.members == tuple(members)
    encoded = choose_ring(bound=1.0, n_clients=len(vectors)).encode(vectors)
    assert (found.ring_total == encoded[members].sum(0, dtype=np.uint32)).all()
    assert np.abs(found.total - vectors[members].sum(0)).max() <= found.worst_error
    return True


def list_patterns() -> Iterator[tuple[int, ...]]:
    """Every multiset of fates; clients take turns at who has which, since ids matter for the signs of masks."""
    for turn, fates in enumerate(combinations_with_replacement(FATES, N_CLIENTS)):
        yield fates[turn % N_CLIENTS :] + fates[: turn % N_CLIENTS]


def test_the_sum_is_exact_under_every_set_of_dropouts():
    vectors = draw_vectors(N_CLIENTS, 7)
    outcomes = [check_pattern(vectors, fates, THRESHOLD) for fates in list_patterns()]
    # With three of five to stay to the end, the other two may do as they like: 21 sets.
    assert (len(outcomes), sum(outcomes)) == (252, 21)


def test_the_sum_is_exact_under_every_pattern_above_the_threshold():
    """Every client with every fate. Patterns that must fail are those of the test above, up to names."""
    vectors = draw_vectors(N_CLIENTS, 7)
    never = FATES[-1]
    patterns = [each for each in product(FATES, repeat=N_CLIENTS) if sum(fate == never for fate in each) >= THRESHOLD]
    assert len(patterns) == 10 * 25 + 5 * 5 + 1
    assert all(check_pattern(vectors, fates, THRESHOLD) for fates in patterns)


@pytest.mark.thorough
def test_every_pattern_of_all():
    """The two tests above, under all names."""
    vectors = draw_vectors(N_CLIENTS, 3)
    outcomes = [check_pattern(vectors, fates, THRESHOLD) for fates in product(FATES, repeat=N_CLIENTS)]
    assert (len(outcomes), sum(outcomes)) == (7776, 276)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_sum_is_exact_for_more_clients(data):
    n_clients = data.draw(st.integers(2, 24))
    threshold = data.draw(st.integers(n_clients // 2 + 1, n_clients).filter(lambda each: each >= 2))
    stays = st.sampled_from([*FATES, *[FATES[-1]] * 20])
    fates = data.draw(st.lists(stays, min_size=n_clients, max_size=n_clients))
    check_pattern(draw_vectors(n_clients, data.draw(st.integers(1, 30))), fates, threshold)


def test_the_largest_sums_that_the_bound_allows_do_not_wrap():
    for sign in (1.0, -1.0):
        found = add_securely(np.full((9, 4), sign * 0.7), bound=0.7)
        assert np.abs(found.total - sign * 6.3).max() <= found.worst_error


def test_whole_numbers_are_added_exactly():
    counts = np.random.default_rng(2).integers(-1000, 1000, (6, 50))
    assert (add_securely(counts, bound=1000, fraction_bits=0).total == counts.sum(0)).all()


def test_stochastic_rounding_is_right_on_average():
    """A constant a quarter of a step above a whole number: nearest rounding loses it in every sum."""
    vectors = np.full((4, 40_000), 0.25)
    spread = np.sqrt(4 * 0.25 * 0.75 / 40_000)
    total = add_securely(vectors, bound=1.0, fraction_bits=0, rounding="stochastic").total
    assert abs(total.mean() - 1.0) < 5.4 * spread  # false alarm 1e-7
    assert add_securely(vectors, bound=1.0, fraction_bits=0).total.mean() == 0


def find_byte_statistic(words):
    """Chi-square of the bytes against uniform, with 255 degrees of freedom."""
    counts = np.bincount(np.ascontiguousarray(words).view(np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float(((counts - expected) ** 2).sum() / expected)


def looks_uniform(words):
    """Neither further from uniform than chance allows, nor suspiciously close."""
    statistic = find_byte_statistic(words)
    return min(chi2.sf(statistic, 255), chi2.cdf(statistic, 255)) > FALSE_ALARM_RATE / 2


def test_masked_vectors_look_uniform_and_unmasked_ones_do_not():
    vectors = draw_vectors(4, 50_000)
    vectors[0] = 0
    masked = add_securely(vectors, bound=1.0).masked
    plain = choose_ring(bound=1.0, n_clients=4).encode(vectors)
    for client_id in range(4):
        assert looks_uniform(masked[client_id])
        assert looks_uniform(masked[client_id] - plain[client_id])
    assert looks_uniform(masked[0] - masked[1])
    assert looks_uniform(masked[0] + masked[1] + masked[2])
    # The control: the same vectors as a server sees them without masks.
    assert not any(looks_uniform(plain[client_id]) for client_id in range(4))


def test_a_slightly_biased_mask_is_seen():
    """The test has power: one byte in fifty replaced by a constant."""
    words = np.random.default_rng(3).integers(0, 2**32, 50_000, dtype=np.uint32)
    assert looks_uniform(words)
    biased = words.view(np.uint8).copy()
    biased[::50] = 0
    assert not looks_uniform(biased)


def test_masked_vectors_do_not_follow_the_plain_ones():
    vectors = draw_vectors(3, 50_000)
    masked = add_securely(vectors, bound=1.0).masked
    for client_id in range(3):
        correlation = np.corrcoef(vectors[client_id], masked[client_id].view(np.int32))[0, 1]
        assert abs(correlation) * np.sqrt(50_000) < 5.4  # false alarm 1e-7


def test_the_same_vector_looks_different_every_round():
    vectors = draw_vectors(3, 1000)
    first, again = (add_securely(vectors, bound=1.0).masked[0] for _ in range(2))
    assert (first == again).mean() < 0.01


@pytest.mark.parametrize(
    ("shape", "drop"), [((10, 100_000), {"mask": {3}, "confirm": {8}}), ((40, 10_000), {"mask": {3, 30}})]
)
def test_sums_of_the_size_of_a_model_are_right_under_dropouts(shape, drop):
    vectors = draw_vectors(*shape)
    found = add_securely(vectors, bound=1.0, drop=drop)
    kept = np.delete(vectors, sorted(drop["mask"]), 0)
    assert len(found.members) == len(kept)
    assert np.abs(found.total - kept.sum(0)).max() <= found.worst_error
