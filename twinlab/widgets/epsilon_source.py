"""What the panel that turns epsilon asks of whoever trains."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import pandas as pd

from twinlab.pipeline.place import Scenario
from twinlab.roles import Progress


class Badge(Protocol):
    """What an audit found."""

    @property
    def verdict(self) -> str:
        """In a word or two."""

    @property
    def sentence(self) -> str:
        """With its numbers."""


class EpsilonSource(Protocol):
    """What the panel asks of its source; `twinlab.pipeline.exploration.PrivacyExploration` is one.

    `prepare`, `trace`, `train`, `audit`, `measure_start` and `measure_without_noise` may take long, and are called by
    one thread at a time. The others are quick, and may be called while those run.
    """

    is_free: bool
    experiment: Any

    @property
    def signals(self) -> Sequence[str]:
        """Whose error is measured."""

    @property
    def delta(self) -> float:
        """Of every training."""

    def prepare(self, start: Any, progress: Progress) -> Any:
        """What all trainings from a start share; seconds the first time, nothing afterwards."""

    def describe_cost(self, scenario: Scenario) -> str:
        """What the curve costs, in a sentence."""

    def trace(self, scenario: Scenario, progress: Progress) -> Iterator[None]:
        """Train the curve; yields whenever `table` has grown. Closing it stops the training."""

    def is_traced(self, scenario: Scenario) -> bool:
        """Whether the curve is whole."""

    def table(self, scenario: Scenario, signal: str) -> pd.DataFrame:
        """The curve so far: epsilon, mean, lowest, highest, zero_budget, verdict."""

    def measure_start(self, start: Any, signal: str) -> float:
        """Error at a budget of zero."""

    def measure_without_noise(self, start: Any, signal: str) -> float | None:
        """Error without privacy; None on real people."""

    def train(self, scenario: Scenario, epsilon: float, progress: Progress) -> dict[str, float]:
        """One private twin: error by signal."""

    def audit(self, scenario: Scenario, epsilon: float, progress: Progress) -> Badge:
        """The badge of such a training."""

    def explain(self, epsilon: float) -> tuple[pd.DataFrame, pd.DataFrame, str]:
        """Beliefs before and after, epsilons that others deployed, and a sentence."""

    def gauge(self) -> dict[str, Any] | None:
        """The numbers of the budget; None where nobody pays."""

    def price(self, scenario: Scenario, epsilon: float) -> float:
        """What releasing one training costs."""
