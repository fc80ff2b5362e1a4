"""What acts on readings before they leave the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twinlab.budget import ComposedEvent, Event, NeighboringRelation, PrivacyUnit, PureEvent, RepeatedEvent
from twinlab.cohorts.cohort import Cohort
from twinlab.experiment import Experiment, NoisyReadings
from twinlab.pipeline.account import Account
from twinlab.protection.differential_privacy.local import protect_readings
from twinlab.protection.differential_privacy.mechanism import LARGEST_EPSILON
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.release import DifferentialPrivacy, Guarantee, Message, NoGuarantee, Transcript
from twinlab.roles import Progress
from twinlab.signals import get_signal

OPEN_READINGS = NoGuarantee("the trainer sees every reading of the training time")


@dataclass(frozen=True, repr=False)
class Sensed:
    """What leaves the devices.

    Attributes:
      cohort: readings as whoever receives them sees them; noisy, or private as they are.
      guarantee: what is promised about all that a person reports within a window, or why nothing.
      person_event: what all of a person's reports together cost; None where nothing is protected.
      epsilon_each: of one reading; None where nothing is protected.
    """

    cohort: Cohort
    guarantee: Guarantee
    person_event: Event | None = None
    epsilon_each: float | None = None


def share_out(choice: NoisyReadings, n_signals: int) -> float:
    """Epsilon of one reading: a window's, shared out evenly among its hours and signals."""
    return min(choice.epsilon / (choice.window_hours * n_signals), LARGEST_EPSILON)


def plan_sensing(experiment: Experiment, n_hours: int, n_signals: int) -> tuple[Event, ...]:
    """What the reports of all hours will cost each person; nothing where nobody is protected."""
    match experiment.sense:
        case NoisyReadings(rehearsal=False) as choice:
            return (RepeatedEvent(PureEvent(share_out(choice, n_signals)), n_hours * n_signals),)
    return ()


def sense(experiment: Experiment, cohort: Cohort, account: Account, progress: Progress) -> Sensed:
    """Let every device add its noise, if the experiment chooses so.

    Args:
      experiment: public.
      cohort: what was measured; private.
      account: charged before noise is drawn.
      progress: called once a signal.
    """
    choice = experiment.sense
    if not isinstance(choice, NoisyReadings):
        return Sensed(cohort, OPEN_READINGS)
    events = plan_sensing(experiment, cohort.n_hours, len(cohort.signals))
    if events:
        account.spend(ComposedEvent(events), purpose="sense")
    each = share_out(choice, len(cohort.signals))
    noise = open_noise(rehearsal=True, seed=experiment.seed) if choice.rehearsal else open_noise()
    values = np.empty_like(cohort.values)
    for column, name in enumerate(cohort.signals):
        noisy = protect_readings(
            cohort.signal(name),
            name,
            epsilon=each,
            mechanism=choice.mechanism,
            missing=choice.missing,
            noise=noise,
        )
        # Whoever receives an impossible reading moves it to the bound: that costs nothing, and a model needs it.
        signal = get_signal(name)
        values[:, :, column] = np.clip(noisy.values, signal.lower, signal.upper)
        progress("adding noise on the devices", column + 1, len(cohort.signals))
    seen = Cohort(
        cohort.name, cohort.person_ids, cohort.start, cohort.signals, values, cohort.attributes, cohort.origin
    )
    return Sensed(
        seen, _describe(choice, each * choice.window_hours * len(cohort.signals)), events[0] if events else None, each
    )


def record_readings(transcript: Transcript, sensed: Sensed, seconds: float) -> None:
    """Devices send the trainer readings, in the clear or noisy, and nothing else that is known of people.

    Args:
      transcript: where the record goes.
      sensed: what was sent.
      seconds: that devices took to make it.
    """
    sent = sensed.cohort
    seen = Cohort(sent.name, sent.person_ids, sent.start, sent.signals, sent.values, origin=sent.origin)
    kind = "readings" if sensed.epsilon_each is None else "noisy readings"
    n_bytes = int(sent.mask.sum()) * sent.values.itemsize
    transcript.record(Message("device", "trainer", kind, n_bytes, seconds, seen, sensed.guarantee, sent.n_people))


def _describe(choice: NoisyReadings, epsilon: float) -> Guarantee:
    """The guarantee of all that a person reports within a window."""
    if choice.rehearsal:
        return NoGuarantee("noise is reproducible")
    return DifferentialPrivacy(PureEvent(epsilon), epsilon, 0.0, NeighboringRelation.REPLACE_ONE, PrivacyUnit.WINDOW)
