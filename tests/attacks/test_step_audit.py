"""The audit of one step: its two lines of evidence, its edges, and what it refuses.

Mechanisms draw their noise from fixed seeds here, so nothing varies from run to run; an audit's own false alarm rate is
1e-6.
"""

import numpy as np
import pytest

from twinlab.attacks.noise_check import check_noise
from twinlab.attacks.promise import PrivateStep
from twinlab.attacks.step_audit import PROBE_NOISE_MULTIPLIER, TEST_NOISE_MULTIPLIER, audit_step
from twinlab.errors import SpecificationError


def clip(rows, norm=1.0):
    rows = np.where(np.isfinite(rows).all(-1, keepdims=True) & (np.abs(rows) < 1e100).all(-1, keepdims=True), rows, 0)
    lengths = np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-30)
    return rows * np.minimum(1, norm / lengths)


def make_step(width=16, divisor=1.0, seed=0, is_batched=False, privatize=None, **settings):
    rng = np.random.default_rng(seed)

    def make(noise_multiplier):
        def default(rows):
            total = clip(rows).sum(-2)
            return (total + noise_multiplier * rng.standard_normal(total.shape)) / divisor

        return default if privatize is None else lambda rows: privatize(rows, noise_multiplier, rng)

    return PrivateStep(make, 1.0, width, divisor, is_batched, **settings)


def failed(report):
    return {check.name.split(",")[0] for check in report.failed}


@pytest.mark.parametrize("is_batched", [False, True])
@pytest.mark.parametrize("width", [1, 2, 300])
def test_a_correct_step_passes_and_the_bound_is_near_but_below(width, is_batched):
    report = audit_step(make_step(width, divisor=32, is_batched=is_batched), 3.0, n_repeats=600)
    assert report.verdict == "consistent", report.sentence
    assert 0.7 < report.lower_bound <= report.claimed == 1 / TEST_NOISE_MULTIPLIER
    assert report.ceiling > 2 * report.claimed
    assert report.sentence.startswith("step: consistent")


def test_normalising_instead_of_clipping_passes():
    def normalise(rows, noise_multiplier, rng):
        rows = clip(rows)
        rows = rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 0.01)
        return rows.sum(0) + noise_multiplier * rng.standard_normal(rows.shape[1])

    assert not audit_step(make_step(privatize=normalise)).faults


def test_more_noise_than_promised_is_no_fault():
    report = audit_step(
        make_step(privatize=lambda rows, sd, rng: clip(rows).sum(0) + 3 * sd * rng.standard_normal(rows.shape[1]))
    )
    assert not report.faults


def test_dividing_by_the_actual_batch_is_found_even_where_it_equals_the_declared_one():
    def privatize(rows, sd, rng):
        return (clip(rows).sum(0) + sd * rng.standard_normal(rows.shape[1])) / max(len(rows), 1)

    assert "shift over clip norm" in failed(audit_step(make_step(divisor=8, privatize=privatize)))


def test_noise_scaled_by_the_data_is_found():
    def privatize(rows, sd, rng):
        norm = np.linalg.norm(clip(rows, 1e9), axis=1).max(initial=1.0)
        return clip(rows, norm).sum(0) + norm * sd * rng.standard_normal(rows.shape[1])

    assert failed(audit_step(make_step(privatize=privatize))) >= {"mu", "sensitivity over clip norm"}


def test_a_fault_that_shows_only_at_the_real_noise_is_found():
    def privatize(rows, sd, rng):
        return clip(rows).sum(0) + min(sd, 1.0) * rng.standard_normal(rows.shape[1])

    assert not audit_step(make_step(privatize=privatize)).faults
    assert audit_step(make_step(privatize=privatize), 4.0).faults[0] == "There is too little noise."


def test_the_bound_holds_with_the_confidence_it_states():
    """40 correct steps: more than 15 bounds above the truth at 95 % would have probability below 1e-9."""
    above = [
        audit_step(make_step(4, seed=seed), n_repeats=150, seed=seed).lower_bound > 1 / TEST_NOISE_MULTIPLIER
        for seed in range(40)
    ]
    assert sum(above) <= 15


@pytest.mark.parametrize("is_raising", [True, False])
def test_a_non_finite_gradient_may_neither_spread_nor_stop_the_step(is_raising):
    def privatize(rows, sd, rng):
        if is_raising and not np.isfinite(rows).all():
            raise ValueError("not finite")
        lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
        return (rows * np.minimum(1, 1 / lengths)).sum(0) + sd * rng.standard_normal(rows.shape[1])

    report = audit_step(make_step(privatize=privatize))
    assert failed(report) == {"non-finite gradients that leak"}
    assert "betrays the unit" in report.faults[0]


def test_an_empty_batch_must_not_stop_the_step():
    def privatize(rows, sd, rng):
        return np.max(np.abs(rows), axis=0) * 0 + clip(rows).sum(0) + sd * rng.standard_normal(rows.shape[1])

    assert "empty batches that fail" in failed(audit_step(make_step(privatize=privatize)))


def test_a_step_that_refuses_little_noise_is_audited_all_the_same():
    def privatize(rows, sd, rng):
        return clip(rows).sum(0) + sd * rng.standard_normal(rows.shape[1])

    step = make_step(privatize=privatize)

    def refuse(noise_multiplier):
        if noise_multiplier == PROBE_NOISE_MULTIPLIER:
            raise ValueError("too little")
        return step.make(noise_multiplier)

    report = audit_step(PrivateStep(refuse, 1.0, 16))
    assert report.verdict == "consistent"
    assert any("refuses little noise" in remark for remark in report.remarks)


def test_noise_that_does_not_follow_its_multiplier_is_not_mistaken_for_sensitivity():
    def privatize(rows, sd, rng):
        return clip(rows).sum(0) + 0.7 * rng.standard_normal(rows.shape[1])

    report = audit_step(make_step(privatize=privatize))
    assert not report.faults
    assert any("does not follow" in remark for remark in report.remarks)
    assert audit_step(make_step(privatize=privatize), 2.0).faults


def test_faulty_promises_are_refused():
    with pytest.raises(SpecificationError, match="is_batched"):
        audit_step(make_step(privatize=lambda rows, sd, rng: rows))
    with pytest.raises(SpecificationError, match="positive clip_norm"):
        PrivateStep(lambda sd: lambda rows: rows, 0.0, 3)


def test_progress_can_stop_the_audit():
    def stop(what, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit_step(make_step(), progress=stop)


def test_the_table_and_the_finding_carry_the_numbers():
    report = audit_step(make_step(), n_repeats=200)
    assert len(report.table) == len(report.checks)
    assert {row["verdict"] for row in report.table} == {"consistent"}
    assert report.finding.value == report.lower_bound
    assert report.finding.baseline == report.claimed


class TestNoise:
    """Each check alone, on noise that is wrong in one way."""

    rng = np.random.default_rng(0)

    def find(self, noise):
        checks = check_noise(noise, "x")
        return {check.name.split(",")[0] for check in checks if check.p_value < 1e-7}

    def test_standard_noise_passes(self):
        rng = np.random.default_rng(1)
        for shape in ((50, 1000), (1000, 8), (48, 1), (64, 64)):
            assert not self.find(rng.standard_normal(shape))

    def test_p_values_of_standard_noise_are_spread_out(self):
        """Over 200 draws, a share of 0.1 of p-values below 0.1 is expected; above 0.3 has probability below 1e-12."""
        rng = np.random.default_rng(2)
        p_values = np.array([[c.p_value for c in check_noise(rng.standard_normal((60, 30)), "x")] for _ in range(200)])
        assert ((p_values < 0.1).mean(0) < 0.3).all()

    def test_a_layer_without_noise(self):
        noise = np.random.default_rng(3).standard_normal((50, 1000))
        noise[:, -3:] = 0
        assert "noise of the worst coordinate" in self.find(noise)

    def test_another_shape(self):
        noise = np.random.default_rng(4).laplace(0, np.sqrt(0.5), (50, 1000))
        assert self.find(noise) == {"distance from a normal distribution"}

    def test_a_seed_that_comes_again_after_ten_steps(self):
        noise = np.random.default_rng(5).standard_normal((10, 1000))
        assert "largest link of two calls" in self.find(np.tile(noise, (5, 1)))

    def test_noise_of_fewer_dimensions_than_it_seems(self):
        rng = np.random.default_rng(6)
        turn, _ = np.linalg.qr(rng.standard_normal((1000, 1000)))
        noise = rng.standard_normal((50, 500)) @ turn[:500] * np.sqrt(2)
        assert "links between calls" in self.find(noise)

    def test_two_coordinates_with_the_same_noise(self):
        noise = np.random.default_rng(7).standard_normal((50, 1000))
        noise[:, 5] = -noise[:, 17]
        assert self.find(noise) == {"coordinates that share noise"}

    def test_noise_that_is_not_finite(self):
        assert self.find(np.full((50, 3), np.nan)) == {"non-finite sums"}
