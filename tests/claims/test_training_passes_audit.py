"""Twinlab's own private training passes its own audit, through the door that users take.

The noise is a rehearsal's, so that nothing varies from run to run; an audit's false alarm rate is 1e-6.
"""

import numpy as np
import pytest
import torch

from twinlab.attacks.audit import TrainingUnderAudit, audit_release
from twinlab.attacks.promise import PrivateStep
from twinlab.budget import GaussianEvent, NeighboringRelation, PrivacyUnit, RepeatedEvent
from twinlab.fleet import Fleet
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.differential_privacy.person_rows import PersonRows
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.differential_privacy.training import PrivateTraining, train_privately
from twinlab.release import DifferentialPrivacy

N_PEOPLE, SLOPE = 10, 1e-4


def make_step(clipping, width, clip_norm=0.5, broken_by=1.0):
    """One step of descent on a linear model with weights 0, whose gradient of a person is the row of that person.

    Inputs g / s and target -s / 2 give the gradient g for the weights and s for the bias, with s next to nothing. All
    repeats are models of one fleet, each with its own noise.
    """
    noise = open_noise(rehearsal=True, seed=1)

    def make(noise_multiplier):
        settings = PrivateTraining(
            expected_people=N_PEOPLE,
            n_steps=1,
            noise_multiplier=noise_multiplier * broken_by,
            clipping=clipping,
            clip_norm=clip_norm,
            optimizer="descent",
            learning_rate=1.0,
            tail=1.0,
        )

        def privatize(gradients):
            n_models, _, n_inputs = gradients.shape
            fleet = Fleet(n_models, (n_inputs, 1))
            start = {"weight_0": torch.zeros(n_models, n_inputs, 1), "bias_0": torch.zeros(n_models, 1)}
            # Somebody without known targets adds zero; a batch with nobody in it looks like this.
            own = torch.from_numpy(np.pad(gradients[0], ((0, 1), (0, 0)))).float()[:, None]
            is_active = (own != 0).any(-1, keepdim=True).float()
            rows = PersonRows(own / SLOPE, -0.5 * SLOPE * is_active, torch.ones(len(own), 1, 1))
            trained = train_privately(fleet, start, rows, settings, noise)
            return -trained.state["weight_0"][..., 0].numpy()

        return privatize

    return PrivateStep(make, clip_norm, width, divisor=N_PEOPLE, is_batched=True)


def promise(event):
    epsilon = compute_epsilon(event, 1e-5)
    return DifferentialPrivacy(event, epsilon, 1e-5, NeighboringRelation.ADD_OR_REMOVE_ONE, PrivacyUnit.PERSON)


@pytest.mark.parametrize("clipping", ["automatic", "fixed"])
def test_private_training_passes_its_audit(clipping):
    event = RepeatedEvent(GaussianEvent(10.0), 40)
    badge = audit_release(promise(event), TrainingUnderAudit(make_step(clipping, 300), account=compute_epsilon))
    assert badge.faults == ()
    assert badge.implied_epsilon > 0.5 * badge.claimed_epsilon


def test_the_same_training_with_four_fifths_of_the_noise_does_not():
    event = RepeatedEvent(GaussianEvent(10.0), 40)
    badge = audit_release(promise(event), TrainingUnderAudit(make_step("fixed", 300, broken_by=0.8)), n_canaries=200)
    assert badge.verdict == "broken"
    assert np.isfinite(badge.lower_bound)
