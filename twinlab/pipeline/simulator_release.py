"""The fitted simulator as a release of a table, so that it is audited and judged like every synthesizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import START, simulate
from twinlab.errors import DataContractError, SpecificationError
from twinlab.pipeline.canary_audit import PERSON
from twinlab.pipeline.fitted_simulator import describe_guarantee, find_summary_noise, fit_summary
from twinlab.pipeline.table_release import PublicRecipe, Released
from twinlab.protection.differential_privacy.randomness import NoiseSource, open_noise
from twinlab.protection.synthetic.grid_noise import GRID_STEPS
from twinlab.protection.synthetic.summary import choose_statistics, draw_summary, plan_summary, sum_people
from twinlab.roles import Progress, report_nothing

#: The one array of the model: people and their statistics, added up with noise.
SUMS = "noisy sums"


@dataclass(frozen=True)
class SimulatorRelease:
    """Summaries of a table of hours, and hours of people who do not exist. Called with a table, it releases it once.

    A table has a row an hour, a column `person` and one a signal. A person's rows are their hours in order, the first
    one that after midnight of a Monday; a missing reading is NaN.

    Attributes:
      signals: columns to read; public.
      epsilon, delta: of a person with all of their rows; public.
      n_days: that a person has at most, a week or more; public. Later rows are left out.
      n_people: made-up people; public. None are made where it is 0, which is what an audit needs: rows follow from the
        sums, so whoever reads the sums needs no rows.
      person_column: whose rows they are; it is never released.
      rehearsal_seed: repeats the noise of a lesson, which then protects nobody.

    Raises:
      SpecificationError: if a number is out of its range.
      DataContractError: if the signals cannot be summarized.
    """

    signals: tuple[str, ...]
    epsilon: float
    delta: float = 1e-5
    n_days: int = 7
    n_people: int = 0
    person_column: str = PERSON
    rehearsal_seed: int | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.epsilon) and self.n_days >= 7 and self.n_people >= 0):
            raise SpecificationError(
                f"simulator release: expected a finite epsilon, 7 days or more and 0 people or more, got {self.epsilon}"
                f", {self.n_days} and {self.n_people}"
            )
        choose_statistics(self.signals)
        plan_summary(find_summary_noise(self.epsilon, self.delta))

    def __call__(self, table: pd.DataFrame) -> Released:
        """Release a table once.

        Raises:
          DataContractError: if the table lacks a column, or a value lies outside of its signal's public bounds.
        """
        cohort = self._fold(table)
        summary = draw_summary(cohort, self._noise_multiplier, self._source)
        rows = None
        if self.n_people:
            guarantee = describe_guarantee(summary.event, self.delta)
            fitted = fit_summary(summary, self.signals, self.n_days, guarantee)
            made = fitted.simulate(self.n_people, self.n_days, int(self._source.draw_words(1)[0]))
            rows = made.to_frame()[list(self.signals)].dropna(ignore_index=True)
        return Released({SUMS: summary.sums}, rows)

    @property
    def recipe(self) -> PublicRecipe:
        """What is public: which sums, and how much noise."""
        return PublicRecipe(self._measure, "gaussian", {SUMS: self._noise_multiplier})

    @cached_property
    def _source(self) -> NoiseSource:
        return open_noise(rehearsal=self.rehearsal_seed is not None, seed=self.rehearsal_seed)

    @cached_property
    def _noise_multiplier(self) -> float:
        return find_summary_noise(self.epsilon, self.delta)

    def _measure(self, table: pd.DataFrame) -> Mapping[str, np.ndarray]:
        """The sums without noise."""
        return {SUMS: sum_people(self._fold(table), choose_statistics(self.signals)) / GRID_STEPS}

    def _fold(self, table: pd.DataFrame) -> Cohort:
        """A table of hours as people on one grid."""
        missing = [name for name in (self.person_column, *self.signals) if name not in table.columns]
        if missing or not len(table):
            raise DataContractError(
                f"table: expected rows with {self.person_column} and {', '.join(self.signals)}, got {len(table)} rows "
                f"without {', '.join(missing) or 'any column'}"
            )
        codes, people = pd.factorize(table[self.person_column])
        hours = pd.Series(codes).groupby(codes).cumcount().to_numpy()
        kept = hours < self.n_days * HOURS_PER_DAY
        values = np.full((len(people), self.n_days * HOURS_PER_DAY, len(self.signals)), np.nan, np.float32)
        values[codes[kept], hours[kept]] = table[list(self.signals)].to_numpy(np.float32)[kept]
        ids = tuple(f"person-{number}" for number in range(len(people)))
        return Cohort("table", ids, START, self.signals, values)


def draw_hours_table(
    signals: tuple[str, ...], n_people: int = 40, n_days: int = 7, seed: int = 0, progress: Progress = report_nothing
) -> pd.DataFrame:
    """Hours of people who do not exist, none of them missing: a row an hour, columns "person" and the signals.

    Args:
      signals: public.
      n_people, n_days: public.
      seed: which people; public.
      progress: told while they live.
    """
    truth = simulate(draw_people(n_people, seed), n_days, seed, progress=progress).truth
    columns = {name: truth.signal(name).ravel() for name in signals}
    return pd.DataFrame({PERSON: np.repeat(np.arange(n_people), n_days * HOURS_PER_DAY), **columns})
