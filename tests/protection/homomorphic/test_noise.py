"""Noise as planned against noise as measured, and bounds that hold. Keys and errors are random: limits are wide enough
to be passed by chance less than once in a million.
"""

import numpy as np
import pytest

from twinlab.protection.homomorphic import KeyHolder, LinearModel, Server, SquareNetwork, plan, set_up
from twinlab.protection.homomorphic.noise import (
    MOST_SHARED_RESULTS,
    SHARING_SLACK,
    STATISTICAL_BITS,
    find_flooding_deviation,
    find_source_variances,
)


def measure_noise(found, model, rows, n_times):
    """Imaginary parts of decrypted slots, (time, answer, slot), and the holder's errors (time, row, output)."""
    holder, server, _ = set_up(found, model)
    noise, errors = [], []
    keep = holder._decrypt_slots
    holder._decrypt_slots = lambda part: noise.append(keep(part)) or noise[-1]
    for _ in range(n_times):
        errors.append(holder.decrypt(server.answer(holder.encrypt(rows))) - model.answer_plain(rows))
    return np.array(noise).imag, np.array(errors)


def test_fresh_encryption_and_encoding_have_the_planned_noise():
    """4096 people: the deviation is known to about 1 part in 90."""
    draw = np.random.default_rng(1)
    model = LinearModel(draw.normal(size=(1, 20)), np.zeros(1))
    rows = draw.normal(size=(4096, 20))
    found = plan(model, rows, batch=4096, ring_degree=8192)
    assert found.layout.name == "feature-major"
    _, errors = measure_noise(found, model, rows, 2)
    # The plan is for the largest rows, half again as large; noise of encryption does not depend on rows.
    assert 0.2 * found.noise_deviation < errors.std() < 1.1 * found.noise_deviation


def test_a_network_is_not_noisier_than_planned():
    draw = np.random.default_rng(2)
    model = SquareNetwork(
        (draw.normal(size=(12, 16)) / 3, draw.normal(size=(16, 1)) / 4), (draw.normal(size=16), np.zeros(1))
    )
    rows = draw.normal(size=(200, 12))
    for batch in (1, 60, 4000):
        found = plan(model, rows, batch=batch)
        asked = rows[: min(len(rows), found.layout.capacity)]
        _, errors = measure_noise(found, model, asked, 4)
        assert errors.std() < 2 * found.noise_deviation, found.layout.name
        assert np.abs(errors).max() < found.expected_error


def test_the_first_slot_is_noisier_where_keys_are_switched_and_the_plan_knows():
    """With primes by hand such that switching keys dominates: the first question's error against all others'.

    Twelve keys: their mean square is that of a chi-square of 12 degrees.
    """
    model = LinearModel([[0.3, -0.2]], [0.0])
    rows = np.random.default_rng(3).uniform(-1, 1, (1024, 2))
    found = plan(model, rows, tolerance=0.5, batch=1000, ring_degree=4096, prime_bits=(60, 30), scale_bits=28)
    assert found.layout.name == "interleaved"
    # The peak follows from the rotation keys, so it is another with each key holder, not with each question.
    errors = np.concatenate([measure_noise(found, model, rows, 1)[1] for _ in range(12)])
    first, others = (np.sqrt((part**2).mean()) for part in (errors[:, 0], errors[:, 100:]))
    assert first > 10 * others
    assert 0.1 * found.noise_deviation < first < 3 * found.noise_deviation
    assert np.abs(errors).max() < found.expected_error


def test_halving_the_scale_doubles_the_noise():
    scales = np.array([[30.0, 50.0], [29.0, 49.0]])
    arguments = (4096, scales, scales, [1, 1], np.array([[60.0], [60.0]]), np.array([49.0, 49.0]))
    for origin in ("encryption", "weights", "weight", "rounding", "switching", "switching peak"):
        (variances,) = find_source_variances([(origin, 0)], *arguments)
        assert variances[1] == pytest.approx(4 * variances[0])


def test_flooding_follows_the_rule():
    expected = np.sqrt(12 * 1024) * 2.0**20 * SHARING_SLACK
    assert (MOST_SHARED_RESULTS, STATISTICAL_BITS) == (1024, 40)
    assert find_flooding_deviation(1e-12) == pytest.approx(expected * 1e-12)


def test_flooding_has_the_planned_size_and_results_are_rounded():
    model = LinearModel(np.ones((1, 4)), np.zeros(1))
    rows = np.random.default_rng(4).uniform(-1, 1, (2000, 4))
    found = plan(model, rows, batch=2000, share_results=True)
    holder = KeyHolder(found)
    server = Server.from_bytes(holder.public_bytes(), plan=found, model=model, secret=holder.secret)
    errors = holder.decrypt(server.answer(holder.encrypt(rows))) - model.answer_plain(rows)
    spread = np.hypot(found.flooding_deviation, found.rounding / np.sqrt(12))
    # 2000 normal errors: 7 standard errors of a deviation
    assert abs(errors.std() / spread - 1) < 7 / np.sqrt(2 * 2000)
    values = model.answer_plain(rows) + errors
    np.testing.assert_allclose(values / found.rounding, np.round(values / found.rounding), atol=1e-6)
