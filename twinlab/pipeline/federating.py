"""Learning on devices: readings stay there, updates travel, and the shared part of everybody's twin grows from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from twinlab.budget import ComposedEvent, Event, GaussianEvent, RepeatedEvent
from twinlab.cohorts.cohort import Cohort
from twinlab.experiment import Experiment, count_expected_people
from twinlab.fleet import State
from twinlab.learn_choice import EncryptedSum, FederatedLearning, FederatedPrivacy, SecureSum, hides_updates
from twinlab.pipeline.account import Account
from twinlab.pipeline.band_task import BandTask, make_band_task, put_weights, read_weights
from twinlab.pipeline.encrypted_parties import describe_addition, make_addition, name_messages, plan_addition
from twinlab.pipeline.federated_book import MODEL, UPDATE, Book
from twinlab.pipeline.learning import OPEN_WEIGHTS, Learned
from twinlab.pipeline.start import prepare_start
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier
from twinlab.protection.differential_privacy.descent import describe_training_guarantee
from twinlab.protection.differential_privacy.gaussian_noise import draw_gaussian
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.federated.encrypted_terms import EncryptedAddition, EncryptedTerms
from twinlab.protection.federated.fault import FaultPlan, PlantedFault
from twinlab.protection.federated.federation import FederatedSettings, FederatedTraining, train_federated
from twinlab.protection.federated.private_sum import PrivateSum
from twinlab.protection.federated.secure_terms import FEWEST_IN_A_GROUP, SecureTerms
from twinlab.protection.federated.task import DevicePolicy, LocalTraining
from twinlab.release import Guarantee, NoGuarantee, SecretShared, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.twins.population import Population

if TYPE_CHECKING:
    from twinlab.protection.homomorphic.encrypted_sum import SumPlan

#: What a server that adds reads of one device.
VISIBLE_UPDATES = NoGuarantee("updates are visible to the server")
#: Noise that a whole private training may leave in one weight, by start; as for central training.
_NOISE_PER_WEIGHT = {"simulated": 0.004, "constant": 0.03}
#: An update that needs no bound for privacy is bounded all the same, against liars.
_OPEN_BOUND = 1.0


@dataclass(frozen=True)
class FederatedGround:
    """What every federation of one cohort starts from; the task is private, the rest public.

    Attributes:
      start: the population that saw nobody.
      geometry: (feature, feature) in which devices descend.
      task: each device's rows.
      initial: the start's pooled weights as a model.
    """

    start: Population
    geometry: Tensor = field(repr=False)
    task: BandTask
    initial: State = field(repr=False)

    def take(self, n_devices: int) -> FederatedGround:
        """The first devices alone."""
        return replace(self, task=self.task.take(n_devices))

    def put(self, state: State) -> Population:
        """The population with a model's weights."""
        return put_weights(self.start, self.geometry, state)


def prepare_federation(experiment: Experiment, cohort: Cohort, progress: Progress = report_nothing) -> FederatedGround:
    """Place every person's rows on a device of their own, beside the public start.

    Args:
      experiment: public; its `learn` is federated.
      cohort: private.
      progress: told about the public start.
    """
    learn = read_federated(experiment)
    start, geometry = prepare_start(learn.start, experiment.twin, learn, cohort.signals, progress)
    task = make_band_task(start, geometry, cohort, learn.rows_per_person)
    return FederatedGround(start, geometry, task, read_weights(start, geometry))


def read_federated(experiment: Experiment) -> FederatedLearning:
    """The choices of a federated experiment."""
    assert isinstance(experiment.learn, FederatedLearning)
    return experiment.learn


def find_noise_multiplier(experiment: Experiment) -> float:
    """Noise of each round over the bound of an update; zero where nobody is protected."""
    learn = read_federated(experiment)
    if not isinstance(learn.privacy, FederatedPrivacy):
        return 0.0
    return calibrate_noise_multiplier(learn.privacy.epsilon, experiment.budget.delta, 1.0, learn.n_rounds)


def find_clip_norm(experiment: Experiment) -> float:
    """The bound of an update, by public rules where it is left open.

    Private updates are shortened so far that all rounds together leave little noise in each weight. That is less than
    most devices' updates, which then count all the same, as with automatic clipping.
    """
    learn = read_federated(experiment)
    if learn.clip_norm is not None:
        return learn.clip_norm
    noise = find_noise_multiplier(experiment)
    if not noise:
        return _OPEN_BOUND
    expected = _count_expected(experiment)
    if _asks_devices_for_noise(learn):
        # each device adds so much that those who must stay suffice; together that is more
        noise *= math.sqrt(expected / _count_who_must_stay(learn, expected))
    return min(1.0, _NOISE_PER_WEIGHT[learn.start] * expected / (math.sqrt(learn.n_rounds) * noise))


def _count_who_must_stay(learn: FederatedLearning, n_asked: int) -> float:
    """Devices of a round of so many without which no sum is opened, nearly."""
    if isinstance(learn.aggregation, SecureSum):
        return learn.aggregation.threshold_share * min(learn.aggregation.group_size, n_asked)
    return max(FEWEST_IN_A_GROUP, learn.quorum_share * n_asked)


def plan_federation(experiment: Experiment) -> tuple[Event, ...]:
    """What a federation will cost each person: a Gaussian event a round, known before any reading is looked at."""
    privacy = read_federated(experiment).privacy
    if not isinstance(privacy, FederatedPrivacy) or privacy.rehearsal:
        return ()
    return (RepeatedEvent(GaussianEvent(find_noise_multiplier(experiment)), read_federated(experiment).n_rounds),)


def describe_weights(experiment: Experiment) -> Guarantee:
    """What is promised about the weights that a federation releases."""
    privacy = read_federated(experiment).privacy
    if not isinstance(privacy, FederatedPrivacy):
        return OPEN_WEIGHTS
    events = plan_federation(experiment)
    return describe_training_guarantee(events, experiment.budget.delta, is_rehearsal=privacy.rehearsal)


def learn_federated(
    experiment: Experiment,
    cohort: Cohort,
    account: Account,
    progress: Progress,
    transcript: Transcript | None = None,
    on_round: Callable[[Any, Any], None] | None = None,
) -> Learned:
    """Learn pooled weights on devices; a private federation is charged whole before its first round.

    Args:
      experiment: public.
      cohort: what the devices hold; private.
      account: who pays.
      progress: called within and after each round; raising from it ends the federation after the last whole round.
      transcript: receives what crossed between devices and server.
      on_round: called after each round with its report and the model's arrays.
    """
    ground = prepare_federation(experiment, cohort, progress)
    book = make_book(experiment, ground)  # refuses what cannot be encrypted before anybody pays
    events = plan_federation(experiment)
    if events:
        account.spend(ComposedEvent(events), purpose="learn")
    training = federate(experiment, ground, progress, on_message=book.note, on_round=on_round)
    book.finish({name: value.numpy() for name, value in training.state.items()}, ground.task.n_devices)
    if transcript is not None:
        book.write(transcript)
    guarantee = describe_weights(experiment)
    private = make_private_sum(experiment)
    return Learned(
        ground.put(training.state), guarantee, ground.start, events, federation=training, private_sum=private
    )


def federate(
    experiment: Experiment,
    ground: FederatedGround,
    progress: Progress = report_nothing,
    *,
    on_message: Callable[..., None] | None = None,
    on_round: Callable[[Any, Any], None] | None = None,
    n_rounds: int | None = None,
) -> FederatedTraining:
    """Run the federation of an experiment on its devices.

    Args:
      experiment: public.
      ground: from `prepare_federation`; its task is private.
      progress, on_message, on_round: see `train_federated`.
      n_rounds: stop after so many, of rounds that are otherwise as the experiment has them; all when None.
    """
    n_devices = ground.task.n_devices
    settings = plan_settings(experiment, n_devices)
    return train_federated(
        ground.task,
        plan_training(experiment),
        settings if n_rounds is None else replace(settings, n_rounds=n_rounds),
        initial=ground.initial,
        policy=plan_policy(experiment),
        private=make_private_sum(experiment),
        faults=plan_faults(experiment, n_devices),
        progress=progress,
        on_message=on_message,
        on_round=on_round,
        secure=make_terms(experiment),
        encrypted=_make_encryption(experiment, ground, on_message or (lambda *_: None)),
    )


def plan_training(experiment: Experiment) -> LocalTraining:
    """How each device of an experiment trains; public."""
    learn = read_federated(experiment)
    return LocalTraining(learn.n_epochs, learn.batch_rows, learn.learning_rate, experiment.seed)


def plan_policy(experiment: Experiment) -> DevicePolicy:
    """What each device of an experiment lets out; under privacy or hidden sums nothing beside its update. Public."""
    learn, policy = read_federated(experiment), DevicePolicy(clip_norm=find_clip_norm(experiment))
    is_silent = isinstance(learn.privacy, FederatedPrivacy) or hides_updates(learn)
    return replace(policy, reports=()) if is_silent else policy


def plan_settings(experiment: Experiment, n_devices: int) -> FederatedSettings:
    """How the server of an experiment runs a federation of so many devices; public."""
    learn = read_federated(experiment)
    n_asked = min(learn.clients_per_round or n_devices, n_devices)
    return FederatedSettings(
        n_rounds=learn.n_rounds,
        clients_per_round=None if n_asked == n_devices else n_asked,
        strategy=learn.strategy,
        quorum=max(1, math.ceil(learn.quorum_share * n_asked)),
        seed=experiment.seed,
        strict=False,
        # a sum with noise in it is longer than any update, and hides how long each was
        max_update_norm=None if _asks_devices_for_noise(learn) else find_clip_norm(experiment) * 1.01,
        n_malicious=learn.n_malicious,
        proximal=0.1 if learn.strategy == "fedprox" else 0.0,
        server_momentum=0.5 if learn.strategy == "fedavgm" else 0.0,
        trim_share=min(0.45, max(0.1, learn.n_malicious / n_asked)),
    )


def make_terms(experiment: Experiment) -> SecureTerms | None:
    """How updates are masked; None where they are not."""
    learn = read_federated(experiment)
    if not isinstance(learn.aggregation, SecureSum):
        return None
    is_noisy = _asks_devices_for_noise(learn)
    return SecureTerms(
        group_size=learn.aggregation.group_size,
        threshold_share=learn.aggregation.threshold_share,
        clip_norm=find_clip_norm(experiment),
        noise=_open_noise(experiment) if is_noisy else None,
        noise_multiplier=find_noise_multiplier(experiment) if is_noisy else 0.0,
    )


def make_encrypted_terms(experiment: Experiment, n_devices: int) -> EncryptedTerms:
    """How updates of so many devices are bounded, and made noisy, before they are encrypted; public."""
    is_noisy = _asks_devices_for_noise(read_federated(experiment))
    return EncryptedTerms(
        clip_norm=find_clip_norm(experiment),
        fewest=max(FEWEST_IN_A_GROUP, plan_settings(experiment, n_devices).quorum),
        noise=_open_noise(experiment) if is_noisy else None,
        noise_multiplier=find_noise_multiplier(experiment) if is_noisy else 0.0,
    )


def plan_encryption(experiment: Experiment, ground: FederatedGround) -> SumPlan | None:
    """How updates are encrypted; None where they are not. Public."""
    learn, n_devices = read_federated(experiment), ground.task.n_devices
    if not isinstance(learn.aggregation, EncryptedSum):
        return None
    n_parameters = sum(value.numel() for value in ground.initial.values())
    n_asked = min(learn.clients_per_round or n_devices, n_devices)
    return plan_addition(learn.aggregation, make_encrypted_terms(experiment, n_devices), n_parameters, n_asked)


def _make_encryption(
    experiment: Experiment, ground: FederatedGround, tell: Callable[..., None]
) -> EncryptedAddition | None:
    """Keys and parties of encrypted sums, made anew; None where updates are not encrypted."""
    choice, n_devices = read_federated(experiment).aggregation, ground.task.n_devices
    plan = plan_encryption(experiment, ground)
    if plan is None or not isinstance(choice, EncryptedSum):
        return None
    return make_addition(choice, make_encrypted_terms(experiment, n_devices), plan, n_devices, tell)


def make_book(experiment: Experiment, ground: FederatedGround) -> Book:
    """An empty record of what will cross, which knows what is promised of it."""
    choice, model = read_federated(experiment).aggregation, describe_weights(experiment)
    if isinstance(choice, SecureSum):
        n_must_stay = math.ceil(choice.threshold_share * choice.group_size)
        update: Guarantee = SecretShared((f"groups of {choice.group_size} devices",), n_must_stay, "malicious")
        return Book({MODEL: model, UPDATE: update})
    plan = plan_encryption(experiment, ground)
    if isinstance(choice, EncryptedSum) and plan is not None:
        of_noisy_sum = model if _asks_devices_for_noise(read_federated(experiment)) else None
        return Book({MODEL: model, **describe_addition(choice, plan, of_noisy_sum)}, name_messages(choice))
    return Book({MODEL: model, UPDATE: VISIBLE_UPDATES})


def make_private_sum(experiment: Experiment) -> PrivateSum | None:
    """Noise of the operating system's randomness on each round's sum; None where nobody is protected."""
    learn = read_federated(experiment)
    if not isinstance(learn.privacy, FederatedPrivacy):
        return None
    return PrivateSum(
        clip_norm=find_clip_norm(experiment),
        noise_multiplier=find_noise_multiplier(experiment),
        expected_clients=_count_expected(experiment),
        noise=_open_noise(experiment),
        charge=lambda _: None,  # all rounds are paid for before the first
        is_noisy_already=_asks_devices_for_noise(learn),
    )


def _asks_devices_for_noise(learn: FederatedLearning) -> bool:
    return isinstance(learn.privacy, FederatedPrivacy) and learn.privacy.noise_at == "devices"


def _open_noise(experiment: Experiment) -> Callable[[tuple[int, ...]], np.ndarray]:
    """Standard normal numbers of the operating system; for a rehearsal those of the experiment's seed."""
    is_rehearsal = getattr(read_federated(experiment).privacy, "rehearsal", False)
    source = open_noise(rehearsal=True, seed=experiment.seed) if is_rehearsal else open_noise()
    return lambda shape: draw_gaussian(source, math.prod(shape)).view(shape).numpy()


def plan_faults(experiment: Experiment, n_devices: int) -> FaultPlan | None:
    """Devices that vanish or lie, as the experiment asks."""
    learn = read_federated(experiment)
    if not learn.dropout and not learn.n_attackers:
        return None
    liars = np.random.default_rng(experiment.seed).permutation(n_devices)[: learn.n_attackers]
    planted = (PlantedFault(learn.attack, tuple(sorted(liars.tolist()))),) if learn.n_attackers else ()
    return FaultPlan(learn.dropout, planted, experiment.seed)


def _count_expected(experiment: Experiment) -> int:
    """Declared number of devices of a round; what noisy sums are divided by."""
    learn = read_federated(experiment)
    expected = count_expected_people(experiment) or 2
    return min(learn.clients_per_round or expected, expected)
