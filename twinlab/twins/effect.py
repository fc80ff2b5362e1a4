"""What an action changes, for one person or for everybody at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from torch import Tensor

from twinlab.signals import get_signal
from twinlab.twins.action import ENERGY_UNCERTAINTY, Action, Energetics, added_movement
from twinlab.twins.population import Population
from twinlab.twins.response import action_features, effort_signals

#: Two-sided normal quantile of 90 %.
NORMAL_90 = 1.645


class HeadState(NamedTuple):
    """What people's heads know of the answer to effort at one hour; private, it stays with the person.

    Attributes:
      weights: (person, target, effort feature).
      covariance: (person, target, effort feature, effort feature), in units of the noise variance.
      noise: (person, target), variance of what effort does not explain, scaled.
    """

    weights: Tensor
    covariance: Tensor
    noise: Tensor


def estimate_effort(
    energetics: Energetics, hour: int, action: Action, expected: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Steps, intensity and calories_kcal that an action adds to each of the next hours: (person, hour ahead).

    Args:
      energetics: what moving costs these people; private.
      hour: after which hour it is asked.
      action: public.
      expected: for each forecast signal (person, hour ahead), the forecast without the action; private.
    """
    shape = next(iter(expected.values())).shape
    added = added_movement(action, expected.get("steps", np.zeros(shape)))
    resting = np.repeat(energetics.resting_kcal[:, hour, None], shape[1], axis=1)
    added["calories_kcal"] = energetics.added_kcal(action, hour, expected.get("calories_kcal", resting))
    return added


def compute_effects(
    population: Population,
    energetics: Energetics,
    head: HeadState,
    hour: int,
    action: Action,
    expected: dict[str, np.ndarray],
    measured: Mapping[str, np.ndarray] | None = None,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Effect of an action on each signal that an answer is known for, and its standard deviation.

    Args:
      population: released.
      energetics: what moving costs these people; private.
      head: their heads as of `hour`; private.
      hour: after which hour it is asked.
      action: public.
      expected: for each forecast signal (person, hour ahead), the forecast without the action, in the signal's unit.
      measured: steps, intensity or calories_kcal (person, hour ahead) that the action adds, where a device has measured
        it; public constants and the person's own walking say it otherwise. Private.

    Returns:
      For each signal (effect, standard deviation), each float (person, hour ahead) in the signal's unit.
    """
    added = estimate_effort(energetics, hour, action, expected) | dict(measured or {})
    relative = {"steps": 0.0, "calories_kcal": ENERGY_UNCERTAINTY}
    effects = {name: (added[name], added[name] * size) for name, size in relative.items() if name in expected}
    if not population.response_targets:
        return effects
    change = action_features(added, population.signals)[..., : head.weights.shape[-1]]
    scaled = np.einsum("phk,ptk->pht", change, head.weights.numpy())
    variance = np.einsum("phk,ptkj,phj->pht", change, head.covariance.numpy(), change) * head.noise.numpy()[:, None]
    is_guessed = "calories_kcal" in effort_signals(population.signals) and "calories_kcal" not in (measured or {})
    unsure = ENERGY_UNCERTAINTY if is_guessed else 0.0
    spread = np.sqrt(np.maximum(variance, 0) + (unsure * scaled) ** 2)
    for column, name in enumerate(population.response_targets):
        unit = get_signal(name).spread
        effects[name] = (scaled[..., column] * unit, spread[..., column] * unit)
    return effects
