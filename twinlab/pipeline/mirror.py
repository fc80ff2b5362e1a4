"""The algorithmic mirror: whose nameless days are these? What an attacker answers, shown beside the truth.

A pair of a person's days is the secret that the attack is after. So it is shown of people who do not exist, and of
nobody else; of real people a mirror says how many are named, which whoever measures a risk has to know.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from twinlab.attacks.linkage import find_chances
from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.errors import DataContractError, SpecificationError, TrustBoundaryError
from twinlab.evaluation.linkage import measure_linkage
from twinlab.experiment import Experiment, NoisyReadings
from twinlab.finding import Finding
from twinlab.pipeline.attacker_view import let_attack
from twinlab.pipeline.composition import load_cohort
from twinlab.pipeline.linkage_evidence import NO_NAMES, Days, add_noise, find_worn_days, prepare_profile, split_days
from twinlab.release import Guarantee, NoGuarantee, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.signals import get_signal
from twinlab.threat import ThreatModel

Defence = Literal["nothing", "totals", "noise"]

#: What stands for all signals together where one can be chosen.
ALL = "all"
_LEAST_DAYS, _MOST_DAYS = 2, 14
_DEFENCES = ("nothing", "totals", "noise")
#: More would make a reader wait: an attack on so many takes half a second.
_MOST_PEOPLE = 300
_N_KEPT, _N_CANDIDATES = 24, 3
_TOTALS = NoGuarantee("only the names and the hours were removed")


@dataclass(frozen=True, repr=False)
class Reflection:
    """What the attacker makes of one release.

    Attributes:
      finding: the share of people who are named rightly, with interval and a blind guess.
      belief: how sure the attacker is of its first names, mean over people, 0 to 1. It takes readings for more regular
        than they are, so it may be surer than it is right.
      threat: against whom.
      guarantee: of the release.
    """

    finding: Finding
    belief: float
    threat: ThreatModel
    guarantee: Guarantee
    _released: Days
    _order: np.ndarray
    _chances: np.ndarray

    @property
    def n_people(self) -> int:
        """How many are named or not."""
        return len(self._order)

    def __repr__(self) -> str:
        return f"Reflection: {self.finding.sentence}"


@dataclass(frozen=True, repr=False)
class Pair:
    """One person's nameless days beside the named days that the attacker took for theirs.

    Attributes:
      rhythms: columns place (0 the nameless days, 1 the best candidate ...), day (from 1), hour, value; simulated.
      candidates: columns place (from 1), person_id, belief (0 to 1), is_right; best first.
    """

    rhythms: pd.DataFrame
    candidates: pd.DataFrame

    def __repr__(self) -> str:
        return f"Pair({len(self.candidates)} candidates)"


class Mirror:
    """People at two times, and an attacker who puts names to the second.

    Attributes:
      signals: what can be released.
      n_people: who has enough days.
      reason: why no person is shown; empty where people do not exist.
    """

    def __init__(self, cohort: Cohort, seed: int = 0) -> None:
        """Take the people.

        Args:
          cohort: whom; private. Who wore the device for fewer than 14 days is left out.
          seed: of the order in which nameless days are published; public.

        Raises:
          DataContractError: if fewer than two people are left.
          SpecificationError: if there are more than a slider can move.
        """
        worn = find_worn_days(cohort)[1].sum(axis=1)
        kept = [person for person, n_days in zip(cohort.person_ids, worn, strict=True) if n_days >= _MOST_DAYS]
        if len(kept) < 2:
            raise DataContractError(
                f"mirror: expected 2 people or more with {_MOST_DAYS} worn days, got {len(kept)} of {cohort.n_people}; "
                "choose a longer time or more people"
            )
        if len(kept) > _MOST_PEOPLE:
            raise SpecificationError(
                f"mirror: expected at most {_MOST_PEOPLE} people, got {len(kept)}; choose fewer, or call link_people"
            )
        self._cohort, self._seed = cohort.select(people=kept), seed
        self._known: dict[tuple[int, str, str, float], Reflection] = {}
        self.signals = cohort.signals
        self.n_people = len(kept)
        self.reason = (
            ""
            if cohort.origin == "simulated"
            else "These people exist. Whose days are whose is what the attack is after, so only how many are named is "
            "shown, and nobody's days; simulated people can be looked at one by one"
        )

    @property
    def person_ids(self) -> tuple[str, ...]:
        """Who can be looked at: nobody who exists."""
        return () if self.reason else self._cohort.person_ids

    @property
    def defences(self) -> tuple[str, ...]:
        """What can be done before days are published."""
        return ("nothing", "totals") if self.reason else _DEFENCES

    def attack(
        self, n_days: int = 7, released: str = ALL, defence: Defence = "nothing", epsilon: float = 100.0
    ) -> Reflection:
        """Publish everybody's later days without names, and let the attacker name them. Choices are remembered.

        Args:
          n_days: worn days of each side, 2 to 14; public.
          released: a signal, or "all".
          defence: "nothing"; "totals", a number a day and signal in place of 24; "noise" on every reading.
          epsilon: of noise: privacy loss of all that a person's devices report in a day.

        Raises:
          SpecificationError: if a choice is out of range.
          TrustBoundaryError: if noise is asked for on real people's readings, which would have to be paid for.
        """
        self._check(n_days, released, defence)
        noise = NoisyReadings(epsilon=epsilon)  # which refuses an epsilon out of range, also where it does not act
        choice = noise if defence == "noise" else None
        key = (n_days, released, defence, noise.epsilon if choice else 0.0)
        if key not in self._known:
            while len(self._known) >= _N_KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key] = self._reflect(n_days, released, defence, choice)
        return self._known[key]

    def show_pair(
        self,
        person_id: str,
        signal: str,
        n_days: int = 7,
        released: str = ALL,
        defence: Defence = "nothing",
        epsilon: float = 100.0,
    ) -> Pair:
        """Nameless days of one person as they were published, and the three people whom the attacker likes best.

        Args:
          person_id: whose; of a simulated person.
          signal: which is shown, one of those released.
          n_days, released, defence, epsilon: as in `attack`.

        Raises:
          TrustBoundaryError: if the people exist.
          DataContractError: if nobody has that id.
          SpecificationError: if a choice is out of range.
        """
        if self.reason:
            raise TrustBoundaryError(f"mirror: {self.reason}")
        found = self.attack(n_days, released, defence, epsilon)
        days, person = found._released, self._cohort.index_of(person_id)
        if signal not in days.signals:
            raise SpecificationError(f"signal: expected one of {', '.join(days.signals)}, got {signal!r}")
        chances = found._chances[int(np.flatnonzero(found._order == person)[0])]
        best = np.argsort(-chances, kind="stable")[:_N_CANDIDATES]
        column = days.signals.index(signal)
        shown = [days.nameless[person, :, column], *days.named[best][:, :, column]]
        candidates = {
            "place": np.arange(1, len(best) + 1),
            "person_id": [self._cohort.person_ids[row] for row in best],
            "belief": chances[best],
            "is_right": best == person,
        }
        return Pair(
            pd.concat([_make_rhythm(place, values) for place, values in enumerate(shown)], ignore_index=True),
            pd.DataFrame(candidates),
        )

    def _reflect(self, n_days: int, released: str, defence: Defence, noise: NoisyReadings | None) -> Reflection:
        """The attack itself; the truth stays here."""
        days, guarantee = self._publish(n_days, released, defence, noise)
        evidence = prepare_profile(days, np.random.default_rng(self._seed), guarantee)
        transcript = Transcript()
        transcript.record(evidence.message)
        claims = let_attack(evidence.attack, transcript, evidence.knowledge, evidence.threat)
        finding = measure_linkage(claims, evidence.truth, "mirror_top_1", self._seed)
        chances = find_chances(claims)
        belief = float(chances.max(axis=1).mean())
        return Reflection(finding, belief, evidence.threat, guarantee, days, evidence.truth, chances)

    def _publish(
        self, n_days: int, released: str, defence: Defence, noise: NoisyReadings | None
    ) -> tuple[Days, Guarantee]:
        """What is known and what is published of the chosen signals, row by row the same people."""
        days = split_days(self._cohort, n_days)  # by all signals, so that another choice of them has the same days
        if len(days.named) != self.n_people:
            raise DataContractError(f"mirror: expected all {self.n_people} people to have {n_days} days of each side")
        if released != ALL:
            column = [days.signals.index(released)]
            named, nameless = days.named[..., column], days.nameless[..., column]
            days = replace(days, named=named, nameless=nameless, signals=(released,))
        if noise is not None:
            return add_noise(days, noise, self._seed)
        if defence == "totals":  # the attacker can add up the hours that it knows
            named, nameless = (spread_totals(side, days.signals) for side in (days.named, days.nameless))
            return replace(days, named=named, nameless=nameless), _TOTALS
        return days, NO_NAMES

    def _check(self, n_days: int, released: str, defence: str) -> None:
        """All faults at once."""
        faults = []
        if isinstance(n_days, bool) or n_days not in range(_LEAST_DAYS, _MOST_DAYS + 1):
            faults.append(f"n_days: expected {_LEAST_DAYS} to {_MOST_DAYS} whole days, got {n_days}")
        if released not in (ALL, *self.signals):
            faults.append(f"released: expected {ALL} or one of {', '.join(self.signals)}, got {released!r}")
        if defence not in _DEFENCES:
            faults.append(f"defence: expected one of {', '.join(_DEFENCES)}, got {defence!r}")
        if faults:
            raise SpecificationError("; ".join(faults))
        if defence not in self.defences:
            raise TrustBoundaryError(
                "defence: expected simulated people; noisy readings of real ones would be released unpaid. Choose "
                "nothing or totals, or a simulated cohort"
            )

    def __repr__(self) -> str:
        return f"Mirror({self.n_people} people, {', '.join(self.signals)})"


def hold_mirror(people: Cohort | Experiment, *, seed: int = 0, progress: Progress = report_nothing) -> Mirror:
    """Two times of the same people, for `widgets.TheMirror`: an attacker knows the first, and names the second.

    Args:
      people: whom, at most 300; an experiment's are loaded or simulated. Private. Of people who exist nobody is shown.
      seed: of the order in which nameless days are published; public.
      progress: told about long parts.

    Raises:
      DataContractError: if fewer than two people wore their device for 14 days.
      SpecificationError: if there are too many.

    >>> hold_mirror(Experiment().with_({"cohort.n_people": 12})).attack(n_days=7).finding.value > 0.5
    True
    """
    return Mirror(load_cohort(people, progress) if isinstance(people, Experiment) else people, seed)


def spread_totals(values: np.ndarray, signals: tuple[str, ...]) -> np.ndarray:
    """A number a day and signal, spread evenly over its hours: sums of what is counted, means of what is a level.

    Args:
      values: float32 (person, hour, signal), whole days, NaN where nothing was measured; private.
      signals: of the last axis.

    Returns:
      The same shape; NaN on days without any reading of a signal.
    """
    days = values.reshape(len(values), -1, HOURS_PER_DAY, len(signals))
    n_known = (~np.isnan(days)).sum(axis=2)
    is_sum = np.array([get_signal(name).aggregate == "sum" for name in signals])
    parts = np.where(is_sum, HOURS_PER_DAY, np.maximum(n_known, 1))
    each = np.where(n_known > 0, np.nansum(days, axis=2) / parts, np.nan)
    spread: np.ndarray = each.repeat(HOURS_PER_DAY, axis=1).astype(np.float32)
    return spread


def _make_rhythm(place: int, values: np.ndarray) -> pd.DataFrame:
    """One signal of some days as rows, an hour each."""
    day, hour = np.divmod(np.arange(len(values)), HOURS_PER_DAY)
    return pd.DataFrame({"place": place, "day": day + 1, "hour": hour, "value": values})
