"""What a mechanism did, in public terms: what guarantees carry and ledgers are asked to pay for."""

from dataclasses import dataclass

from twinlab.budget import NeighboringRelation, PrivacyUnit
from twinlab.protection.differential_privacy.randomness import NoiseSource
from twinlab.release import DifferentialPrivacy, Guarantee, NoGuarantee


@dataclass(frozen=True)
class NoiseEvent:
    """One use, or several alike, of a mechanism; accounting composes it by its epsilon and delta.

    Attributes:
      mechanism: its name.
      epsilon, delta: privacy loss of one use.
      n_uses: how often it acted on the same privacy unit.
      window_hours: for streams, the window over which epsilon is counted; None where it is counted per use.
    """

    mechanism: str
    epsilon: float
    delta: float = 0.0
    n_uses: int = 1
    window_hours: int | None = None


def describe_reading_guarantee(event: NoiseEvent, noise: NoiseSource) -> Guarantee:
    """The guarantee of one reading, or none for a rehearsal."""
    if noise.is_rehearsal:
        return NoGuarantee("noise is reproducible")
    return DifferentialPrivacy(event, event.epsilon, event.delta, NeighboringRelation.REPLACE_ONE, PrivacyUnit.READING)


def describe_person_guarantee(event: NoiseEvent) -> Guarantee:
    """The guarantee of one person in answers drawn with the operating system's randomness."""
    return DifferentialPrivacy(
        event, event.epsilon, event.delta, NeighboringRelation.ADD_OR_REMOVE_ONE, PrivacyUnit.PERSON
    )
