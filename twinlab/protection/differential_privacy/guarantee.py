"""What noise on readings and on answers promises."""

from twinlab.budget import Event, NeighboringRelation, PrivacyUnit, PureEvent
from twinlab.protection.differential_privacy.randomness import NoiseSource
from twinlab.release import DifferentialPrivacy, Guarantee, NoGuarantee


def describe_reading_guarantee(epsilon: float, noise: NoiseSource) -> Guarantee:
    """The guarantee of one reading (in a stream: of all readings within one window), or none for a rehearsal."""
    if noise.is_rehearsal:
        return NoGuarantee("noise is reproducible")
    return DifferentialPrivacy(PureEvent(epsilon), epsilon, 0.0, NeighboringRelation.REPLACE_ONE, PrivacyUnit.READING)


def describe_person_guarantee(event: PureEvent) -> Guarantee:
    """The guarantee of one person in answers drawn with the operating system's randomness."""
    return DifferentialPrivacy(
        event, event.epsilon, event.delta, NeighboringRelation.ADD_OR_REMOVE_ONE, PrivacyUnit.PERSON
    )


class NobodyPays:
    """Stands where a ledger stands, for people who do not exist: nothing costs them anything."""

    def spend(self, event: Event, *, purpose: str) -> None:
        """Let it pass."""
