"""Whose is it? People are linked across two times by what a release, or a wire, shows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from twinlab.attacks.linkage import assign_one_to_one, find_chances
from twinlab.cohorts.cohort import Cohort
from twinlab.errors import SpecificationError, TrustBoundaryError
from twinlab.evaluation.linkage import extrapolate_linkage, measure_linkage, measure_uniqueness
from twinlab.experiment import BayesianTwin, Experiment, NoisyReadings, SimulatedCohort
from twinlab.finding import Finding
from twinlab.pipeline.attacker_view import let_attack
from twinlab.pipeline.composition import load_cohort
from twinlab.pipeline.linkage_evidence import (
    NO_NAMES,
    Cover,
    Evidence,
    Way,
    add_noise,
    prepare_heads,
    prepare_points,
    prepare_profile,
    prepare_traffic,
    split_days,
)
from twinlab.pipeline.update_evidence import need_federation, prepare_updates
from twinlab.release import Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

_WAYS = ("profile", "heads", "points", "traffic", "updates")
_COVERS = ("nothing", "sizes", "sizes and times")
#: What curves call the line of all signals together.
ALL = "all signals"


@dataclass(frozen=True, repr=False)
class LinkageResult:
    """What an attacker who links people found.

    Attributes:
      finding: the share of people named rightly, or singled out, with interval, baseline and control.
      table: the finding's numbers and what was attacked; a row, or for known points a row per number of points.
      threat: against whom.
      transcript: what the attacker saw.
    """

    finding: Finding
    table: pd.DataFrame
    threat: ThreatModel
    transcript: Transcript
    _claims: Claims
    _truth: np.ndarray
    _is_simulated: bool = False

    @property
    def sentence(self) -> str:
        """The finding in words."""
        return self.finding.sentence

    def list_guesses(self) -> pd.DataFrame:
        """Whom the attacker takes each nameless one for, beside the truth: target, guess, truth, sureness, is_right.

        Simulated people only: of real ones this is the very thing that the attack is after. People are numbered as the
        attacker knows them.

        Raises:
          TrustBoundaryError: for people who exist.
          SpecificationError: for known points, where a target has no first name.
        """
        if self.finding.name == "singled_out":
            raise SpecificationError("guesses: known readings fit several series; read the table")
        if not self._is_simulated:
            raise TrustBoundaryError("guesses: expected people who do not exist; of real ones only the finding is told")
        named, chances = self._claims.scores.argmax(axis=1), find_chances(self._claims).max(axis=1)
        return pd.DataFrame(
            {
                "target": [f"nameless {number}" for number in range(1, len(named) + 1)],
                "guess": [f"person {number + 1}" for number in named],
                "truth": [f"person {number + 1}" for number in self._truth],
                "sureness": chances,
                "is_right": named == self._truth,
            }
        )

    def extrapolate(self, sizes: Sequence[int], seed: int = 0) -> pd.DataFrame:
        """Top-1 among more people than there were, or fewer: n_people, top_1, low, high, chance, extrapolated.

        Args:
          sizes: numbers of people; public.
          seed: of the bootstrap; public.

        Raises:
          SpecificationError: for known points, which have no such law.
        """
        if self.finding.name == "singled_out":
            raise SpecificationError("extrapolate: known readings have no such law; simulate more people instead")
        return pd.DataFrame(extrapolate_linkage(self._claims, self._truth, sizes, seed))

    def __repr__(self) -> str:
        return f"LinkageResult: {self.sentence}"


def link_people(
    people: Cohort | Experiment,
    *,
    by: Way = "profile",
    n_days: int = 14,
    signals: Sequence[str] | None = None,
    n_people: int | None = None,
    one_to_one: bool = False,
    n_points: int = 4,
    sense: NoisyReadings | None = None,
    cover: Cover = "nothing",
    skip: int = 0,
    seed: int = 0,
    progress: Progress = report_nothing,
) -> LinkageResult:
    """Remove everybody's name from some days, and let an attacker who knows other days put them back.

    The finding is a statistic about these people, for whoever runs the attack. It names nobody.

    Args:
      people: whom; an experiment's are loaded or simulated, and its noise at the sensor is added. Private.
      by: "profile" compares whole days; "heads" personal heads of twins, which takes most of a minute for 200 people;
        "points" looks for a few known readings; "traffic" sees sizes and times of encrypted messages only; "updates"
        what devices of a federated experiment send in its first round, masked or encrypted where it says so.
      n_days: worn days known of each person, and as many to be named, 2 or more; public.
      signals: which are released; all when None.
      n_people: how many people; all when None.
      one_to_one: whether the attacker knows that everybody is there once, which most releases do not say.
      n_points: of "points", how many readings are known.
      sense: noise on released readings, for simulated people only; None takes the experiment's.
      cover: of "traffic", what padding hides.
      skip: worn days of everybody to pass over first; public.
      seed: of shuffles and known hours; public.
      progress: told about long parts.

    Raises:
      SpecificationError: if a choice is out of range.
      DataContractError: if fewer than two people have enough days.
      TrustBoundaryError: if noise is asked for on real people's readings, which would have to be paid for.

    >>> link_people(Experiment().with_({"cohort.n_people": 12}), n_days=7).finding.baseline > 0.05
    True
    """
    _check(by, n_days, n_points, cover, one_to_one, skip)
    cohort, noise = _load(people, n_people, sense, progress)
    cohort = cohort if signals is None else cohort.select(signals=tuple(signals))
    if noise is not None and by in ("heads", "traffic", "updates"):
        raise SpecificationError(f"sense: noise is on released readings; it does not act where by = {by!r}")
    if noise is not None and cohort.origin != "simulated":
        raise TrustBoundaryError(
            "sense: expected simulated people; noisy readings of real ones would be released unpaid. Choose "
            "sense = None, or a simulated cohort"
        )
    days = split_days(cohort, n_days, skip)
    released, guarantee = (days, NO_NAMES) if noise is None else add_noise(days, noise, seed)
    rng = np.random.default_rng(seed)
    said = {"by": by, "signals": ", ".join(cohort.signals), "n_days": n_days, "n_people": len(days.named)}
    if by == "points":
        return _single_out(prepare_points(released, rng, n_points, days.nameless, guarantee), n_points, said)
    if by == "updates":
        evidence = prepare_updates(need_federation(people), days, rng, progress)
    elif by == "heads":
        twin = people.twin if isinstance(people, Experiment) else BayesianTwin()
        evidence = prepare_heads(days, rng, twin, progress)
    elif by == "traffic":
        evidence = prepare_traffic(days, rng, cover)
    else:
        evidence = prepare_profile(released, rng, guarantee)
    return _link(evidence, said, one_to_one, seed, cohort.origin == "simulated")


def _link(evidence: Evidence, said: dict[str, Any], one_to_one: bool, seed: int, is_simulated: bool) -> LinkageResult:
    """Attack with what the receiver saw, then score."""
    claims, transcript = _attack(evidence, evidence.knowledge)
    claims = assign_one_to_one(claims) if one_to_one else claims
    finding = measure_linkage(claims, evidence.truth, f"linkage_{said['by']}_top_1", seed)
    table = pd.DataFrame([{**said, **row} for row in finding.table])
    return LinkageResult(finding, table, evidence.threat, transcript, claims, evidence.truth, is_simulated)


def _single_out(evidence: Evidence, n_points: int, said: dict[str, Any]) -> LinkageResult:
    """The same with the first, the first two ... of the known readings."""
    hours, points = evidence.knowledge.find("hours"), evidence.knowledge.find("points")
    claims = {}
    for number in range(1, n_points + 1):
        fewer = {**evidence.knowledge.facts, "hours": hours[:, :number], "points": points[:, :number]}
        claims[number], transcript = _attack(evidence, PublicKnowledge(facts=fewer))
    finding = measure_uniqueness(claims, evidence.truth)
    table = pd.DataFrame([{**said, **row} for row in finding.table])
    return LinkageResult(finding, table, evidence.threat, transcript, claims[n_points], evidence.truth)


def _attack(evidence: Evidence, knowledge: PublicKnowledge) -> tuple[Claims, Transcript]:
    """The attacker gets what the receiver saw and what it knows; the truth stays here."""
    transcript = Transcript()
    transcript.record(evidence.message)
    return let_attack(evidence.attack, transcript, knowledge, evidence.threat), transcript


def trace_linkage(
    people: Cohort | Experiment,
    *,
    days: Sequence[int] = (2, 3, 5, 7, 10, 14),
    signal_sets: Sequence[Sequence[str]] | None = None,
    sizes: Sequence[int] = (10, 30, 100, 300, 1000, 3000, 10_000),
    n_people: int | None = None,
    seed: int = 0,
    progress: Progress = report_nothing,
) -> pd.DataFrame:
    """How many people are named rightly by days, by signals and by population.

    Args:
      people: whom; private.
      days: days of each side; public.
      signal_sets: a line each; each signal alone and all together when None.
      sizes: numbers of people for which top-1 is computed at the most days. Up to the people there are it is counted
        from the same comparisons, beyond it is extrapolated and says so. The people there are always get a row.
      n_people: how many people; all when None.
      seed: of shuffles and bootstrap; public.
      progress: called once an attack.

    Returns:
      Columns curve ("days" or "population"), signals, n_days, n_people, top_1, low, high, chance, extrapolated. The
      intervals of the first kind are 95 % Clopper-Pearson over people, of the second 90 % bootstrap over people.

    Raises:
      SpecificationError, DataContractError: as `link_people`.
    """
    cohort = _load(people, n_people, None, progress)[0]
    sets = [tuple(each) for each in signal_sets or [*((name,) for name in cohort.signals), cohort.signals]]
    rows: list[dict[str, Any]] = []
    for place, signals in enumerate(sets):
        name = ALL if set(signals) == set(cohort.signals) and len(signals) > 1 else " + ".join(signals)
        for number, n_days in enumerate(sorted(days)):
            found = link_people(cohort, n_days=n_days, signals=signals, seed=seed)
            kept = {key: found.table[key].iloc[0] for key in ("n_days", "n_people", "top_1", "low", "high", "chance")}
            rows.append({"curve": "days", "signals": name, **kept, "extrapolated": False})
            progress("linking people", place * len(days) + number + 1, len(sets) * len(days))
        n_there = len(found._truth)
        by_size = extrapolate_linkage(found._claims, found._truth, sorted({*sizes, n_there}), seed)
        rows += [{"curve": "population", "signals": name, "n_days": max(days), **row} for row in by_size]
    return pd.DataFrame(rows).astype({"n_days": int, "n_people": int})


def trace_uniqueness(
    people: Cohort | Experiment,
    *,
    n_points: int = 6,
    signal_sets: Sequence[Sequence[str]] | None = None,
    n_days: int = 14,
    n_people: int | None = None,
    seed: int = 0,
    progress: Progress = report_nothing,
) -> pd.DataFrame:
    """How many people a few known readings single out, by number of readings and by signals.

    Args:
      people, n_days, n_people, seed: as in `link_people`.
      n_points: up to so many readings of one day.
      signal_sets: a line each; each signal alone and all together when None.
      progress: called once a set.

    Returns:
      Columns signals, n_points, singled_out, low, high, fits, named_wrongly, without_their_own, people.

    Raises:
      SpecificationError, DataContractError: as `link_people`.
    """
    cohort = _load(people, n_people, None, progress)[0]
    sets = [tuple(each) for each in signal_sets or [*((name,) for name in cohort.signals), cohort.signals]]
    tables = []
    for place, signals in enumerate(sets):
        name = ALL if set(signals) == set(cohort.signals) and len(signals) > 1 else " + ".join(signals)
        found = link_people(cohort, by="points", n_days=n_days, signals=signals, n_points=n_points, seed=seed)
        tables.append(found.table.assign(signals=name).drop(columns=["by", "n_days", "n_people"]))
        progress("singling out people", place + 1, len(sets))
    return pd.concat(tables, ignore_index=True)


def _check(by: str, n_days: int, n_points: int, cover: str, one_to_one: bool, skip: int) -> None:
    """All faults at once."""
    faults = []
    if by not in _WAYS:
        faults.append(f"by: expected one of {', '.join(_WAYS)}, got {by!r}")
    if skip < 0:
        faults.append(f"skip: expected 0 days or more, got {skip}")
    if n_days < 2:
        faults.append(f"n_days: expected 2 or more, since one day does not show how much a person varies, got {n_days}")
    if not 1 <= n_points <= 24:
        faults.append(f"n_points: expected 1 to 24 readings of a day, got {n_points}")
    if cover not in _COVERS:
        faults.append(f"cover: expected one of {', '.join(_COVERS)}, got {cover!r}")
    if one_to_one and by == "points":
        faults.append("one_to_one: known readings are looked up person by person; leave it out")
    if faults:
        raise SpecificationError("; ".join(faults))


def _load(
    people: Cohort | Experiment, n_people: int | None, sense: NoisyReadings | None, progress: Progress
) -> tuple[Cohort, NoisyReadings | None]:
    """Readings, and the noise that is asked for."""
    if n_people is not None and n_people < 2:
        raise SpecificationError(f"n_people: expected 2 or more, got {n_people}")
    if isinstance(people, Experiment):
        if sense is None and isinstance(people.sense, NoisyReadings):
            sense = people.sense
        if n_people is not None and isinstance(people.cohort, SimulatedCohort):
            people = people.with_({"cohort.n_people": n_people})
        people = load_cohort(people, progress)
    if n_people is None or n_people == people.n_people:
        return people, sense
    if n_people > people.n_people:
        raise SpecificationError(f"n_people: expected at most the {people.n_people} people there are, got {n_people}")
    return people.select(people=people.person_ids[:n_people]), sense
