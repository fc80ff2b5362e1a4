"""What movement does to the body: heart rate and glucose as a personal linear answer to the energy spent.

The answer in an hour is linear in the energy of that hour and the two before (not in square roots of steps, so that a
walk in a quiet hour weighs what it weighs), beside the clock, sleep and a level that wanders on its own. What an
action changes is the difference of two feature vectors times the personal head, so its variance has a closed form too.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from twinlab.roles import CohortView
from twinlab.signals import get_signal
from twinlab.twins.feature import CLIP, N_CLOCK, Clock, lag, scale

#: Signals that answer to effort.
RESPONSIVE = ("heart_rate_bpm", "glucose_mg_dl")
#: The hour itself and the two before.
N_CARRY_OVER = 3
#: Share of the prior variance added per hour to the wandering level: moods and postures last for hours.
WANDER = 0.2
#: Weights of movement change with health and season, not with the hour: this much slower than the level.
WEIGHT_DRIFT = 0.05
PRIOR_VARIANCE = 0.1
WANDER_VARIANCE = 0.5
_SLEEP_UNIT_MINUTES = 30.0


def choose_response_targets(signals: tuple[str, ...], targets: tuple[str, ...]) -> tuple[str, ...]:
    """Signals whose answer to effort is learned; none where no effort is measured."""
    return tuple(name for name in targets if name in RESPONSIVE) if effort_signals(signals) else ()


def effort_signals(signals: tuple[str, ...]) -> tuple[str, ...]:
    """What stands for effort: energy where it is measured, otherwise steps and intensity."""
    if "calories_kcal" in signals:
        return ("calories_kcal",)
    return tuple(name for name in ("steps", "intensity") if name in signals)


def count_response(signals: tuple[str, ...]) -> int:
    """Width of the response features."""
    return N_CARRY_OVER * len(effort_signals(signals)) + 2 * ("sleep_min" in signals) + N_CLOCK + 2


def response_prior(signals: tuple[str, ...], process_noise: float) -> tuple[Tensor, Tensor]:
    """Prior covariance (feature, feature) in units of the noise variance, and process noise (feature,): constants."""
    n_features = count_response(signals)
    variance = torch.full((n_features,), PRIOR_VARIANCE)
    drift = torch.full((n_features,), process_noise * WEIGHT_DRIFT)
    variance[-2], drift[-2] = 1.0, process_noise
    variance[-1], drift[-1] = WANDER_VARIANCE, max(WANDER, process_noise)
    return torch.diag(variance), drift


def tabulate_response(cohort: CohortView, targets: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Features and answers of the same hour.

    Args:
      cohort: whose readings; private.
      targets: signals that answer.

    Returns:
      float32 (person, hour, feature) without NaN, effort first (this hour's, then the hour before's, ...), at the end
      a slow and a wandering level; and float32 (person, hour, target) scaled, NaN where the answer or the hour's
      effort is unknown.
    """
    clock = Clock.of(cohort.start, cohort.n_hours, 0).features
    shape = (cohort.n_people, cohort.n_hours)
    effort = _effort(cohort)
    columns = [np.nan_to_num(lag(effort, n_hours)) for n_hours in range(N_CARRY_OVER)]
    if "sleep_min" in cohort.signals:
        asleep = cohort.signal("sleep_min")[..., None] / _SLEEP_UNIT_MINUTES
        columns += [np.nan_to_num(asleep), np.isnan(asleep)]
    columns += [np.broadcast_to(clock, (*shape, N_CLOCK)), np.ones((*shape, 2))]
    features = np.concatenate(columns, axis=-1).astype(np.float32)
    answers = np.zeros((*shape, 0))
    if targets:
        answers = np.stack([scale(cohort.signal(name), name) for name in targets], axis=-1)
    known = ~np.isnan(effort).any(axis=-1, keepdims=True)
    return features, np.where(known, answers, np.nan).astype(np.float32)


def action_features(added: dict[str, np.ndarray], signals: tuple[str, ...]) -> np.ndarray:
    """float32 (person, hour ahead, feature): how the response features change by an action.

    Args:
      added: for each signal of effort, (person, hour ahead) in its unit.
      signals: what the cohort measures.
    """
    names = effort_signals(signals)
    now = np.stack([added[name] / get_signal(name).spread for name in names], axis=-1)
    change = np.zeros((*now.shape[:2], count_response(signals)), dtype=np.float32)
    for n_hours in range(min(N_CARRY_OVER, now.shape[1])):
        first = n_hours * len(names)
        change[:, n_hours:, first : first + len(names)] = now[:, : now.shape[1] - n_hours]
    return change


def _effort(cohort: CohortView) -> np.ndarray:
    """float (person, hour, signal of effort): steps not centred, energy above a public resting value."""
    columns = []
    for name in effort_signals(cohort.signals):
        constants = get_signal(name)
        offset = 75.0 if name == "calories_kcal" else 0.0
        columns.append(((cohort.signal(name) - offset) / constants.spread).clip(-CLIP, 3 * CLIP))
    return np.stack(columns, axis=-1)
