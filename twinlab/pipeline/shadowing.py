"""Shadow models: the same training on many random halves of a pool of people, all at once where it can be."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from twinlab.attacks.membership import discount_others
from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.simulator import simulate_cohort
from twinlab.errors import SpecificationError
from twinlab.experiment import Experiment, SimulatedCohort
from twinlab.fleet import State, TrainingSettings
from twinlab.learn_choice import CentralLearning, FederatedLearning, PersonPrivacy
from twinlab.pipeline.account import Account
from twinlab.pipeline.composition import keep_people_with_readings, load_cohort
from twinlab.pipeline.federating import federate, find_noise_multiplier, prepare_federation, read_federated
from twinlab.pipeline.learning import open_noise_for, plan_person_training
from twinlab.pipeline.sensing import sense
from twinlab.pipeline.start import make_products, prepare_start
from twinlab.protection.differential_privacy.pooled_weights import PersonProducts, WeightsTrainer
from twinlab.roles import Progress
from twinlab.twins.feature import FeatureTable, choose_targets
from twinlab.twins.pooled import list_training_rows
from twinlab.twins.population import (
    ANCHORS,
    BAND_ENDS,
    Population,
    first_test_hours,
    list_answers,
    make_backbone,
)

#: Rows of one pass and of one step of a shadow backbone. A lab's training passes over all rows in steps of 1,024;
#: shadows go far with fewer, in smaller and longer steps.
ROWS_PER_EPOCH, BATCH_ROWS, LONGER_STEP = 3200, 32, 2.5
_FULL_BATCH_ROWS = 1024
#: So many of a person's rows, evenly spread, say how well a backbone fits the person.
_ROWS_SCORED = 960
#: Pulls change while weights move, which disturbs as noise does: its variance over that of one person's coin. Found on
#: simulated people, as an attacker can; from a third to three times as much serves nearly as well.
_PULLS_CHANGE = 0.2

#: From what was released to how well it fits each person of the pool: (person,), higher is better.
Measure = Callable[[State], np.ndarray]


@dataclass(frozen=True, repr=False)
class Shadows:
    """Models trained on random halves of a pool; private, but for what the attacker computes from its own.

    Attributes:
      members: bool (model, person), who trained each.
      releases: of each model, what it releases.
      measure: the signal that the attack reads; a public function of a release and of people's readings.
      measure_loss: minus the loss alone, for an attack with one threshold for all.
      signals: (model, person), `measure` of every release.
      seconds: that training took, over the number of models.
    """

    members: np.ndarray
    releases: tuple[State, ...] = field(repr=False)
    measure: Measure
    measure_loss: Measure
    signals: np.ndarray = field(repr=False)
    seconds: float

    def __repr__(self) -> str:
        return f"Shadows({len(self.releases)} models, half of {self.members.shape[1]} people each)"


def draw_pool(experiment: Experiment, progress: Progress) -> Cohort:
    """Twice as many people as the experiment has, where they can be simulated; its own people otherwise.

    So half of the pool, on which each model trains, is as large as the experiment's cohort, or half as large.
    """
    if isinstance(experiment.cohort, SimulatedCohort):
        twice = experiment.cohort.model_copy(update={"n_people": 2 * experiment.cohort.n_people})
        return simulate_cohort(twice, progress=progress).cohort
    return keep_people_with_readings(load_cohort(experiment, progress))


def draw_members(n_models: int, n_people: int, seed: int) -> np.ndarray:
    """Bool (model, person): a random half of the people for each model; everybody is in half of the models.

    Models come in pairs, one on each half, so that nobody lacks shadows of a kind.
    """
    draw = np.random.default_rng(seed)
    members = np.zeros((n_models, n_people), dtype=bool)
    for model in range(0, n_models, 2):
        half = draw.permutation(n_people)[: n_people // 2]
        members[model, half] = True
        members[model + 1 : model + 2] = ~members[model]
    return members


def train_shadows(
    experiment: Experiment,
    pool: Cohort,
    members: np.ndarray,
    seed: int,
    progress: Progress,
    rows_per_epoch: int | None = ROWS_PER_EPOCH,
) -> Shadows:
    """Train a model on each half, as the experiment's learning says. Nothing of it is released, and nobody pays.

    Where sensors add noise, it is drawn once, so that all models share it, and whoever trains privately or federated is
    judged by the noisy readings: an attacker who knows more than there is to know.

    Args:
      experiment: public.
      pool: private.
      members: bool (model, person).
      seed: of initial weights and order of rows; public. Noise that protects never uses it.
      progress: told while models train.
      rows_per_epoch: of a backbone's pass; None for all rows, in the lab's own steps.

    Raises:
      SpecificationError: for training with a row as privacy unit.
    """
    sent = sense(experiment, pool, Account(None, experiment), progress).cohort
    match experiment.learn:
        case CentralLearning(privacy=PersonPrivacy() as privacy):
            return _train_private(experiment, privacy, sent, members, progress)
        case FederatedLearning():
            return _train_federated(experiment, sent, members, progress)
        case CentralLearning(privacy=privacy) if privacy.kind == "unprotected":
            return _train_backbones(experiment, pool, sent, members, seed, progress, rows_per_epoch)
    raise SpecificationError(
        "learn.privacy: shadow models train openly, with a person as privacy unit, or federated; got a row as unit; "
        "choose learn.privacy = 'person'"
    )


@dataclass(frozen=True)
class PoolRows:
    """Rows on which backbones train, and whose they are; private.

    Attributes:
      inputs: (row, short feature).
      answers, known: (row, target).
      owner: int (row,), position of the person in the pool.
    """

    inputs: Tensor = field(repr=False)
    answers: Tensor = field(repr=False)
    known: Tensor = field(repr=False)
    owner: Tensor = field(repr=False)

    def list_own(self, members: np.ndarray, seed: int) -> Tensor:
        """Int (model, row): each model's rows in random order, short lists filled up with rows of their own."""
        order = torch.Generator().manual_seed(seed)
        lists = []
        for each in torch.from_numpy(members):
            own = each[self.owner].nonzero()[:, 0]
            lists.append(own[torch.randperm(len(own), generator=order)])
        longest = max(len(own) for own in lists)
        return torch.stack([own.repeat(-(-longest // len(own)))[:longest] for own in lists])

    def thin(self, n_rows: int) -> PoolRows:
        """At most so many rows of each person, evenly spread."""
        kept = []
        for person in range(int(self.owner.max()) + 1):
            own = (self.owner == person).nonzero()[:, 0]
            n_kept = min(n_rows, len(own))
            kept.append(own[torch.arange(n_kept) * len(own) // max(n_kept, 1)])
        rows = torch.cat(kept)
        return PoolRows(self.inputs[rows], self.answers[rows], self.known[rows], self.owner[rows])


def list_pool_rows(experiment: Experiment, pool: Cohort) -> PoolRows:
    """Rows of everybody's training time, as open training of a backbone has them."""
    twin, targets = experiment.twin, choose_targets(pool.signals, experiment.twin.targets)
    table = FeatureTable(pool, targets, twin.max_horizon_hours)
    cut = first_test_hours(pool, experiment.learn.train_fraction)
    inputs, answers, owner = [], [], []
    for anchor, before in zip(ANCHORS, (0, *BAND_ENDS), strict=False):
        if before >= twin.max_horizon_hours:
            break
        wanted = list_answers(table, anchor, cut)
        kept = ~np.isnan(wanted).all(axis=2)
        inputs.append(torch.from_numpy(table.short(anchor)[kept]))
        answers.append(torch.from_numpy(wanted[kept]))
        owner.append(torch.from_numpy(kept.nonzero()[0]))
    answer = torch.cat(answers)
    return PoolRows(torch.cat(inputs), torch.nan_to_num(answer), torch.isfinite(answer).float(), torch.cat(owner))


def choose_settings(learn: CentralLearning, seed: int, rows_per_epoch: int | None) -> TrainingSettings:
    """How shadow backbones train: with few rows in small and long steps, or with all as the lab trains."""
    is_full = rows_per_epoch is None
    return TrainingSettings(
        n_epochs=learn.n_epochs,
        batch_rows=_FULL_BATCH_ROWS if is_full else BATCH_ROWS,
        rows_per_epoch=rows_per_epoch,
        learning_rate=learn.learning_rate * (1 if is_full else LONGER_STEP),
        schedule="one_cycle",
        order_seed=seed,
    )


def _train_backbones(
    experiment: Experiment,
    pool: Cohort,
    sent: Cohort,
    members: np.ndarray,
    seed: int,
    progress: Progress,
    rows_per_epoch: int | None,
) -> Shadows:
    """All backbones as one fleet, each on its own rows of what was sent; people are judged by what was measured."""
    assert isinstance(experiment.learn, CentralLearning)
    rows = list_pool_rows(experiment, sent)
    targets = choose_targets(pool.signals, experiment.twin.targets)
    begin = time.perf_counter()
    fleet = make_backbone(experiment.twin, pool.signals, targets, n_models=len(members))
    trained = fleet.train(
        fleet.init([seed + model for model in range(len(members))]),
        rows.inputs,
        rows.answers,
        rows.known,
        choose_settings(experiment.learn, seed, rows_per_epoch),
        lambda _, done, total: progress("training shadow models", done, total),
        rows=rows.list_own(members, seed),
    ).state
    seconds = (time.perf_counter() - begin) / len(members)
    known = rows if sent is pool else list_pool_rows(experiment, pool)
    scored, n_people = known.thin(_ROWS_SCORED), pool.n_people  # a measure that held the cohort could not be handed on
    alone = make_backbone(experiment.twin, pool.signals, targets, n_models=1)

    def measure(release: State) -> np.ndarray:
        wrong = (alone.forward(release, scored.inputs)[0] - scored.answers).square() * scored.known
        loss = torch.zeros(n_people).index_add_(0, scored.owner, wrong.sum(1))
        count = torch.zeros(n_people).index_add_(0, scored.owner, scored.known.sum(1))
        return -np.log((loss / count.clamp(min=1)).clamp(min=1e-12).double().numpy())

    releases = tuple(fleet.model(trained, model) for model in range(len(members)))
    once = read_once(measure)
    return Shadows(members, releases, once, once, np.stack([once(each) for each in releases]), seconds)


def read_once(measure: Measure) -> Measure:
    """A measure that takes a while, and so remembers what it found for the same weights."""
    known: dict[bytes, np.ndarray] = {}

    def recall(release: State) -> np.ndarray:
        weights = b"".join(value.numpy().tobytes() for value in release.values())
        if weights not in known:
            known[weights] = measure(release)
        return known[weights]

    return recall


def _train_private(
    experiment: Experiment, privacy: PersonPrivacy, pool: Cohort, members: np.ndarray, progress: Progress
) -> Shadows:
    """All pooled weights at once, each model with its own noise, as many people and the settings of the lab."""
    start, geometry = prepare_start(privacy.start, experiment.twin, experiment.learn, pool.signals, progress)
    settings = replace(plan_person_training(experiment, privacy), expected_people=int(members[0].sum()))
    products = make_products(start, pool)
    noise = open_noise_for(privacy, experiment.seed)
    begin = time.perf_counter()
    trainer = WeightsTrainer(products, start.forecast_mean.flatten(0, 1), geometry)
    weights = trainer.train(len(members), settings, noise, progress, torch.from_numpy(members))["weights"]
    seconds = (time.perf_counter() - begin) / len(members)
    assert isinstance(settings.noise_multiplier, float)
    assert isinstance(settings.n_steps, int)
    strength = find_strength(settings.noise_multiplier, settings.n_steps, settings.sampling_probability)
    return judge_weights(weights, products, list_mean_squares(start, pool), geometry, members, strength, seconds)


def _train_federated(experiment: Experiment, pool: Cohort, members: np.ndarray, progress: Progress) -> Shadows:
    """One federation after the other; each releases the weights of its last round, however updates were added."""
    ground = prepare_federation(experiment, pool, progress)
    weights: list[Tensor] = []
    begin = time.perf_counter()
    for number, each in enumerate(torch.from_numpy(members)):
        own = replace(
            ground.task,
            features=ground.task.features[each],
            answers=ground.task.answers[each],
            known=ground.task.known[each],
        )
        trained = federate(experiment, replace(ground, task=own))
        weights.append(ground.put(trained.state).forecast_mean.flatten(0, 1))
        progress("federating shadow models", number + 1, len(members))
    seconds = (time.perf_counter() - begin) / len(members)
    products, learn = make_products(ground.start, pool), read_federated(experiment)
    share = min(1.0, (learn.clients_per_round or math.inf) / members[0].sum())
    return judge_weights(
        torch.stack(weights),
        products,
        list_mean_squares(ground.start, pool),
        ground.geometry,
        members,
        find_strength(find_noise_multiplier(experiment), learn.n_rounds, share),
        seconds,
    )


def find_strength(noise_multiplier: float, n_steps: int, share: float = 1.0) -> float:
    """How loud one person's coin is beside noise in released weights, in variance, by public choices alone.

    In a step a person moves the sum by the bound, and noise by the multiplier times the bound. Over the steps the
    former adds up straight and the latter in squares, and a fair coin has a variance of a quarter. So the promise
    itself tells the attacker how far others' pulls stand out of its noise: a quarter of the squared parameter of
    Gaussian differential privacy (Dong, Roth and Su, 2022). What is not noise, but disturbs as noise does, is added.

    Args:
      noise_multiplier: of a step; 0 without noise.
      n_steps: steps, or rounds.
      share: of the steps in which a person takes part.

    >>> round(find_strength(10.0, 400), 2), find_strength(0.0, 20)
    (0.83, 5.0)
    """
    return 1 / (4 * (noise_multiplier / share) ** 2 / n_steps + _PULLS_CHANGE)


def list_mean_squares(start: Population, pool: Cohort) -> Tensor:
    """(person, band and target): mean squared answer over known rows."""
    found = []
    for bands in list_training_rows(start, pool):
        squares = [
            torch.nan_to_num(answers).square().sum(1) / torch.isfinite(answers).sum(1).clamp(min=1)
            for _, answers in bands
        ]
        found.append(torch.cat(squares, dim=1))
    return torch.cat(found)


def judge_weights(
    weights: Tensor,
    products: PersonProducts,
    squares: Tensor,
    geometry: Tensor,
    members: np.ndarray,
    strength: float,
    seconds: float,
) -> Shadows:
    """Signals of released pooled weights (model, target, feature), whose features are public.

    Where a person takes part, weights move along minus that person's gradient, in the public geometry in which training
    descends and its noise is alike in all directions. How far the weights lie in that direction from the mean of the
    shadows, freed of what others of the pool pull, is up to a factor the log of the likelihood ratio; shadows say what
    it is for each person.
    """
    middle = weights.mean(0)
    gradient = (torch.einsum("ptfg,tg->ptf", products.gram, middle) - products.right) @ geometry
    pull = -torch.nn.functional.normalize(gradient.flatten(1), dim=1)
    alike = (pull @ pull.T).double().numpy()
    releases = tuple({"forecast_mean": each} for each in weights)

    def measure(release: State) -> np.ndarray:
        moved = torch.linalg.solve(geometry, (release["forecast_mean"] - middle).T).T
        return discount_others((pull @ moved.flatten()).double().numpy(), alike, strength)

    signals = np.stack([measure(each) for each in releases])
    return Shadows(members, releases, measure, judge_loss(products, squares), signals, seconds)


def judge_loss(products: PersonProducts, squares: Tensor) -> Measure:
    """Minus the mean squared error of released pooled weights (target, feature) on each person's rows.

    Args:
      products: of the pool; private.
      squares: from `list_mean_squares`; private.
    """

    def measure_loss(release: State) -> np.ndarray:
        own = release["forecast_mean"].to(products.gram.dtype)
        fitted = torch.einsum("ptfg,tg->ptf", products.gram, own)
        loss = (fitted * own).sum(2) - 2 * (products.right * own).sum(2) + squares
        return -loss.mean(1).double().numpy()

    return measure_loss


def find_promised_ceiling(epsilon: float, delta: float, accused: float) -> float:
    """The largest share of members that any attack finds at so many accused, under person-level privacy."""
    return min(1.0, math.exp(epsilon) * accused + delta)
