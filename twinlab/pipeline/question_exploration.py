"""Encrypted questions to the twins of one experiment, one at a time, with every byte and millisecond."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from twinlab.errors import SpecificationError
from twinlab.experiment import Experiment, ShippedCohort
from twinlab.pipeline.asking import draw_question, measure_spreads, record_alike
from twinlab.pipeline.composition import run
from twinlab.pipeline.key_line import QUERIES, Exchange, KeyLine, Query, QueryPlan, list_queries, plan_query
from twinlab.pipeline.question_cost import PLAIN, measure_ways
from twinlab.pipeline.result import Result
from twinlab.protection.homomorphic.anatomy import list_message_parts
from twinlab.protection.homomorphic.encryption_plan import EncryptionPlan
from twinlab.release import Encrypted, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.signals import get_signal
from twinlab.twins.action import Action
from twinlab.twins.question import TwinQuestion, TwinQuestions, open_questions

_WORDS: Mapping[Query, str] = {
    "forecast": "The person's own forecast",
    "what_if": "What a walk would change",
    "network_forecast": "The shared network's forecast",
}


def explore_questions(
    experiment: Experiment | None = None, *, result: Result | None = None, progress: Progress | None = None
) -> QuestionExploration:
    """Get ready to put questions to an experiment's twins under encryption.

    Args:
      experiment: public; run if there is no result yet. The shipped people when neither is given.
      result: of a run; private.
      progress: called as progress(what, done, total).

    Raises:
      SpecificationError: if both are given and do not belong together.
    """
    if result is not None:
        if experiment is not None and experiment.fingerprint != result.experiment.fingerprint:
            raise SpecificationError(
                "experiment: expected that of the result, got another; pass one of the two, or run it first"
            )
        return QuestionExploration(result.experiment, result, progress or report_nothing)
    chosen = experiment or Experiment(cohort=ShippedCohort())
    return QuestionExploration(chosen, run(chosen.with_({"ask": "unprotected"}), progress), progress or report_nothing)


@dataclass(frozen=True, repr=False, eq=False)
class AskedQuestion:
    """A question that was put under encryption, with its answer; private to the person.

    Attributes:
      query: forecast, what_if or network_forecast.
      person_id, hour: who asked, after which hour.
      plan: layout, ring and scales; public.
      guarantee: of what is encrypted.
      table: a row per hour ahead and signal: time, horizon_hours, signal, label, unit, plain, answer, error (without
        sign), in the signal's unit.
      steps: who, what, bytes, begin_ms, milliseconds, stage ("set-up", which is done once, or "question"), messages.
        Messages alike are counted together.
      wire: the longest encrypted message, as the provider receives it; of a what-if the encrypted head.
      features: float64, what is encrypted in it.
      transcript: what crossed for this question, as its receiver saw it.
      error: largest difference from the plain answer, in spreads of a signal.
      sentence: all of it, without anything of the person.
    """

    query: Query
    person_id: str
    hour: int
    plan: EncryptionPlan
    guarantee: Encrypted
    table: pd.DataFrame
    steps: pd.DataFrame
    wire: bytes
    features: np.ndarray
    transcript: Transcript
    error: float
    sentence: str

    def explain_wire(self) -> list[dict[str, str | int]]:
        """What the bytes on the wire are, in their order: part, bytes, meaning."""
        return list_message_parts(self.wire)

    def __repr__(self) -> str:
        return self.sentence


@dataclass
class _Caches:
    """What is kept for later questions."""

    questions: dict[str, TwinQuestions] = field(default_factory=dict)
    plans: dict[tuple[Any, ...], QueryPlan] = field(default_factory=dict)
    lines: dict[tuple[Any, ...], KeyLine] = field(default_factory=dict)


class QuestionExploration:
    """Twins that can be asked under encryption. Made by `explore_questions`; private.

    The first question of a person takes a second, as does the first of a plan; plans and keys are kept.

    Attributes:
      experiment: public.
    """

    def __init__(self, experiment: Experiment, result: Result, progress: Progress = report_nothing) -> None:
        """Start with nothing asked."""
        self.experiment = experiment
        self._result, self._progress, self._kept = result, progress, _Caches()

    @property
    def person_ids(self) -> tuple[str, ...]:
        """Who can ask."""
        return self._result.person_ids

    @property
    def queries(self) -> tuple[Query, ...]:
        """What can be asked: the network's forecast only of twins whose activation is a square."""
        return list_queries(self._result.population)

    @property
    def targets(self) -> tuple[str, ...]:
        """Signals that are forecast."""
        return self._result.population.targets

    @cached_property
    def own_errors(self) -> dict[str, float]:
        """Signal to the mean error of everybody's twins in the next hour, in the signal's unit; private."""
        table = self._result.table()
        return dict(table[table.model == "twin"].set_index("signal").mae)

    def ask(
        self,
        person_id: str,
        query: Query = "forecast",
        *,
        hour: int | None = None,
        hours_ahead: int = 24,
        minutes: int = 30,
        tolerance: float = 1e-3,
        quantum_safe: bool = False,
        share_results: bool = False,
    ) -> AskedQuestion:
        """Put a question of a person under encryption, and read the answer.

        Args:
          person_id: who asks.
          query: forecast: the twin's features are encrypted, the provider multiplies them with its readout, and the
            person adds what its own head knows beyond that. what_if: the person's weights of effort are encrypted and
            the provider sees the plan; how much effort the plan is for this person stays with the person.
            network_forecast: the last hours are encrypted and the whole shared network runs on them; nothing personal.
          hour: after which hour of the cohort's grid; a good one when None.
          hours_ahead: for so many hours.
          minutes: of walking, from the next hour on; of a what-if.
          tolerance: largest error of an answer, in spreads of a signal; public.
          quantum_safe: keep 128-bit security against quantum computers as well.
          share_results: the provider's answers may be shown to others, so they carry noise that hides the key.

        Raises:
          SpecificationError: if something asked for makes no sense or is out of reach.
          DataContractError: if nobody has that id.
          IncompatibleChoicesError: if no parameters do; the message names what would.
        """
        position = self._result.cohort.index_of(person_id)
        person = self.person_ids[position]
        self._check(query, hour)
        asked_at = self._result.latest_hour(person) if hour is None else int(hour)
        plan = self._find_plan(query, tolerance, quantum_safe, share_results)
        question = draw_question(self._open(person), query, person, asked_at, hours_ahead, Action(minutes=minutes))
        line = self._kept.lines.setdefault((person, query, tolerance, quantum_safe, share_results), KeyLine(plan))
        exchange = line.ask(question)
        answer = question.complete(exchange.values)
        error = float(measure_spreads(question, answer).max())
        transcript = Transcript()
        record_alike(transcript, exchange.messages)
        return AskedQuestion(
            query,
            person,
            asked_at,
            plan.parameters,
            plan.guarantee,
            _tabulate(question, answer),
            _tabulate_steps(exchange),
            exchange.wire,
            exchange.numbers,
            transcript,
            error,
            _describe(plan, question, exchange, error, tolerance),
        )

    def estimate_costs(
        self,
        n_questions: int = 1_000_000,
        query: Query = "forecast",
        *,
        tolerance: float = 1e-3,
        quantum_safe: bool = False,
        share_results: bool = False,
    ) -> pd.DataFrame:
        """What many questions would cost on this machine, measured now on a few real messages of each way.

        A question is one row: all signals at one hour ahead of one person, or one row of a plan. Numbers asked are
        drawn at random; set-up is not counted.

        Args:
          n_questions: how many.
          query, tolerance, quantum_safe, share_results: as in `ask`.

        Returns:
          A row per way: way, server_seconds, all_seconds (both sides), bytes (both directions), questions_a_message.
          In the clear, one question a message, tens of them together, and thousands, which takes one key holder who
          has so many, such as a clinic. Times are medians over messages, which are full but for the first of these.

        Raises:
          SpecificationError, IncompatibleChoicesError: as `ask`.
        """
        self._check(query, None)
        if n_questions < 1:
            raise SpecificationError(f"n_questions: expected at least 1, got {n_questions}")
        options = {"tolerance": tolerance, "quantum_safe": quantum_safe, "share_results": share_results}
        ways = measure_ways(self._result.population, query, options, self._progress)
        # a message is sent whole, however few questions are left for it
        counts = [
            n_questions / way.n_rows if way.name == PLAIN else math.ceil(n_questions / way.n_rows) for way in ways
        ]
        return pd.DataFrame(
            {
                "way": way.name,
                "server_seconds": way.server_seconds * n_messages,
                "all_seconds": way.all_seconds * n_messages,
                "bytes": way.n_bytes * n_messages,
                "questions_a_message": way.n_rows,
            }
            for way, n_messages in zip(ways, counts, strict=True)
        )

    def _check(self, query: str, hour: int | None) -> None:
        """Refuse what cannot be asked."""
        if query not in QUERIES:
            raise SpecificationError(f"query: expected one of {', '.join(self.queries)}, got {query!r}")
        if hour is not None and not 0 <= hour < self._result.n_hours:
            raise SpecificationError(f"hour: expected 0 to {self._result.n_hours - 1}, got {hour}")

    def _find_plan(self, query: Query, tolerance: float, quantum_safe: bool, share_results: bool) -> QueryPlan:
        """Made once."""
        key = (query, tolerance, quantum_safe, share_results)
        if key not in self._kept.plans:
            self._kept.plans[key] = plan_query(
                self._result.population,
                query,
                tolerance=tolerance,
                quantum_safe=quantum_safe,
                share_results=share_results,
            )
        return self._kept.plans[key]

    def _open(self, person: str) -> TwinQuestions:
        """What a person's twin can ask after any hour; made once."""
        if person not in self._kept.questions:
            cohort = self._result.cohort.select(people=[person])
            self._kept.questions[person] = open_questions(
                self._result.population, cohort, range(cohort.n_hours), self._progress
            )
        return self._kept.questions[person]

    def __repr__(self) -> str:
        return f"QuestionExploration(experiment {self.experiment.fingerprint}: {', '.join(self.queries)})"


def _tabulate(question: TwinQuestion, answer: np.ndarray) -> pd.DataFrame:
    """Plain and decrypted answers, signal by signal."""
    signals = [get_signal(name) for name in question.targets]
    n_hours = len(question.horizons)
    return pd.DataFrame(
        {
            "time": np.tile(question.times.to_numpy(), len(signals)),
            "horizon_hours": np.tile(question.horizons, len(signals)),
            "signal": np.repeat([signal.name for signal in signals], n_hours),
            "label": np.repeat([signal.label for signal in signals], n_hours),
            "unit": np.repeat([signal.unit for signal in signals], n_hours),
            "plain": question.plain.T.ravel().astype(float),
            "answer": answer.T.ravel(),
            "error": np.abs(answer - question.plain).T.ravel(),
        }
    )


def _tabulate_steps(exchange: Exchange) -> pd.DataFrame:
    """The steps with the time when each began, one after the other."""
    milliseconds = np.array([1000 * step.seconds for step in exchange.steps])
    return pd.DataFrame(
        {
            "who": [step.who for step in exchange.steps],
            "what": [step.what for step in exchange.steps],
            "bytes": [step.n_bytes for step in exchange.steps],
            "begin_ms": np.cumsum(milliseconds) - milliseconds,
            "milliseconds": milliseconds,
            "stage": [step.stage for step in exchange.steps],
            "messages": [step.n_times for step in exchange.steps],
        }
    )


def _describe(plan: QueryPlan, question: TwinQuestion, exchange: Exchange, error: float, tolerance: float) -> str:
    """One sentence with numbers and nothing of the person."""
    asked = [step for step in exchange.steps if step.stage == "question"]
    n_bytes, milliseconds = sum(step.n_bytes for step in asked), 1000 * sum(step.seconds for step in asked)
    n_hours = len(question.horizons)
    return (
        f"{_WORDS[plan.query]} for {n_hours} hour{'s' * (n_hours > 1)} and {len(question.targets)} signals, asked "
        f"under encryption: {n_bytes:,} bytes and {milliseconds:.0f} ms, at most {error:.1e} spreads of a signal from "
        f"the plain answer (tolerance {tolerance:.0e}); {plan.guarantee}."
    )
