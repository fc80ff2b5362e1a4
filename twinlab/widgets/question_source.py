"""What the panel of encrypted questions asks of whoever puts them, and the choices that it asks with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

#: What can be asked, in the words of the panel.
QUERY_WORDS = {
    "forecast": "forecast, features encrypted",
    "what_if": "what if, own head encrypted",
    "network_forecast": "forecast, whole network",
}


class Asked(Protocol):
    """A question and its answer; `twinlab.pipeline.question_exploration.AskedQuestion` is one.

    Attributes:
      table: columns time, horizon_hours, signal, label, unit, plain, answer, error; private to the person.
      steps: columns who, what, bytes, begin_ms, milliseconds, stage.
      wire: what the provider received, encrypted.
      features: the numbers that were encrypted; private to the person.
      sentence: all of it in one sentence.
    """

    table: pd.DataFrame
    steps: pd.DataFrame
    wire: bytes
    features: np.ndarray
    sentence: str

    def explain_wire(self) -> Sequence[Mapping[str, Any]]:
        """Parts of the message, in order: part, bytes, meaning."""


class QuestionSource(Protocol):
    """What the panel asks of its source; `twinlab.pipeline.question_exploration.QuestionExploration` is one.

    The first question of a person, or of a new plan, may take a second; later ones are quick. One thread at a time.
    """

    @property
    def person_ids(self) -> Sequence[str]:
        """Who can ask."""

    @property
    def queries(self) -> Sequence[str]:
        """What can be asked."""

    @property
    def targets(self) -> Sequence[str]:
        """Signals that are answered."""

    @property
    def own_errors(self) -> Mapping[str, float]:
        """How far forecasts are usually off, by signal in its unit; what is missing is not drawn."""

    def ask(
        self,
        person_id: str,
        query: Any = "forecast",
        *,
        hours_ahead: int = 24,
        minutes: int = 30,
        tolerance: float = 1e-3,
        quantum_safe: bool = False,
        share_results: bool = False,
    ) -> Any:
        """Put a question under encryption; returns an `Asked`."""

    def estimate_costs(
        self,
        n_questions: int = 1_000_000,
        query: Any = "forecast",
        *,
        tolerance: float = 1e-3,
        quantum_safe: bool = False,
        share_results: bool = False,
    ) -> pd.DataFrame:
        """What many questions cost, by the way they are asked; takes a second or two."""


@dataclass(frozen=True)
class QuestionChoices:
    """What is chosen in the panel, apart from the signal."""

    person_id: str
    query: str
    hours_ahead: int
    minutes: int
    tolerance: float
    quantum_safe: bool
    share_results: bool

    @property
    def plan(self) -> dict[str, Any]:
        """What a plan is made for."""
        return {
            "tolerance": self.tolerance,
            "quantum_safe": self.quantum_safe,
            "share_results": self.share_results,
        }

    def is_drawn_ahead_of(self, other: "QuestionChoices") -> bool:
        """Whether these differ in what can be drawn before the answer is there: tolerance and hours."""
        return (self.tolerance, self.hours_ahead) != (other.tolerance, other.hours_ahead)

    @property
    def priced(self) -> "QuestionChoices":
        """The same for whoever prices questions: neither person nor hours count."""
        return QuestionChoices("", self.query, 0, 0, self.tolerance, self.quantum_safe, self.share_results)

    @property
    def words(self) -> str:
        """For a title: `what if, tolerance 0.001, quantum-safe`."""
        safe = ", quantum-safe" if self.quantum_safe else ""
        shared = ", results shared" if self.share_results else ""
        return f"{self.query.replace('_', ' ')}, tolerance {self.tolerance:g}{safe}{shared}"
