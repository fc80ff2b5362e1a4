"""Why noise on every reading can still leave a useful mean: errors average out, as the root of the number of people.

The noises are independent and unbiased, so by the central limit theorem their mean is nearly normal with the variance
of one divided by the number of people. How many people are needed follows before anybody is asked.
"""

import math
from statistics import NormalDist
from typing import get_args

import numpy as np
import pandas as pd

from twinlab.errors import DataContractError, SpecificationError
from twinlab.finding import Finding
from twinlab.protection.differential_privacy.local import ReadingScale, choose_scale, predict_noise
from twinlab.protection.differential_privacy.mechanism import (
    MechanismName,
    find_worst_variance,
    make_mechanism,
    round_at_random,
)
from twinlab.protection.differential_privacy.randomness import NoiseSource, open_noise

_ALL_MECHANISMS: tuple[MechanismName, ...] = get_args(MechanismName)
_DRAWS_AT_ONCE = 500_000


def predict_mean_error(
    signal: str,
    epsilon: float,
    n_people: int,
    mechanism: MechanismName = "hybrid",
    bounds: tuple[float, float] | None = None,
    *,
    confidence: float = 0.95,
) -> float:
    """How far the mean of noisy readings lies from the mean of the true ones, at most, for the worst readings.

    Args:
      signal, epsilon, mechanism, bounds: public; as in `protect_readings`.
      n_people: public; each sends one reading.
      confidence: public; over the noise alone.

    Returns:
      Half the width of the interval, in the signal's unit.

    >>> round(predict_mean_error("heart_rate_bpm", 1.0, 10_000), 1)
    4.7
    """
    if n_people < 1:
        raise SpecificationError(f"n_people: expected at least 1, got {n_people}")
    return find_normal_width(confidence) * predict_noise(signal, epsilon, mechanism, bounds) / math.sqrt(n_people)


def count_people_needed(
    wanted_error: float,
    signal: str,
    *,
    epsilon: float,
    mechanism: MechanismName = "hybrid",
    bounds: tuple[float, float] | None = None,
    confidence: float = 0.95,
    max_people: int = 100_000,
) -> Finding:
    """How many people must take part before noise on readings leaves a mean that is good enough.

    Args:
      wanted_error: public; how far off the mean may be, in the signal's unit.
      signal, epsilon, mechanism, bounds, confidence: public; as in `predict_mean_error`.
      max_people: public; how many could take part at all; beyond that it is hopeless.

    Returns:
      A finding whose value is the number of people and whose table has a row a mechanism: mechanism, epsilon,
      wanted_error, unit, people_needed, is_hopeless.

    Raises:
      SpecificationError: if a choice is out of range.
    """
    if not wanted_error > 0:
        raise SpecificationError(f"wanted_error: expected more than 0, got {wanted_error}")
    scale = choose_scale(signal, bounds)
    width = find_normal_width(confidence)
    needed = {
        name: math.ceil((width * predict_noise(signal, epsilon, name, bounds) / wanted_error) ** 2)
        for name in _ALL_MECHANISMS
    }
    if mechanism not in needed:
        raise SpecificationError(f"mechanism: expected one of {', '.join(needed)}, got {mechanism!r}")
    unit = scale.signal.unit
    return Finding(
        name="people_needed",
        value=needed[mechanism],
        unit="people",
        baseline=needed["laplace"],
        baseline_name="laplace",
        sentence=(
            f"A mean within {wanted_error:g} {unit} ({100 * confidence:g} %) at epsilon {epsilon:g} a reading takes "
            f"{needed[mechanism]} people by {mechanism}: "
            f"{_judge_need(needed[mechanism], max_people, wanted_error, unit)}."
        ),
        table=tuple(
            {
                "mechanism": name,
                "epsilon": epsilon,
                "wanted_error": wanted_error,
                "unit": unit,
                "people_needed": count,
                "is_hopeless": count > max_people,
            }
            for name, count in needed.items()
        ),
    )


def _judge_need(needed: int, max_people: int, wanted_error: float, unit: str) -> str:
    """Whether so many people can be had, and what could be had instead."""
    if needed <= max_people:
        return f"at most {max_people} could take part, so it can be done"
    reach = math.sqrt(needed / max_people) * wanted_error
    return (
        f"hopeless with at most {max_people} people, who get within {reach:.3g} {unit}; raise epsilon, narrow the "
        "bounds or let somebody trusted add the noise"
    )


def measure_mean_error(
    values: np.ndarray,
    signal: str,
    *,
    epsilons: tuple[float, ...] = (0.5, 1.0, 4.0),
    n_people: tuple[int, ...] = (10, 100, 1000),
    mechanisms: tuple[MechanismName, ...] = _ALL_MECHANISMS,
    bounds: tuple[float, float] | None = None,
    n_repeats: int = 200,
    confidence: float = 0.95,
    noise: NoiseSource | None = None,
) -> tuple[pd.DataFrame, Finding]:
    """Error of the mean of noisy readings against the number of people, predicted and measured.

    It compares with the true mean, which is itself a release: run it on people who do not exist.

    Args:
      values: private; (person,) one reading each, in the signal's unit; people are drawn from them with replacement.
      signal, bounds: public; as in `protect_readings`.
      epsilons, n_people, mechanisms: public; what to try, all combinations.
      n_repeats: public; independent repetitions behind each measured number.
      confidence: public.
      noise: where noise comes from; the operating system when left out.

    Returns:
      A row a combination: mechanism, epsilon, n_people, predicted_rmse, measured_rmse, measured_bias,
      promised_half_width (worst readings), measured_half_width, unit; and a finding on how well the prediction held.

    Raises:
      SpecificationError, DataContractError: if a choice is out of range or the readings are no list of numbers.
    """
    scale = choose_scale(signal, bounds)
    readings = np.asarray(values, dtype=float)
    readings = readings[np.isfinite(readings)] if readings.ndim == 1 else readings
    if readings.ndim != 1 or len(readings) == 0:
        raise DataContractError(f"readings: expected one number a person, got shape {np.shape(values)}")
    if not epsilons or not n_people or not mechanisms or min(n_people) < 1 or n_repeats < 2:
        raise SpecificationError("aggregate: expected something to try, at least 1 person and 2 repeats")
    source = noise if noise is not None else open_noise()
    positions = scale.to_positions(readings)
    rows = [
        _measure_one(positions, scale, mechanism, epsilon, count, n_repeats, confidence, source)
        for mechanism in mechanisms
        for epsilon in epsilons
        for count in n_people
    ]
    table = pd.DataFrame(rows)
    return table, _describe_ratios(table, rows)


def _describe_ratios(table: pd.DataFrame, rows: list[dict[str, object]]) -> Finding:
    """How well the prediction held."""
    ratios = table["measured_rmse"] / table["predicted_rmse"]
    return Finding(
        name="mean_error_ratio",
        value=float(ratios.mean()),
        interval=(float(ratios.min()), float(ratios.max())),
        interval_kind="smallest and largest of all combinations",
        control=1.0,
        sentence=(
            f"Over {len(table)} combinations the error of the mean was {ratios.mean():.2f} times the predicted one "
            f"({ratios.min():.2f} to {ratios.max():.2f}); it falls as the root of the number of people."
        ),
        table=tuple(rows),
    )


def _measure_one(
    positions: np.ndarray,
    scale: ReadingScale,
    mechanism: MechanismName,
    epsilon: float,
    n_people: int,
    n_repeats: int,
    confidence: float,
    noise: NoiseSource,
) -> dict[str, object]:
    """Errors of the mean of n people's noisy readings, over some repetitions."""
    drawn = make_mechanism(mechanism, epsilon)
    errors, predicted = np.empty(n_repeats), 0.0
    at_once = max(1, _DRAWS_AT_ONCE // n_people)
    for start in range(0, n_repeats, at_once):
        block = errors[start : start + at_once]
        true = positions[noise.draw_integers(len(positions), (len(block), n_people))]
        noisy = drawn.draw(round_at_random(true, drawn.n_steps, noise), noise)
        block[:] = (noisy.mean(axis=1) - true.mean(axis=1)) * scale.half_range
        predicted += float(drawn.predict_variance(true).mean()) * len(block) / n_people / n_repeats
    worst = math.sqrt(find_worst_variance(drawn) / n_people)
    return {
        "mechanism": mechanism,
        "epsilon": float(epsilon),
        "n_people": n_people,
        "predicted_rmse": math.sqrt(predicted) * scale.half_range,
        "measured_rmse": float(np.sqrt((errors**2).mean())),
        "measured_bias": float(errors.mean()),
        "promised_half_width": find_normal_width(confidence) * worst * scale.half_range,
        "measured_half_width": float(np.quantile(np.abs(errors), confidence)),
        "unit": scale.signal.unit,
    }


def find_normal_width(confidence: float) -> float:
    """Standard deviations on each side that hold a share of a normal distribution.

    >>> round(find_normal_width(0.95), 2)
    1.96
    """
    if not 0.5 <= confidence < 1:
        raise SpecificationError(f"confidence: expected 0.5 to below 1, got {confidence}")
    return NormalDist().inv_cdf((1 + confidence) / 2)
