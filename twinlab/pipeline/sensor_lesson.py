"""What a reader tries with noise on readings: one hour of simulated people, their means, and whose readings these are.

Everything here is compared with the truth, and a difference from the truth is itself a release of it. So a lesson takes
people who do not exist, and nobody else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from twinlab.attacks.confidence import bound_above, bound_below
from twinlab.attacks.rhythm import match_by_rhythm
from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.errors import SpecificationError, TrustBoundaryError
from twinlab.finding import Finding
from twinlab.protection.differential_privacy.aggregate import count_people_needed, predict_mean_error
from twinlab.protection.differential_privacy.local import choose_scale, draw_noisy_values, protect_readings
from twinlab.protection.differential_privacy.mechanism import MechanismName
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.signals import get_signal

#: Numbers of people at which means are drawn, and how many means at most of each.
SIZES = (10, 30, 100, 300, 1000, 3000, 10_000)
_MOST_MEANS = 10
_LEAST_DRAWS = 30_000
_MOST_PEOPLE = 100_000
_SHOWN_PEOPLE = 40
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class SensorStudy:
    """One hour of readings, noisy as they left, and what their means are worth. All of it was drawn just now.

    Attributes:
      readings: person, measured, sent: some of the people, in the signal's unit.
      means: n_people, error: how far some means of noisy readings lay from the mean of the same true readings.
      promise: n_people, error: what nineteen of twenty means stay within, known before anybody is asked.
      signal, mechanism, epsilon, n_people, wanted_error: what was chosen.
      true_mean, noisy_mean: of the chosen number of people.
      promised_error: for that number.
      needed: how many people the wanted error takes.
    """

    readings: pd.DataFrame = field(repr=False)
    means: pd.DataFrame = field(repr=False)
    promise: pd.DataFrame = field(repr=False)
    signal: str
    mechanism: MechanismName
    epsilon: float
    n_people: int
    wanted_error: float
    true_mean: float
    noisy_mean: float
    promised_error: float
    needed: Finding

    @property
    def n_people_needed(self) -> int:
        """How many people the wanted error takes."""
        return int(self.needed.value)

    @property
    def is_hopeless(self) -> bool:
        """Whether the chosen people are too few for the wanted error."""
        return self.needed.value > self.n_people

    @property
    def n_kept(self) -> int:
        """How many of the drawn means lay within the promise for their number of people."""
        of_one = self.promised_error * math.sqrt(self.n_people)
        return int((self.means["error"].to_numpy() * np.sqrt(self.means["n_people"].to_numpy()) <= of_one).sum())


class SensorLesson:
    """An hour of simulated people, to try noise on.

    Attributes:
      signals: what can be tried.
      hour: the hour whose readings are used: the one at which most people wore the device.
    """

    def __init__(self, cohort: Cohort) -> None:
        """Take the people.

        Args:
          cohort: simulated.

        Raises:
          TrustBoundaryError: if the people are real.
        """
        if cohort.origin != "simulated":
            raise TrustBoundaryError(
                f"sensor lesson: expected simulated people, got cohort {cohort.name!r} of real ones. Each number here "
                "is compared with the truth, which would publish it; load a cohort of kind 'simulated' or 'shipped'"
            )
        self._cohort = cohort
        self.signals = cohort.signals
        self.hour = int(cohort.mask.all(axis=2).sum(axis=0).argmax())

    def suggest_error(self, signal: str) -> float:
        """An error that a reader may want of a mean: a third of the signal's public spread, as a round number."""
        third = get_signal(signal).spread / 3
        size = 10 ** math.floor(math.log10(third))
        return float(max(step for step in (1, 2, 5, 10) if step * size <= third * 1.0001) * size)

    def study(
        self,
        signal: str = "heart_rate_bpm",
        mechanism: MechanismName = "hybrid",
        epsilon: float = 1.0,
        n_people: int = 1000,
        wanted_error: float = 5.0,
    ) -> SensorStudy:
        """Draw noise for one hour: readings, and means of more and more of them.

        Args:
          signal, mechanism, epsilon: of one reading, as in `differential_privacy.protect_readings`.
          n_people: how many send a reading; they are drawn from the simulated ones, with replacement.
          wanted_error: how far off the mean may be, in the signal's unit, 19 times of 20.

        Raises:
          SpecificationError: if a choice is out of range.
        """
        if not 1 <= n_people <= _MOST_PEOPLE:
            raise SpecificationError(f"n_people: expected 1 to {_MOST_PEOPLE}, got {n_people}")
        scale, noise = choose_scale(signal), open_noise()
        readings = self._cohort.signal(signal)[:, self.hour].astype(float)
        readings = readings[np.isfinite(readings)]
        chosen = noise.draw_integers(len(readings), (max(n_people, _LEAST_DRAWS),))
        measured = np.clip(readings, scale.lower, scale.upper)[chosen]
        sent = draw_noisy_values(measured, scale, mechanism, epsilon, noise)
        shown = slice(0, min(n_people, _SHOWN_PEOPLE))
        people = pd.DataFrame({"measured": measured[shown], "sent": sent[shown]})
        people.insert(0, "person", np.arange(1, len(people) + 1))
        return SensorStudy(
            people,
            _draw_means(sent - measured),
            self._promise(signal, epsilon, mechanism),
            signal,
            mechanism,
            epsilon,
            n_people,
            wanted_error,
            float(measured[:n_people].mean()),
            float(sent[:n_people].mean()),
            predict_mean_error(signal, epsilon, n_people, mechanism, confidence=_CONFIDENCE),
            count_people_needed(
                wanted_error, signal, epsilon=epsilon, mechanism=mechanism, max_people=n_people, confidence=_CONFIDENCE
            ),
        )

    def _promise(self, signal: str, epsilon: float, mechanism: MechanismName) -> pd.DataFrame:
        """A straight line in logarithms, so two ends say it all; some steps between them carry tooltips."""
        of_one = predict_mean_error(signal, epsilon, 1, mechanism, confidence=_CONFIDENCE)
        sizes = np.logspace(1, 6, 11)
        return pd.DataFrame({"n_people": sizes, "error": of_one / np.sqrt(sizes)})

    def find_again(self, signal: str = "heart_rate_bpm", epsilons: tuple[float, ...] = (1.0, 4.0, 16.0)) -> Finding:
        """How many people are found again by the rhythm of their days, before and after noise.

        Somebody knows the first half of everybody's readings, names included, and gets the second half without names:
        as measured, with noise on every reading, or with noise and silence where the device was not worn.

        Args:
          signal: of the readings.
          epsilons: of one reading.

        Returns:
          A finding on the readings as measured; its table has a row a case: what_is_seen, epsilon_a_reading,
          found_again, lower, upper, chance.
        """
        values = self._cohort.signal(signal).astype(float)
        half = self._cohort.n_hours // HOURS_PER_DAY // 2 * HOURS_PER_DAY
        if half == 0:
            raise SpecificationError(f"find again: expected at least two days, got {self._cohort.n_hours} hours")
        known, later = values[:, :half], values[:, half : 2 * half]
        worn = [np.isfinite(part).astype(float) for part in (known, later)]
        rows = [self._count_found("readings as measured", None, known, later)]
        for epsilon in sorted(epsilons, reverse=True):
            noisy = protect_readings(later, signal, epsilon=epsilon).values
            rows.append(self._count_found("noisy readings, gaps hidden", epsilon, known, noisy))
        rows.append(self._count_found("gaps alone: when the device was worn", None, *worn))
        first, chance = rows[0], 1 / len(values)
        return Finding(
            name="found_again",
            value=float(first["found_again"]),
            interval=(float(first["lower"]), float(first["upper"])),
            interval_kind="95 % Clopper-Pearson over people",
            control=chance,
            sentence=(
                f"By the rhythm of {half // HOURS_PER_DAY} days, {first['found_again']:.0%} of {len(values)} nameless "
                f"people are found again in readings as measured, {rows[-1]['found_again']:.0%} in their gaps alone; "
                f"guessing finds {chance:.1%}."
            ),
            table=tuple(rows),
        )

    def _count_found(self, what: str, epsilon: float | None, known: np.ndarray, nameless: np.ndarray) -> dict:
        n_people = len(known)
        n_found = int((match_by_rhythm(known, nameless) == np.arange(n_people)).sum())
        level = (1 - _CONFIDENCE) / 2
        return {
            "what_is_seen": what,
            "epsilon_a_reading": epsilon,
            "found_again": n_found / n_people,
            "lower": float(bound_below(n_found, n_people, level)),
            "upper": float(bound_above(n_found, n_people, level)),
            "chance": 1 / n_people,
        }


def _draw_means(noise: np.ndarray) -> pd.DataFrame:
    """Errors of means of more and more people; groups of one size share nobody, groups of different sizes do."""
    sizes, errors = [], []
    for size in SIZES:
        n_means = min(len(noise) // size, _MOST_MEANS)
        errors.append(np.abs(noise[: n_means * size].reshape(n_means, size).mean(axis=1)))
        sizes.append(np.full(n_means, size))
    return pd.DataFrame({"n_people": np.concatenate(sizes), "error": np.concatenate(errors)})
