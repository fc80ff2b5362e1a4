"""The badge. Mechanisms draw from fixed seeds; the false alarm rate of an audit is 1e-6."""

import json
import math

import numpy as np
import pytest

from twinlab.attacks.audit import TrainingUnderAudit, audit_release
from twinlab.attacks.promise import PrivateStep
from twinlab.budget import (
    ComposedEvent,
    GaussianEvent,
    LaplaceEvent,
    NeighboringRelation,
    PrivacyUnit,
    RepeatedEvent,
    SampledGaussianEvent,
    count_leaves,
)
from twinlab.errors import SpecificationError, UnsupportedEventError
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.release import DifferentialPrivacy

DELTA = 1e-5


def make_step(scale=1.0, width=40):
    rng = np.random.default_rng(0)

    def make(noise_multiplier):
        def privatize(rows):
            rows = np.where((np.abs(rows) < 1e100).all(1, keepdims=True), rows, 0.0)
            lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
            total = (rows * np.minimum(1, 1 / lengths)).sum(0)
            return total + scale * noise_multiplier * rng.standard_normal(rows.shape[1])

        return privatize

    return PrivateStep(make, 1.0, width)


def promise(event, epsilon=None, relation=NeighboringRelation.ADD_OR_REMOVE_ONE):
    epsilon = compute_epsilon(event, DELTA) if epsilon is None else epsilon
    return DifferentialPrivacy(event, epsilon, DELTA, relation, PrivacyUnit.PERSON)


FULL = RepeatedEvent(GaussianEvent(10.0), 40)


def test_a_correct_training_gets_a_badge_with_claim_measurement_and_ceiling():
    badge = audit_release(promise(FULL), TrainingUnderAudit(make_step()))
    assert badge.verdict == "consistent"
    assert badge.faults == ()
    assert 0 < badge.lower_bound < badge.claimed_epsilon < badge.ceiling
    assert badge.lower_bound < badge.implied_epsilon < badge.claimed_epsilon
    for number in (badge.claimed_epsilon, badge.ceiling):
        assert f"{number:.3g}" in badge.sentence
    assert badge.finding.baseline == badge.claimed_epsilon
    assert len(badge.bounds) == 4
    assert {report.name for report in badge.reports} == {"step", "ledger", "one run"}
    json.dumps(badge.table)


def test_a_broken_training_gets_its_faults():
    badge = audit_release(promise(FULL), TrainingUnderAudit(make_step(0.5)))
    assert badge.verdict == "broken"
    assert badge.sentence.startswith("Broken: ")
    assert "There is too little noise." in badge.faults


def test_a_claim_beyond_the_reach_of_one_run_is_said():
    event = RepeatedEvent(GaussianEvent(1.0), 20)
    badge = audit_release(promise(event), TrainingUnderAudit(make_step()), n_canaries=200)
    assert badge.claimed_epsilon > badge.ceiling
    assert badge.verdict == "could not have seen it"
    assert "beyond what one run shows" in badge.sentence


def test_sampled_steps_need_an_accountant_and_get_their_sampler_audited():
    event, rng = RepeatedEvent(SampledGaussianEvent(1.0, 0.1), 30), np.random.default_rng(1)
    with pytest.raises(SpecificationError, match="accountant"):
        audit_release(promise(event), TrainingUnderAudit(make_step()))
    fine = TrainingUnderAudit(make_step(), sample=lambda n: rng.random(n) < 0.1, account=compute_epsilon)
    badge = audit_release(promise(event), fine)
    assert badge.verdict == "consistent", badge.sentence
    assert "sampler" in {report.name for report in badge.reports}
    more = TrainingUnderAudit(make_step(), sample=lambda n: rng.random(n) < 0.2, account=compute_epsilon)
    assert any("more often than declared" in fault for fault in audit_release(promise(event), more).faults)


def test_a_run_repeated_without_being_written_down_is_found():
    twice = ComposedEvent((FULL, FULL))
    badge = audit_release(promise(FULL), TrainingUnderAudit(make_step(), done=twice))
    assert any("was declared" in fault for fault in badge.faults)
    assert any("ledger does not hold" in fault for fault in badge.faults)


def test_the_closed_form_for_full_batches_agrees_with_the_accountant():
    badge = audit_release(promise(FULL), TrainingUnderAudit(make_step()))
    other = audit_release(promise(FULL), TrainingUnderAudit(make_step(), account=compute_epsilon))
    ledger = [next(r for r in b.reports if r.name == "ledger").lower_bound for b in (badge, other)]
    assert ledger[0] == pytest.approx(ledger[1], rel=1e-3)
    mu = math.sqrt(sum(n / leaf.noise_multiplier**2 for leaf, n in count_leaves(FULL).items()))
    assert mu == pytest.approx(math.sqrt(0.4))


def test_what_cannot_be_audited_is_refused():
    with pytest.raises(UnsupportedEventError, match="add or remove one"):
        audit_release(promise(FULL, relation=NeighboringRelation.REPLACE_ONE), TrainingUnderAudit(make_step()))
    with pytest.raises(UnsupportedEventError, match="LaplaceEvent"):
        audit_release(promise(LaplaceEvent(1.0)), TrainingUnderAudit(make_step()))
    with pytest.raises(SpecificationError, match="at least one step"):
        audit_release(promise(ComposedEvent(()), epsilon=1.0), TrainingUnderAudit(make_step()))


def test_progress_can_stop_the_audit():
    def stop(what, done, total):
        if what == "auditing a whole run":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit_release(promise(FULL), TrainingUnderAudit(make_step()), progress=stop)
