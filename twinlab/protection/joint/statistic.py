"""Joint statistics from sums alone: what a question is, and how it is asked of rows that several parties hold.

Most of statistics needs no more than sums over people. Each party adds up over its own rows, the sums are added in
secret, and everything after that is public arithmetic on the total. So a question has a part for the party, a plain
function of its own rows and of what is already public, and a joint part, a plain function of the total. The same code
with one party and a plain sum is the pooled analysis, to which the joint answer must be equal.

Every question opens the number of rows first, and nothing else if there are too few. A party's rows are scaled to -1
to 1 by public bounds, so that every entry of every sum is at most the number of rows (`measure_magnitude`).

What the totals tell is not hidden: all parties see each of them, and the answer can be computed from them. See each
question for what its totals are. Where every party adds noise before the sum (`noise`), a question says how much: then
its answer allows for the noise, which its standard errors and intervals include.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from twinlab.errors import DataContractError, ProtocolError, SpecificationError

#: Float arrays of the same shape, one a party, private -> their sum, public. May raise `ProtocolError`.
Adder = Callable[[Sequence[np.ndarray]], np.ndarray]

#: Below so many rows nothing is answered, unless a question says otherwise.
MIN_COUNT = 10
#: Least variance of scaled values that is told from none; sums of fixed point numbers are no finer.
LEAST_SPREAD = 1e-6
#: Where noise is added, that of the count is so many times as wide, over what a person adds: it is needed less exactly.
COUNT_NOISE = 2.0

State = TypeVar("State")
Answer = TypeVar("Answer", covariant=True)


class Question(Protocol[State, Answer]):
    """What is asked of all parties' rows: public, the same for every party."""

    @property
    def noise_multiplier(self) -> float:
        """Standard deviation of the noise in every sum after the count, over `person_bound`; 0 for no noise."""
        ...

    @property
    def n_rounds(self) -> int:
        """Sums that are opened at most, the count among them."""
        ...

    @property
    def person_bound(self) -> float:
        """Euclidean length of what one person, one row, adds to any sum after the count, at most. To the count: 1."""
        ...

    def count(self, rows: np.ndarray) -> np.ndarray:
        """A party's part in the first sum: numbers of rows."""
        ...

    def start(self, total: np.ndarray) -> State:
        """What is public once rows are counted; raises `DataContractError` if there are too few."""
        ...

    def summarize(self, rows: np.ndarray, state: State) -> np.ndarray:
        """A party's part in the next sum."""
        ...

    def advance(self, total: np.ndarray, state: State) -> tuple[State, Answer | None]:
        """What is public after a sum, and the answer if that was the last."""
        ...


@dataclass(frozen=True)
class Column:
    """A column that all parties have.

    Attributes:
      name: public.
      lower, upper: public bounds, agreed on before anybody looks at data; values beyond them are refused.
      unit: public; empty for a share or a label.
    """

    name: str
    lower: float
    upper: float
    unit: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lower) and math.isfinite(self.upper) and self.lower < self.upper):
            raise SpecificationError(
                f"{self.name}: expected a lower bound below an upper one, got {self.lower:g} and {self.upper:g}"
            )

    @property
    def middle(self) -> float:
        """Middle of the bounds, which scaling takes to 0."""
        return self.lower / 2 + self.upper / 2

    @property
    def half_range(self) -> float:
        """Half the distance of the bounds, which scaling takes to 1."""
        return self.upper / 2 - self.lower / 2


def ask_jointly(question: Question[State, Answer], parties: Sequence[np.ndarray], add: Adder) -> Answer:
    """Ask all parties together.

    A party that runs by itself calls this with its own rows alone and an adder that takes its vector to the others and
    brings the total back. Everything else follows from totals, so all parties go the same way and stop together.

    Args:
      question: public.
      parties: private; (row, column) one array a party, a row a person, columns as the question lists them. A party may
        have no rows.
      add: how vectors are added in secret.

    Returns:
      The answer, public.

    Raises:
      DataContractError: if rows break their bounds, or there are too few for an answer.
      ProtocolError: from the adder, or if its total is no total.

    >>> column = Column("age", 18, 98, "years")
    >>> from twinlab.protection.joint.moment import MomentQuestion
    >>> ask_jointly(MomentQuestion((column,)), [np.full((7, 1), 40.0), np.full((5, 1), 64.0)], add_plainly)
    Over 12 people: age has mean 50 years (standard error 3.57).
    """
    if not parties:
        raise SpecificationError("parties: expected at least one, got none")
    state = question.start(_add(add, [question.count(rows) for rows in parties]))
    for _ in range(question.n_rounds - 1):
        total = _add(add, [question.summarize(rows, state) for rows in parties])
        state, answer = question.advance(total, state)
        if answer is not None:
            return answer
    raise DataContractError(
        f"rounds: expected an answer after at most {question.n_rounds}, got none; for a regression raise the penalty"
    )


def add_plainly(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """The sum of all vectors in the open: it protects nothing, and is what a secret sum must be equal to."""
    return np.asarray(np.sum(np.stack(vectors), axis=0))


def measure_magnitude(n_rows: int) -> float:
    """Largest magnitude that any entry of a party's vector, or of a total, can have.

    Args:
      n_rows: public; rows at most, of one party or of all.

    >>> measure_magnitude(3000)
    3000.0
    """
    if n_rows < 1:
        raise SpecificationError(f"rows: expected at least 1, got {n_rows}")
    return float(n_rows)


def check_rows(rows: np.ndarray, columns: Sequence[Column]) -> np.ndarray:
    """A party's rows, if they are what was agreed on.

    Args:
      rows: private; (row, column).
      columns: public.

    Raises:
      DataContractError: if the shape differs, or cells are missing or beyond the bounds. The message names columns and
        bounds, and neither a value nor how many rows it was.
    """
    table = np.asarray(rows, dtype=float)
    names = ", ".join(column.name for column in columns)
    if table.ndim != 2 or table.shape[1] != len(columns):
        raise DataContractError(f"rows: expected a row a person with columns {names}, got another shape; reorder them")
    faulty = [column.name for column, values in zip(columns, table.T, strict=True) if not np.isfinite(values).all()]
    if faulty:
        raise DataContractError(
            f"rows: expected a number in every cell, got missing ones in {', '.join(faulty)}; leave these rows out"
        )
    for column, values in zip(columns, table.T, strict=True):
        if ((values < column.lower) | (values > column.upper)).any():
            raise DataContractError(
                f"{column.name}: expected values from {column.lower:g} to {column.upper:g}, got some beyond; clip them "
                "or agree on wider bounds"
            )
    return table


def scale_rows(rows: np.ndarray, columns: Sequence[Column]) -> np.ndarray:
    """A party's rows, checked, with each column's bounds taken to -1 and 1."""
    table = check_rows(rows, columns)
    middles = np.array([column.middle for column in columns])
    halves = np.array([column.half_range for column in columns])
    # Rounding may put a value at its bound a hair beyond 1, which a fixed point sum would have to refuse.
    return np.clip((table - middles) / halves, -1.0, 1.0)


def check_count(total: np.ndarray, min_count: int, what: str = "rows") -> int:
    """A number of rows from an opened total, if it is large enough.

    Args:
      total: public; one number.
      min_count: public; below it nothing is answered.
      what: public; what was counted.
    """
    n = round(float(total))
    if n < min_count:
        raise DataContractError(
            f"{what}: expected at least {min_count} over all parties, got fewer; nothing is answered; widen the group "
            "or ask more parties"
        )
    return n


def check_question(columns: Sequence[Column], min_count: int, noise_multiplier: float = 0.0) -> None:
    """Refuse columns that have the same name, none at all, a minimum that protects nobody, or noise that is none."""
    names = [column.name for column in columns]
    if not names or len(set(names)) != len(names):
        raise SpecificationError(f"columns: expected at least one, each name once, got {', '.join(names) or 'none'}")
    if min_count < 2:
        raise SpecificationError(f"min_count: expected at least 2, got {min_count}; one person's answer is that person")
    if not 0 <= noise_multiplier < math.inf:
        raise SpecificationError(f"noise_multiplier: expected 0 or more, got {noise_multiplier:g}; 0 is no noise")


def pack_symmetric(matrix: np.ndarray) -> np.ndarray:
    """The upper triangle of a symmetric matrix, as a vector."""
    return matrix[np.triu_indices(len(matrix))]


def unpack_symmetric(vector: np.ndarray, size: int) -> np.ndarray:
    """The symmetric matrix of an upper triangle."""
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size)] = vector
    return matrix + np.triu(matrix, 1).T


def _add(add: Adder, vectors: list[np.ndarray]) -> np.ndarray:
    """The total, if it is one."""
    total = np.asarray(add(vectors), dtype=float)
    if total.shape != vectors[0].shape or not np.isfinite(total).all():
        raise ProtocolError(
            f"sum: expected {vectors[0].size} finite numbers, got another total; do all parties ask the same question?"
        )
    return total
