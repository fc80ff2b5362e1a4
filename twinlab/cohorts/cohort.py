"""The cohort: people x hours x signals, checked at the entrance and trusted afterwards."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from twinlab.errors import DataContractError
from twinlab.signals import SIGNALS, get_signal

HOURS_PER_DAY = 24


@dataclass(frozen=True, repr=False, eq=False)
class Cohort:
    """The people studied, on one grid of hours.

    Attributes:
      name: what to call the cohort; public.
      person_ids: one id per person, unique; private.
      start: local time of hour 0, on the full hour; private.
      signals: names from `twinlab.signals`, in the order of the last axis; public.
      values: float32 (person, hour, signal), NaN where nothing was measured; units as the signal says; private.
      attributes: one row per person, indexed by person id; private.
      origin: "simulated" people do not exist; "measured" people do; public.

    Raises:
      DataContractError: if shapes, ids, times or bounds do not fit. The message never holds a value.
    """

    name: str
    person_ids: tuple[str, ...]
    start: pd.Timestamp
    signals: tuple[str, ...]
    values: np.ndarray
    attributes: pd.DataFrame = field(default_factory=pd.DataFrame)
    origin: Literal["simulated", "measured"] = "measured"

    def __post_init__(self) -> None:
        n_people, n_signals = len(self.person_ids), len(self.signals)
        if self.values.ndim != 3 or self.values.shape[::2] != (n_people, n_signals):
            raise DataContractError(
                f"values: expected shape ({n_people} people, hours, {n_signals} signals), got {self.values.shape}"
            )
        if n_people == 0 or self.n_hours == 0:
            raise DataContractError(f"expected at least one person and one hour, got {n_people} and {self.n_hours}")
        if len(set(self.person_ids)) != n_people:
            raise DataContractError(f"person_ids: expected {n_people} different ids, got {len(set(self.person_ids))}")
        if pd.isna(self.start) or self.start != self.start.floor("h"):
            raise DataContractError("start: expected a full hour without minutes; round it down before")
        _check_bounds(self.values, self.signals)
        if len(self.attributes) and list(self.attributes.index) != list(self.person_ids):
            raise DataContractError("attributes: expected one row per person, indexed by person id in the same order")
        if self.attributes.empty:
            object.__setattr__(self, "attributes", pd.DataFrame(index=list(self.person_ids)))
        self.values.flags.writeable = False

    @property
    def n_people(self) -> int:
        """Number of people."""
        return len(self.person_ids)

    @property
    def n_hours(self) -> int:
        """Number of hours on the grid."""
        return int(self.values.shape[1])

    @property
    def n_days(self) -> int:
        """Number of days on the grid, the last one perhaps not whole."""
        return -(-self.n_hours // HOURS_PER_DAY)

    @property
    def mask(self) -> np.ndarray:
        """bool (person, hour, signal): true where something was measured."""
        return ~np.isnan(self.values)

    @property
    def times(self) -> pd.DatetimeIndex:
        """Local time of each hour."""
        return pd.date_range(self.start, periods=self.n_hours, freq="h")

    def index_of(self, person_id: str) -> int:
        """Position of a person on the first axis.

        Raises:
          DataContractError: if nobody has that id.
        """
        try:
            return self.person_ids.index(str(person_id))
        except ValueError:
            raise DataContractError(
                f"person_id: nobody in cohort {self.name!r} has the id asked for; choose one of its {self.n_people}"
            ) from None

    def signal(self, name: str) -> np.ndarray:
        """float32 (person, hour): one signal of everybody.

        Raises:
          DataContractError: if the cohort does not have it.
        """
        if name not in self.signals:
            raise DataContractError(f"signal: cohort {self.name!r} has {', '.join(self.signals)}; it has no {name!r}")
        return self.values[:, :, self.signals.index(name)]

    def select(
        self,
        people: Sequence[str] | None = None,
        hours: slice | None = None,
        signals: Sequence[str] | None = None,
    ) -> "Cohort":
        """The same cohort with fewer people, hours or signals.

        Args:
          people: ids to keep, in this order; all when None.
          hours: a slice of hours with step 1; all when None.
          signals: names to keep, in this order; all when None.
        """
        rows = range(self.n_people) if people is None else [self.index_of(person) for person in people]
        names = self.signals if signals is None else tuple(signals)
        columns = [self.signals.index(name) for name in names if self.signal(name) is not None]
        first, last, step = (hours or slice(None)).indices(self.n_hours)
        if step != 1:
            raise DataContractError(f"hours: expected a slice with step 1, got step {step}")
        ids = tuple(self.person_ids[row] for row in rows)
        return Cohort(
            name=self.name,
            person_ids=ids,
            start=self.start + pd.Timedelta(hours=first),
            signals=names,
            values=self.values[list(rows), first:last][:, :, columns].copy(),
            attributes=self.attributes.loc[list(ids)],
            origin=self.origin,
        )

    def to_frame(self, people: Iterable[str] | None = None) -> pd.DataFrame:
        """Long table: person_id, time and one column per signal; hours in which nothing was measured are left out."""
        ids = list(self.person_ids if people is None else people)
        rows = [self.index_of(person) for person in ids]
        table = pd.DataFrame(self.values[rows].reshape(-1, len(self.signals)), columns=list(self.signals))
        table.insert(0, "person_id", np.repeat(np.asarray(ids, dtype=object), self.n_hours))
        table.insert(1, "time", np.tile(self.times.to_numpy(), len(rows)))
        return table.dropna(how="all", subset=list(self.signals)).reset_index(drop=True)

    def to_history(self) -> pd.DataFrame:
        """One row per person, hour and signal: person_id, time, signal, value; what a chart of days takes."""
        table = self.to_frame().melt(["person_id", "time"], var_name="signal", value_name="value")
        return table.dropna(subset="value").reset_index(drop=True)

    def __repr__(self) -> str:
        return (
            f"Cohort({self.name!r}, {self.origin}: {self.n_people} people x {self.n_hours} hours x "
            f"{', '.join(self.signals)})"
        )


def _check_bounds(values: np.ndarray, signals: tuple[str, ...]) -> None:
    """Refuse implausible or infinite values, naming column, count and bound."""
    faults = []
    for column, name in enumerate(signals):
        signal = get_signal(name)
        with np.errstate(invalid="ignore"):
            outside = (values[:, :, column] < signal.lower) | (values[:, :, column] > signal.upper)
        if outside.any():
            faults.append(
                f"{name}: {int(outside.sum())} of {outside.size} hourly values lie outside "
                f"{signal.lower:g} to {signal.upper:g} {signal.unit}; check the unit or mark them as missing"
            )
    if len(set(signals)) != len(signals) or not set(signals) <= set(SIGNALS):
        faults.append(f"signals: expected different names among {', '.join(SIGNALS)}")
    if faults:
        raise DataContractError("; ".join(faults))
