"""What the panel of synthetic people asks of whoever makes them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pandas as pd

from twinlab.roles import Progress


class NearPerson(Protocol):
    """A synthetic person beside real ones; `twinlab.pipeline.synthetic_view.NearestPerson` is one."""

    @property
    def values(self) -> pd.DataFrame:
        """As `make_nearest_person` takes them."""

    @property
    def distances(self) -> Mapping[str, float]:
        """As `make_nearest_person` takes them."""

    @property
    def counts(self) -> tuple[int, int, int]:
        """As `make_nearest_person` takes them."""


class MadePeople(Protocol):
    """Synthetic people as they were made once; `twinlab.pipeline.synthetic_view.SyntheticView` is one."""

    @property
    def shown(self) -> pd.DataFrame:
        """As `draw_synthetic_columns` takes it, or `draw_synthetic_days` where there is a column hour."""

    @property
    def risks(self) -> pd.DataFrame:
        """As `draw_risk_gauges` takes it."""

    @property
    def is_judged_whole(self) -> bool:
        """Whether all attacks were made."""

    @property
    def guarantee(self) -> str:
        """What is promised."""

    @property
    def sentence(self) -> str:
        """What was made, and how like real people it is."""

    @property
    def people(self) -> Sequence[str]:
        """Some synthetic people by name, those first that are most like somebody."""

    def find_nearest(self, person: str) -> NearPerson:
        """Who is nearest to one of them."""

    def export(self, folder: Path, suffix: str) -> tuple[Path, Path]:
        """Write rows and release card; the two files."""


class SyntheticSource(Protocol):
    """What the panel asks of its source; `twinlab.pipeline.synthetic_exploration.SyntheticExploration` is one.

    `make` may take long where `is_known` says no, and `judge` takes some seconds; both are called by one thread at a
    time. All else is quick.
    """

    @property
    def whats(self) -> Sequence[str]:
        """What can be made."""

    @property
    def epsilons(self) -> Sequence[float]:
        """Budgets that a slider offers, least first."""

    @property
    def bins(self) -> Mapping[str, Sequence[float] | Sequence[str]]:
        """Public bins of columns of a table."""

    def list_methods(self, what: str) -> Sequence[str]:
        """How it can be made."""

    def describe(self, method: str) -> str:
        """A method in a sentence."""

    def has_promise(self, method: str) -> bool:
        """Whether epsilon means anything to it."""

    def is_known(self, method: str, epsilon: float, what: str) -> bool:
        """Whether these people are there already."""

    def make(
        self,
        method: str,
        epsilon: float,
        what: str,
        *,
        look: Callable[[str, pd.DataFrame], None] | None = None,
        progress: Progress = ...,
    ) -> MadePeople:
        """Make them, or find them; `look` is called with early ones, and what it or `progress` raises ends it."""

    def judge(self, method: str, epsilon: float, what: str, *, progress: Progress = ...) -> MadePeople:
        """The same people after all attacks; what `progress` raises ends it."""
