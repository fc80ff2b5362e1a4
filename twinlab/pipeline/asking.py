"""The ask stage of a run: some people's questions, really put under encryption.

Encryption hides a question and its answer from the provider. It does not hide what an answer, once shown to somebody,
gives away about the person; nor does it keep a linear readout from a person who asks often enough, since that follows
from as many answers as it has features. No privacy budget is spent or saved by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from twinlab.cohorts.cohort import Cohort
from twinlab.errors import IncompatibleChoicesError
from twinlab.experiment import EncryptedQuestions, Experiment
from twinlab.finding import Finding
from twinlab.learn_choice import CentralLearning
from twinlab.pipeline.key_line import KeyLine, Query, QueryPlan, WayStep, plan_query
from twinlab.pipeline.result import find_good_hour
from twinlab.release import Message, Release, Transcript
from twinlab.roles import Progress
from twinlab.signals import get_signal
from twinlab.twins.action import Action
from twinlab.twins.pooled import assume_constants
from twinlab.twins.population import Population
from twinlab.twins.question import TwinQuestion, TwinQuestions, open_questions
from twinlab.twins.tracking import people_at_once

#: The walk that a run asks about.
WALK = Action(minutes=30)
#: Messages of so many people are kept as they were seen; of the others the sizes count.
_PEOPLE_KEPT = 10


def check_asking(experiment: Experiment, signals: Sequence[str]) -> None:
    """Refuse questions that no parameters allow before anything is paid for.

    The weights are not known yet: those of twins that nobody trained stand in for them.

    Raises:
      IncompatibleChoicesError: as `plan_query`.
    """
    choice = experiment.ask
    if isinstance(choice, EncryptedQuestions):
        untrained = assume_constants(experiment.twin, CentralLearning(), tuple(signals))
        _plan_choice(choice, untrained)


def _plan_choice(choice: EncryptedQuestions, population: Population) -> QueryPlan:
    return plan_query(
        population,
        choice.query,
        tolerance=choice.tolerance,
        quantum_safe=choice.quantum_safe,
        share_results=choice.share_results,
    )


def draw_question(
    questions: TwinQuestions, query: Query, person_id: str, hour: int, n_hours: int, action: Action
) -> TwinQuestion:
    """A person's question of a kind."""
    if query == "what_if":
        return questions.ask_what_if(person_id, hour, n_hours, action)
    if query == "network_forecast":
        return questions.ask_network(person_id, hour, n_hours)
    return questions.ask_forecast(person_id, hour, n_hours)


def measure_spreads(question: TwinQuestion, answer: np.ndarray) -> np.ndarray:
    """(target,): largest difference from the plain answer, in spreads of the signal."""
    spreads = np.array([get_signal(name).spread for name in question.targets])
    return np.abs(answer - question.plain).max(0) / spreads


@dataclass
class _Tally:
    """What the questions of some people took."""

    errors: list[np.ndarray] = field(default_factory=list)
    steps: list[WayStep] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    targets: tuple[str, ...] = ()


def ask_people(
    experiment: Experiment, population: Population, cohort: Cohort, transcript: Transcript, progress: Progress
) -> tuple[tuple[Finding, ...], tuple[Release, ...]]:
    """Put the questions of some people under encryption, if the experiment chooses so.

    Args:
      experiment: public.
      population: released; the provider's.
      cohort: whose questions; private. Each asks at a good hour, as far ahead as twins reach.
      transcript: where messages go, all people's of a kind together. It holds those of the first ten as they were
        seen; the sizes count all.
      progress: called once a person.

    Returns:
      How far answers were off, and what left the person; both empty where nothing is encrypted. Where the trained
      weights turn out to allow no parameters, the finding says so and has no value.
    """
    choice = experiment.ask
    if not isinstance(choice, EncryptedQuestions):
        return (), ()
    try:
        plan, tally = _plan_choice(choice, population), _Tally()
    except IncompatibleChoicesError as refusal:  # what was paid for by now must not be lost
        return (Finding("encrypted_error", math.nan, f"Nothing was asked under encryption: {refusal}"),), ()
    people = cohort.person_ids[: choice.n_people]
    size = people_at_once(population, cohort.n_hours, population.twin.max_horizon_hours)
    for first in range(0, len(people), size):
        some = cohort.select(people=people[first : first + size])
        hours = [find_good_hour(cohort, person) for person in some.person_ids]
        questions = open_questions(population, some, hours, progress)
        for person, hour in zip(some.person_ids, hours, strict=True):
            reach = population.twin.max_horizon_hours
            question = draw_question(questions, choice.query, person, hour, reach, WALK)
            exchange = KeyLine(plan).ask(question)
            tally.targets = question.targets
            tally.errors.append(measure_spreads(question, question.complete(exchange.values)))
            tally.steps += exchange.steps
            is_kept = len(tally.errors) <= _PEOPLE_KEPT
            tally.messages += [each if is_kept else replace(each, payload=None) for each in exchange.messages]
            progress("asking under encryption", len(tally.errors), len(people))
    record_alike(transcript, tally.messages)
    hidden = ("encrypted question", "encrypted head")
    payload = tuple(each.payload for each in tally.messages if each.kind in hidden and each.payload is not None)
    return (describe_error(plan, tally, choice),), (
        Release("ciphertext", payload, plan.guarantee, experiment.fingerprint),
    )


def record_alike(transcript: Transcript, messages: Iterable[Message]) -> None:
    """A record for each kind of message, all of a kind together; its payload is the tuple of theirs.

    Args:
      transcript: where they go.
      messages: those without a payload count by their sizes only.
    """
    alike: dict[str, list[Message]] = {}
    for message in messages:
        alike.setdefault(message.kind, []).append(message)
    for same in alike.values():
        n_bytes, seconds = sum(each.n_bytes for each in same), sum(each.seconds for each in same)
        seen = tuple(each.payload for each in same if each.payload is not None)
        transcript.record(replace(same[0], n_bytes=n_bytes, seconds=seconds, payload=seen, n_messages=len(same)))


def describe_error(plan: QueryPlan, tally: _Tally, choice: EncryptedQuestions) -> Finding:
    """The largest difference that encryption made, and what a question took."""
    errors = np.max(tally.errors, axis=0)
    n_people = len(tally.errors)
    asked = [step for step in tally.steps if step.stage == "question"]
    n_bytes = round(sum(step.n_bytes for step in asked) / n_people)
    milliseconds = 1000 * sum(step.seconds for step in asked) / n_people
    signals = [get_signal(name) for name in tally.targets]
    table = [
        {
            "signal": signal.name,
            "unit": signal.unit,
            "error": float(error * signal.spread),
            "bytes": n_bytes,
            "milliseconds": milliseconds,
        }
        for signal, error in zip(signals, errors, strict=True)
    ]
    who = "1 person" if n_people == 1 else f"{n_people} people"
    worst, what = float(errors.max()), choice.query.replace("_", " ")
    return Finding(
        "encrypted_error",
        worst,
        f"Encrypted questions ({what}) of {who}: the answers differ from the plain ones by at most "
        f"{worst:.1e} spreads of a signal (tolerance {choice.tolerance:.0e}); {n_bytes:,} bytes and "
        f"{milliseconds:.0f} ms a person; {plan.guarantee}. It hides questions and answers on their way, not what an "
        "answer tells once it is shown, and changes no epsilon.",
        unit="spreads",
        baseline=choice.tolerance,
        baseline_name="tolerance",
        table=table,
    )
