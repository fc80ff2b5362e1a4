"""When arithmetic gives out, a search: settings that show what it reads, and days of people as time series to read."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from twinlab.cohorts.cohort import HOURS_PER_DAY
from twinlab.cohorts.simulator import simulate_cohort
from twinlab.errors import SpecificationError
from twinlab.experiment import SimulatedCohort
from twinlab.pipeline.reconstruction import AttackedRows, UpdateSetting
from twinlab.signals import get_signal

#: The public people are drawn from a seed of their own.
_PUBLIC_SEED = 20_000
_LEAST_PUBLIC_PEOPLE = 20

#: A smooth network gives nothing to the attack on single units; what a search finds, and what a prior adds to it.
MATCHING_SETTINGS = (
    UpdateSetting("one record, one step", "optimised", n_rows=1, activation="tanh"),
    UpdateSetting("batch of 8, each unit by itself", "units", n_rows=8, activation="tanh"),
    UpdateSetting("batch of 8, search", "optimised", n_rows=8, activation="tanh"),
    UpdateSetting("batch of 8, search and prior", "optimised", n_rows=8, prior="people", activation="tanh"),
    UpdateSetting("4 records in 4 steps, search", "optimised", 4, 4, activation="tanh"),
    UpdateSetting("4 records in 4 steps, search and prior", "optimised", 4, 4, prior="people", activation="tanh"),
    UpdateSetting("sum of 2 devices, 4 records each", "optimised", 4, 1, 2, activation="tanh"),
    UpdateSetting("noise 0.01, search", "optimised", 8, 1, 1, 0.1, 0.01, activation="tanh"),
    UpdateSetting("noise 0.01, search and prior", "optimised", 8, 1, 1, 0.1, 0.01, "people", "tanh"),
    UpdateSetting("noise 1, search and prior", "optimised", 8, 1, 1, 0.1, 1.0, "people", "tanh"),
)


def draw_day_rows(
    signal: str = "heart_rate_bpm", n_devices: int = 40, n_rows: int = 8, n_days: int = 28, seed: int = 0
) -> AttackedRows:
    """Whole days of simulated people: 24 hours of one signal in order of time, standardised by other simulated people.

    The label says whether the day's total is above the public people's median.

    Args:
      signal: which; public.
      n_devices, n_rows, n_days: sizes; public. Who has fewer days without a gap than `n_rows` is left out.
      seed: of the people; public.

    Raises:
      SpecificationError: if there is no such signal, or nobody has so many whole days.
    """
    public = _list_days(signal, max(_LEAST_PUBLIC_PEOPLE, n_devices // 2), n_days, _PUBLIC_SEED + seed, n_rows)
    days = _list_days(signal, n_devices, n_days, seed, n_rows)
    mean, spread = public.mean((0, 1)), public.std((0, 1)).clamp(min=1e-6)
    median = public.sum(2).median()
    return AttackedRows(
        f"days of {get_signal(signal).label.lower()}",
        (days - mean) / spread,
        (days.sum(2, keepdim=True) > median).float(),
        ((public - mean) / spread).flatten(0, 1),
    )


def _list_days(signal: str, n_people: int, n_days: int, seed: int, n_rows: int) -> Tensor:
    """So many whole days of each person (person, day, hour)."""
    get_signal(signal)
    cohort = simulate_cohort(SimulatedCohort(n_people=n_people, n_days=n_days, seed=seed)).cohort
    if signal not in cohort.signals:
        raise SpecificationError(f"signal: expected one of {', '.join(cohort.signals)}, got {signal!r}")
    values = cohort.values[:, :, cohort.signals.index(signal)].reshape(n_people, -1, HOURS_PER_DAY)
    whole = [person[~np.isnan(person).any(axis=1)] for person in values]
    kept = [torch.from_numpy(days[:n_rows].copy()) for days in whole if len(days) >= n_rows]
    if not kept:
        raise SpecificationError(
            f"days: expected somebody with {n_rows} days without a gap among {n_days}, got nobody; take more days"
        )
    return torch.stack(kept).float()
