"""What an encrypted question costs by the way it is asked, measured on real messages of numbers drawn at random."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinlab.pipeline.key_line import Query, plan_query
from twinlab.protection.homomorphic.encryption_plan import EncryptionPlan
from twinlab.protection.homomorphic.model import AnyModel, EncryptedHead
from twinlab.protection.homomorphic.query import Answer, ask, set_up, store_head
from twinlab.protection.homomorphic.step_log import SERVER
from twinlab.roles import Progress
from twinlab.twins.population import Population

#: Questions that come together, as the planner is told. A message holds fewer where its ring is small.
WAYS = {"one question a message": 1, "tens together": 30, "thousands together, one key holder": 4096}
PLAIN = "in the clear"
_PLAIN_ROWS = 4096
_BYTES_A_NUMBER = 8
#: Messages of a way, fewer where they take long.
_N_MESSAGES, _MOST_SECONDS = 5, 2.0


@dataclass(frozen=True)
class Way:
    """A message of one way of asking.

    Attributes:
      name: of the way.
      n_rows: questions in it.
      server_seconds, all_seconds: medians.
      n_bytes: of question and answer.
    """

    name: str
    n_rows: int
    server_seconds: float
    all_seconds: float
    n_bytes: float


def measure_ways(
    population: Population, query: Query, options: Mapping[str, Any], progress: Progress
) -> tuple[Way, ...]:
    """Ask in the clear and in each way under encryption.

    Args:
      population: released.
      query: what is asked.
      options: tolerance, quantum_safe and share_results, as `plan_query` takes them.
      progress: called once a way.
    """
    draw = np.random.default_rng(0)
    found: list[Way] = []
    asked: dict[bytes, list[Answer]] = {}
    for name, batch in WAYS.items():
        plan = plan_query(population, query, batch=batch, **options)
        parameters, model = plan.parameters, plan.models[0]
        n_rows = min(batch, parameters.layout.capacity)
        if not found:
            found.append(_measure_plain(model, draw.normal(size=(_PLAIN_ROWS, model.n_features))))
        # a message takes as long however many of its slots are used
        if parameters.digest not in asked:
            bound = np.array(parameters.question_bound or parameters.find_column_bound())
            rows = np.clip(draw.normal(size=(n_rows, model.n_features)), -bound, bound)
            asked[parameters.digest] = _ask_some(parameters, model, rows)
        found.append(_average(name, n_rows, asked[parameters.digest]))
        progress("measuring costs", len(found), 1 + len(WAYS))
    return tuple(found)


def _ask_some(parameters: EncryptionPlan, model: AnyModel, rows: np.ndarray) -> list[Answer]:
    """Some messages with the same rows; the first, which encodes the weights for all later ones, counts only alone."""
    holder, server, _ = set_up(parameters, model)
    if isinstance(model, EncryptedHead):
        store_head(parameters, holder, server, model.typical)
    answers: list[Answer] = []
    begin = time.perf_counter()
    while len(answers) <= _N_MESSAGES and (not answers or time.perf_counter() - begin < _MOST_SECONDS):
        answers.append(ask(parameters, holder, server, rows))
    return answers[1:] or answers


def _measure_plain(model: AnyModel, rows: np.ndarray) -> Way:
    """The same model on numbers that anybody can read, at its best: many rows at once."""
    seconds = []
    for _ in range(_N_MESSAGES):
        begin = time.perf_counter()
        _ = rows @ model.typical.T if isinstance(model, EncryptedHead) else model.answer_plain(rows)
        seconds.append(time.perf_counter() - begin)
    n_numbers = len(rows) * (model.n_features + model.n_outputs)
    took = statistics.median(seconds)
    return Way(PLAIN, len(rows), took, took, _BYTES_A_NUMBER * n_numbers)


def _average(name: str, n_rows: int, answers: list[Answer]) -> Way:
    """Medians over messages."""
    server = [sum(step.seconds for step in each.steps if step.who == SERVER) for each in answers]
    return Way(
        name,
        n_rows,
        statistics.median(server),
        statistics.median(each.seconds for each in answers),
        statistics.median(each.n_bytes for each in answers),
    )
