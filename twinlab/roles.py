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


class SumEncrypter(Protocol):
    """Encrypts a device's numbers with what is public; the same for every device of a federation."""

    @property
    def step(self) -> float:
        """Numbers are rounded to multiples of it before they are encrypted; public."""
        ...

    def encrypt(self, values: np.ndarray) -> bytes:
        """A device's numbers, float64 (parameter,), as a message; private until they are encrypted."""
        ...


class SumOpener(Protocol):
    """Whoever holds the key of a total, or a share of that key."""

    @property
    def name(self) -> str:
        """As transcripts call this party."""
        ...

    def open(self, total: bytes) -> bytes:
        """What it tells the adder of one total."""
        ...


class OpenedTotal(Protocol):
    """The sum of some devices' numbers."""

    @property
    def values(self) -> np.ndarray: ...  # noqa: D102
    @property
    def n_devices(self) -> int: ...  # noqa: D102


class SumAdder(Protocol):
    """Adds encrypted numbers that it cannot read; it has no key."""

    def check(self, message: bytes) -> None:
        """Refuse a message that cannot be added."""
        ...

    def add(self, messages: Sequence[bytes]) -> bytes:
        """One total of these devices' messages; refuses all if one of them cannot be added."""
        ...

    def finish(self, total: bytes, openings: Sequence[bytes]) -> OpenedTotal:
        """The sum, from what all openers told."""
        ...
