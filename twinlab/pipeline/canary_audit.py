"""The audit of a released table: is the worst canary told apart better than the promised epsilon allows?

A release runs many times, on a table with a made-up unit and without it, and an attacker guesses which is which. The
unit is the promise's: who says "epsilon 1 for a person" is tried with all rows of a person. That costs no privacy if
the table is made up, or if what the runs release stays with whoever holds the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from twinlab.attacks.promise import AuditReport, Verdict
from twinlab.attacks.release_canary import (
    KIND,
    MODEL,
    NEAREST,
    NEAREST_OF_ALL,
    ROWS,
    attack_release_canary,
    audit_canary,
)
from twinlab.errors import DataContractError, SpecificationError
from twinlab.evaluation.canary import measure_canary
from twinlab.finding import Finding
from twinlab.pipeline.attacker_view import let_attack
from twinlab.pipeline.table_release import (
    DescribedRelease,
    Released,
    RepeatableRelease,
    TableRelease,
    TableUnit,
)
from twinlab.release import Message, NoGuarantee, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

#: The column that says whose a row is.
PERSON: Final = "person"
_THREAT = ThreatModel("membership", "public", "everybody else, the canary, and how releases are made")
_NOTHING = NoGuarantee("under audit")
#: People of the table whose nearest copies are looked for.
_N_OTHERS = 100
_LEAST_RUNS, _LEAST_SHADOWS = 10, 8
#: A canary that is told without fail is this many standard deviations away.
_MOST_SPREADS = 20.0
#: A recipe is not believed where what shadows teach separates by so many standard deviations more.
_DOUBT = 2.0


@dataclass(frozen=True, repr=False)
class CanaryAudit:
    """What the audit of one release found.

    Attributes:
      name: of the release.
      unit, epsilon, delta: the promise.
      finding: how well a release with the canary is told from one without, by the first statistic; its table has all.
      report: the lower bound on epsilon, by statistic, and the verdict.
      chosen: which candidate was the worst, counted from 0.
      separations: of each candidate, how many standard deviations lay between releases with and without, the
        canary in the model and in the rows added up, in the runs that chose.
    """

    name: str
    unit: TableUnit
    epsilon: float
    delta: float
    finding: Finding
    report: AuditReport = field(repr=False)
    chosen: int
    separations: tuple[float, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether the promise stands, falls, or was out of reach of so few runs."""
        return self.report.verdict

    @property
    def table(self) -> pd.DataFrame:
        """A row a statistic: release, statistic, area, low, high, control, control_low, control_high, bound, claimed.

        Then ceiling (the most that so many runs could have shown), verdict (of all statistics together), unit, n_with,
        n_without and n_control.
        """
        bounds = {check.name: check.measured for check in self.report.checks}
        more = {"claimed": self.epsilon, "ceiling": self.report.ceiling, "verdict": self.verdict, "unit": self.unit}
        rows = [
            {"release": self.name, **row, "bound": bounds[str(row["statistic"])], **more} for row in self.finding.table
        ]
        return pd.DataFrame(rows)

    @property
    def sentence(self) -> str:
        """The verdict and the areas."""
        return f"{self.name}: {self.report.sentence} {self.finding.sentence}"

    def __repr__(self) -> str:
        return f"CanaryAudit: {self.sentence}"


def audit_release(
    make_release: TableRelease,
    table: pd.DataFrame,
    *,
    unit: TableUnit,
    epsilon: float,
    delta: float = 1e-5,
    n_runs: int = 60,
    n_shadows: int = 30,
    n_candidates: int = 4,
    canaries: pd.DataFrame | None = None,
    rows_per_person: int = 20,
    person_column: str = PERSON,
    name: str = "The release",
    seed: int = 0,
    progress: Progress = report_nothing,
) -> CanaryAudit:
    """Audit a release of a table, such as a synthesizer, at the unit that it claims.

    Several canaries are tried on runs of their own; the worst is then scored on fresh ones. What has a `recipe` is
    attacked by the exact likelihood ratio of its noise, any other model (and one whose recipe turns out not to be what
    was done) by a ratio learned from shadow runs.

    Args:
      make_release: table -> `Released`. It draws its own noise and has never seen the canary before.
      table: a row a record; private, and best made up. It needs a person column where the unit is a person.
      unit: "row" or "person": of the claim. A person's canary is as many rows as a person may have, all alike.
      epsilon, delta: claimed for one unit added or removed.
      n_runs: scored with the canary, without it, and without it again as control. With 60 of each an epsilon of 1
        can be refuted, larger ones need more; `ceiling` says what was in reach.
      n_shadows: runs with each candidate, and as many without, to choose the canary and to learn from.
      n_candidates: corners of the table's range to try.
      canaries: candidates instead, a row each; with values beyond the table's, say.
      rows_per_person: of a person's canary; public.
      person_column: whose rows they are; never shown to the attacker.
      name: of the release, in words.
      seed: of candidates and orders, not of the release's noise; public.
      progress: called as (what, done, total).

    Returns:
      Areas by statistic with intervals and control; a lower bound on epsilon; the verdict, which is wrong about a
      correct release with probability below 1e-6.

    Raises:
      SpecificationError: if there are too few runs, or the unit is another word.
      DataContractError: if the table lacks columns or values, or releases have neither arrays nor rows.

    >>> table = pd.DataFrame({"steps": np.linspace(0, 900, 40)})
    >>> naive = lambda table: Released({"sum": table.sum().to_numpy()})
    >>> audit_release(naive, table, unit="row", epsilon=1.0).verdict
    'broken'
    """
    _check(table, unit, n_runs, n_shadows, n_candidates, rows_per_person, person_column)
    rng = np.random.default_rng(seed)
    columns = [each for each in table.columns if each != person_column]
    if canaries is None:
        canaries = propose_canaries(table[columns], n_candidates, rng)
    elif not len(canaries) or not set(columns) <= set(canaries.columns):
        raise DataContractError(f"canaries: expected rows with the columns {', '.join(columns)}, got others or none")
    n_copies = rows_per_person if unit == "person" else 1
    units = [canaries.iloc[[place] * n_copies][columns].reset_index(drop=True) for place in range(len(canaries))]
    n_done, n_total = 0, (len(units) + 1) * n_shadows + 3 * n_runs

    def run(people: pd.DataFrame, n: int) -> list[dict[str, Any]]:
        nonlocal n_done
        progress("releases of the table", n_done, n_total)
        n_done += n
        repeats = make_release.repeat(people, n) if isinstance(make_release, RepeatableRelease) else None
        return [_show(each) for each in repeats or (make_release(people) for _ in range(n))]

    shadows = run(table, n_shadows)
    others = table[columns].iloc[rng.permutation(len(table))[:_N_OTHERS]]
    tried = []
    for own in units:
        whole = _add_unit(table, own, person_column)
        facts = {
            "canary": _list_columns(own),
            "others": _list_columns(others),
            **_tell_recipe(make_release, table, whole),
        }
        tried.append((_Attacker(facts, run(whole, n_shadows), shadows), whole))
    separations = tuple(attacker.separate_all() for attacker, _ in tried)
    chosen = int(np.argmax(separations))
    attacker, whole = tried[chosen][0].doubt_recipe(), tried[chosen][1]
    targets = run(whole, n_runs) + run(table, 2 * n_runs)
    kinds = np.repeat([1, 0, -1], n_runs)
    order = rng.permutation(len(kinds))
    kinds = kinds[order]
    claims = {method: attacker.claim(method, [targets[place] for place in order]) for method in attacker.methods}
    progress("releases of the table", n_total, n_total)
    scores = {method: (each.scores[kinds == 1], each.scores[kinds == 0]) for method, each in claims.items()}
    report = audit_canary(scores, epsilon, delta, unit)
    finding = measure_canary(claims, kinds == 1, kinds == -1, name)
    return CanaryAudit(name, unit, epsilon, delta, finding, report, chosen, separations)


def propose_canaries(table: pd.DataFrame, n_candidates: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows as unlike the others as the table's range allows: numbers at an end, words that are rarest.

    Args:
      table: private.
      n_candidates: rows wanted; the first has every number at its upper end, the second at its lower, others mix.
      rng: of the mixtures.
    """
    is_high = rng.random((n_candidates, len(table.columns))) < 0.5
    is_high[:1], is_high[1:2] = True, False
    columns = {}
    for place, name in enumerate(table.columns):
        column = table[name]
        if column.dtype.kind in "iuf":
            columns[name] = np.where(is_high[:, place], column.max(), column.min())
        else:
            columns[name] = np.repeat(column.value_counts().index[-1:].to_numpy(), n_candidates)
    return pd.DataFrame(columns)


@dataclass(frozen=True, repr=False)
class _Attacker:
    """Who knows everything but whether the canary is in.

    Attributes:
      facts: what it knows beside shadows.
      present, absent: releases that it made, with and without the canary.
    """

    facts: Mapping[str, Any]
    present: Sequence[Mapping[str, Any]]
    absent: Sequence[Mapping[str, Any]]

    @property
    def methods(self) -> tuple[str, ...]:
        """What can be read of such releases."""
        one = self.present[0]
        methods = (MODEL,) * bool(one["model"]) + (ROWS, NEAREST, NEAREST_OF_ALL) * (one["rows"] is not None)
        if not methods:
            raise DataContractError("releases: expected arrays or rows in each, got neither")
        return methods

    def claim(self, method: str, targets: Sequence[Mapping[str, Any]]) -> Claims:
        """Claims about releases."""
        part = "model" if method == MODEL else "rows"
        sent, shadows = Transcript(), {"shadows_with": self.present, "shadows_without": self.absent}
        for each in targets:
            n_bytes = sum(array.nbytes for array in each[part].values())
            sent.record(Message("trainer", _THREAT.access, KIND, n_bytes, 0.0, {part: each[part]}, _NOTHING))
        read = {name: [{part: each[part]} for each in made] for name, made in shadows.items()}
        knowledge = PublicKnowledge(facts={**self.facts, **read, "method": method})
        return let_attack(attack_release_canary, sent, knowledge, _THREAT)

    def separate(self, method: str) -> float:
        """Standard deviations between shadows with and without: learned from one half, measured on the other."""
        half = replace(self, present=self.present[::2], absent=self.absent[::2])
        scores = half.claim(method, [*self.present[1::2], *self.absent[1::2]]).scores
        present, absent = np.split(scores, [len(self.present[1::2])])
        spread = max(float(np.sqrt((present.var() + absent.var()) / 2)), 1e-300)
        return min(float(present.mean() - absent.mean()) / spread, _MOST_SPREADS)

    def separate_all(self) -> float:
        """The same of the likelihood ratios together."""
        return sum(self.separate(method) for method in self.methods if method in (MODEL, ROWS))

    def doubt_recipe(self) -> _Attacker:
        """An attacker without the recipe, where that does much better: then the recipe is not what was done."""
        if "scales" not in self.facts or MODEL not in self.methods:
            return self
        plain = replace(self, facts={name: self.facts[name] for name in ("canary", "others")})
        return plain if plain.separate(MODEL) > self.separate(MODEL) + _DOUBT else self


def _check(
    table: pd.DataFrame, unit: str, n_runs: int, n_shadows: int, n_candidates: int, rows_per_person: int, person: str
) -> None:
    """Refuse what would give a wrong number or none."""
    faults = []
    if unit not in ("row", "person"):
        faults.append(f"unit: expected row or person, got {unit!r}; an epsilon without its unit says nothing")
    if n_runs < _LEAST_RUNS or n_shadows < _LEAST_SHADOWS or n_candidates < 1 or rows_per_person < 1:
        faults.append(
            f"audit: expected at least {_LEAST_RUNS} runs, {_LEAST_SHADOWS} shadows, 1 candidate and 1 row a person, "
            f"got {n_runs}, {n_shadows}, {n_candidates} and {rows_per_person}"
        )
    if faults:
        raise SpecificationError("; ".join(faults))
    if not len(table) or (unit == "person" and person not in table.columns):
        raise DataContractError(
            f"table: expected rows with a column {person!r} for claims about a person, got {len(table)} rows with "
            f"{', '.join(map(str, table.columns))}"
        )
    if table.isna().to_numpy().any():
        raise DataContractError("table: expected no value missing, got some; drop those rows or fill them first")


def _add_unit(table: pd.DataFrame, own: pd.DataFrame, person: str) -> pd.DataFrame:
    """The table with the canary's rows, of a person of their own."""
    if person in table.columns:
        is_number = table[person].dtype.kind in "iuf"
        own = own.assign(**{person: table[person].max() + 1 if is_number else "the canary"})
    return pd.concat([table, own[list(table.columns)]], ignore_index=True)


def _tell_recipe(make_release: TableRelease, table: pd.DataFrame, whole: pd.DataFrame) -> dict[str, Any]:
    """What an attacker who knows everybody else works out of a public recipe."""
    if not isinstance(make_release, DescribedRelease):
        return {}
    recipe = make_release.recipe
    exact = {"exact_with": recipe.measure(whole), "exact_without": recipe.measure(table)}
    return {**exact, "noise": recipe.noise, "scales": recipe.scales}


def _show(released: Released) -> dict[str, Any]:
    """A release as everybody sees it."""
    return {"model": dict(released.model), "rows": None if released.rows is None else _list_columns(released.rows)}


def _list_columns(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Columns as plain arrays: numbers, or words."""
    columns = {}
    for name, column in table.items():
        if column.dtype.kind in "iuf":
            columns[str(name)] = column.to_numpy(float)
        else:
            words = pd.Categorical(column)
            columns[str(name)] = np.asarray([str(each) for each in words.categories])[words.codes]
    return columns
