"""Releases of one table, audited alike: which keep the promise that they make, and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.cohorts.person import CONDITIONS, draw_people
from twinlab.cohorts.simulator import simulate
from twinlab.errors import SpecificationError
from twinlab.finding import Finding
from twinlab.pipeline.canary_audit import PERSON, CanaryAudit, audit_release
from twinlab.pipeline.table_release import HistogramRelease, TableRelease, TableUnit
from twinlab.roles import Progress, report_nothing

#: Public bins of the days that `draw_days_table` makes: hourly means, years, and words.
DAY_BINS: Final[Mapping[str, tuple[float, ...] | tuple[str, ...]]] = {
    "age_years": tuple(range(15, 96, 10)),
    "condition": CONDITIONS,
    "steps": tuple(range(0, 1601, 200)),
    "heart_rate_bpm": tuple(range(40, 121, 10)),
    "sleep_min": tuple(range(0, 33, 4)),
    "glucose_mg_dl": tuple(range(60, 221, 20)),
}


@dataclass(frozen=True)
class ReleaseUnderAudit:
    """A release and what it promises.

    Attributes:
      make: the release.
      epsilon, delta: promised; infinite promises nothing.
      unit: to whom.
    """

    make: TableRelease
    epsilon: float
    delta: float = 1e-5
    unit: TableUnit = "person"


@dataclass(frozen=True, repr=False)
class ReleaseComparison:
    """Several releases of one table, audited alike.

    Attributes:
      audits: by name.
    """

    audits: Mapping[str, CanaryAudit]

    @property
    def table(self) -> pd.DataFrame:
        """Rows as in `CanaryAudit.table`, of all releases."""
        return pd.concat([each.table for each in self.audits.values()], ignore_index=True)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """One a release."""
        return tuple(each.finding for each in self.audits.values())

    @property
    def sentence(self) -> str:
        """Verdicts in words."""
        return " ".join(f"{name}: {audit.verdict}." for name, audit in self.audits.items())

    def __repr__(self) -> str:
        return f"ReleaseComparison: {self.sentence}"


def compare_releases(
    releases: Mapping[str, ReleaseUnderAudit],
    table: pd.DataFrame,
    *,
    progress: Progress = report_nothing,
    **options: Any,
) -> ReleaseComparison:
    """Audit several releases of one table.

    Args:
      releases: by name; from `choose_canary_releases`, or a reader's own.
      table: as for `audit_release`; private.
      progress: called as (what, done, total).
      options: the rest of `audit_release`, the same for all.

    Raises:
      SpecificationError: if there is none.
    """
    if not releases:
        raise SpecificationError("releases: expected at least one, got none")
    audits = {}
    for place, (name, each) in enumerate(releases.items()):
        progress("releases audited", place, len(releases))
        audits[name] = audit_release(
            each.make, table, unit=each.unit, epsilon=each.epsilon, delta=each.delta, name=name, **options
        )
    return ReleaseComparison(audits)


def draw_days_table(
    n_people: int = 100, n_days: int = 20, seed: int = 0, progress: Progress = report_nothing
) -> pd.DataFrame:
    """Days of people who do not exist: a row a person and day with readings, columns "person" and those of `DAY_BINS`.

    Args:
      n_people, n_days: public.
      seed: which people; public.
      progress: told while they live.
    """
    return tabulate_person_days(simulate(draw_people(n_people, seed), n_days, seed, progress=progress).cohort)


def tabulate_person_days(cohort: Cohort) -> pd.DataFrame:
    """A row a person and day with readings: "person" and those columns of `DAY_BINS` that the cohort has. Private.

    Args:
      cohort: from midnight on; signals become hourly means of the day.
    """
    n_days = cohort.n_hours // HOURS_PER_DAY
    columns = {PERSON: np.repeat(np.arange(cohort.n_people), n_days)}
    for name in DAY_BINS:
        if name in cohort.attributes.columns:
            columns[name] = np.repeat(cohort.attributes[name].to_numpy(), n_days)
        elif name in cohort.signals:
            hours = cohort.signal(name)[:, : n_days * HOURS_PER_DAY].reshape(cohort.n_people * n_days, -1)
            counts = (~np.isnan(hours)).sum(axis=1)
            columns[name] = np.where(counts > 0, np.nansum(hours, axis=1) / np.maximum(counts, 1), np.nan)
    return pd.DataFrame(columns).dropna(ignore_index=True)


def choose_canary_releases(
    unit: TableUnit = "person", n_rows: int = 1000, rehearsal_seed: int | None = None
) -> dict[str, ReleaseUnderAudit]:
    """Releases of `draw_days_table` to audit: two that keep what they promise, and some that promise 1 and do not.

    Args:
      unit: of every promise; where it is a person, one release keeps its promise for a row only.
      n_rows: made-up rows that each releases.
      rehearsal_seed: repeats their noise.
    """

    def make(epsilon: float, claimed: float, own: TableUnit = unit) -> ReleaseUnderAudit:
        release = HistogramRelease(DAY_BINS, epsilon, unit=own, n_rows=n_rows, rehearsal_seed=rehearsal_seed)
        return ReleaseUnderAudit(release, claimed, unit=unit)

    chosen = {f"epsilon {epsilon:g} of a {unit}": make(epsilon, epsilon) for epsilon in (1.0, 100.0)}
    if unit == "person":
        chosen["epsilon 1 of a row only"] = make(1.0, 1.0, "row")
    return chosen | {"no noise at all": make(float("inf"), 1.0)}
