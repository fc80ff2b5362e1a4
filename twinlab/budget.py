"""What a privacy budget is counted in. The ledger that composes events joins these types with the first mechanism."""

from dataclasses import dataclass
from enum import StrEnum

from twinlab.errors import SpecificationError


class PrivacyUnit(StrEnum):
    """What one neighbour differs by. In twinlab it is a person unless an experiment says otherwise, aloud."""

    PERSON = "person"
    READING = "reading"


class NeighboringRelation(StrEnum):
    """How two neighbouring data sets differ. The ledger composes events under one relation only."""

    ADD_OR_REMOVE_ONE = "add or remove one"
    REPLACE_ONE = "replace one"


@dataclass(frozen=True)
class PrivacyBudget:
    """How much may be spent in all.

    Attributes:
      epsilon: bound on the privacy loss; more is less private.
      delta: probability with which that bound may fail; far below one over the number of people.
      privacy_unit: whose presence is hidden.
      neighboring_relation: what hiding means.

    Raises:
      SpecificationError: if epsilon is not positive or delta is no small probability.
    """

    epsilon: float
    delta: float
    privacy_unit: PrivacyUnit = PrivacyUnit.PERSON
    neighboring_relation: NeighboringRelation = NeighboringRelation.ADD_OR_REMOVE_ONE

    def __post_init__(self) -> None:
        if not self.epsilon > 0:
            raise SpecificationError(f"epsilon: expected more than 0, got {self.epsilon}")
        if not 0 <= self.delta < 0.1:
            raise SpecificationError(f"delta: expected 0 to below 0.1, got {self.delta}; take less than 1 / people")
