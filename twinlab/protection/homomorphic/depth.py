"""Why deep models are out of reach: the same network with one more layer each, asked in secret and timed.

Each layer takes a prime from the modulus. A longer modulus is secure only in a larger ring, and every operation grows
with both. When the largest ring is used up, the planner refuses; going on would take bootstrapping, which this library
has not.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from twinlab.errors import IncompatibleChoicesError, SpecificationError
from twinlab.protection.homomorphic.model import LinearModel, PlainModel, SquareNetwork
from twinlab.protection.homomorphic.planner import plan
from twinlab.protection.homomorphic.query import Answer, ask, set_up
from twinlab.protection.homomorphic.step_log import KEY_HOLDER, SERVER
from twinlab.roles import Progress, report_nothing

COLUMNS = (
    *("depth", "layers", "ring_degree", "modulus_bits", "question_ms", "server_ms"),
    *("question_bytes", "key_bytes", "error", "is_possible", "why_not"),
)
_N_ROWS = 32
_SEED = 0


def measure_depth(
    n_layers: Sequence[int] = (0, 1, 2, 3),
    width: int = 8,
    n_questions: int = 3,
    progress: Progress = report_nothing,
) -> pd.DataFrame:
    """Ask networks of growing depth one question in secret, and measure what it takes.

    Args:
      n_layers: numbers of hidden layers; 0 is a linear model; public.
      width: of rows and hidden layers; public.
      n_questions: of which each time is the median.
      progress: called with what is measured, how many networks are done, and of how many.

    Returns:
      A row per number of layers: depth (multiplications one after the other), layers (hidden ones), ring_degree,
      modulus_bits, question_ms (end to end), server_ms, question_bytes, key_bytes (evaluation keys, once), error
      (largest difference from the plain answer), is_possible, why_not (the planner's words where it is not; numbers are
      then missing, but for the depth that it would take).

    Raises:
      SpecificationError: if a number of layers, the width or the number of questions is too small.
    """
    if width < 1 or n_questions < 1 or any(count < 0 for count in n_layers):
        raise SpecificationError(
            f"depth: expected no fewer than 0 layers, a width and a number of questions of at least 1, got "
            f"{list(n_layers)}, {width} and {n_questions}"
        )
    rows = []
    for done, count in enumerate(n_layers):
        progress(f"{count} hidden layers", done, len(n_layers))
        rows.append(_measure(count, width, n_questions))
    progress("depth measured", len(n_layers), len(n_layers))
    table = pd.DataFrame(rows, columns=COLUMNS)
    whole = ["ring_degree", "modulus_bits", "question_bytes", "key_bytes"]
    return table.astype(dict.fromkeys(whole, "Int64"))


def _measure(n_layers: int, width: int, n_questions: int) -> dict[str, Any]:
    """One network."""
    draw = np.random.default_rng(_SEED)
    model, rows = _make_network(n_layers, width, draw), draw.uniform(-1, 1, (_N_ROWS, width))
    try:
        agreed = plan(model, rows)
    except IncompatibleChoicesError as refused:
        # a layer takes a product, and a square where there is one before it
        row = {"depth": 2 * n_layers + 1, "layers": n_layers, "is_possible": False, "why_not": str(refused)}
        return {**dict.fromkeys(COLUMNS), **row}
    holder, server, steps = set_up(agreed, model)
    answers = [ask(agreed, holder, server, rows[[each % _N_ROWS]], plain_model=model) for each in range(n_questions)]
    return {
        "depth": agreed.depth,
        "layers": n_layers,
        "ring_degree": agreed.ring.ring_degree,
        "modulus_bits": agreed.ring.modulus_bits,
        "question_ms": 1000 * statistics.median(answer.seconds for answer in answers),
        "server_ms": 1000 * statistics.median(_count_seconds(answer) for answer in answers),
        "question_bytes": sum(step.n_bytes for step in answers[0].steps if step.who == KEY_HOLDER),
        "key_bytes": sum(step.n_bytes for step in steps),
        "error": max(float(answer.error or 0.0) for answer in answers),
        "is_possible": True,
        "why_not": "",
    }


def _count_seconds(answer: Answer) -> float:
    """The server's part."""
    return sum(step.seconds for step in answer.steps if step.who == SERVER)


def _make_network(n_layers: int, width: int, draw: np.random.Generator) -> PlainModel:
    """Random weights that sum to one for each unit, so that numbers stay near one whatever the depth."""
    widths = [width] * (n_layers + 1) + [1]
    weights = [draw.normal(size=shape) for shape in pairwise(widths)]
    weights = [each / np.abs(each).sum(0) for each in weights]
    biases = [draw.uniform(-0.1, 0.1, after) for after in widths[1:]]
    if n_layers == 0:
        return LinearModel(weights[0].T, biases[0])
    return SquareNetwork(tuple(weights), tuple(biases))
