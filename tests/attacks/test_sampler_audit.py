"""Samplers draw from fixed seeds here; an audit's own false alarm rate is 1e-6."""

import numpy as np
import pytest

from twinlab.attacks.sampler_audit import audit_sampler
from twinlab.errors import SpecificationError


def test_poisson_sampling_passes_at_many_rates_and_sizes():
    rng = np.random.default_rng(0)
    for rate in (0.001, 0.04, 0.5, 0.95):
        for n_units in (20, 400):
            report = audit_sampler(lambda n, rate=rate: rng.random(n) < rate, rate, n_units=n_units)
            assert report.verdict == "consistent", (rate, n_units, report.sentence)


def find(sample, rate=0.1, **settings):
    return {check.name for check in audit_sampler(sample, rate, **settings).failed}


def test_a_batch_of_fixed_size_is_found():
    rng = np.random.default_rng(1)

    def sample(n_units):
        mask = np.zeros(n_units, dtype=bool)
        mask[rng.choice(n_units, n_units // 10, replace=False)] = True
        return mask

    assert find(sample) == {"variance of the batch size over N q (1 - q)"}


def test_units_that_are_always_drawn_together_are_found():
    rng = np.random.default_rng(2)
    assert "variance of the batch size over N q (1 - q)" in find(lambda n: np.repeat(rng.random(n // 4) < 0.1, 4))


def test_one_favoured_unit_is_found():
    rng = np.random.default_rng(3)
    assert find(lambda n: rng.random(n) < np.where(np.arange(n) == 7, 0.4, 0.1)) == {"rate of the most drawn unit"}


def test_batches_that_come_again_are_found():
    epoch = np.random.default_rng(4).random((20, 400)) < 0.1
    calls = iter(range(10**6))
    assert "batches that come again" in find(lambda n: epoch[next(calls) % 20])


def test_dependence_on_the_batch_before_is_found():
    rng, last = np.random.default_rng(5), [np.zeros(400, dtype=bool)]

    def sample(n_units):
        last[0] = (rng.random(n_units) < 0.1 / 0.9) & ~last[0]
        return last[0]

    assert "units drawn twice in a row" in find(sample)


def test_drawing_too_rarely_harms_nobody():
    rng = np.random.default_rng(6)
    assert not {"rate of inclusion", "rate of the most drawn unit"} & find(lambda n: rng.random(n) < 0.05)


def test_a_full_batch_leaves_nobody_out():
    assert audit_sampler(lambda n: np.ones(n, dtype=bool), 1.0).verdict == "consistent"
    assert audit_sampler(lambda n: np.arange(n) > 0, 1.0).verdict == "broken"


def test_what_cannot_be_audited_is_refused():
    with pytest.raises(SpecificationError, match="booleans"):
        audit_sampler(lambda n: np.arange(10), 0.1)
    with pytest.raises(SpecificationError, match="sampling_probability"):
        audit_sampler(lambda n: np.ones(n, dtype=bool), 0.0)
    with pytest.raises(SpecificationError, match="at least 4 batches"):
        audit_sampler(lambda n: np.ones(n, dtype=bool), 0.5, n_batches=1)
