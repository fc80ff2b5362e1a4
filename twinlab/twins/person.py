"""One person's twin: its forecasts, what an action would change, and how it became personal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from twinlab.errors import SpecificationError
from twinlab.roles import CohortView, Progress, report_nothing
from twinlab.signals import get_signal
from twinlab.twins.action import Action, Energetics
from twinlab.twins.baseline import MODELS
from twinlab.twins.effect import NORMAL_90, HeadState, compute_effects
from twinlab.twins.feature import FeatureTable, require_signals
from twinlab.twins.population import Population
from twinlab.twins.tracker import ForecastTracker, ResponseTracker, scaled_to_physical
from twinlab.twins.tracking import Course, assemble_course

_HOURS_PER_DAY = 24


def open_twin(
    population: Population, cohort: CohortView, person_id: str, progress: Progress = report_nothing
) -> PersonTwin:
    """Let one person's twin live through the cohort's hours and keep what it knew at each of them.

    Args:
      population: from `train_population`; released.
      cohort: holds the person; private.
      person_id: who.
      progress: called once per day of the person.

    Raises:
      DataContractError: if nobody has that id, or the cohort lacks a signal of the population.
    """
    require_signals(cohort, population.signals)
    cohort = cohort.select(people=[person_id], signals=population.signals)
    horizons = tuple(range(1, population.twin.max_horizon_hours + 1))
    table = FeatureTable(cohort, population.targets, population.twin.max_horizon_hours)
    forecasts = ForecastTracker(population, table, horizons)
    responses = ResponseTracker(population, cohort)
    kept: list[HeadState] = []
    for hour in range(cohort.n_hours):
        forecasts.advance(hour)
        responses.advance(hour)
        kept.append(responses.effort_state())
        if hour % _HOURS_PER_DAY == 0 or hour == cohort.n_hours - 1:
            progress("opening the twin", hour + 1, cohort.n_hours)
    course = assemble_course(population, cohort, table, forecasts, responses)
    return PersonTwin(population, cohort, course, forecasts, kept)


class PersonTwin:
    """The twin of one person at every hour of the cohort; private. Made by `open_twin`.

    Attributes:
      person_id: whose twin.
      horizons: hours ahead that it forecasts.
      targets: signals that it forecasts.
      times: local time of each hour.
      course: forecasts of all models by target hour, as `follow` gives them, for every horizon.
    """

    def __init__(
        self,
        population: Population,
        cohort: CohortView,
        course: Course,
        forecasts: ForecastTracker,
        effort_states: list[HeadState],
    ) -> None:
        """Start with nothing read."""
        self.person_id = cohort.person_ids[0]
        self.horizons, self.targets, self.times, self.course = course.horizons, course.targets, course.times, course
        self._population = population
        self._all_times = pd.date_range(cohort.start, periods=cohort.n_hours + max(self.horizons), freq="h")
        self._mean, self._lower, self._upper = (
            scaled_to_physical(by_target[:, 0], self.targets)
            for by_target in (forecasts.mean, forecasts.lower, forecasts.upper)
        )
        self._actual = np.full((len(self._all_times), len(self.targets)), np.nan, dtype=np.float32)
        self._actual[: cohort.n_hours] = course.actual[0]
        self._energetics = Energetics.of(cohort)
        self._effort = [torch.cat(parts).numpy() for parts in zip(*effort_states, strict=True)]

    def __repr__(self) -> str:
        return f"PersonTwin({len(self.times)} hours, forecasts {', '.join(self.targets)})"

    @property
    def n_hours(self) -> int:
        """Hours that the twin has lived through."""
        return len(self.times)

    def forecast(self, hour: int, horizons: int | None = None) -> pd.DataFrame:
        """What the twin expected after the readings of an hour.

        Args:
          hour: position on the cohort's grid, 0 to n_hours - 1.
          horizons: how many hours ahead, from 1; as far as it reaches when None.

        Returns:
          A row per hour ahead and signal: time, horizon_hours, signal, mean, lower, upper, actual (NaN where unknown),
            in the
          signals' units.

        Raises:
          SpecificationError: if the hour or horizon is out of reach.
        """
        ahead = self._check(hour, horizons)
        at = hour + ahead
        index = ahead - 1
        return self._long(
            hour,
            ahead,
            self.targets,
            {
                "mean": self._mean[index, at],
                "lower": self._lower[index, at],
                "upper": self._upper[index, at],
                "actual": self._actual[at],
            },
        )

    def what_if(self, hour: int, action: Action, horizons: int | None = None) -> pd.DataFrame:
        """How the next hours would differ if the person took an action, as known after the readings of an hour.

        Args:
          hour: position on the cohort's grid.
          action: what is done.
          horizons: how many hours ahead; as far as the twin reaches when None.

        Returns:
          A row per hour ahead and signal: time, horizon_hours, signal, without (the forecast), with_action, effect,
          effect_lower, effect_upper (90 % of the belief about the effect itself, without the noise of a reading), in
          the signals' units. Signals that no answer is known for are left out.

        Raises:
          SpecificationError: if the hour or horizon is out of reach.
        """
        ahead = self._check(hour, horizons)
        without = {name: self._mean[ahead - 1, hour + ahead, column] for column, name in enumerate(self.targets)}
        expected = {name: values[None] for name, values in without.items()}
        head = HeadState(*(torch.from_numpy(part[hour : hour + 1]) for part in self._effort))
        effects = compute_effects(self._population, self._energetics, head, hour, action, expected)
        names = tuple(name for name in self.targets if name in effects)
        parts: dict[str, list[np.ndarray]] = {
            key: [] for key in ("without", "with_action", "effect", "effect_lower", "effect_upper")
        }
        for name in names:
            signal = get_signal(name)
            effect, spread = (values[0] for values in effects[name])
            acted = np.clip(without[name] + effect, signal.lower, signal.upper)
            parts["without"].append(without[name])
            parts["with_action"].append(acted)
            parts["effect"].append(acted - without[name])
            parts["effect_lower"].append(effect - NORMAL_90 * spread)
            parts["effect_upper"].append(effect + NORMAL_90 * spread)
        return self._long(hour, ahead, names, {key: np.stack(each, axis=-1) for key, each in parts.items()})

    def personalization(self, horizon: int = 1) -> pd.DataFrame:
        """How far each model was off on each day, on the same hours for all.

        Args:
          horizon: hours ahead.

        Returns:
          A row per day, signal and model: day (0 is the first), signal, model, error (mean absolute, in the signal's
            unit).
        """
        self._check(0, horizon)
        days = np.arange(self.n_hours) // _HOURS_PER_DAY
        frames = []
        for column, name in enumerate(self.targets):
            kept = self.course.is_comparable(name, horizon)[0]
            for model in MODELS:
                error = np.abs(self.course.predictions[model, horizon][0, :, column] - self.course.actual[0, :, column])
                daily = pd.Series(error[kept]).groupby(days[kept]).mean()
                frames.append(
                    pd.DataFrame(
                        {"day": daily.index.to_numpy(), "signal": name, "model": model, "error": daily.to_numpy()}
                    )
                )
        return pd.concat(frames, ignore_index=True)

    def history(self, hour: int, n_hours: int = 72) -> pd.DataFrame:
        """The readings up to and including an hour: time, signal, actual, a row per hour and forecast signal."""
        self._check(hour, None)
        rows = slice(max(0, hour + 1 - n_hours), hour + 1)
        length = rows.stop - rows.start
        return pd.DataFrame(
            {
                "time": np.tile(self._all_times[rows].to_numpy(), len(self.targets)),
                "signal": np.repeat(self.targets, length),
                "actual": self._actual[rows].T.ravel(),
            }
        )

    def _check(self, hour: int, horizons: int | None) -> np.ndarray:
        """The hours ahead that are asked for."""
        reach = max(self.horizons)
        wanted = reach if horizons is None else horizons
        if not 0 <= hour < self.n_hours:
            raise SpecificationError(f"hour: expected 0 to {self.n_hours - 1}, got {hour}")
        if not 1 <= wanted <= reach:
            raise SpecificationError(f"horizons: expected 1 to {reach} hours, got {wanted}")
        return np.arange(1, wanted + 1)

    def _long(
        self, hour: int, ahead: np.ndarray, names: tuple[str, ...], columns: dict[str, np.ndarray]
    ) -> pd.DataFrame:
        """Arrays (hour ahead, signal) as a long table, signal by signal."""
        frame = {
            "time": np.tile(self._all_times[hour + ahead].to_numpy(), len(names)),
            "horizon_hours": np.tile(ahead, len(names)),
            "signal": np.repeat(np.asarray(names, dtype=object), len(ahead)),
        }
        return pd.DataFrame(frame | {key: values.T.ravel() for key, values in columns.items()})
