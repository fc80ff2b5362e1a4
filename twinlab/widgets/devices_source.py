"""What the panel of devices asks of whoever runs federations, and the choices that it asks with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pandas as pd

from twinlab.experiment import Experiment
from twinlab.learn_choice import MEANS
from twinlab.roles import Progress

OFF, ALL = "off", "all"
#: That a run is not whole because nobody wanted the rest of it.
STOPPED = "stopped"
#: So many trainings on devices take about a second, in the plain.
_CHEAP = 5000


class DevicesSource(Protocol):
    """What the panel asks of its source; `twinlab.pipeline.devices.DevicesExploration` is one.

    `run` may take long, and is called by one thread at a time. The others are quick once something ran, and may be
    called while it runs.
    """

    experiment: Experiment

    @property
    def signals(self) -> Sequence[str]:
        """Whose error is measured."""

    @property
    def n_people(self) -> int:
        """Devices there are at most."""

    def choose(self, changes: Mapping[str, Any]) -> Experiment:
        """The experiment with other choices of learning; refuses a senseless mix and names its neighbour."""

    def measure_start(self, changes: Mapping[str, Any] | None = None) -> Mapping[str, float]:
        """Error by signal of the start that nobody trained."""

    def run(
        self,
        changes: Mapping[str, Any] | None = None,
        n_devices: int | None = None,
        progress: Progress = ...,
        on_round: Callable[[Any], None] | None = None,
    ) -> Any:
        """Run one federation; what `progress` and `on_round` raise ends it, and finished rounds stay."""


@dataclass(frozen=True)
class DeviceChoices:
    """What is chosen in the panel, apart from the signal."""

    n_devices: int
    clients_per_round: int | str
    n_rounds: int
    dropout: float
    attackers: float
    attack: str
    strategy: str
    quorum_share: float
    aggregation: str
    epsilon: float | str

    @property
    def n_asked(self) -> int:
        """Devices asked in a round."""
        return self.n_devices if self.clients_per_round == ALL else min(int(self.clients_per_round), self.n_devices)

    @property
    def n_attackers(self) -> int:
        """Devices that lie: their share, rounded, and at least one where there is a share."""
        return max(1, round(self.n_devices * self.attackers / 100)) if self.attackers else 0

    @property
    def n_trainings(self) -> int:
        """How often a device trains in all rounds."""
        return self.n_asked * self.n_rounds

    @property
    def is_cheap(self) -> bool:
        """Whether it runs in about a second, so that a moved control need not wait for a button."""
        return self.aggregation == "plain" and self.n_trainings <= _CHEAP

    @property
    def hides_updates(self) -> bool:
        """Whether the server reads sums alone."""
        return self.aggregation != "plain"

    @property
    def changes(self) -> dict[str, Any]:
        """The same as changes of the experiment's `learn`."""
        changes: dict[str, Any] = {
            "n_rounds": self.n_rounds,
            "clients_per_round": self.n_asked,
            "dropout": self.dropout,
            "n_attackers": self.n_attackers,
            "attack": self.attack,
            "strategy": self.strategy,
            "quorum_share": self.quorum_share,
            # a comparing strategy is told how many liars to bear; a mean has no use for their number
            "n_malicious": 0 if self.strategy in MEANS else round(self.n_asked * self.attackers / 100),
            "aggregation.kind": self.aggregation,
            "privacy.kind": "unprotected" if self.epsilon == OFF else "person",
        }
        if self.epsilon != OFF:
            changes |= {"privacy.epsilon": self.epsilon, "privacy.expected_people": self.n_devices}
        return changes

    @property
    def words(self) -> str:
        """For a title: `1,000 devices, 100 a round, krum, plain, epsilon 2`."""
        asked = f", {self.n_asked:,} a round" if self.n_asked < self.n_devices else ""
        private = "" if self.epsilon == OFF else f", epsilon {self.epsilon:g}"
        return f"{self.n_devices:,} devices{asked}, {self.strategy}, {self.aggregation}{private}"


@dataclass
class ShownRun:
    """A federation as far as the panel has seen it.

    Attributes:
      rounds: views of the finished rounds.
      zero_budget: error by signal of the start.
      is_running: whether rounds will come.
      ended: why it is not whole; empty if it is.
      limits: what the axis of the error has shown, by signal, so that it does not jump.
    """

    choices: DeviceChoices
    zero_budget: Mapping[str, float] = field(default_factory=dict)
    rounds: list[Any] = field(default_factory=list, repr=False)
    is_running: bool = True
    ended: str = ""
    limits: dict[str, tuple[float, float]] = field(default_factory=dict, repr=False)

    def table(self, signal: str) -> pd.DataFrame:
        """Columns round, error, megabytes_down and megabytes_up."""
        rows = [
            {
                "round": view.report.round,
                "error": view.errors[signal],
                "megabytes_down": view.report.bytes_down / 1e6,
                "megabytes_up": view.report.bytes_up / 1e6,
            }
            for view in self.rounds
        ]
        return pd.DataFrame(rows, columns=["round", "error", "megabytes_down", "megabytes_up"])

    @property
    def seconds_per_training(self) -> float | None:
        """Of one device in one round; None while no round is finished."""
        n_trainings = sum(view.report.n_sampled for view in self.rounds)
        return sum(view.report.seconds for view in self.rounds) / n_trainings if n_trainings else None
