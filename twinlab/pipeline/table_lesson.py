"""A table of people is released: who is singled out, linked or found out, beside people who are not in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd

from twinlab.attacks.released_table import attack_inference, attack_linkability, attack_singling_out
from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import simulate
from twinlab.errors import DataContractError, SpecificationError
from twinlab.evaluation.table_risk import (
    measure_table_risk,
    score_inference,
    score_linkability,
    score_singling_out,
)
from twinlab.finding import Finding
from twinlab.pipeline.attacker_view import let_attack
from twinlab.release import Message, NoGuarantee, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.signals import get_signal
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

TABLE_ATTACKS: Final = ("singling out, one column", "singling out, several columns", "linkability", "inference")
_ABOUT = ("age_years", "sex", "bmi", "condition", "has_job", "takes_beta_blocker")
#: Columns that a first source knows when people's tables of this module are linked; the second knows the rest.
LEFT: Final = ("age_years", "sex", "bmi", "steps", "calories_kcal")
SECRET: Final = "glucose_mg_dl"
#: Some people never wear the device; so many more are simulated.
_SPARE = 1.1
_N_COLUMNS = 4


@dataclass(frozen=True, repr=False)
class PeopleTables:
    """Three draws of one population, as large as each other.

    Attributes:
      originals: the people whom a release is about; private.
      control: people outside; private.
      fresh: others again: a release of them tells nothing about the originals.
    """

    originals: pd.DataFrame
    control: pd.DataFrame
    fresh: pd.DataFrame

    def __repr__(self) -> str:
        return f"PeopleTables({len(self.originals)} people three times, {len(self.originals.columns)} columns)"


@dataclass(frozen=True, repr=False)
class TableRiskResult:
    """What the three attacks found.

    Attributes:
      findings: one per attack.
      table: a row per release and attack, as `twinlab.evaluation.table_risk.measure_table_risk` says.
    """

    findings: tuple[Finding, ...]
    table: pd.DataFrame = field(repr=False)

    @property
    def sentence(self) -> str:
        """The worst of them in words."""
        return max(self.findings, key=lambda each: each.value).sentence

    def __repr__(self) -> str:
        return f"TableRiskResult: {self.sentence}"


def tabulate_people(cohort: Cohort) -> pd.DataFrame:
    """One row a person who wore the device: attributes, and means of hourly readings. Private.

    Args:
      cohort: of simulated people.
    """
    means = [np.nansum(cohort.signal(name), axis=1) for name in cohort.signals]
    counts = [(~np.isnan(cohort.signal(name))).sum(axis=1) for name in cohort.signals]
    columns = {
        get_signal(name).name: np.where(count > 0, mean / np.maximum(count, 1), np.nan)
        for name, mean, count in zip(cohort.signals, means, counts, strict=True)
    }
    about = cohort.attributes[[name for name in _ABOUT if name in cohort.attributes.columns]]
    return pd.DataFrame({**{str(name): about[name].to_numpy() for name in about}, **columns}).dropna(ignore_index=True)


def draw_people_tables(
    n_people: int = 500, n_days: int = 3, seed: int = 0, progress: Progress = report_nothing
) -> PeopleTables:
    """Three tables of people who do not exist.

    Args:
      n_people: in each; public.
      n_days: of readings behind the means; public.
      seed: which people; public.
      progress: told while they live.

    Raises:
      SpecificationError: if there are too few to say anything.
    """
    if n_people < 20 or n_days < 1:
        raise SpecificationError(f"tables: expected 20 people and 1 day or more, got {n_people} and {n_days}")
    people = draw_people(int(3 * n_people * _SPARE) + 10, seed)
    table = tabulate_people(simulate(people, n_days, seed, progress=progress).cohort)
    if len(table) < 3 * n_people:
        raise DataContractError("tables: too few of these people wore the device; choose more days")
    parts = [table.iloc[first : first + n_people].reset_index(drop=True) for first in range(0, 3 * n_people, n_people)]
    return PeopleTables(*parts)


def choose_table_releases(tables: PeopleTables, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Releases to attack: from one that hides nobody to one that has nobody to hide.

    Args:
      tables: from `draw_people_tables`.
      seed: of noise and shuffles; public. This noise protects nobody.
    """
    rng = np.random.default_rng(seed)
    return {
        "a copy": tables.originals.sample(frac=1, random_state=seed).reset_index(drop=True),
        "a copy with 0.5 % noise": blur_table(tables.originals, 0.005, rng),
        "columns shuffled apart": shuffle_columns(tables.originals, rng),
        "a fresh draw of the population": tables.fresh,
    }


def blur_table(table: pd.DataFrame, share: float, rng: np.random.Generator) -> pd.DataFrame:
    """Every number plus normal noise, a share of its column's range; rows in another order. It protects nobody."""
    blurred = table.sample(frac=1, random_state=int(rng.integers(2**31))).reset_index(drop=True)
    for name in table.columns:
        if table[name].dtype.kind in "iuf":
            width = share * float(table[name].max() - table[name].min())
            blurred[name] = blurred[name].astype(float) + width * rng.normal(size=len(table))
    return blurred


def shuffle_columns(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Every column in an order of its own: what is common stays, who goes with what is gone."""
    return pd.DataFrame({name: table[name].to_numpy()[rng.permutation(len(table))] for name in table.columns})


def attack_table(
    released: pd.DataFrame,
    originals: pd.DataFrame,
    control: pd.DataFrame,
    *,
    fresh: pd.DataFrame | None = None,
    attacks: Sequence[str] = TABLE_ATTACKS,
    left: Sequence[str] = LEFT,
    secret: str = SECRET,
    n_targets: int = 300,
    name: str = "the release",
    seed: int = 0,
) -> TableRiskResult:
    """Attack a released table in four ways, and see what it adds to what can be said of anybody.

    Args:
      released: true or synthetic rows, with the originals' columns.
      originals: whom it was made from; private, used to score, and for what an attacker knows of its targets.
      control: as many others, drawn alike; private.
      fresh: a release of others again, on which nothing should be found; left out when None.
      attacks: which of `TABLE_ATTACKS`.
      left: of linkability, the columns of one source; the other has the rest.
      secret: of inference, the column to guess; the others are known.
      n_targets: people and descriptions, at most.
      name: of the release, in words.
      seed: of draws and orders; public.

    Raises:
      SpecificationError: if an attack or a column is not there.
      DataContractError: if tables differ in their columns, or the control is not as large as the originals.
    """
    _check(released, originals, control, attacks, left, secret, n_targets)
    rng = np.random.default_rng(seed)
    shuffled = shuffle_columns(released, rng)
    findings = []
    for attack in attacks:
        run = partial(_count_hits, attack, left=left, secret=secret, n_targets=n_targets, seed=seed)
        inside, outside = run(released, originals, control)
        others = [None if each is None else run(each, originals, control) for each in (shuffled, fresh)]
        blind, null = (None if pair is None else measure_table_risk(attack, *pair).value for pair in others)
        findings.append(measure_table_risk(attack, inside, outside, blind, null, name))
    return TableRiskResult(tuple(findings), pd.DataFrame([row for each in findings for row in each.table]))


def compare_tables(
    releases: Mapping[str, pd.DataFrame], tables: PeopleTables, *, n_targets: int = 300, seed: int = 0
) -> pd.DataFrame:
    """The same attacks on several releases of the same people: a row per release and attack.

    Args:
      releases: by name; from `choose_table_releases`, or a reader's own.
      tables: who is in them and who is not.
      n_targets, seed: as for `attack_table`.
    """
    if not releases:
        raise SpecificationError("releases: expected at least one, got none")
    found = [
        attack_table(each, tables.originals, tables.control, n_targets=n_targets, name=name, seed=seed).table
        for name, each in releases.items()
    ]
    return pd.concat(found, ignore_index=True)


def _count_hits(
    attack: str,
    released: pd.DataFrame,
    originals: pd.DataFrame,
    control: pd.DataFrame,
    *,
    left: Sequence[str],
    secret: str,
    n_targets: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Where an attacker is right, about people inside and outside. It never learns on which side a target is."""
    sent = Transcript()
    n_bytes = int(released.memory_usage(index=False).sum())
    sent.record(Message("trainer", "public", "table", n_bytes, 0.0, released, NoGuarantee("under attack")))
    if attack.startswith("singling out"):
        n_columns = 1 if attack == TABLE_ATTACKS[0] else min(_N_COLUMNS, len(released.columns))
        guess = partial(attack_singling_out, n_guesses=n_targets, n_columns=n_columns, seed=seed)
        threat = ThreatModel("singling_out", "public", "nothing but the table")
        claims = let_attack(guess, sent, PublicKnowledge(), threat)
        return score_singling_out(claims, originals), score_singling_out(claims, control)
    rng = np.random.default_rng(seed)
    hits = []
    for people in (originals, control):
        some = people.iloc[rng.permutation(len(people))[:n_targets]].reset_index(drop=True)
        link = attack == "linkability"
        hits.append(_link(sent, some, left, rng) if link else _infer(sent, some, secret))
    return hits[0], hits[1]


def _link(sent: Transcript, people: pd.DataFrame, left: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """Two sources know some columns each of the same people, in different orders."""
    order = rng.permutation(len(people))
    rest = [name for name in people.columns if name not in left]
    facts: dict[str, Any] = {"left": people[list(left)], "right": people[rest].iloc[order].reset_index(drop=True)}
    threat = ThreatModel("linkability", "public", f"{', '.join(left)} from one source and the rest from another")
    claims: Claims = let_attack(attack_linkability, sent, PublicKnowledge(facts=facts), threat)
    return score_linkability(claims, np.argsort(order))


def _infer(sent: Transcript, people: pd.DataFrame, secret: str) -> np.ndarray:
    """All columns but one are known."""
    facts = {"known": people.drop(columns=secret), "secret": secret}
    threat = ThreatModel("inference", "public", f"everything of people but {secret}")
    claims = let_attack(attack_inference, sent, PublicKnowledge(facts=facts), threat)
    return score_inference(claims, people[secret].to_numpy())


def _check(
    released: pd.DataFrame,
    originals: pd.DataFrame,
    control: pd.DataFrame,
    attacks: Sequence[str],
    left: Sequence[str],
    secret: str,
    n_targets: int,
) -> None:
    """Refuse what would give a wrong number."""
    faults = []
    if not attacks or set(attacks) - set(TABLE_ATTACKS):
        faults.append(f"attacks: expected some of {'; '.join(TABLE_ATTACKS)}, got {'; '.join(attacks) or 'none'}")
    if n_targets < 1:
        faults.append(f"n_targets: expected 1 or more, got {n_targets}")
    columns = set(originals.columns)
    if "linkability" in attacks and not (len(left) and set(left) < columns):
        faults.append("left: expected some columns of the table and not all")
    if "inference" in attacks and secret not in columns:
        faults.append(f"secret: expected one of {', '.join(map(str, originals.columns))}, got {secret!r}")
    if faults:
        raise SpecificationError("; ".join(faults))
    if set(control.columns) != columns or set(released.columns) != columns:
        raise DataContractError("tables: expected the same columns in release, originals and control")
    if len(control) != len(originals):
        raise DataContractError(
            f"control: expected as many people as in the originals, {len(originals)}, got {len(control)}; a smaller "
            "control makes an innocent release look guilty"
        )
