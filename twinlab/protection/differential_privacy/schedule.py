"""How many steps, how much noise in each, and what that costs: public choices only."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from twinlab.errors import SpecificationError

NoiseSchedule = Literal["constant", "down", "up"]

#: More budget is worth more steps; full batch needs no more at a small one. Up to this epsilon, so many steps.
_STEPS_BY_EPSILON = ((0.35, 25), (0.75, 50), (2.5, 100), (5.0, 200), (math.inf, 400))
#: Noise of the first step over noise of the last, for schedules that are not constant.
SCHEDULE_RATIO = 2.3
#: Noise that a whole training may leave in one weight, and the largest learning rate. Chosen on simulated people.
_NOISE_PER_WEIGHT, _LARGEST_RATE = 0.05, 0.3
#: A schedule is cut into this many levels, so that accounting stays fast.
_N_LEVELS = 10


def choose_n_steps(epsilon: float) -> int:
    """Steps of full-batch training that suit a budget: 25, 50, 100, 200 or 400.

    Measured on simulated people; the number of steps is free to choose, since the noise is calibrated to all of them.

    >>> [choose_n_steps(epsilon) for epsilon in (0.1, 0.5, 1, 4, 8)]
    [25, 50, 100, 200, 400]
    """
    if not epsilon > 0:
        raise SpecificationError(f"epsilon: expected more than 0, got {epsilon}")
    return next(n_steps for most, n_steps in _STEPS_BY_EPSILON if epsilon <= most)


def choose_learning_rate(noise_multiplier: float, n_steps: int, expected_people: int) -> float:
    """A learning rate for normalised gradients that lets a whole training leave little noise in each weight.

    After n steps of rate r the noise in a weight has a standard deviation near r * sqrt(n) * noise_multiplier / people.
    Everything here is public, so the choice is free.

    >>> choose_learning_rate(0.0, 100, 50)
    0.3
    """
    spread = math.sqrt(n_steps) * noise_multiplier / expected_people
    return _LARGEST_RATE if spread == 0 else min(_LARGEST_RATE, _NOISE_PER_WEIGHT / spread)


def shape_noise(n_steps: int, schedule: NoiseSchedule = "constant") -> np.ndarray:
    """Relative noise multipliers (step,), scaled so that full-batch training costs what constant noise of 1 costs.

    Args:
      n_steps: public.
      schedule: the same in every step, falling by 2.3 from first to last, or rising by as much.

    >>> round(float((shape_noise(10, "down") ** -2.0).sum()), 6)
    10.0
    """
    if schedule == "constant":
        return np.ones(n_steps)
    level = np.arange(n_steps) * min(n_steps, _N_LEVELS) // n_steps
    shape = SCHEDULE_RATIO ** (-level / max(1, level[-1]))
    if schedule == "up":
        shape = shape[::-1]
    return shape * math.sqrt(float((shape**-2.0).mean()))
