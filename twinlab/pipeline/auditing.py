"""The audits that run by themselves on whatever a run releases. They run on made-up people and cost no privacy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from twinlab.attacks.audit import AuditBadge, TrainingUnderAudit, audit_release
from twinlab.attacks.local_audit import audit_local_mechanism
from twinlab.attacks.promise import AuditReport, PrivateStep, Privatizer, Sampler
from twinlab.budget import ComposedEvent
from twinlab.experiment import Experiment, NoisyReadings
from twinlab.fleet import Fleet
from twinlab.pipeline.learning import Learned, open_record_level
from twinlab.pipeline.sensing import Sensed
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.differential_privacy.descent import PrivateTraining, draw_participants
from twinlab.protection.differential_privacy.local import make_reading_sampler
from twinlab.protection.differential_privacy.pooled_weights import PersonProducts, WeightsTrainer
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.federated.private_sum import PrivateSum, make_private_model
from twinlab.release import DifferentialPrivacy
from twinlab.roles import Progress, report_nothing
from twinlab.signals import get_signal

if TYPE_CHECKING:
    from twinlab.protection.differential_privacy.record_level import RecordTraining

#: A record-level step by Opacus takes milliseconds, so it is asked less often.
_N_RECORD_REPEATS, _N_RECORD_CANARIES, _RECORD_WIDTH = 100, 200, 500
_N_LOCAL_DRAWS = 20_000


def audit_run(
    experiment: Experiment, sensed: Sensed, learned: Learned, progress: Progress = report_nothing
) -> tuple[AuditBadge | AuditReport, ...]:
    """Audit what a run promised: the noise on readings, and the training behind the weights.

    Args:
      experiment: public.
      sensed, learned: what the stages did; only their public settings are read.
      progress: called as (what, done, total).
    """
    found: list[AuditBadge | AuditReport] = []
    choice = experiment.sense
    if isinstance(choice, NoisyReadings) and isinstance(sensed.guarantee, DifferentialPrivacy):
        assert sensed.epsilon_each is not None
        found.append(audit_readings(sensed.cohort.signals[0], sensed.epsilon_each, choice))
    guarantee = learned.guarantee
    is_private = any(each is not None for each in (learned.settings, learned.record_settings, learned.private_sum))
    if isinstance(guarantee, DifferentialPrivacy) and is_private:
        found.append(audit_training(learned, guarantee, experiment.seed, progress))
    return tuple(found)


def audit_training(
    learned: Learned, guarantee: DifferentialPrivacy, seed: int = 0, progress: Progress = report_nothing
) -> AuditBadge:
    """The badge of a private training, by the very code that trained.

    Args:
      learned: gives the settings.
      guarantee: what the weights promise.
      seed: drives the audit's own choices.
      progress: called as (what, done, total).
    """
    if learned.settings is not None:
        n_weights = learned.population.forecast_mean.numel()
        under_audit = TrainingUnderAudit(
            make_weights_step(learned.settings, n_weights),
            sample=make_sampler(learned.settings.sampling_probability),
            account=compute_epsilon,
            recorded=ComposedEvent(learned.person_events),
        )
        return audit_release(guarantee, under_audit, seed=seed, progress=progress)
    if learned.private_sum is not None:
        n_weights = learned.population.forecast_mean.numel()
        under_audit = TrainingUnderAudit(
            make_federated_step(learned.private_sum, n_weights),
            sample=None,
            account=compute_epsilon,
            recorded=ComposedEvent(learned.person_events),
        )
        repeats = {"n_repeats": _N_RECORD_REPEATS, "n_canaries": _N_RECORD_CANARIES}
        return audit_release(guarantee, under_audit, seed=seed, progress=progress, **repeats)
    assert learned.record_settings is not None
    under_audit = TrainingUnderAudit(
        make_record_step(learned.record_settings),
        sample=make_sampler(learned.record_settings.sampling_probability),
        account=compute_epsilon,
    )
    return audit_release(
        guarantee, under_audit, seed=seed, n_repeats=_N_RECORD_REPEATS, n_canaries=_N_RECORD_CANARIES, progress=progress
    )


def make_weights_step(settings: PrivateTraining, n_parameters: int) -> PrivateStep:
    """One step of the training of pooled weights, as an audit calls it.

    Products without a gram and with minus g on the right give a person the gradient g, whatever the weights are. All
    repeats are models of one fleet, each with its own noise.
    """
    noise, once = (
        open_noise(),
        replace(
            settings,
            n_steps=1,
            learning_rate=1.0,
            optimizer="descent",
            tail=1.0,
            sampling_probability=1.0,  # who takes part is audited by itself
            noise_schedule="constant",
        ),
    )

    def make(noise_multiplier: float) -> Privatizer:
        def privatize(gradients: np.ndarray) -> np.ndarray:
            # somebody with a gradient of zero is always there; a batch with nobody in it looks like this
            own = torch.from_numpy(np.pad(gradients[0], ((0, 1), (0, 0)))).float()
            products = PersonProducts(torch.zeros(*own.shape, 1, 1), -own[..., None])
            trainer = WeightsTrainer(products, torch.zeros(own.shape[1], 1))
            trained = trainer.train(
                len(gradients), replace(once, noise_multiplier=noise_multiplier), noise, _hear_nothing
            )
            return -trained["weights"][..., 0].numpy()

        return privatize

    return PrivateStep(make, settings.clip_norm, n_parameters, divisor=settings.expected_people, is_batched=True)


def make_federated_step(private: PrivateSum, n_parameters: int) -> PrivateStep:
    """One round's noisy sum of devices' updates, as an audit calls it."""

    def make(noise_multiplier: float) -> Privatizer:
        once = replace(private, noise_multiplier=noise_multiplier, is_noisy_already=False)

        def privatize(updates: np.ndarray) -> np.ndarray:
            start = {"weights": np.zeros(updates.shape[1], np.float32)}
            replies = [{"weights": update.astype(np.float32)} for update in updates]
            return make_private_model(replies, [1] * len(replies), start, once, 1)["weights"]

        return privatize

    return PrivateStep(make, private.clip_norm, n_parameters, divisor=private.expected_clients)


def make_record_step(settings: RecordTraining) -> PrivateStep:
    """One step of record-level training by Opacus, as an audit calls it.

    Inputs g / s and target -s / 2 give a record the gradient g for the weights, and s, next to nothing, for the bias.
    """
    noise, slope = open_noise(), 1e-4

    def make(noise_multiplier: float) -> Privatizer:
        once = replace(
            settings, n_steps=1, sampling_probability=1.0, learning_rate=1.0, noise_multiplier=noise_multiplier
        )

        def privatize(gradients: np.ndarray) -> np.ndarray:
            n_inputs = gradients.shape[1]
            fleet = Fleet(1, (n_inputs, 1))
            start = {"weight_0": torch.zeros(1, n_inputs, 1), "bias_0": torch.zeros(1, 1)}
            own = torch.from_numpy(np.pad(gradients, ((0, 1), (0, 0)))).float()
            is_active = (own != 0).any(-1, keepdim=True).float()
            trained = open_record_level().train_by_record(
                fleet, start, own / slope, -0.5 * slope * is_active, torch.ones(len(own), 1), once, noise
            )
            return -trained.state["weight_0"][0, :, 0].numpy()

        return privatize

    return PrivateStep(make, settings.clip_norm, _RECORD_WIDTH, divisor=settings.expected_batch_size)


def make_sampler(sampling_probability: float) -> Sampler | None:
    """How people or rows are drawn, as an audit calls it; None where everybody always takes part."""
    if sampling_probability == 1:
        return None
    noise = open_noise()
    return lambda n_units: draw_participants(noise, sampling_probability, (n_units,))


def audit_readings(signal: str, epsilon: float, choice: NoisyReadings) -> AuditReport:
    """How well noisy copies of two made-up readings are told apart, beside what one reading's epsilon allows."""
    known = get_signal(signal)
    draw = make_reading_sampler(signal, epsilon=epsilon, mechanism=choice.mechanism)
    inputs = (known.lower, (known.lower + known.upper) / 2, known.upper)
    return audit_local_mechanism(draw, inputs, epsilon, n_draws=_N_LOCAL_DRAWS)


def _hear_nothing(what: str, done: int, total: int) -> None:
    """One step is no news."""
