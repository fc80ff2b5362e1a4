"""Shadows of linear models whose making is seen in full: a pooled head, and a federation round by round.

What a linear model takes from a person can be computed, not only estimated. So what is seen is a system of equations
in one coin a person, took part or not, and the attacker solves it for all people of its pool together.

Source: Nasr, Shokri and Houmansadr, Comprehensive privacy analysis of deep learning, S&P 2019 (who sees every round of
a federation knows more than who sees its end).
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from twinlab.attacks.membership import discount_others
from twinlab.cohorts.cohort import Cohort
from twinlab.errors import SpecificationError
from twinlab.experiment import Experiment
from twinlab.fleet import State
from twinlab.learn_choice import CentralLearning, FederatedLearning
from twinlab.pipeline.federating import (
    FederatedGround,
    federate,
    find_clip_norm,
    find_noise_multiplier,
    plan_settings,
    plan_training,
    prepare_federation,
)
from twinlab.pipeline.shadowing import Measure, Shadows, judge_loss, list_mean_squares, read_once
from twinlab.pipeline.start import StartName, make_products, prepare_start
from twinlab.protection.differential_privacy.pooled_weights import PersonProducts
from twinlab.protection.federated.device import clip_updates, measure_devices, train_devices
from twinlab.roles import Progress
from twinlab.threat import ThreatModel

#: What of the making is seen: released weights alone, the model after every round, or a pooled head alone.
Sight = Literal["weights", "rounds", "head"]
SIGHTS: tuple[Sight, ...] = get_args(Sight)
_KNOWN = "how it was trained, a candidate's readings, and a pool of people, half of whom took part"
ROUNDS_THREAT = ThreatModel("membership", "device", f"the model after every round, as every device gets it, {_KNOWN}")
HEAD_THREAT = ThreatModel("membership", "public", f"a pooled linear head, the public features that it reads, {_KNOWN}")
#: Penalty of a pooled head over people who count one each.
_RIDGE = 0.1
#: What disturbs equations where there is no noise: rounding, and shares of a mean that are not quite equal. Variance.
_ROUNDING = 1e-3


def train_round_shadows(experiment: Experiment, pool: Cohort, members: np.ndarray, progress: Progress) -> Shadows:
    """Federate each half of a pool, and keep the model after every round: what every device sees.

    A sum that hides single updates does not hide itself: the model moves by the mean of all updates, however they were
    added. The attacker trains each of its candidates on each round's model and asks whose updates explain the move. It
    takes the move for a mean of updates on all rows; robust or accelerated strategies and small batches blur that.

    Args:
      experiment: public; its learning is federated.
      pool: private.
      members: bool (model, person).
      progress: told while models train.

    Raises:
      SpecificationError: if learning is not federated.
    """
    if not isinstance(experiment.learn, FederatedLearning):
        raise SpecificationError("sees: rounds are seen where learning is federated; choose learn.kind = 'federated'")
    ground, begin = prepare_federation(experiment, pool, progress), time.perf_counter()
    releases = []
    for number, each in enumerate(torch.from_numpy(members)):
        releases.append(_federate_watched(experiment, ground, each))
        progress("federating shadow models", number + 1, len(members))
    seconds = (time.perf_counter() - begin) / len(members)
    measure, measure_loss = _read_rounds(experiment, ground, int(members[0].sum()))
    signals = []
    for number, release in enumerate(releases):
        signals.append(measure(release))
        progress("reading rounds", number + 1, len(members))
    return Shadows(members, tuple(releases), measure, measure_loss, np.stack(signals), seconds)


def train_head_shadows(
    experiment: Experiment, pool: Cohort, members: np.ndarray, progress: Progress, start: StartName = "simulated"
) -> Shadows:
    """Fit a ridge head on public features on each half of a pool, in closed form.

    Args:
      experiment: public; its learning is central and open.
      pool: private.
      members: bool (model, person).
      progress: told about the public start.
      start: where the features come from: a backbone that simulated people trained, or random ones.

    Raises:
      SpecificationError: if learning is federated or private.
    """
    learn = experiment.learn
    if not isinstance(learn, CentralLearning) or learn.privacy.kind != "unprotected":
        raise SpecificationError("sees: a head is fitted openly; choose learn = 'central' without privacy")
    population = prepare_start(start, experiment.twin, learn, pool.signals, progress)[0]
    products, begin = make_products(population, pool), time.perf_counter()
    gram, right = products.gram.double(), products.right.double()
    ridge = _RIDGE * torch.eye(gram.shape[-1]).double()
    taken = torch.from_numpy(members).double()
    grams, rights = torch.einsum("mp,ptfg->mtfg", taken, gram), torch.einsum("mp,ptf->mtf", taken, right)
    weights = torch.linalg.solve(grams + ridge, rights).float()
    seconds = (time.perf_counter() - begin) / len(members)
    releases = tuple({"forecast_mean": each} for each in weights)
    measure = _read_head(products, weights.double().mean(0), ridge)
    measure_loss = judge_loss(products, list_mean_squares(population, pool))
    return Shadows(members, releases, measure, measure_loss, np.stack([measure(each) for each in releases]), seconds)


def _federate_watched(experiment: Experiment, ground: FederatedGround, members: Tensor) -> State:
    """One federation of some of the pool: parameters before the first round and after each, stacked."""
    task = ground.task
    own = replace(task, features=task.features[members], answers=task.answers[members], known=task.known[members])
    seen = [{name: value.clone() for name, value in ground.initial.items()}]

    def watch(_: object, arrays: dict[str, np.ndarray]) -> None:
        seen.append({name: torch.from_numpy(np.array(value))[None] for name, value in arrays.items()})

    federate(experiment, replace(ground, task=own), on_round=watch)
    return {name: torch.cat([each[name] for each in seen]) for name in ground.initial}


def _read_rounds(experiment: Experiment, ground: FederatedGround, n_devices: int) -> tuple[Measure, Measure]:
    """How far all rounds together moved along what each of the pool would have added, freed of the others; the loss."""
    fleet, rows = ground.task.fleet, ground.task.load(range(ground.task.n_devices))
    everybody, bound = range(ground.task.n_devices), find_clip_norm(experiment)
    training = replace(plan_training(experiment), batch_rows=None)
    n_asked = plan_settings(experiment, n_devices).clients_per_round or n_devices
    share = n_asked / n_devices
    strength = 1 / (4 * (find_noise_multiplier(experiment) / share) ** 2 + _ROUNDING)

    def measure(release: State) -> np.ndarray:
        models = [
            {name: value[place : place + 1] for name, value in release.items()} for place in range(_count(release))
        ]
        moved = torch.zeros(len(everybody)).double()
        alike = torch.zeros(len(everybody), len(everybody)).double()
        for number, (before, after) in enumerate(pairwise(models), start=1):
            trained = clip_updates(before, train_devices(fleet, before, rows, training, number, everybody)[0], bound)
            updates, change = _flatten(before, trained) / bound, _flatten(before, after)[0] / bound
            moved += updates @ (n_asked * change - n_asked / len(everybody) * updates.sum(0))
            alike += updates @ updates.T
        return discount_others(moved.numpy(), alike.numpy(), strength)

    def measure_loss(release: State) -> np.ndarray:
        last = {name: value[-1:] for name, value in release.items()}
        return -measure_devices(fleet, last, rows).double().numpy()

    return read_once(measure), measure_loss


def _read_head(products: PersonProducts, middle: Tensor, ridge: Tensor) -> Measure:
    """How far a head lies along what each of the pool pulls at the shadows' mean, freed of what others pull.

    To first order, the head's distance from the mean is the inverse of the summed grams times the pulls of those who
    took part, less their mean. Both sides are taken into the space where that inverse is one.
    """
    gram, right = products.gram.double(), products.right.double()
    half = torch.linalg.cholesky(gram.sum(0) / 2 + ridge)
    pull = right - torch.einsum("ptfg,tg->ptf", gram, middle)
    pull = torch.linalg.solve_triangular(half, pull.permute(1, 2, 0), upper=False).permute(2, 0, 1).flatten(1)
    pull = pull / pull.norm(dim=1).mean()
    alike = (pull @ pull.T).numpy()

    def measure(release: State) -> np.ndarray:
        moved = torch.einsum("tgf,tg->tf", half, release["forecast_mean"].double() - middle)
        return discount_others((pull @ moved.flatten()).numpy(), alike, 1 / _ROUNDING)

    return measure


def _flatten(before: State, after: State) -> Tensor:
    """float64 (model, parameter): how far parameters moved."""
    return torch.cat([(after[name] - before[name]).flatten(1) for name in before], dim=1).double()


def _count(release: State) -> int:
    """Models that were seen."""
    return len(next(iter(release.values())))
