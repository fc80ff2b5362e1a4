"""What does a joint answer give away though nobody saw another's rows? It is attacked, and the claims are scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd

from twinlab.attacks.collusion import attack_shares
from twinlab.attacks.differencing import attack_difference
from twinlab.attacks.moment_reconstruction import attack_moments
from twinlab.attacks.table_search import MOST_VALUE
from twinlab.errors import SpecificationError
from twinlab.evaluation.joint import match_rows, measure_rows_read
from twinlab.finding import Finding
from twinlab.pipeline.attacker_view import let_attack
from twinlab.pipeline.joint_leak_setting import COLLUDERS, LeakSetting, list_column_faults, pool_views
from twinlab.protection.joint.statistic import MIN_COUNT
from twinlab.protection.joint.terms import MOST_PARTIES
from twinlab.release import Guarantee, NoGuarantee, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.threat import Attack, Claims, PublicKnowledge, ThreatModel

JointLeak = Literal["rows", "subtraction", "difference", "collusion"]
JOINT_LEAKS: Final[tuple[JointLeak, ...]] = get_args(JointLeak)
#: Six yes/no columns.
DIAGNOSES: Final = ("is_male", "has_job", "has_hypertension", "has_diabetes", "has_depression", "works_shifts")
_KNOWS = "the question, how many people there are, and 4000 people of the same population"
THREATS: Final[Mapping[JointLeak, ThreatModel]] = {
    "rows": ThreatModel("reconstruction", "hospital 1", _KNOWS),
    "subtraction": ThreatModel("reconstruction", "hospital 1", f"{_KNOWS}, and its own part of each sum"),
    "difference": ThreatModel(
        "reconstruction", "hospital 1", f"{_KNOWS}, and that one person is in one of two answers"
    ),
    "collusion": ThreatModel("reconstruction", COLLUDERS, _KNOWS),
}
_ATTACKS: Final[Mapping[JointLeak, Attack]] = {
    "rows": attack_moments,
    "subtraction": attack_moments,
    "difference": attack_difference,
    "collusion": attack_shares,
}
_TITLES: Final[Mapping[JointLeak, str]] = {
    "rows": "rows from the opened totals",
    "subtraction": "rows from the totals less one's own",
    "difference": "one person from two answers",
    "collusion": "one hospital's rows from pooled shares",
}
_LEAST_ANSWERS = 2
_TIME_LIMIT_S = 2.0


@dataclass(frozen=True, repr=False)
class JointLeakResult:
    """What an attack on a joint answer read.

    Attributes:
      kind: of the attack.
      protection: in words.
      finding: the share of people whose whole row was read, beside a blind guess.
      example: of the first answer, a row a value: person, column, true, read, is_right; of people who do not exist.
      blind_example: the same of a blind guess, which is right about common rows.
      transcript: who saw what in the first answer.
      guarantee: what was promised against this attacker.
      row: the numbers of `table`.
    """

    kind: JointLeak
    protection: str
    finding: Finding
    example: pd.DataFrame = field(repr=False)
    blind_example: pd.DataFrame = field(repr=False)
    transcript: Transcript = field(repr=False)
    guarantee: Guarantee
    row: Mapping[str, float | str | None] = field(repr=False)

    def table(self) -> pd.DataFrame:
        """One row: kind, attack, protection, hospitals, colluding, people_in_answer, epsilon, the columns of the
        finding's table, and unique, the share of answers that one table alone fits; NaN where none was searched for.
        """
        return pd.DataFrame([self.row])

    def __repr__(self) -> str:
        return self.finding.sentence


@dataclass(frozen=True, repr=False)
class JointLeakComparison:
    """The same attacks on several protections.

    Attributes:
      results: one a kind and protection.
    """

    results: tuple[JointLeakResult, ...] = field(repr=False)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of each result."""
        return tuple(each.finding for each in self.results)

    def table(self) -> pd.DataFrame:
        """A row a result, as `JointLeakResult.table` has it."""
        return pd.DataFrame([each.row for each in self.results])

    def __repr__(self) -> str:
        return "\n".join(each.finding.sentence for each in self.results)


def attack_joint_answer(
    kind: JointLeak = "rows",
    *,
    epsilon: float | None = None,
    columns: Sequence[str] = DIAGNOSES,
    n_hospitals: int = 3,
    people_per_hospital: int = 4,
    most_colluding: int | None = None,
    n_colluding: int | None = None,
    n_answers: int = 60,
    delta: float = 1e-6,
    seed: int = 0,
    progress: Progress = report_nothing,
) -> JointLeakResult:
    """Let hospitals ask for joint moments of a few simulated patients, and read the patients' rows from what crossed.

    The secret sum keeps its promise throughout: what is attacked is what it is meant to open, or more hospitals collude
    than it was made for. The patients do not exist and nobody is charged.

    Args:
      kind: "rows", everybody's from the opened totals; "subtraction", a hospital takes its own part from the totals and
        reads the others'; "difference", the row of one person whom hospital 1 has in a second answer and not in the
        first; "collusion", hospitals pool the shares that the last one dealt them.
      epsilon: of the noise that the hospitals add jointly, for all sums of one answer; no noise when None. Who is in
        both answers of a difference pays twice; the one who is attacked is in one. It holds against as many colluding
        hospitals as `most_colluding`, who know their own noise.
      columns: out of `PATIENT_COLUMNS`: yes/no, or whole numbers; only a difference reads columns of a wide range.
      n_hospitals, people_per_hospital: public; at least 3, and 10 people in all, fewer than which are not answered.
      most_colluding: of the sum's terms; as many as can be when None.
      n_colluding: who pool, in "collusion"; one more than the terms allow for when None.
      n_answers: how many are attacked, each with people of its own.
      delta: with which epsilon may fail.
      seed: of people and bootstrap; public. Noise and shares never depend on it.
      progress: told while answers are attacked.

    Raises:
      SpecificationError: if a choice is not there or out of range, all faults at once.
    """
    most_colluding = (n_hospitals - 1) // 2 if most_colluding is None else most_colluding
    n_colluding = most_colluding + 1 if n_colluding is None else n_colluding
    numbers = (n_hospitals, people_per_hospital, most_colluding, n_colluding, n_answers)
    if faults := _list_faults(kind, columns, *numbers):
        raise SpecificationError("\n".join(faults))
    setting = LeakSetting(tuple(columns), n_hospitals, people_per_hospital, most_colluding, epsilon, delta)
    groups, people = setting.draw_groups(n_answers, setting.n_people + 1, seed)
    runs = []
    for number, group in enumerate(groups):
        runs.append(_attack_once(kind, setting, group, people, n_colluding))
        progress("attacking joint answers", number + 1, n_answers)
    known = setting.tell(people, len(runs[0].truth), n_hospitals, _TIME_LIMIT_S)
    facts = PublicKnowledge(facts={**known, "dealer": setting.names[-1]})
    blind = let_attack(_ATTACKS[kind], Transcript(), facts, THREATS[kind])
    return _judge(kind, setting, runs, blind, n_colluding, seed)


def compare_joint_leaks(
    kinds: Sequence[JointLeak] = ("rows", "difference", "collusion"),
    *,
    epsilon: float = 1.0,
    more_hospitals: int = 7,
    n_answers: int = 40,
    seed: int = 0,
    progress: Progress = report_nothing,
) -> JointLeakComparison:
    """The same attacks on three hospitals, on three that add noise, and on more hospitals; two of them collude.

    Args:
      kinds: of attacks.
      epsilon: of the noise.
      more_hospitals: how many there are in the third row of each kind; as many people in each.
      n_answers, seed, progress: as in `attack_joint_answer`.

    Raises:
      SpecificationError: as `attack_joint_answer`.
    """
    protections: tuple[tuple[int, float | None], ...] = ((3, None), (3, epsilon), (more_hospitals, None))
    return JointLeakComparison(
        tuple(
            attack_joint_answer(
                kind,
                epsilon=noise,
                n_hospitals=n_hospitals,
                n_colluding=2,
                n_answers=n_answers,
                seed=seed,
                progress=progress,
            )
            for kind in kinds
            for n_hospitals, noise in protections
        )
    )


@dataclass(frozen=True, repr=False)
class _Run:
    """One attacked answer."""

    claims: Claims
    truth: np.ndarray
    transcript: Transcript


def _attack_once(
    kind: JointLeak, setting: LeakSetting, group: np.ndarray, people: np.ndarray, n_colluding: int
) -> _Run:
    """Hospitals answer, and the attack is let at what its receiver saw."""
    parts = [np.asarray(part, dtype=float) for part in np.split(group[:-1], setting.n_hospitals)]
    add = setting.open_adder()
    vectors = setting.answer(parts, add)
    truth, n_noisy, own, dealer = group[:-1], setting.n_hospitals, None, setting.names[-1]
    seen = add.messages
    if kind == "subtraction":
        own, truth, n_noisy = [each[0] for each in vectors], group[len(parts[0]) : -1], setting.n_hospitals - 1
    elif kind == "difference":
        setting.answer([np.vstack([parts[0], group[-1:]]), *parts[1:]], add)
        truth = group[-1:]
    elif kind == "collusion":
        seen = pool_views(add.messages, setting.names[:n_colluding])
        truth, n_noisy = group[:-1][-len(parts[-1]) :], 1
    facts = {**setting.tell(people, len(truth), n_noisy, _TIME_LIMIT_S), "own": own, "dealer": dealer}
    claims = let_attack(_ATTACKS[kind], seen, PublicKnowledge(facts=facts), THREATS[kind])
    return _Run(claims, truth, add.messages)


def _judge(
    kind: JointLeak, setting: LeakSetting, runs: Sequence[_Run], blind: Claims, n_colluding: int, seed: int
) -> JointLeakResult:
    """Score all runs beside one blind claim, and show the first."""
    attempts = [(_read_values(run.claims), run.truth) for run in runs]
    protection = _name_protection(kind, setting, n_colluding)
    what = f"{_TITLES[kind]}, {protection}"
    guess = _read_values(blind)
    finding = measure_rows_read(attempts, guess, what[:1].upper() + what[1:], seed)
    is_searched = kind != "difference" and setting.epsilon is None
    is_open = kind != "collusion" or n_colluding > setting.most_colluding
    unique = float(np.mean([run.claims.scores[0] == 1 for run in runs])) if is_searched and is_open else None
    row = {
        "kind": kind,
        "attack": _TITLES[kind],
        "protection": protection,
        "hospitals": setting.n_hospitals,
        "colluding": n_colluding if kind == "collusion" else 1,
        "people_in_answer": setting.n_people,
        "epsilon": setting.epsilon,
        **finding.table[0],
        "unique": unique,
    }
    guarantee = _describe_guarantee(kind, setting, n_colluding)
    claimed, truth = attempts[0]
    read, guessed = (_show_example(each, truth, setting.columns) for each in (claimed, guess))
    return JointLeakResult(kind, protection, finding, read, guessed, runs[0].transcript, guarantee, row)


def _read_values(claims: Claims) -> np.ndarray:
    """Claimed rows; every attack here claims some."""
    assert claims.values is not None
    return claims.values


def _show_example(claimed: np.ndarray, truth: np.ndarray, columns: Sequence[str]) -> pd.DataFrame:
    """Claimed rows beside the true ones that they fit best, a row a value."""
    matched = claimed[match_rows(claimed, truth)]
    person, column = np.indices(truth.shape)
    return pd.DataFrame(
        {
            "person": person.ravel() + 1,
            "column": np.array(columns)[column.ravel()],
            "true": truth.ravel().astype(int),
            "read": np.rint(matched).ravel().astype(int),
            "is_right": (matched == truth).ravel(),
        }
    )


def _name_protection(kind: JointLeak, setting: LeakSetting, n_colluding: int) -> str:
    noise = "no noise" if setting.epsilon is None else f"epsilon {setting.epsilon:g}"
    pooled = f", {n_colluding} pool, {setting.most_colluding} may" if kind == "collusion" else ""
    return f"{noise}, {setting.n_hospitals} hospitals{pooled}"


def _describe_guarantee(kind: JointLeak, setting: LeakSetting, n_colluding: int) -> Guarantee:
    """What is promised of people to whoever sees the answers; sharing promises nothing of what it opens."""
    if kind == "collusion" and n_colluding > setting.most_colluding:
        return NoGuarantee(f"{n_colluding} hospitals pool their shares, and {setting.most_colluding} may")
    return NoGuarantee("the totals are opened as they are") if setting.plan is None else setting.plan.guarantee


def _list_faults(
    kind: str,
    columns: Sequence[str],
    n_hospitals: int,
    people_per_hospital: int,
    most_colluding: int,
    n_colluding: int,
    n_answers: int,
) -> list[str]:
    """What is wrong with the choices, in words."""
    faults = list_column_faults(columns, None if kind == "difference" else MOST_VALUE)
    if kind not in JOINT_LEAKS:
        faults.append(f"kind: expected one of {', '.join(JOINT_LEAKS)}, got {kind!r}")
    if not 3 <= n_hospitals <= MOST_PARTIES:
        faults.append(
            f"n_hospitals: expected from 3 to {MOST_PARTIES}, got {n_hospitals}; with two each has the other's sums"
        )
    if people_per_hospital < 1 or n_hospitals * people_per_hospital < MIN_COUNT:
        faults.append(
            f"people_per_hospital: expected at least {MIN_COUNT} people over all hospitals, got {n_hospitals} times "
            f"{people_per_hospital}; fewer are not answered"
        )
    if not 1 <= most_colluding <= max(1, (n_hospitals - 1) // 2):
        faults.append(f"most_colluding: expected from 1 to {(n_hospitals - 1) // 2}, got {most_colluding}")
    if not 1 <= n_colluding < n_hospitals:
        faults.append(f"n_colluding: expected from 1 to {n_hospitals - 1}, got {n_colluding}; one is attacked")
    if n_answers < _LEAST_ANSWERS:
        faults.append(f"n_answers: expected {_LEAST_ANSWERS} or more, got {n_answers}")
    return faults
