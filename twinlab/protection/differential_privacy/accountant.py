"""Accountants side by side: the same noise, counted tightly and in ways that are looser. All of them are upper bounds.

A looser accountant is not more private: it asks for more noise at the same promise, and what was really lost is what
the tight one says.
"""

import math
from typing import Literal, get_args

from twinlab.budget import GaussianEvent, RepeatedEvent, SampledGaussianEvent
from twinlab.errors import SpecificationError
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier, compute_epsilon
from twinlab.protection.differential_privacy.renyi import RENYI_ORDERS, compute_adaptive_epsilon

AccountantName = Literal["tight", "renyi", "sum of steps"]


def compute_epsilon_by(
    accountant: AccountantName,
    noise_multiplier: float,
    delta: float,
    sampling_probability: float = 1.0,
    n_steps: int = 1,
) -> float:
    """Epsilon of a private training by the accountant of that name.

    Args:
      accountant: "tight" (FFT, or the closed form for full batches), "renyi" (the best whole order; Mironov 2017), or
        "sum of steps" (each step's own epsilon at delta / n_steps, added up; Dwork and Roth 2014, theorem 3.16).
      noise_multiplier, delta, sampling_probability, n_steps: of the training; public.

    >>> [round(compute_epsilon_by(name, 40.0, 1e-5, n_steps=100), 2) for name in ("tight", "renyi", "sum of steps")]
    [0.93, 1.01, 10.35]
    """
    step = GaussianEvent(noise_multiplier)
    event = SampledGaussianEvent(noise_multiplier, sampling_probability) if sampling_probability < 1 else step
    run = RepeatedEvent(event, n_steps)
    match accountant:
        case "tight":
            return compute_epsilon(run, delta)
        case "renyi":
            return min(compute_adaptive_epsilon(run, delta, order=order) for order in RENYI_ORDERS)
        case "sum of steps":
            return n_steps * compute_epsilon(event, delta / n_steps)
    raise SpecificationError(f"accountant: expected one of {', '.join(get_args(AccountantName))}, got {accountant!r}")


def calibrate_by(
    accountant: AccountantName, target_epsilon: float, delta: float, sampling_probability: float = 1.0, n_steps: int = 1
) -> float:
    """The least noise, to a thousandth, with which a training stays within a target by the accountant of that name.

    Args:
      accountant: as in `compute_epsilon_by`.
      target_epsilon, delta, sampling_probability, n_steps: public.

    Raises:
      SpecificationError: if no noise meets the target.
    """
    low = calibrate_noise_multiplier(target_epsilon, delta, sampling_probability, n_steps)
    if accountant == "tight":
        return low
    high = low
    while compute_epsilon_by(accountant, high, delta, sampling_probability, n_steps) > target_epsilon:
        low, high = high, 2 * high
        if high > 1e8:
            raise SpecificationError(
                f"accountant {accountant!r}: expected a target that some noise meets, got epsilon {target_epsilon} at "
                f"delta {delta} in {n_steps} steps; raise epsilon or take the tight accountant"
            )
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        within = compute_epsilon_by(accountant, middle, delta, sampling_probability, n_steps) <= target_epsilon
        low, high = (low, middle) if within else (middle, high)
    return high
