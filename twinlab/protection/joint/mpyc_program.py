"""What parties can compute together on MPyC's shares: public programs, checked before a process is started.

A sum opens what it adds up. These programs open less: a quantile but no count, a place in an order but no figure,
coefficients but no sums of products. Each says in `opened` what all parties see in the end, and that is all they see.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.joint.opened_answer import (
    COEFFICIENT_BITS,
    CoefficientFit,
    LargestParty,
    SecretQuantile,
)
from twinlab.protection.joint.statistic import MIN_COUNT, Column, check_question

#: Masks are drawn by every set of parties that leaves out as many as may collude; with more there are too many sets.
MOST_PARTIES = 7
#: Without a penalty, columns that follow from each other would leave coefficients to rounding, and to find that out
#: something would have to be opened. With one, how exact the coefficients are is known before.
LEAST_PENALTY = 1e-3
#: Shares of people are fractions with at most so large a denominator.
_LARGEST_DENOMINATOR = 1000
#: A quantile is found in so many halvings of its bounds at most.
_MOST_HALVINGS = 40


@dataclass(frozen=True)
class MedianProgram:
    """Find the median, or another quantile, of values that parties hold.

    In each step all see whether the quantile is above the middle of what is left, which the answer tells anyway. How
    many people there are, and how many lie below anything, nobody sees.

    Attributes:
      column: public; rows hold it alone.
      resolution: public; in the column's unit. The answer is within half of it.
      level: public; share of people at or below the answer, a fraction with a denominator of up to 1,000.
      min_count: public; people on either side at least.
      most_rows: public; of one party. How large shared numbers can get follows from it.
    """

    column: Column
    resolution: float
    level: float = 0.5
    min_count: int = MIN_COUNT
    most_rows: int = 100_000
    opened: ClassVar[str] = "the quantile, to within half its resolution, and whether enough people are on either side"

    def __post_init__(self) -> None:
        check_question((self.column,), self.min_count)
        if not 1 <= self.most_rows <= 2**30:
            raise SpecificationError(f"most_rows: expected from 1 to {2**30}, got {self.most_rows}")
        if not (0 < self.level < 1 and abs(float(self.fraction) - self.level) < 1e-12):
            raise SpecificationError(
                f"level: expected a fraction between 0 and 1 with a denominator of up to {_LARGEST_DENOMINATOR}, got "
                f"{self.level!r}; round it"
            )
        if not (0 < self.resolution < math.inf and self.n_halvings <= _MOST_HALVINGS):
            raise SpecificationError(
                f"resolution: expected one that {_MOST_HALVINGS} halvings of {self.column.name}'s bounds reach, "
                f"got {self.resolution:g}; ask for a coarser one"
            )

    @property
    def fraction(self) -> Fraction:
        """The level, exactly."""
        return Fraction(self.level).limit_denominator(_LARGEST_DENOMINATOR)

    @property
    def n_halvings(self) -> int:
        """Of the column's bounds, until they are as close as was asked for; one at least."""
        return max(1, math.ceil(math.log2(2 * self.column.half_range / self.resolution) - 1e-9))

    @property
    def least_people(self) -> int:
        """With fewer, there are not `min_count` people on either side."""
        below = math.floor((self.min_count - 1) / self.fraction) + 1
        return max(below, math.ceil(self.min_count / (1 - self.fraction)))

    def find_edge(self, cell: int) -> float:
        """Upper edge of a cell of the column's bounds, counted from 1; the lower bound for 0."""
        return self.column.lower + 2 * self.column.half_range * cell / 2**self.n_halvings

    def list_columns(self, party: str) -> tuple[Column, ...]:
        """What a party's rows hold."""
        return (self.column,)

    def conclude(self, numbers: Sequence[int], parties: Sequence[str]) -> SecretQuantile:
        """The answer, from the number of the cell that holds it."""
        lower, upper = self.find_edge(numbers[0]), self.find_edge(numbers[0] + 1)
        return SecretQuantile(self.column, self.level, lower / 2 + upper / 2, upper - lower, self.least_people)


@dataclass(frozen=True)
class CompareProgram:
    """Find which party's people have the largest mean, of which all see the party's name and nothing else.

    Means are compared to within a 2^30th of half the column's range; of equal ones the first party's wins.

    Attributes:
      column: public; rows hold it alone.
      min_count: public; people of each party at least.
    """

    column: Column
    min_count: int = MIN_COUNT
    opened: ClassVar[str] = "the name of the party with the largest mean"

    def __post_init__(self) -> None:
        check_question((self.column,), self.min_count)

    def list_columns(self, party: str) -> tuple[Column, ...]:
        """What a party's rows hold."""
        return (self.column,)

    def conclude(self, numbers: Sequence[int], parties: Sequence[str]) -> LargestParty:
        """The answer, from the party's place in the order."""
        return LargestParty(self.column, parties[numbers[0]])


@dataclass(frozen=True)
class CoefficientProgram:
    """Fit a ridge regression to all parties' rows, of which all see the number of people and the coefficients.

    It is the regression of `RidgeQuestion`: same scaling, same penalty. There all see the sums of products of all
    columns, from which any column can be regressed on any others; here they stay on shares. So there are no standard
    errors, which need these sums.

    Scaled coefficients are within k // 2 + 1.75 places of 2^-24 of those of pooled rows, if there are k ways to choose
    as many parties as may collude: within 2.75 places for 1 of 3 parties, 18.75 for 3 of 7.

    Attributes:
      features, outcome: public; rows hold the features, then the outcome.
      penalty: public; as in `RidgeQuestion`, and above 0.
      min_count: public; people at least, and always more than coefficients.
    """

    features: tuple[Column, ...]
    outcome: Column
    penalty: float = 1.0
    min_count: int = MIN_COUNT
    opened: ClassVar[str] = (
        f"the number of people, and each coefficient, of features and an outcome scaled to -1 to 1, to about "
        f"2^-{COEFFICIENT_BITS}"
    )

    def __post_init__(self) -> None:
        _check_regression(self.features, self.outcome, self.penalty, self.min_count)

    def list_columns(self, party: str) -> tuple[Column, ...]:
        """What a party's rows hold."""
        return (*self.features, self.outcome)

    def conclude(self, numbers: Sequence[int], parties: Sequence[str]) -> CoefficientFit:
        """The answer, from the number of people and the coefficients on their grid."""
        return _conclude_fit(self.features, self.outcome, self.penalty, numbers)


@dataclass(frozen=True)
class NaiveRidgeProgram(CoefficientProgram):
    """The same with everything on shares, every row too, as a measure of what the plan above saves.

    Attributes:
      features, outcome, penalty, min_count: as in `CoefficientProgram`.
    """

    opened: ClassVar[str] = "each party's number of people, and each coefficient to about 2^-40"


@dataclass(frozen=True)
class VerticalProgram:
    """Fit a ridge regression where parties hold different columns of the same people, in the same order.

    Attributes:
      columns: public; each party's name and columns. A party may have none: it helps to keep the others' secret.
      outcome: public; the name of one of the columns.
      penalty: public; as in `CoefficientProgram`.
      min_count: public; people at least, and always more than coefficients.
    """

    columns: tuple[tuple[str, tuple[Column, ...]], ...]
    outcome: str
    penalty: float = 1.0
    min_count: int = MIN_COUNT
    opened: ClassVar[str] = (
        f"each coefficient, of features and an outcome scaled to -1 to 1, to about 2^-{COEFFICIENT_BITS}; how many "
        "people there are is known before"
    )

    def __post_init__(self) -> None:
        names = [column.name for column in self._everything]
        if self.outcome not in names:
            raise SpecificationError(f"outcome: expected one of {', '.join(names)}, got {self.outcome}; name a column")
        _check_regression(self.features, self.outcome_column, self.penalty, self.min_count)

    @property
    def features(self) -> tuple[Column, ...]:
        """All columns but the outcome, one party's after another's."""
        return tuple(column for column in self._everything if column.name != self.outcome)

    @property
    def outcome_column(self) -> Column:
        """What is to be explained."""
        return next(column for column in self._everything if column.name == self.outcome)

    @property
    def _everything(self) -> tuple[Column, ...]:
        return tuple(column for _, columns in self.columns for column in columns)

    def list_columns(self, party: str) -> tuple[Column, ...]:
        """What a party's rows hold."""
        return dict(self.columns)[party]

    def conclude(self, numbers: Sequence[int], parties: Sequence[str]) -> CoefficientFit:
        """The answer, from the number of people and the coefficients on their grid."""
        return _conclude_fit(self.features, self.outcome_column, self.penalty, numbers)


Program = MedianProgram | CompareProgram | CoefficientProgram | NaiveRidgeProgram | VerticalProgram
_KINDS = {
    kind.__name__: kind
    for kind in (MedianProgram, CompareProgram, CoefficientProgram, NaiveRidgeProgram, VerticalProgram)
}


def check_parties(names: Sequence[str], most_colluding: int) -> None:
    """Refuse parties among whom nothing would be hidden.

    Raises:
      SpecificationError: if there are fewer than three, too many, or as many may collude as can open everything.
    """
    faults = []
    if len(names) == 2:
        faults.append(
            "parties: expected at least 3, got 2; two are not protected at all, as no share of a product could be kept "
            "from either: win a third party, which may come without data"
        )
    elif not 3 <= len(names) <= MOST_PARTIES:
        faults.append(
            f"parties: expected from 3 to {MOST_PARTIES}, got {len(names)}; add sums of larger circles instead"
        )
    elif not 1 <= most_colluding < len(names) / 2:
        faults.append(
            f"most_colluding: expected from 1 to {(len(names) - 1) // 2} of {len(names)} parties, got "
            f"{most_colluding}; with 0 each alone could open everything, and from half on products cannot be opened"
        )
    if len(set(names)) < len(names) or not all(names):
        faults.append("parties: expected a name for each, got none or one twice; name them apart")
    if faults:
        raise SpecificationError("\n".join(faults))


def check_tables(program: Program, tables: Mapping[str, np.ndarray]) -> None:
    """Refuse tables that do not fit a program, before anything is started.

    Args:
      program: public.
      tables: private; a party's rows by its name.

    Raises:
      SpecificationError: if a vertical program names other parties.
      DataContractError: if a party has other columns, or too many rows; values are checked by the party itself.
    """
    if isinstance(program, VerticalProgram) and [name for name, _ in program.columns] != list(tables):
        raise SpecificationError(
            f"columns: expected those of {', '.join(tables)} in this order, got those of "
            f"{', '.join(name for name, _ in program.columns)}; name all parties, also one without columns"
        )
    for name, rows in tables.items():
        expected = program.list_columns(name)
        if np.ndim(rows) != 2 or np.shape(rows)[1] != len(expected):
            raise DataContractError(
                f"{name}: expected a row a person with columns {', '.join(column.name for column in expected) or '-'}, "
                "got another shape; reorder them"
            )
        if isinstance(program, MedianProgram) and len(rows) > program.most_rows:
            raise DataContractError(f"{name}: expected at most {program.most_rows} rows, got more; raise most_rows")
    if isinstance(program, VerticalProgram) and len({len(rows) for rows in tables.values()}) > 1:
        raise DataContractError(
            "rows: expected the same people at all parties, got different numbers; match them first"
        )


def write_program(program: Program) -> dict[str, Any]:
    """A program as JSON has it."""
    return {"kind": type(program).__name__, **asdict(program)}


def read_program(fields: Mapping[str, Any]) -> Program:
    """A program from what `write_program` wrote, through JSON.

    Raises:
      SpecificationError: if it is none.
    """
    found = dict(fields)
    kind = _KINDS.get(str(found.pop("kind", None)))
    try:
        if kind is None:
            raise KeyError
        for name in ("column", "outcome"):
            if isinstance(found.get(name), Mapping):
                found[name] = Column(**found[name])
        if "features" in found:
            found["features"] = tuple(Column(**column) for column in found["features"])
        if "columns" in found:
            found["columns"] = tuple(
                (name, tuple(Column(**column) for column in its)) for name, its in found["columns"]
            )
        return kind(**found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, SpecificationError):
            raise
        raise SpecificationError(f"program: expected one of {', '.join(_KINDS)}, got something else") from None


def _conclude_fit(
    features: tuple[Column, ...], outcome: Column, penalty: float, numbers: Sequence[int]
) -> CoefficientFit:
    weights = np.array([number / 2**COEFFICIENT_BITS for number in numbers[1:]])
    return CoefficientFit(features, outcome, weights, numbers[0], penalty)


def _check_regression(features: tuple[Column, ...], outcome: Column, penalty: float, min_count: int) -> None:
    """Refuse what is no regression, or one whose coefficients could come from rounding."""
    if not features:
        raise SpecificationError("features: expected at least one, got none")
    check_question((*features, outcome), min_count)
    if not LEAST_PENALTY <= penalty < math.inf:
        raise SpecificationError(
            f"penalty: expected {LEAST_PENALTY:g} or more, got {penalty:g}; below, features that follow from each "
            "other would leave coefficients to rounding, and nothing is opened that would tell"
        )
