"""The differencing attack on a training, once with its noise and once without."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from twinlab.attacks.joining import attack_by_difference
from twinlab.errors import SpecificationError
from twinlab.evaluation.joining import measure_joining
from twinlab.finding import Finding
from twinlab.pipeline.attacker_view import let_attack
from twinlab.pipeline.exploration import PrivacyExploration
from twinlab.pipeline.place import Scenario
from twinlab.protection.differential_privacy.descent import describe_training_guarantee, list_events
from twinlab.protection.differential_privacy.pooled_weights import PersonProducts, WeightsTrainer
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.release import Message, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.threat import PublicKnowledge, ThreatModel

THREAT = ThreatModel(
    "membership",
    "public",
    "the public start, all candidates' readings, and that one of them joined between two releases",
)


def attack_joining(
    exploration: PrivacyExploration,
    epsilon: float | None,
    n_candidates: int = 10,
    n_rounds: int = 1,
    progress: Progress = report_nothing,
) -> Finding:
    """Let somebody join, train again, and let an attacker who sees both releases name them.

    Each candidate joins once a round. It compares with the truth and trains for nobody: people who do not exist only.

    Args:
      exploration: whose people; private.
      epsilon: of each training; None trains without noise.
      n_candidates: the last so many people of the cohort; the rest is always there.
      n_rounds: how often each of them joins; more narrows the interval.
      progress: called once a training.

    Returns:
      `who_joined`: the share of right guesses, with its interval, beside a blind guess.

    Raises:
      SpecificationError: on real people, or if there are too few.
    """
    if not exploration.is_free:
        raise SpecificationError("attack: expected people who do not exist; choose cohort = 'simulated'")
    if not 2 <= n_candidates < exploration.n_people:
        raise SpecificationError(f"n_candidates: expected 2 to {exploration.n_people - 1}, got {n_candidates}")
    scenario = Scenario()
    ground = exploration.prepare(scenario.start)
    settings = exploration.settings_at(scenario, epsilon or 1.0)
    if epsilon is None:
        settings = replace(settings, noise_multiplier=0.0)
    start, noise = ground.population.forecast_mean.flatten(0, 1), open_noise()
    n_always = ground.products.n_people - n_candidates

    guarantee = describe_training_guarantee(list_events(settings, 1)[0], exploration.delta, is_rehearsal=False)

    def release(extra: int | None) -> Message:
        begin = time.perf_counter()
        kept = [*range(n_always), *([] if extra is None else [n_always + extra])]
        some = PersonProducts(ground.products.gram[kept], ground.products.right[kept])
        trainer = WeightsTrainer(some, start, ground.geometry)
        weights = trainer.train(1, settings, noise, report_nothing)["weights"][0].numpy()
        seconds = time.perf_counter() - begin
        return Message("trainer", "public", "weights", weights.nbytes, seconds, weights, guarantee)

    pulls = _find_pulls(ground.products, n_always, start, ground.geometry)
    knowledge = PublicKnowledge(facts={"geometry": ground.geometry.numpy(), "pulls": pulls})
    without = release(None)
    claims, truth = [], []
    for number in range(n_rounds * n_candidates):
        joined = number % n_candidates
        without = without if epsilon is None else release(None)  # noise is fresh in every release
        transcript = Transcript()
        for message in (without, release(joined)):
            transcript.record(message)
        claims.append(let_attack(attack_by_difference, transcript, knowledge, THREAT))
        truth.append(joined)
        progress("attacking", number + 1, n_rounds * n_candidates)
    what = "Weights trained without noise" if epsilon is None else f"Weights trained at epsilon {epsilon:g} a person"
    return measure_joining(claims, np.asarray(truth), what)


def _find_pulls(products: PersonProducts, first: int, start: Tensor, geometry: Tensor) -> np.ndarray:
    """How each candidate pulls at the start, brought to one length: (candidate, parameter), in the geometry."""
    gram, right = geometry.T @ products.gram[first:] @ geometry, products.right[first:] @ geometry
    begin = torch.linalg.solve(geometry, start.T).T
    pull = (right - torch.einsum("ptfg,tg->ptf", gram, begin)).flatten(1).double().numpy()
    return pull / np.maximum(np.linalg.norm(pull, axis=1, keepdims=True), 1e-300)
