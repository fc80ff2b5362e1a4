"""Noise on readings, on the device: what leaves is noisy already, so nobody need be trusted with the truth."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import pandas as pd

from twinlab.budget import PureEvent, RepeatedEvent
from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.differential_privacy.guarantee import describe_reading_guarantee
from twinlab.protection.differential_privacy.mechanism import (
    MechanismName,
    find_worst_variance,
    make_mechanism,
    round_at_random,
)
from twinlab.protection.differential_privacy.randomness import NoiseSource, open_noise
from twinlab.release import Guarantee
from twinlab.signals import Signal, get_signal

#: What happens to an hour without a reading. "hidden": the device reports the public centre of the signal, with noise
#: like any other reading, so that nobody learns whether it measured; means are then drawn towards that centre.
#: "public": nothing is reported, everybody sees when the device did not measure, and means are not drawn.
MissingReadings = Literal["hidden", "public"]


@dataclass(frozen=True)
class ReadingScale:
    """A signal between public bounds, and the way to [-1, 1] and back.

    Attributes:
      signal: whose unit and public centre are used.
      lower, upper: public bounds; readings beyond them are moved to them before noise is drawn.
    """

    signal: Signal
    lower: float
    upper: float

    @property
    def half_range(self) -> float:
        """Half the distance of the bounds, in the signal's unit."""
        return (self.upper - self.lower) / 2

    @property
    def center(self) -> float:
        """The signal's public centre, within the bounds."""
        return min(max(self.signal.center, self.lower), self.upper)

    def to_positions(self, values: np.ndarray) -> np.ndarray:
        """Clip to the bounds and bring to [-1, 1]; an hour without a reading stands at the public centre."""
        filled = np.where(np.isnan(values), self.center, values)
        return (np.clip(filled, self.lower, self.upper) - self.lower) / self.half_range - 1

    def to_values(self, positions: np.ndarray) -> np.ndarray:
        """Back to the signal's unit."""
        return (np.asarray(positions) + 1) * self.half_range + self.lower


def choose_scale(signal: str, bounds: tuple[float, float] | None = None) -> ReadingScale:
    """The public bounds that noise is calibrated by.

    Args:
      signal: name of a signal.
      bounds: public; narrower bounds than the signal's own mean less noise and more clipping. They must come from
        public knowledge, such as a textbook, never from the readings.

    Raises:
      SpecificationError: if the bounds are not inside the signal's own, or upside down.
    """
    known = get_signal(signal)
    lower, upper = bounds if bounds is not None else (known.lower, known.upper)
    if not known.lower <= lower < upper <= known.upper:
        raise SpecificationError(
            f"bounds of {signal}: expected lower < upper within {known.lower:g} to {known.upper:g} {known.unit}, "
            f"got {lower:g} to {upper:g}"
        )
    return ReadingScale(known, float(lower), float(upper))


@dataclass(frozen=True)
class ProtectedReadings:
    """Noisy readings, fit to leave the device.

    Attributes:
      values: in the signal's unit, shaped as the readings were; unbiased, and therefore often outside the bounds.
      scale: signal and public bounds.
      mechanism: name of the mechanism.
      epsilon: privacy loss of one reading.
      missing: how hours without a reading were treated.
      guarantee: of one reading; a person who reports n of them has n times the loss.
      n_readings_per_person: how many readings each person reported, at most.
    """

    values: np.ndarray = field(repr=False)
    scale: ReadingScale
    mechanism: MechanismName
    epsilon: float
    missing: MissingReadings
    guarantee: Guarantee
    n_readings_per_person: int

    @property
    def person_event(self) -> RepeatedEvent:
        """What all readings of one person cost, for a ledger."""
        return RepeatedEvent(PureEvent(self.epsilon), self.n_readings_per_person)

    @property
    def sentence(self) -> str:
        """What was done, in one sentence."""
        signal = self.scale.signal
        error = predict_noise(signal.name, self.epsilon, self.mechanism, (self.scale.lower, self.scale.upper))
        shown = "shows nobody when the device measured" if self.missing == "hidden" else "shows when it measured"
        return (
            f"Each {signal.label.lower()} reading carries {self.mechanism} noise of up to {error:.3g} {signal.unit} "
            f"(standard deviation) for epsilon {self.epsilon:g} a reading, so {self.n_readings_per_person} readings of "
            f"a person cost epsilon {self.epsilon * self.n_readings_per_person:g}; it {shown}."
        )


def protect_readings(
    values: np.ndarray,
    signal: str,
    *,
    epsilon: float,
    mechanism: MechanismName = "hybrid",
    bounds: tuple[float, float] | None = None,
    missing: MissingReadings = "hidden",
    noise: NoiseSource | None = None,
) -> ProtectedReadings:
    """Add noise to every reading where it was measured.

    Args:
      values: private; (person, hour), in the signal's unit, NaN where nothing was measured.
      signal: public; its name, which gives unit and bounds.
      epsilon: public; privacy loss of one reading.
      mechanism: public; "laplace", "duchi" (one bit), "piecewise" or "hybrid".
      bounds: public; narrower bounds, from public knowledge.
      missing: public; "hidden" reports noise around the public centre where nothing was measured, "public" nothing.
      noise: where noise comes from; the operating system when left out.

    Returns:
      Noisy readings and their guarantee.

    Raises:
      SpecificationError: if a choice is out of range.
      DataContractError: if the readings are no table of (person, hour).

    >>> noisy = protect_readings(np.array([[70.0, 80.0]]), "heart_rate_bpm", epsilon=1.0)
    >>> noisy.values.shape
    (1, 2)
    """
    scale = choose_scale(signal, bounds)
    check_missing(missing)
    values = check_readings(values)
    source = noise if noise is not None else open_noise()
    noisy = draw_noisy_values(values, scale, mechanism, epsilon, source)
    if missing == "public":
        noisy[np.isnan(values)] = np.nan
    return ProtectedReadings(
        noisy, scale, mechanism, epsilon, missing, describe_reading_guarantee(epsilon, source), values.shape[1]
    )


def make_reading_sampler(
    signal: str, *, epsilon: float, mechanism: MechanismName = "hybrid", bounds: tuple[float, float] | None = None
) -> Callable[[float, int], np.ndarray]:
    """What an audit of a mechanism is handed: draw(reading, n) gives n noisy copies of one made-up reading.

    Args:
      signal, epsilon, mechanism, bounds: public; as in `protect_readings`.

    >>> make_reading_sampler("heart_rate_bpm", epsilon=1.0)(70.0, 3).shape
    (3,)
    """

    def draw(reading: float, n_draws: int) -> np.ndarray:
        copies = np.full((1, n_draws), float(reading))
        return protect_readings(copies, signal, epsilon=epsilon, mechanism=mechanism, bounds=bounds).values[0]

    return draw


def draw_noisy_values(
    values: np.ndarray, scale: ReadingScale, mechanism: MechanismName, epsilon: float, noise: NoiseSource
) -> np.ndarray:
    """Noisy values in the signal's unit, one for every cell, missing or not."""
    drawn = make_mechanism(mechanism, epsilon)
    return scale.to_values(drawn.draw(round_at_random(scale.to_positions(values), drawn.n_steps, noise), noise))


def predict_noise(
    signal: str,
    epsilon: float,
    mechanism: MechanismName = "hybrid",
    bounds: tuple[float, float] | None = None,
    *,
    at: float | None = None,
) -> float:
    """Standard deviation of one noisy reading, in the signal's unit.

    Args:
      signal, epsilon, mechanism, bounds: public; as in `protect_readings`.
      at: a hypothetical reading; the worst one within the bounds when left out.

    >>> round(predict_noise("heart_rate_bpm", 1.0, "laplace"))
    325
    """
    scale = choose_scale(signal, bounds)
    chosen = make_mechanism(mechanism, epsilon)
    if at is None:
        return math.sqrt(find_worst_variance(chosen)) * scale.half_range
    return float(np.sqrt(chosen.predict_variance(scale.to_positions(np.array([float(at)]))[0]))) * scale.half_range


def compare_mechanisms(
    signal: str, epsilons: tuple[float, ...] = (0.25, 0.5, 1, 2, 4, 8), bounds: tuple[float, float] | None = None
) -> pd.DataFrame:
    """Noise of one reading by mechanism and epsilon: nothing private is read.

    Returns:
      Columns mechanism, epsilon, worst_standard_deviation, center_standard_deviation, unit.
    """
    scale = choose_scale(signal, bounds)
    return pd.DataFrame(
        {
            "mechanism": name,
            "epsilon": float(epsilon),
            "worst_standard_deviation": predict_noise(signal, epsilon, name, bounds),
            "center_standard_deviation": predict_noise(signal, epsilon, name, bounds, at=scale.center),
            "unit": scale.signal.unit,
        }
        for name in get_args(MechanismName)
        for epsilon in epsilons
    )


def check_readings(values: np.ndarray) -> np.ndarray:
    """The readings as float64 (person, hour).

    Raises:
      DataContractError: if they are shaped otherwise, empty, or infinite anywhere.
    """
    readings = np.asarray(values, dtype=float)
    if readings.ndim != 2 or 0 in readings.shape:
        raise DataContractError(f"readings: expected (person, hour), none of them empty; got shape {readings.shape}")
    if np.isinf(readings).any():
        raise DataContractError(
            f"readings: expected finite numbers, NaN where missing; got {int(np.isinf(readings).sum())} infinite ones"
        )
    return readings


def check_missing(missing: str) -> None:
    """Raises SpecificationError on a word that names no way to treat missing readings."""
    if missing not in get_args(MissingReadings):
        raise SpecificationError(f"missing: expected one of {', '.join(get_args(MissingReadings))}, got {missing!r}")
