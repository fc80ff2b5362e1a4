"""What kind of people are these? Their attributes are guessed from what leaves them, and the guesses are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from twinlab.attacks.attribute import attack_attribute
from twinlab.cohorts.cohort import Cohort
from twinlab.errors import SpecificationError
from twinlab.evaluation.attribute import LEAST_PEOPLE, measure_attribute
from twinlab.experiment import BayesianTwin, Experiment, NoisyReadings, SimulatedCohort
from twinlab.finding import Finding
from twinlab.pipeline.attacker_view import let_attack
from twinlab.pipeline.attribute_evidence import (
    ATTRIBUTES,
    SOURCES,
    LeftBehind,
    Source,
    draw_others,
    leave_behind,
    tabulate_public,
    tabulate_secrets,
    take_days,
)
from twinlab.pipeline.composition import load_cohort
from twinlab.pipeline.update_evidence import leave_updates, need_federation
from twinlab.release import Message, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

_FEWEST_OTHERS = 50
_N_SHUFFLES = 20


@dataclass(frozen=True, repr=False)
class AttributeResult:
    """What an attacker on attributes found.

    Attributes:
      findings: one per attribute, that which the release gives away most first.
      table: a row per attribute, as `twinlab.evaluation.attribute.measure_attribute` says.
      left_out: attributes that too few people have, or lack.
      threat: against whom.
      transcript: what the attacker saw.
    """

    findings: tuple[Finding, ...]
    table: pd.DataFrame = field(repr=False)
    left_out: tuple[str, ...]
    threat: ThreatModel
    transcript: Transcript = field(repr=False)
    _scored: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    def list_guesses(self, attribute: str) -> pd.DataFrame:
        """Who the attacker says has an attribute, beside the truth: target, guess, truth, sureness, is_right.

        So many are named as have it: an attacker knows how common an illness is. The surest come first.

        Raises:
          SpecificationError: if the attribute was not guessed.
        """
        if attribute not in self._scored:
            raise SpecificationError(f"attribute: expected one of {', '.join(self._scored)}, got {attribute!r}")
        scores, has = self._scored[attribute]
        rank = pd.Series(scores).rank(pct=True, method="first").to_numpy()
        says = rank > 1 - has.mean()
        words = np.array([f"no {attribute}", attribute])
        guesses = pd.DataFrame(
            {
                "target": [f"person {number}" for number in range(1, len(scores) + 1)],
                "guess": words[says.astype(int)],
                "truth": words[has.astype(int)],
                "sureness": np.where(says, rank, 1 - rank),
                "is_right": says == has,
            }
        )
        return guesses.iloc[np.argsort(-rank, kind="stable")].reset_index(drop=True)

    @property
    def sentence(self) -> str:
        """How many attributes leak, and the worst in words."""
        leaking = int((self.table["advantage_low"] > 0).sum())
        return (
            f"Of {len(self.table)} attributes, {leaking} are guessed better than from public knowledge alone, beyond "
            f"chance. {self.findings[0].sentence}"
        )

    def __repr__(self) -> str:
        return f"AttributeResult: {self.sentence}"


def attack_attributes(
    people: Cohort | Experiment,
    *,
    from_: Source = "heads",
    attributes: Sequence[str] | None = None,
    n_people: int | None = None,
    n_days: int = 14,
    n_others: int = 400,
    sense: NoisyReadings | None = None,
    seed: int = 0,
    progress: Progress = report_nothing,
) -> AttributeResult:
    """Guess sensitive attributes of simulated people from what leaves them.

    The attacker knows everybody's sex and decade of age, and simulates people of its own to learn from.

    Args:
      people: who do not exist; an experiment's are loaded or simulated. Private.
      from_: what the attacker sees of each: "readings", "noisy readings", "forecasts" of each next hour, personal
        "heads", or "answers": what their twins say a walk of half an hour would change, asked four times a day on the
        last four days, and how sure they are. The last three follow everybody's twin, some ten seconds for 400 people
        and 14 days; answers take twice that. Or "updates": what devices of a federated experiment send in its first
        round, masked or encrypted where it says so.
      attributes: which to guess, of `ATTRIBUTES`; all when None.
      n_people: how many people; all when None.
      n_days: from how many days of each; public.
      n_others: people whom the attacker simulates.
      sense: of "noisy readings"; the experiment's, or the default noise, when None. Nobody is charged.
      seed: of shuffles, bootstrap and a rehearsal's noise; public.
      progress: told while people and twins live.

    Raises:
      SpecificationError: if a choice is not there.
      DataContractError: if people have no attributes or too few days, or no attribute splits them.
    """
    wanted = tuple(ATTRIBUTES) if attributes is None else tuple(attributes)
    _check(from_, wanted, n_people, n_days, n_others)
    cohort = _load(people, n_people, progress)
    twin = people.twin if isinstance(people, Experiment) else BayesianTwin()
    if sense is None and isinstance(people, Experiment) and isinstance(people.sense, NoisyReadings):
        sense = people.sense
    secrets = tabulate_secrets(cohort.attributes)
    avoid = people.cohort.seed if isinstance(people, Experiment) and isinstance(people.cohort, SimulatedCohort) else -1
    others = draw_others(n_others, n_days, cohort.signals, avoid, progress)
    days = take_days(cohort, n_days)
    if from_ == "updates":
        left = leave_updates(need_federation(people), days, take_days(others, n_days), cohort.signals)
    else:
        left = leave_behind(from_, days, take_days(others, n_days), cohort.signals, twin, sense, seed, progress)
    known = f"everybody's sex and decade of age, and {n_others} simulated people's attributes and {from_}"
    threat = ThreatModel("attribute", "server", known)
    attacker = _Attacker(left, cohort.attributes, others.attributes, from_, threat, seed)
    splits = {name: _splits(secrets[name]) and _splits(attacker.secrets[name]) for name in wanted}
    if not any(splits.values()):
        raise SpecificationError(
            f"attributes: expected one that at least {LEAST_PEOPLE} people have and {LEAST_PEOPLE} lack, got none "
            f"among {cohort.n_people} people; study more people"
        )
    claims = {name: attacker.guess(name) for name in wanted if splits[name]}
    truth = {name: secrets[name].to_numpy() for name in claims}
    findings = [measure_attribute(*claims[name], truth[name], name, from_, seed) for name in claims]
    findings.sort(key=lambda each: -each.table[0]["advantage"])
    table = pd.DataFrame([row for each in findings for row in each.table])
    return AttributeResult(
        tuple(findings),
        table,
        tuple(name for name in wanted if not splits[name]),
        threat,
        attacker.transcript,
        {name: (each[0].scores, truth[name]) for name, each in claims.items()},
    )


def compare_attribute_sources(
    people: Cohort | Experiment,
    sources: Sequence[Source] = SOURCES,
    *,
    attributes: Sequence[str] | None = None,
    n_people: int | None = None,
    n_days: int = 14,
    n_others: int = 400,
    sense: NoisyReadings | None = None,
    seed: int = 0,
    progress: Progress = report_nothing,
) -> pd.DataFrame:
    """The same attack on several things that leave people: a row per source and attribute.

    Args:
      people: as for `attack_attributes`; so are the others.
      sources: what to attack.
      attributes, n_people, n_days, n_others, sense, seed, progress: as for `attack_attributes`.
    """
    if not sources:
        raise SpecificationError(f"sources: expected at least one of {', '.join(SOURCES)}, got none")
    tables = [
        attack_attributes(
            people,
            from_=each,
            attributes=attributes,
            n_people=n_people,
            n_days=n_days,
            n_others=n_others,
            sense=sense,
            seed=seed,
            progress=progress,
        ).table
        for each in sources
    ]
    return pd.concat(tables, ignore_index=True)


class _Attacker:
    """Hands the attack its view: with the release, without it, and with shuffled attributes to learn from."""

    def __init__(
        self,
        left: LeftBehind,
        about: pd.DataFrame,
        about_others: pd.DataFrame,
        source: str,
        threat: ThreatModel,
        seed: int,
    ) -> None:
        """Record what was sent; attributes of targets are used for public columns only."""
        self.secrets = tabulate_secrets(about_others)
        self.transcript, self._nothing = Transcript(), Transcript()
        self._others, self._about, self._about_others = left.others, about, about_others
        self._threat, self._rng = threat, np.random.default_rng(seed)
        n = len(left.targets)
        for transcript, payload in ((self.transcript, left.targets), (self._nothing, np.empty((n, 0)))):
            n_bytes = int(payload.nbytes)
            transcript.record(Message("device", threat.access, source, n_bytes, 0.0, payload, left.guarantee, n))

    def guess(self, name: str) -> tuple[Claims, Claims, Claims]:
        """Claims about one attribute: with the release, from public knowledge alone, and the control."""
        public, of_others = (tabulate_public(each, ATTRIBUTES[name]) for each in (self._about, self._about_others))
        secret = self.secrets[name].to_numpy()
        facts = {"secret": secret, "public": public, "public_of_reference": of_others}
        with_release = {**facts, "reference": self._others}
        without = {**facts, "reference": np.empty((len(secret), 0))}
        dealt_anew = np.stack([self._rng.permutation(secret) for _ in range(_N_SHUFFLES)], axis=1)
        shuffled = {**with_release, "secret": dealt_anew}
        runs = ((self.transcript, with_release), (self._nothing, without), (self.transcript, shuffled))
        claims = [let_attack(attack_attribute, sent, PublicKnowledge(facts=told), self._threat) for sent, told in runs]
        return claims[0], claims[1], claims[2]


def _splits(has: pd.Series) -> bool:
    """Whether enough people have it and enough lack it."""
    return bool(min(has.sum(), (~has).sum()) >= LEAST_PEOPLE)


def _check(from_: str, wanted: Sequence[str], n_people: int | None, n_days: int, n_others: int) -> None:
    """All faults at once."""
    faults = []
    if from_ not in (*SOURCES, "updates"):
        faults.append(f"from_: expected one of {', '.join(SOURCES)}, updates, got {from_!r}")
    unknown = [name for name in wanted if name not in ATTRIBUTES]
    if unknown or not wanted:
        faults.append(f"attributes: expected some of {', '.join(ATTRIBUTES)}, got {', '.join(unknown) or 'none'}")
    if n_people is not None and n_people < 2 * LEAST_PEOPLE:
        faults.append(f"n_people: expected {2 * LEAST_PEOPLE} or more, got {n_people}")
    if n_days < 2:
        faults.append(f"n_days: expected 2 or more, got {n_days}")
    if n_others < _FEWEST_OTHERS:
        faults.append(f"n_others: expected {_FEWEST_OTHERS} or more, got {n_others}")
    if faults:
        raise SpecificationError("; ".join(faults))


def _load(people: Cohort | Experiment, n_people: int | None, progress: Progress) -> Cohort:
    """The people in question."""
    if isinstance(people, Experiment):
        if n_people is not None and isinstance(people.cohort, SimulatedCohort):
            people = people.with_({"cohort.n_people": n_people})
        people = load_cohort(people, progress)
    if n_people is None or n_people == people.n_people:
        return people
    if n_people > people.n_people:
        raise SpecificationError(f"n_people: expected at most the {people.n_people} people there are, got {n_people}")
    return people.select(people=people.person_ids[:n_people])
