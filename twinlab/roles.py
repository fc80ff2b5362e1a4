"""The protocols through which stages meet. Stages import these, never each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Called as progress(what, done, total) while something long runs; raising from it stops the work cleanly.
Progress = Callable[[str, int, int], None]


def report_nothing(what: str, done: int, total: int) -> None:
    """The progress callback of someone who does not want to hear."""


class CohortView(Protocol):
    """People x hours x signals, as every stage but `cohorts` sees them. `twinlab.cohorts.cohort.Cohort` is one.

    Axes: `values` is float32 (person, hour, signal) with NaN where nothing was measured.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def person_ids(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def start(self) -> pd.Timestamp: ...  # noqa: D102
    @property
    def signals(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def values(self) -> np.ndarray: ...  # noqa: D102
    @property
    def attributes(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def n_people(self) -> int: ...  # noqa: D102
    @property
    def n_hours(self) -> int: ...  # noqa: D102
    @property
    def times(self) -> pd.DatetimeIndex: ...  # noqa: D102
    def index_of(self, person_id: str) -> int: ...  # noqa: D102
    def signal(self, name: str) -> np.ndarray: ...  # noqa: D102
    def select(  # noqa: D102
        self, people: Sequence[str] | None = None, hours: slice | None = None, signals: Sequence[str] | None = None
    ) -> CohortView: ...
