"""What a federation's server gets of each device in one round, as it gets it: in the clear, masked, or encrypted."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from twinlab.attacks.linkage import attack_by_heads
from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import START, simulate
from twinlab.errors import ProtocolError, SpecificationError
from twinlab.experiment import Experiment
from twinlab.learn_choice import FederatedLearning
from twinlab.pipeline.attribute_evidence import LeftBehind
from twinlab.pipeline.federating import federate, make_book, prepare_federation
from twinlab.pipeline.linkage_evidence import Days, Evidence, split_days
from twinlab.protection.federated.grid import DEVICE, FIRST_NODE, SERVER
from twinlab.release import Message, Transcript
from twinlab.roles import Progress
from twinlab.threat import PublicKnowledge, ThreatModel

#: Numbers of a device's message that an attack looks at. An update in the clear has fewer; of masks and ciphertexts,
#: which look alike throughout, more would tell no more.
_MOST_NUMBERS = 256
_N_REFERENCE, _REFERENCE_SEED = 150, 22_000


def need_federation(people: Cohort | Experiment) -> Experiment:
    """The experiment whose devices send updates.

    Raises:
      SpecificationError: if there is none.
    """
    if isinstance(people, Experiment) and isinstance(people.learn, FederatedLearning):
        return people
    raise SpecificationError(
        "updates: only a federated experiment has them; give one with learn = 'federated', or attack something else"
    )


def collect_updates(experiment: Experiment, values: np.ndarray, signals: tuple[str, ...]) -> Message:
    """Run the first round of a federation on these people's devices, and read what the server received.

    Args:
      experiment: public; its `learn` is federated.
      values: float32 (person, hour, signal), whole days; private.
      signals: of the last axis.

    Returns:
      The message as the server has it, its payload float64 (person, number): of each device the numbers of its update,
      or of the masked or encrypted one. Of a device that vanished there are the means of the others.

    Raises:
      ProtocolError: if no device answered.
    """
    ids = tuple(map(str, range(len(values))))
    cohort = Cohort("devices", ids, START, signals, values, pd.DataFrame(index=list(ids)), "simulated")
    ground = prepare_federation(experiment, cohort)
    book, transcript = make_book(experiment, ground), Transcript()
    federate(experiment, ground, on_message=book.note, n_rounds=1)
    book.write(transcript)
    for message in transcript:
        if (message.sender, message.receiver) != (DEVICE, SERVER):
            continue
        sent = {each["node"] - FIRST_NODE: _read_numbers(each) for each in message.payload}
        there = {device: numbers for device, numbers in sent.items() if numbers is not None}
        if there:
            rows = np.tile(np.mean(list(there.values()), axis=0), (len(values), 1))
            rows[list(there)] = list(there.values())
            return Message(DEVICE, SERVER, message.kind, message.n_bytes, message.seconds, rows, message.guarantee,
                           len(there))  # fmt: skip
    raise ProtocolError(
        "federation: expected an update in its first round, got none; choose a smaller learn.dropout or quorum_share"
    )


def prepare_updates(experiment: Experiment, days: Days, rng: np.random.Generator, progress: Progress) -> Evidence:
    """Updates of two times, of which the attacker knows whose the first were; and those of simulated people of its own,
    sent in the clear.

    Args:
      experiment: public; its `learn` is federated.
      days: private.
      rng: who shuffles the second.
      progress: told after each round.
    """
    reference = _send_in_the_clear(_open(experiment), days.n_days, days.signals)
    progress("a round of updates", 1, 3)
    known = []
    for values in (days.named, days.nameless):
        known.append(collect_updates(experiment, values, days.signals))
        progress("a round of updates", 1 + len(known), 3)
    order = rng.permutation(len(days.nameless))
    named, seen = known
    width = min(reference.shape[2], seen.payload.shape[1])
    message = replace(seen, payload=seen.payload[order, :width])
    facts = {"named": named.payload[:, :width], "reference": reference[:, :, :width]}
    threat = ThreatModel("linkage", SERVER, f"whose updates of {days.n_days} earlier days are whose, and the protocol")
    return Evidence(attack_by_heads, message, PublicKnowledge(facts=facts), threat, order)


@lru_cache(maxsize=4)
def _send_in_the_clear(experiment: Experiment, n_days: int, signals: tuple[str, ...]) -> np.ndarray:
    """Updates (person, time, number) of two times of simulated people of the attacker's own; public."""
    people = draw_people(_N_REFERENCE, _REFERENCE_SEED)
    own = simulate(people, 2 * n_days, _REFERENCE_SEED).cohort.select(signals=signals)
    days = split_days(own, n_days)
    return np.stack(
        [collect_updates(experiment, each, signals).payload for each in (days.named, days.nameless)], axis=1
    )


def leave_updates(
    experiment: Experiment, values: np.ndarray, others: np.ndarray, signals: tuple[str, ...]
) -> LeftBehind:
    """Updates of people in question, as sent, and of the attacker's own people, in the clear.

    Args:
      experiment: public; its `learn` is federated.
      values, others: (person, hour, signal), whole days; the first private.
      signals: of the last axis.
    """
    sent = collect_updates(experiment, values, signals)
    own = collect_updates(_open(experiment), others, signals)
    width = min(sent.payload.shape[1], own.payload.shape[1])
    return LeftBehind(sent.payload[:, :width], own.payload[:, :width], sent.guarantee)


def _open(experiment: Experiment) -> Experiment:
    """The same federation where nothing hides an update, as an attacker runs it on people of its own."""
    return experiment.with_({"learn.aggregation": "plain", "learn.privacy": "unprotected"})


def _read_numbers(payload: dict[str, Any]) -> np.ndarray | None:
    """The numbers of a device's update, however it is sent; None for a message without one."""
    for name in ("arrays", "masked", "encrypted"):
        if name in payload:
            parts = payload[name].values() if isinstance(payload[name], dict) else [payload[name]]
            return np.concatenate([np.asarray(part, dtype=float).ravel() for part in parts])[:_MOST_NUMBERS]
    return None
