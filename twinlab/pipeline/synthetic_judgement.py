"""Synthetic people judged whole: how like real ones they are, what they are good for, and what they give away.

One table holds all three, since each alone can be had by giving up another: a copy of the real table is the most like
and the most useful, and columns shuffled apart give nobody away. So every metric stands beside independent columns and
beside other real people, in the same run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from twinlab.attacks.row_density import attack_rows
from twinlab.errors import DataContractError, SpecificationError
from twinlab.evaluation.membership import measure_membership
from twinlab.evaluation.nearest_copy import measure_nearest_copies, place_rows
from twinlab.evaluation.rarity import measure_groups, measure_tails
from twinlab.evaluation.synthetic import (
    Bins,
    TableComparison,
    are_words,
    measure_correlations,
    measure_marginals,
)
from twinlab.evaluation.synthetic_training import measure_attribute_training
from twinlab.finding import Finding
from twinlab.pipeline.attacker_view import let_attack
from twinlab.pipeline.canary_audit import PERSON
from twinlab.pipeline.table_lesson import TABLE_ATTACKS, attack_table, shuffle_columns
from twinlab.pipeline.table_release import TableRelease, TableUnit
from twinlab.release import Message, NoGuarantee, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.threat import PublicKnowledge, ThreatModel

#: A synthesizer, given the epsilon that it shall keep: a release of a table, such as `twinlab.protection.synthetic`'s.
Synthesizer = Callable[[float], TableRelease]

#: What a metric is about, and the number that nothing can better.
KINDS: Final[Mapping[str, tuple[str, float]]] = {
    **dict.fromkeys(("marginal_mean", "marginal_worst", "pair_mean", "pair_worst"), ("likeness", 0.0)),
    **dict.fromkeys(("correlation", "tail_ratio", "tail_share", "groups_invented"), ("likeness", 0.0)),
    "groups_kept": ("likeness", 1.0),
    **dict.fromkeys(("stream_circadian", "stream_autocorrelation"), ("likeness", 0.0)),
    **dict.fromkeys(("stream_day_to_day", "stream_zero_share"), ("likeness", 0.0)),
    "attribute_training": ("usefulness", 1.0),
    "forecast_training": ("usefulness", 0.0),
    "nearest_copy": ("risk", 0.5),
    "membership_area": ("risk", 0.5),
    "membership_found_at_1_percent": ("risk", 0.01),
    **dict.fromkeys(("singling_out_one_column_risk", "singling_out_several_columns_risk"), ("risk", 0.0)),
    **dict.fromkeys(("linkability_risk", "inference_risk"), ("risk", 0.0)),
}
THREAT: Final = ThreatModel("membership", "public", "whole rows of people, and rows of others of the same population")
#: Rows in question on each side of the attack on membership.
_MOST_CANDIDATES = 500


@dataclass(frozen=True, repr=False)
class Judgement:
    """What was found of synthetic people.

    Attributes:
      findings: one a metric.
    """

    findings: tuple[Finding, ...]

    @property
    def table(self) -> pd.DataFrame:
        """A row a metric: metric, kind, ideal, value, lower, upper, baseline, control, sentence.

        Kind is "likeness", "usefulness" or "risk". The baseline is independent columns, or what the sentence says; the
        control is other real people where there are some.
        """
        rows = []
        for each in self.findings:
            kind, ideal = KINDS.get(each.name, ("other", np.nan))
            lower, upper = each.interval or (np.nan, np.nan)
            rows.append(
                {
                    "metric": each.name,
                    "kind": kind,
                    "ideal": ideal,
                    "value": each.value,
                    "lower": lower,
                    "upper": upper,
                    "baseline": np.nan if each.baseline is None else each.baseline,
                    "control": np.nan if each.control is None else each.control,
                    "sentence": each.sentence,
                }
            )
        return pd.DataFrame(rows)

    def find(self, name: str) -> Finding:
        """One finding by name.

        Raises:
          SpecificationError: if there is none; the message lists those there are.
        """
        for each in self.findings:
            if each.name == name:
                return each
        there = ", ".join(each.name for each in self.findings)
        raise SpecificationError(f"finding: there is no {name!r}; there are: {there}")

    def __repr__(self) -> str:
        return "\n".join(["Judgement:", *(f"  {each}" for each in self.findings)])


@dataclass(frozen=True)
class TableQuestions:
    """What is asked of a table beside what can be asked of any; public.

    Attributes:
      target: a column, and the word or least number to be told by the others: what a model shall learn. None asks not.
      groups: columns whose bins together make small groups; the first two, words before numbers, when empty.
      thresholds: what is low and high of columns of numbers; the inner edges of their end bins when None.
      left: of linkability, the columns of one source; the first half when empty.
      secret: of inference, the column to guess; the last column of numbers when empty, or the last of all.
      least_people: of a small group that counts.
    """

    target: tuple[str, float | str] | None = None
    groups: tuple[str, ...] = ()
    thresholds: Mapping[str, tuple[float, float]] | None = field(default=None, hash=False)
    left: tuple[str, ...] = ()
    secret: str = ""
    least_people: int = 10

    def fill(self, bins: Bins) -> TableQuestions:
        """The same with all that was left open."""
        names = list(bins)
        words, numbers = ([name for name in names if are_words(bins[name]) is own] for own in (True, False))
        return replace(
            self,
            groups=self.groups or tuple([*words, *numbers][:2]),
            left=self.left or tuple(names[: len(names) // 2]),
            secret=self.secret or (numbers or names)[-1],
        )


def judge_synthetic(
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    holdout: pd.DataFrame,
    *,
    bins: Bins,
    questions: TableQuestions | None = None,
    fresh: pd.DataFrame | None = None,
    attacks: Sequence[str] = (*TABLE_ATTACKS, "membership"),
    n_targets: int = 100,
    person_column: str = PERSON,
    name: str = "the synthetic table",
    seed: int = 0,
    progress: Progress = report_nothing,
) -> Judgement:
    """Judge a synthetic table against the real one it was made from.

    It compares with the truth, and what it says of real people is protected by nothing: it is for people who do not
    exist, or for whoever may see the real table anyway.

    Args:
      real: whom it was made from; private.
      synthetic: made-up rows with the columns of `bins`.
      holdout: other real people, drawn like the first and as many; private.
      bins: of every column that is judged; public, never read from a table.
      questions: what is asked beside; by rule when None.
      fresh: a table of others again, attacked like the synthetic one: nothing should be found. Left out when None.
      attacks: which of the attacks of `TABLE_ATTACKS` and "membership".
      n_targets: people and descriptions of each of the first, at most.
      person_column: whose row it is, in tables where people have several; never judged.
      name: of the table, in words.
      seed: of draws; public.
      progress: told what is done.

    Returns:
      Findings, in the order likeness, usefulness, risk.

    Raises:
      DataContractError: if a table lacks a column, or has words that no bin has.
      SpecificationError: if an attack or a column is not there.
    """
    asked = (questions or TableQuestions()).fill(bins)
    comparison = TableComparison(real, synthetic, bins, holdout, person_column, seed)
    steps: dict[str, Callable[[], Sequence[Finding]]] = {
        "marginals": lambda: measure_marginals(comparison),
        "correlations": lambda: measure_correlations(comparison),
        "tails": lambda: measure_tails(comparison, asked.thresholds),
        "small groups": lambda: measure_groups(comparison, asked.groups, asked.least_people),
    }
    if asked.target is not None:
        column, above = asked.target
        steps["training"] = lambda: [measure_attribute_training(comparison, column, above)]
    steps["nearest copies"] = lambda: [measure_nearest_copies(comparison)]
    if "membership" in attacks:
        steps["membership"] = lambda: attack_row_membership(comparison, fresh, name)
    others = [each for each in attacks if each != "membership"]
    if others:
        steps["attacks"] = lambda: _attack(comparison, fresh, others, asked, n_targets, name)
    findings: list[Finding] = []
    for done, (what, step) in enumerate(steps.items()):
        progress(what, done, len(steps))
        findings += step()
    return Judgement(tuple(findings))


def attack_row_membership(
    comparison: TableComparison, fresh: pd.DataFrame | None = None, name: str = "The synthetic table"
) -> tuple[Finding, ...]:
    """Ask of real rows whether they are among those that synthetic rows were made from.

    Half of the other real people are in question beside the real ones; the other half the attacker knows.

    Args:
      comparison: of tables, with a holdout.
      fresh: a table of others again, attacked like the synthetic one. None leaves the control out.
      name: of the table, in words.

    Returns:
      `membership_area`, 0.5 is a coin, beside a table whose columns were shuffled apart; and
      `membership_found_at_1_percent` where there are outsiders enough to say it.

    Raises:
      DataContractError: if there is no holdout, or fewer than four people in it.
    """
    rng = np.random.default_rng(comparison.seed)
    people = comparison.rows["holdout"].people if comparison.holdout is not None else np.zeros(0, dtype=int)
    if not len(people) or int(people.max()) < 3:
        raise DataContractError("membership: expected a holdout of 4 people or more; hold some real people out")
    is_known = (rng.permutation(int(people.max()) + 1) % 2 == 0)[people]
    points = place_rows(comparison, "holdout")
    inside, outside = place_rows(comparison, "real"), points[~is_known]
    n_each = min(len(inside), len(outside), _MOST_CANDIDATES)
    candidates = np.concatenate([each[rng.permutation(len(each))[:n_each]] for each in (inside, outside)])
    facts = {"candidates": candidates, "reference": points[is_known]}
    truth = np.arange(2 * n_each)[None] < n_each

    def score(table: pd.DataFrame) -> Finding:
        """The released rows are coded by public bins, as anybody could."""
        released = place_rows(replace(comparison, synthetic=table), "synthetic")
        sent = Transcript()
        sent.record(Message("trainer", "public", "rows", released.nbytes, 0.0, released, NoGuarantee("under attack")))
        claims = let_attack(attack_rows, sent, PublicKnowledge(facts=facts), THREAT)
        return measure_membership({"the ratio of densities": [claims]}, truth, name[:1].upper() + name[1:])

    found = score(comparison.synthetic)
    columns = comparison.synthetic[list(comparison.bins)]
    blind = score(shuffle_columns(columns, rng)).table[0]["area"]
    null = None if fresh is None else score(fresh).table[0]["area"]
    row = found.table[0]
    area = replace(
        found,
        name="membership_area",
        value=row["area"],
        interval=(row["area_low"], row["area_high"]),
        interval_kind="95 % bootstrap over rows",
        baseline=blind,
        baseline_name="columns shuffled apart",
        control=null,
        sentence=(
            f"{name[:1].upper()}{name[1:]}: rows behind it are told from rows of others with an area of "
            f"{row['area']:.2f} (95 % interval {row['area_low']:.2f} to {row['area_high']:.2f}), by the ratio of "
            "densities; a coin has 0.5. An average attack sees little of one rare person: audit the worst canary."
        ),
    )
    return (area,) if np.isnan(found.value) else (area, found)


def compare_synthesizers(
    synthesizers: Mapping[str, Synthesizer],
    table: pd.DataFrame,
    epsilons: Sequence[float],
    seeds: Sequence[int] = (0,),
    *,
    unit: TableUnit,
    bins: Bins,
    holdout: pd.DataFrame | None = None,
    person_column: str = PERSON,
    progress: Progress = report_nothing,
    **options: Any,
) -> pd.DataFrame:
    """Judge several synthesizers at several budgets on the same people: one table, one run.

    Args:
      synthesizers: by name; from epsilon to a release of a table, which draws its own noise anew. What each
        promises nobody checks here: audit a release with `audit_release`.
      table: real people, who do not exist or whose keeper may; private.
      epsilons: of the releases; public.
      unit: whose presence every epsilon is for, "person" or "row"; an epsilon without it says nothing.
      seeds: of the judges' draws, and of the halves where there is no holdout; public. No noise depends on them.
      bins: public.
      holdout: other real people. When None, half of the people of the table, anew for every seed.
      person_column: whose row it is.
      progress: told what is done.
      options: the rest of `judge_synthetic`.

    Returns:
      Rows as in `Judgement.table` with method, epsilon, unit, seed, seconds (of making the release) before them.

    Raises:
      SpecificationError: if there is nothing to compare, or a release has no rows.
    """
    runs = [(seed, epsilon, name) for seed in seeds for epsilon in epsilons for name in synthesizers]
    if not runs:
        raise SpecificationError("synthesizers: expected at least one, with an epsilon and a seed, got none")
    found = []
    for done, (seed, epsilon, name) in enumerate(runs):
        progress(name, done, len(runs))
        real, others = (table, holdout) if holdout is not None else split_people(table, seed, person_column)
        begin = time.perf_counter()
        rows = synthesizers[name](epsilon)(real).rows
        seconds = time.perf_counter() - begin
        if rows is None:
            raise SpecificationError(f"{name}: expected a release with rows, got a model alone; let it draw some")
        judged = judge_synthetic(
            real, rows, others, bins=bins, person_column=person_column, name=name, seed=seed, **options
        ).table
        head: dict[str, Any] = {"method": name, "epsilon": epsilon, "unit": unit, "seed": seed, "seconds": seconds}
        for place, (column, value) in enumerate(head.items()):
            judged.insert(place, column, value)
        found.append(judged)
    return pd.concat(found, ignore_index=True)


def split_people(table: pd.DataFrame, seed: int = 0, person_column: str = PERSON) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two halves of a table with no person in both.

    Args:
      table: private.
      seed: of the halves; public.
      person_column: whose row it is; a table without it has a person a row.
    """
    people = pd.factorize(table[person_column])[0] if person_column in table.columns else np.arange(len(table))
    if len(table) < 2 or people.max() < 1:
        raise DataContractError("table: expected two people or more, to hold one half out")
    first = (np.random.default_rng(seed).permutation(people.max() + 1) % 2 == 0)[people]
    return table[first].reset_index(drop=True), table[~first].reset_index(drop=True)


def _attack(
    comparison: TableComparison,
    fresh: pd.DataFrame | None,
    attacks: Sequence[str],
    asked: TableQuestions,
    n_targets: int,
    name: str,
) -> tuple[Finding, ...]:
    """Singling out, linkability and inference, on as many rows of real people as of others."""
    rng, columns = np.random.default_rng(comparison.seed), list(comparison.bins)
    sides = [each for each in (comparison.real, comparison.holdout) if each is not None]
    n_each = min(map(len, sides))
    originals, control = (
        each[columns].iloc[rng.permutation(len(each))[:n_each]].reset_index(drop=True) for each in sides
    )
    return attack_table(
        comparison.synthetic[columns].reset_index(drop=True),
        originals,
        control,
        fresh=None if fresh is None else fresh[columns],
        attacks=attacks,
        left=asked.left,
        secret=asked.secret,
        n_targets=n_targets,
        name=name,
        seed=comparison.seed,
    ).findings
