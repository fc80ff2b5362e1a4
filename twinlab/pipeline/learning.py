"""How the shared part of everybody's twin is learned: openly, or with a person or a training row as privacy unit."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from twinlab.budget import ComposedEvent, Event, NeighboringRelation, PrivacyUnit
from twinlab.cohorts.cohort import Cohort
from twinlab.experiment import Experiment, count_expected_people
from twinlab.fleet import Fleet
from twinlab.learn_choice import CentralLearning, PersonPrivacy, RecordPrivacy
from twinlab.pipeline.account import Account
from twinlab.pipeline.start import make_products, prepare_start
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier, compute_epsilon
from twinlab.protection.differential_privacy.descent import (
    PrivateTraining,
    describe_training_guarantee,
    list_events,
)
from twinlab.protection.differential_privacy.pooled_weights import fit_pooled_weights
from twinlab.protection.differential_privacy.randomness import NoiseSource, open_noise
from twinlab.protection.differential_privacy.schedule import choose_n_steps
from twinlab.release import DifferentialPrivacy, Guarantee, NoGuarantee
from twinlab.roles import Progress
from twinlab.twins.pooled import list_training_rows
from twinlab.twins.population import Population, train_population

if TYPE_CHECKING:
    from twinlab.protection.differential_privacy.record_level import RecordTraining
    from twinlab.protection.federated.federation import FederatedTraining
    from twinlab.protection.federated.private_sum import PrivateSum

OPEN_WEIGHTS = NoGuarantee("trained on people without noise; weights may remember them")
#: Noise that a whole training may leave in one weight, and the largest learning rate, by start: a good start is worth
#: less change. Chosen on simulated people (seed 1000).
_NOISE_PER_WEIGHT = {"simulated": 0.004, "constant": 0.03}
_LARGEST_RATE = {"simulated": 0.015, "constant": 0.06}


#: Steps of a descent that need not save noise.
NO_NOISE_STEPS = 400


@dataclass(frozen=True)
class Learned:
    """What learning gives.

    Attributes:
      population: the shared part; what is released.
      guarantee: what is promised about it.
      start: the population that training started from, which saw nobody; None for open training.
      person_events: what learning cost each person.
      settings: of a person-level training; None otherwise.
      record_settings: of a record-level training; None otherwise.
      federation: the rounds, where devices learned; None otherwise.
      private_sum: how their updates were added privately; None otherwise.
    """

    population: Population
    guarantee: Guarantee
    start: Population | None = None
    person_events: tuple[Event, ...] = ()
    settings: PrivateTraining | None = None
    record_settings: RecordTraining | None = None
    federation: FederatedTraining | None = None
    private_sum: PrivateSum | None = None


def plan_person_training(experiment: Experiment, privacy: PersonPrivacy) -> PrivateTraining:
    """Settings of person-level training: noise, steps and learning rate by public rules; no reading is looked at."""
    expected = count_expected_people(experiment) or 2
    n_steps = privacy.n_steps or choose_n_steps(privacy.epsilon)
    q = privacy.sampling_probability
    noise = calibrate_noise_multiplier(privacy.epsilon, experiment.budget.delta, q, n_steps)
    return PrivateTraining(
        expected_people=expected,
        n_steps=n_steps,
        noise_multiplier=noise,
        clipping=privacy.clipping,
        clip_norm=privacy.clip_norm,
        sampling_probability=q,
        noise_schedule=privacy.noise_schedule,
        optimizer=privacy.optimizer,
        learning_rate=choose_rate(privacy, noise / q, n_steps, expected),
    )


def choose_rate(privacy: PersonPrivacy, noise_multiplier: float, n_steps: int, expected_people: int) -> float:
    """A learning rate that lets a whole training leave little noise in each weight; everything in it is public."""
    most, wanted = _LARGEST_RATE[privacy.start], _NOISE_PER_WEIGHT[privacy.start]
    if privacy.optimizer == "adam":
        return min(most, wanted / math.sqrt(n_steps))  # its steps have the length of the rate, whatever the gradient
    spread = math.sqrt(n_steps) * noise_multiplier / expected_people
    # gradients brought near the bound have its length, others are shorter
    rate = most if spread == 0 else min(most, wanted / spread)
    return rate / (privacy.clip_norm if privacy.clipping == "automatic" else 1.0)


def plan_record_training(experiment: Experiment, privacy: RecordPrivacy) -> RecordTraining:
    """Settings of record-level training by Opacus, by public rules."""
    expected = count_expected_people(experiment) or 2
    q = privacy.sampling_probability
    noise = calibrate_noise_multiplier(privacy.epsilon, experiment.budget.delta, q, privacy.n_steps)
    batch = max(1, round(q * expected * privacy.rows_per_person))
    spread = math.sqrt(privacy.n_steps) * noise * privacy.clip_norm / batch
    return open_record_level().RecordTraining(
        expected_batch_size=batch,
        sampling_probability=q,
        n_steps=privacy.n_steps,
        noise_multiplier=noise,
        clip_norm=privacy.clip_norm,
        learning_rate=min(_LARGEST_RATE["constant"], _NOISE_PER_WEIGHT[privacy.start] / spread),
    )


def plan_learning(experiment: Experiment) -> tuple[Event, ...]:
    """What learning will cost each person, known before any reading is looked at; nothing where nobody is protected."""
    match experiment.learn.privacy:
        case PersonPrivacy() as privacy if not privacy.rehearsal:
            return list_events(plan_person_training(experiment, privacy), 1)[0]
        case RecordPrivacy() as privacy if not privacy.rehearsal:
            return plan_record_training(experiment, privacy).person_events(privacy.rows_per_person)
    return ()


def learn(experiment: Experiment, cohort: Cohort, account: Account, progress: Progress) -> Learned:
    """Learn as the experiment chooses; a private training is charged before its noise is drawn.

    Args:
      experiment: public.
      cohort: as the trainer sees it; private.
      account: who pays.
      progress: called once a step or an epoch.
    """
    events = plan_learning(experiment)
    match experiment.learn.privacy:
        case PersonPrivacy() as privacy:
            return _learn_by_person(experiment, privacy, cohort, events, account, progress)
        case RecordPrivacy() as privacy:
            return _learn_by_record(experiment, privacy, cohort, events, account, progress)
    assert isinstance(experiment.learn, CentralLearning)
    population = train_population(cohort, experiment.twin, experiment.learn, experiment.seed, progress)
    return Learned(population, OPEN_WEIGHTS)


def open_noise_for(privacy: PersonPrivacy | RecordPrivacy, seed: int) -> NoiseSource:
    """Secret noise; for a rehearsal that of the experiment's seed, which protects nobody."""
    return open_noise(rehearsal=True, seed=seed) if privacy.rehearsal else open_noise()


def _charge(events: Sequence[Event], account: Account, purpose: str = "learn") -> None:
    if events:
        account.spend(ComposedEvent(tuple(events)), purpose=purpose)


def _learn_by_person(
    experiment: Experiment,
    privacy: PersonPrivacy,
    cohort: Cohort,
    events: tuple[Event, ...],
    account: Account,
    progress: Progress,
) -> Learned:
    """Pooled weights by private descent on people's own products; everything else of the population is public."""
    start, geometry = prepare_start(privacy.start, experiment.twin, experiment.learn, cohort.signals, progress)
    settings = plan_person_training(experiment, privacy)
    products = make_products(start, cohort)
    noise = open_noise_for(privacy, experiment.seed)
    _charge(events, account)
    first = start.forecast_mean
    fitted = fit_pooled_weights(products, first.flatten(0, 1), settings, noise, geometry, progress)
    guarantee = describe_training_guarantee(fitted.events, experiment.budget.delta, is_rehearsal=fitted.is_rehearsal)
    population = replace(start, forecast_mean=fitted.weights.view(first.shape))
    return Learned(population, guarantee, start, events, settings)


def _learn_by_record(
    experiment: Experiment,
    privacy: RecordPrivacy,
    cohort: Cohort,
    events: tuple[Event, ...],
    account: Account,
    progress: Progress,
) -> Learned:
    """The same weights by Opacus, a training row as the unit."""
    start, geometry = prepare_start(privacy.start, experiment.twin, experiment.learn, cohort.signals, progress)
    settings = plan_record_training(experiment, privacy)
    noise = open_noise_for(privacy, experiment.seed)
    _charge(events, account)
    mean, spent = fit_by_record(start, geometry, cohort, settings, privacy.rows_per_person, noise, progress)
    guarantee = describe_record_guarantee(spent, experiment.budget.delta, is_rehearsal=noise.is_rehearsal)
    return Learned(replace(start, forecast_mean=mean), guarantee, start, events, record_settings=settings)


def fit_by_record(
    start: Population,
    geometry: Tensor,
    cohort: Cohort,
    settings: RecordTraining,
    rows_per_person: int,
    noise: NoiseSource,
    progress: Progress,
) -> tuple[Tensor, tuple[Event, ...]]:
    """Pooled weights (band, target, feature) by record-level training, and what that cost one training row.

    Args:
      start, geometry: public.
      cohort: private.
      settings: public.
      rows_per_person: a public limit.
      noise: where noise comes from.
      progress: called once a step.
    """
    inputs, answers = _list_records(start, cohort, geometry, rows_per_person)
    first = start.forecast_mean
    n_bands, n_targets, n_features = first.shape
    begin = torch.linalg.solve(geometry, first.flatten(0, 1).T).T.view(first.shape)
    state = {
        "weight_0": begin.permute(0, 2, 1).reshape(1, n_bands * n_features, n_targets),
        "bias_0": torch.zeros(1, n_targets),
    }
    known = torch.isfinite(answers).float()
    fleet = Fleet(1, (n_bands * n_features, n_targets))
    trained = open_record_level().train_by_record(
        fleet, state, inputs, torch.nan_to_num(answers), known, settings, noise, progress
    )
    weights = trained.state["weight_0"].view(n_bands, n_features, n_targets).permute(0, 2, 1)
    mean = (weights.reshape(-1, n_features) @ geometry.T).view(first.shape).clone()
    mean[..., -1] += trained.state["bias_0"][0]  # the last feature is always one
    return mean, trained.events


def describe_no_noise() -> PrivateTraining:
    """The same descent without noise: what training would give if privacy were no matter, or were kept elsewhere."""
    rate = _LARGEST_RATE["constant"]
    return PrivateTraining(1, n_steps=NO_NOISE_STEPS, noise_multiplier=0.0, learning_rate=rate)


def describe_record_guarantee(events: Sequence[Event], delta: float, *, is_rehearsal: bool) -> Guarantee:
    """What is promised about one training row."""
    if is_rehearsal:
        return NoGuarantee("noise is reproducible")
    epsilon = compute_epsilon(events, delta)
    event = ComposedEvent(tuple(events))
    return DifferentialPrivacy(event, epsilon, delta, NeighboringRelation.ADD_OR_REMOVE_ONE, PrivacyUnit.ROW)


def _list_records(
    population: Population, cohort: Cohort, geometry: Tensor, rows_per_person: int
) -> tuple[Tensor, Tensor]:
    """Rows of everybody, at most so many of each person: features in the place of their band, and answers; private."""
    inputs, answers = [], []
    n_bands = len(population.anchors)
    for bands in list_training_rows(population, cohort):
        for person in range(len(bands[0][0])):
            own_inputs, own_answers = [], []
            for band, (features, wanted) in enumerate(bands):
                usable = torch.isfinite(wanted[person]).any(1).nonzero()[:, 0]
                n_kept = min(len(usable), rows_per_person // n_bands)
                kept = usable[torch.arange(n_kept) * len(usable) // max(n_kept, 1)]
                moved = features[person, kept] @ geometry
                place = torch.zeros(len(kept), n_bands, moved.shape[1])
                place[:, band] = moved
                own_inputs.append(place.flatten(1))
                own_answers.append(wanted[person, kept])
            inputs.append(torch.cat(own_inputs))
            answers.append(torch.cat(own_answers))
    return torch.cat(inputs), torch.cat(answers)


def open_record_level() -> Any:
    """The door to Opacus, opened on use: loading it takes seconds and a hundred megabytes."""
    return importlib.import_module("twinlab.protection.differential_privacy.record_level")
