"""What a wearable measures: each signal's name, unit, public bounds and public scale.

Bounds and scales are constants of the project, never computed from a cohort, so that clipping, normalising and noise
calibrated by them reveal nothing about the people in it.
"""

from dataclasses import dataclass
from typing import Literal

from twinlab.errors import SpecificationError


@dataclass(frozen=True)
class Signal:
    """One hourly signal.

    Attributes:
      name: column name, with the unit in it where the word alone does not say it.
      label: what a chart's axis says.
      unit: unit of an hourly value.
      lower, upper: public bounds of a plausible hourly value; readings outside are refused at the entrance.
      center, spread: public constants that bring the signal near mean 0 and standard deviation 1.
      aggregate: how readings finer than an hour become an hourly value.
    """

    name: str
    label: str
    unit: str
    lower: float
    upper: float
    center: float
    spread: float
    aggregate: Literal["sum", "mean"]


_ALL = (
    Signal("steps", "Steps", "steps/h", 0, 25_000, 290, 600, "sum"),
    Signal("calories_kcal", "Energy", "kcal/h", 0, 2_500, 95, 45, "sum"),
    Signal("intensity", "Intensity", "intensity-min/h", 0, 180, 12, 20, "sum"),
    Signal("heart_rate_bpm", "Heart rate", "bpm", 20, 250, 76, 13, "mean"),
    Signal("sleep_min", "Sleep", "min/h", 0, 60, 18, 25, "sum"),
    Signal("glucose_mg_dl", "Glucose", "mg/dL", 20, 600, 105, 25, "mean"),
)

SIGNALS: dict[str, Signal] = {signal.name: signal for signal in _ALL}


def get_signal(name: str) -> Signal:
    """The signal of that name.

    Raises:
      SpecificationError: if there is none; the message lists those there are.

    >>> get_signal("steps").unit
    'steps/h'
    """
    if name not in SIGNALS:
        raise SpecificationError(f"expected a signal among {', '.join(SIGNALS)}, got {name!r}")
    return SIGNALS[name]
