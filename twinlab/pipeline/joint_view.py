"""Joint answers as rows: what all parties found together, beside what each finds alone, for charts and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twinlab.errors import SpecificationError
from twinlab.pipeline.joint_asking import TOGETHER, AnyJointAnswer, JointAnswer
from twinlab.pipeline.patient import AdmissionTruth
from twinlab.protection.joint.distribution import Histogram, Quantiles
from twinlab.protection.joint.field import PRIME
from twinlab.protection.joint.moment import Moments
from twinlab.protection.joint.opened_answer import CoefficientFit, SecretQuantile
from twinlab.protection.joint.regression_fit import RegressionFit
from twinlab.protection.joint.secret_sum import SecretSum
from twinlab.protection.joint.statistic import Column
from twinlab.protection.joint.survival import Survival

Row = dict[str, Any]
_NORMAL_95 = 1.959964


def compare_parties(found: JointAnswer, kind: str = "", truth: AdmissionTruth | None = None) -> list[Row]:
    """Rows of the joint answer, then of each party's own.

    Args:
      found: each party's own answer in it is private to the party.
      kind: of the question; "correlations" of moments are their correlations, otherwise their means.
      truth: how admissions of simulated people come about, if rows are theirs.

    Returns:
      As `list_terms` or `list_correlations`, and a row with its reason for each party that finds nothing.
    """
    list_own = list_correlations if kind == "correlations" else list_terms
    rows = list_own(found.answer, TOGETHER, truth)
    for party, answer in found.own.items():
        if isinstance(answer, str):
            rows.append({"party": party, "is_joint": False, "term": None, "value": math.nan, "reason": answer})
        else:
            rows += list_own(answer, party, truth)
    return rows


def list_terms(
    answer: AnyJointAnswer | CoefficientFit | SecretQuantile, party: str = TOGETHER, truth: AdmissionTruth | None = None
) -> list[Row]:
    """Each number of an answer with its 95 % interval, in words and units for people.

    Coefficients are of a round number of units, such as ten years; those of a logistic regression are odds ratios.
    The intercept is left out.

    Args:
      answer: as public as it was made.
      party: whose.
      truth: of simulated people, when it is about admissions.

    Returns:
      A row a mean, quantile, coefficient, bin or time: party, is_joint (whether it is all together), kind, term, unit,
      value, lower, upper (not a number where no interval was opened), truth (None where there is none), neutral (what
      no effect would be, or None), n and reason. A bin has left and right, too; a time has time and at_risk, and no
      term.

    Raises:
      SpecificationError: if the answer is of another kind.
    """
    if isinstance(answer, Moments):
        return [
            _make_row("mean", party, say_column(column), column.unit, row["mean"], row["standard_error"], answer.n)
            for column, row in zip(answer.columns, answer.table(), strict=True)
        ]
    if isinstance(answer, Quantiles):
        name, unit = say_column(answer.column), answer.column.unit
        return [
            _make_row("quantile", party, f"{_say_share(row['share'])} of {name}", unit, row["value"], 0, answer.n)
            | {"lower": row["lower"], "upper": row["upper"]}
            for row in answer.table()
        ]
    if isinstance(answer, Histogram):
        return [_list_bin(answer, party, row) for row in answer.table()]
    if isinstance(answer, SecretQuantile):
        term = f"{_say_share(answer.level)} of {say_column(answer.column)}"
        unit = answer.column.unit
        return [_make_row("quantile", party, term, unit, answer.value, math.nan, answer.least_people)]
    if isinstance(answer, RegressionFit | CoefficientFit):
        return _list_coefficients(answer, party, truth)
    if isinstance(answer, Survival):
        return _list_times(answer, party, truth)
    raise SpecificationError(
        f"answer: expected moments, quantiles, a histogram, a regression or survival, got {type(answer).__name__}"
    )


def list_correlations(answer: AnyJointAnswer, party: str = TOGETHER, truth: AdmissionTruth | None = None) -> list[Row]:
    """Each pair of columns with its correlation and 95 % interval; columns as `list_terms`.

    Raises:
      SpecificationError: if the answer holds no correlations.
    """
    if not isinstance(answer, Moments):
        raise SpecificationError(f"answer: expected moments, got {type(answer).__name__}; ask for moments")
    words = {column.name: say_column(column) for column in answer.columns}
    return [
        _make_row(
            "correlation", party, f"{words[str(row['first'])]} and {words[str(row['second'])]}", "",
            row["correlation"], 0, answer.n,
        )
        | {"lower": row["lower"], "upper": row["upper"], "neutral": 0.0}
        for row in answer.table_correlations()
    ]  # fmt: skip


def list_shares(found: SecretSum, names: Sequence[str]) -> tuple[list[Row], list[Row]]:
    """What each party held of the others' vectors in a secret sum, and what all saw in the end.

    Args:
      found: from `add_secretly`; its shares are private to their receivers, so for people who do not exist.
      names: of the first values of the vectors, public.

    Returns:
      Rows receiver, sender, value, share (its place between 0 and the prime, from 0 to 1); and rows value, total.

    Raises:
      SpecificationError: if there are fewer values than names.
    """
    if not 0 < len(names) <= found.total.size:
        raise SpecificationError(f"names: expected 1 to {found.total.size}, got {len(names)}; name the first values")
    dealt = [message for message in found.messages if message.kind.startswith("share of a vector")]
    dealt.sort(key=lambda message: [found.terms.find_point(name) for name in (message.receiver, message.sender)])
    shares = [
        {"receiver": message.receiver, "sender": message.sender, "value": name, "share": float(element) / PRIME}
        for message in dealt
        for name, element in zip(names, np.ravel(message.payload), strict=False)
    ]
    totals = [{"value": name, "total": float(total)} for name, total in zip(names, found.total.ravel(), strict=False)]
    return shares, totals


def say_column(column: Column) -> str:
    """A column's name in words, without its unit.

    >>> say_column(Column("resting_heart_rate_bpm", 35, 115, "bpm")), say_column(Column("steps_per_day", 0, 9, "steps"))
    ('resting heart rate', 'steps per day')
    """
    unit = column.unit.lower().replace("/", "_").split("_")
    first, *others = column.name.split("_")
    return " ".join([first, *(word for word in others if word not in unit)])


def _make_row(kind: str, party: str, term: str, unit: Any, value: Any, error: Any, n: int) -> Row:
    width = _NORMAL_95 * float(error)
    number = float(value)
    return {
        **_begin_row(kind, party, str(unit), n),
        "term": term,
        "value": number,
        "lower": number - width,
        "upper": number + width,
        "neutral": None,
    }


def _begin_row(kind: str, party: str, unit: str, n: int) -> Row:
    """What all rows of answers have."""
    return {
        "party": party,
        "is_joint": party == TOGETHER,
        "kind": kind,
        "unit": unit,
        "n": n,
        "truth": None,
        "reason": "",
    }


def _list_bin(answer: Histogram, party: str, row: Mapping[str, Any]) -> Row:
    term = say_column(answer.column)
    made = _make_row("share", party, term, row["unit"], row["share"], row["standard_error"], answer.n)
    made |= {"lower": max(made["lower"], 0.0), "upper": min(made["upper"], 1.0)}
    return made | {"left": float(row["lower"]), "right": float(row["upper"])}


def _list_coefficients(fit: RegressionFit | CoefficientFit, party: str, truth: AdmissionTruth | None) -> list[Row]:
    """Slopes, or odds ratios, of a round number of units; their truth where the question has all that matters."""
    known: Mapping[str, float] = {}
    is_logistic = isinstance(fit, RegressionFit) and fit.kind == "logistic"
    if is_logistic and fit.outcome.name == "admitted_within_year" and truth is not None:
        needed = {name for name, value in truth.scaled_coefficients.items() if value and name != "intercept"}
        known = truth.coefficients if needed <= {column.name for column in fit.features} else {}
    rows = []
    for column, row in zip(fit.features, fit.table()[1:], strict=True):
        step = 10.0 ** round(math.log10(column.half_range / 5))
        amount = f"{step:,.10g} {column.unit}".rstrip()
        ends = [step * float(row.get(key, math.nan)) for key in ("coefficient", "lower", "upper")]
        true = step * known[column.name] if column.name in known else None
        if is_logistic:
            ends = [_raise(end) for end in ends]
            true = None if true is None else _raise(true)
        kind = "odds ratio" if is_logistic else "slope"
        made = _make_row(kind, party, say_column(column), "", 0, 0, fit.n)
        outcome = fit.outcome.unit or say_column(fit.outcome)
        made |= dict(zip(("value", "lower", "upper"), ends, strict=True))
        made |= {"unit": f"per {amount}" if is_logistic else f"{outcome} per {amount}"}
        rows.append(made | {"truth": true, "neutral": 1.0 if is_logistic else 0.0})
    return rows


def _list_times(answer: Survival, party: str, truth: AdmissionTruth | None) -> list[Row]:
    """The curve from time 0, at which it has happened to nobody."""
    begin = _begin_row("survival", party, answer.time.unit, answer.n)
    first = {"time": 0.0, "value": 1.0, "lower": 1.0, "upper": 1.0, "at_risk": answer.n}
    true: list[float | None] = [None] * (1 + len(answer.times))
    if truth is not None and answer.time.name == "follow_up_days":
        true = [1.0, *truth.measure_survival(answer.times).tolist()]
    rows = [begin | first | {"truth": true[0]}]
    for row, level in zip(answer.table(), true[1:], strict=True):
        same = {name: row[name] for name in ("time", "lower", "upper", "at_risk")}
        rows.append(begin | same | {"value": row["survival"], "truth": level})
    return rows


def _raise(reach: float) -> float:
    """The exponential, within what a float holds."""
    return math.exp(min(max(reach, -700.0), 700.0))


def _say_share(share: float) -> str:
    return "median" if share == 0.5 else f"{100 * share:g} % quantile"
