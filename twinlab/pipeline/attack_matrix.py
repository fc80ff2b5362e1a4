"""Attacks against defences on the same people, one picture of what each defence stops and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from twinlab.errors import SpecificationError, TrustBoundaryError
from twinlab.experiment import Experiment, SimulatedCohort
from twinlab.finding import Finding
from twinlab.pipeline.composition import run
from twinlab.pipeline.matrix_attack import ATTACKS, MatrixAttack
from twinlab.pipeline.sweeping import DEFAULT_STORE, sweep
from twinlab.roles import Progress, report_nothing

#: Where nothing protects; every defence is held against it.
NOTHING: Final = "nothing"
_COLUMNS = ("success", "low", "high", "baseline", "control", "advantage", "advantage_low", "advantage_high")


@dataclass(frozen=True, repr=False)
class AttackCell:
    """What one attack finds against one defence.

    Attributes:
      finding: its success, beside a guess's.
      advantage: how far it goes from a guess's success, 0, to everything, 1; and the ends of its interval.
      guesses: what the attacker says of some simulated people, beside the truth: target, guess, truth, sureness (0 to
        1, or NaN), is_right.
      threat: against whom.
      sees: what reaches the attacker.
    """

    finding: Finding
    advantage: tuple[float, float, float]
    guesses: pd.DataFrame = field(repr=False)
    threat: str
    sees: str

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> AttackCell:
        """From what a sweep kept."""
        found = dict(value["finding"])
        interval = found.get("interval")
        finding = Finding(**{**found, "interval": None if interval is None else (interval[0], interval[1]),
                             "table": tuple(found["table"])})  # fmt: skip
        first, low, high = value["advantage"]
        guesses = pd.DataFrame(list(value["guesses"]), columns=["target", "guess", "truth", "sureness", "is_right"])
        return cls(finding, (first, low, high), guesses, value["threat"], value["sees"])

    def __repr__(self) -> str:
        return f"AttackCell: {self.finding.sentence}"


class AttackMatrix:
    """Attacks against defences; what was computed once is taken from the store.

    Attributes:
      attacks: the questions, in order.
      defences: by name, what each changes in the experiment.
      experiment: without any defence.
    """

    def __init__(
        self,
        experiment: Experiment,
        attacks: Sequence[MatrixAttack],
        defences: Mapping[str, Mapping[str, Any]],
        store: str | Path | None = DEFAULT_STORE,
    ) -> None:
        """Compute nothing yet."""
        self.experiment = experiment
        self.defences = tuple(defences)
        self.attacks = tuple(attack.question for attack in attacks)
        self._attacks = {attack.question: attack for attack in attacks}
        self._changes = dict(defences)
        self._store = store
        self._cells: dict[tuple[str, str, str], AttackCell] = {}
        self._costs = pd.DataFrame()

    def list_knowledge(self, attack: str) -> tuple[str, ...]:
        """How much the attacker may know, in words, weakest first."""
        return tuple(self._find(attack).knowledge)

    def usual_knowledge(self, attack: str) -> str:
        """How much it knows in the matrix."""
        return self._find(attack).usual

    def describe(self, name: str) -> str:
        """An attack or a defence in a sentence.

        Raises:
          SpecificationError: if there is neither of that name.
        """
        if name in self._changes:
            changes = ", ".join(f"{field} = {_say(value)}" for field, value in self._changes[name].items())
            return f"{name}: {changes or 'readings go to a trainer, who trains in the open'}"
        return self._find(name).about

    def attack(
        self, attack: str, defence: str, knowledge: str | None = None, progress: Progress = report_nothing
    ) -> AttackCell:
        """One cell, computed or taken from the store.

        Args:
          attack, defence: by name; public.
          knowledge: one of `list_knowledge`; the usual one when None.
          progress: told while it is computed.

        Raises:
          SpecificationError: if there is no such attack, defence or knowledge.
        """
        found = self._find(attack)
        knowledge = knowledge or found.usual
        if defence not in self._changes or knowledge not in found.knowledge:
            raise SpecificationError(
                f"attack: expected a defence among {', '.join(self.defences)} and a knowledge among "
                f"{', '.join(found.knowledge)}, got {defence!r} and {knowledge!r}"
            )
        key = (attack, defence, knowledge)
        if key not in self._cells:
            point = {defence: self._changes[defence]}
            made = sweep(self.experiment, point, found.at(knowledge), store=self._store, progress=progress).points[0]
            if made.value is None:
                raise SpecificationError(f"attack: {attack} against {defence}: {made.error}")
            self._cells[key] = AttackCell.read(made.value)
        return self._cells[key]

    def is_known(self, attack: str, defence: str, knowledge: str | None = None) -> bool:
        """Whether a cell is there without computing."""
        return (attack, defence, knowledge or self._find(attack).usual) in self._cells

    def fill(self, progress: Progress = report_nothing) -> AttackMatrix:
        """Compute what every defence costs, then every cell, a defence after the other.

        Args:
          progress: told after each; raising from it stops cleanly, and what is finished is kept.
        """
        total = len(self.defences) * (1 + len(self.attacks))
        points = {name: self._changes[name] for name in dict.fromkeys((NOTHING, *self.defences))}
        rows, done = [], 0
        for name, changes in points.items():
            priced = sweep(self.experiment, {name: changes}, measure_costs, store=self._store).points[0]
            if priced.value is None:
                raise SpecificationError(f"defence {name}: {priced.error}")
            rows.append({"defence": name, **priced.value})
            done += name in self.defences
            progress("pricing defences", done, total)
        self._costs = _tabulate_costs(rows, self.defences)
        for defence in self.defences:
            for attack in self.attacks:
                self.attack(attack, defence)
                done += 1
                progress(f"{attack} against {defence}", done, total)
        return self

    @property
    def table(self) -> pd.DataFrame:
        """A row a cell that is there: attack, defence, success, low, high, baseline, control, advantage,
        advantage_low, advantage_high, sees, sentence."""
        rows = []
        for attack in self.attacks:
            for defence in self.defences:
                if not self.is_known(attack, defence):
                    continue
                cell = self.attack(attack, defence)
                low, high = cell.finding.interval or (math.nan, math.nan)
                numbers = (cell.finding.value, low, high, cell.finding.baseline, cell.finding.control, *cell.advantage)
                said = dict(zip(_COLUMNS, numbers, strict=True))
                rows.append({"attack": attack, "defence": defence, **said, "sees": cell.sees,
                             "sentence": cell.finding.sentence})  # fmt: skip
        return pd.DataFrame(rows, columns=["attack", "defence", *_COLUMNS, "sees", "sentence"])

    @property
    def costs(self) -> pd.DataFrame:
        """A row a defence: defence, loss (share by which forecasts get worse), n_bytes, seconds, epsilon, guarantee."""
        return self._costs.copy()

    @property
    def sentence(self) -> str:
        """What stops most, and the attack that still works against it."""
        table = self.table
        if table.empty:
            return "No cell is computed yet."
        rows = table.sort_values("advantage", ascending=False, kind="stable").to_dict("records")
        worst = {row["defence"]: row for row in reversed(rows)}  # the last one written is the strongest
        strongest, best = worst[self.defences[0]], min(worst.values(), key=lambda row: row["advantage"])
        return (
            f"Against {self.defences[0]}, {strongest['attack']} goes {strongest['advantage']:.0%} of the way from "
            f"guessing to knowing. Of {len(self.defences)} defences, {best['defence']} leaves least: there the "
            f"strongest attack, {best['attack']} goes {max(best['advantage'], 0):.0%}."
        )

    def _find(self, attack: str) -> MatrixAttack:
        if attack not in self._attacks:
            raise SpecificationError(f"attack: expected one of {', '.join(self.attacks)}, got {attack!r}")
        return self._attacks[attack]

    def __repr__(self) -> str:
        return f"AttackMatrix({len(self.attacks)} attacks x {len(self.defences)} defences): {self.sentence}"


def attack_everything(
    experiment: Experiment | None = None,
    *,
    attacks: Sequence[str] | None = None,
    defences: Mapping[str, Mapping[str, Any]] | None = None,
    store: str | Path | None = DEFAULT_STORE,
    progress: Progress = report_nothing,
) -> AttackMatrix:
    """Hold attacks against defences on the same simulated people.

    Every cell is computed once, by what decides it: the experiment, the attack, its knowledge and twinlab's own code.
    So a second call is quick, and one that was stopped goes on where it was.

    Args:
      experiment: without any defence; 30 people and 14 days when None. Simulated people only.
      attacks: questions among `list_attacks()`; all when None.
      defences: by name, what each changes, such as {"noise": {"sense": "noisy_readings"}}; `choose_defences()` when
        None.
      store: where cells are kept; None for memory only.
      progress: told after each cell; raising from it stops cleanly.

    Raises:
      TrustBoundaryError: on people who exist. Attacking them takes more than a laboratory: their consent, and somebody
        who answers for what is found.
      SpecificationError: if there is no such attack, or a defence is no valid experiment; all faults at once.
    """
    base = experiment or choose_matrix_experiment()
    if not isinstance(base.cohort, SimulatedCohort):
        raise TrustBoundaryError(
            "cohort: expected simulated people, since each cell holds guesses about single ones beside the truth; "
            "choose cohort = 'simulated'"
        )
    wanted = list_attacks() if attacks is None else tuple(attacks)
    unknown = [name for name in wanted if name not in list_attacks()]
    if unknown or not wanted:
        raise SpecificationError(
            f"attacks: expected some of {', '.join(list_attacks())}, got {', '.join(unknown) or 'none'}"
        )
    changes = choose_defences() if defences is None else defences
    if not changes:
        raise SpecificationError("defences: expected at least one, got none; see choose_defences()")
    faults = [fault for name, each in changes.items() for fault in _find_faults(base, name, each)]
    if faults:
        raise SpecificationError("; ".join(faults))
    chosen = [each for each in ATTACKS if each.question in wanted]
    return AttackMatrix(base, chosen, changes, store).fill(progress)


def list_attacks() -> tuple[str, ...]:
    """The questions that attacks of the matrix answer."""
    return tuple(attack.question for attack in ATTACKS)


def choose_matrix_experiment() -> Experiment:
    """People and twins small enough that a matrix takes less than a minute."""
    return Experiment().with_({"cohort.n_people": 30, "cohort.n_days": 14, "twin.max_horizon_hours": 1})


def choose_defences(epsilon: float = 2.0) -> dict[str, dict[str, Any]]:
    """Defences at each place on the way of the data, alone and together.

    Args:
      epsilon: of a person, of training; public.
    """
    private = {"kind": "person", "epsilon": epsilon}
    federated = {"learn": {"kind": "federated", "n_rounds": 4}}
    secure = {**federated, "learn.aggregation": {"kind": "secure"}}
    return {
        NOTHING: {},
        "noise at the sensor": {"sense": {"kind": "noisy_readings"}},
        "private training": {"learn.privacy": private},
        "federated": federated,
        "federated + private": {**federated, "learn.privacy": private},
        "federated + secure sum": secure,
        "federated + secure sum + private": {**secure, "learn.privacy": {**private, "noise_at": "devices"}},
    }


def measure_costs(experiment: Experiment, progress: Progress) -> dict[str, Any]:
    """What an experiment's forecasts are off by, and what it sends and takes: errors by signal and aggregates only."""
    result = run(experiment, progress, audits=False)
    errors = {each.name: float(each.value) for each in result.findings if each.name.endswith("_rmse")}
    messages = result.transcript.summarize()
    return {
        "errors": errors,
        "n_bytes": float(sum(row["bytes"] for row in messages)),
        "seconds": float(sum(row["seconds"] for row in messages)),
        "epsilon": float(result.person_epsilon),
        "guarantee": str(result.releases[0].guarantee),
    }


def _tabulate_costs(rows: Sequence[Mapping[str, Any]], defences: Sequence[str]) -> pd.DataFrame:
    """Costs beside those of no defence: the mean over signals of how much larger errors are."""
    open_ = rows[0]["errors"]
    table = pd.DataFrame(
        [
            {
                "defence": row["defence"],
                "loss": float(np.mean([row["errors"][name] / open_[name] - 1 for name in open_])),
                **{name: row[name] for name in ("n_bytes", "seconds", "epsilon", "guarantee")},
            }
            for row in rows
        ]
    )
    return table[table["defence"].isin(list(defences))].reset_index(drop=True)


def _find_faults(base: Experiment, name: str, changes: Mapping[str, Any]) -> list[str]:
    """What makes a defence no valid experiment."""
    try:
        changed = base.with_(changes)
    except SpecificationError as error:
        return [f"defence {name}: {error}"]
    if changed.cohort != base.cohort:
        return [f"defence {name}: expected the same people, got another cohort; give it as the experiment"]
    return []


def _say(value: Any) -> str:
    """A change in words."""
    if isinstance(value, Mapping):
        rest = ", ".join(f"{key} {each}" for key, each in value.items() if key != "kind")
        return f"{value.get('kind', '')}{f' ({rest})' if rest else ''}"
    return str(value)
