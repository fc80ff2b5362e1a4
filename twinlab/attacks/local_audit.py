"""Audit of a local mechanism: how well its output tells two inputs apart.

Any event whose probability is p under one input and q under the other forces epsilon to be at least
log((p - delta) / q). The event is chosen on half of the draws and measured on the other half, so that choosing costs no
confidence (as in Jagielski, Ullman and Oprea, Auditing differentially private machine learning, NeurIPS 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import permutations

import numpy as np

from twinlab.attacks.confidence import CONFIDENCE, FALSE_ALARM_RATE, bound_above, bound_below, find_p_value
from twinlab.attacks.promise import AuditReport, Check
from twinlab.errors import SpecificationError

#: Called as draw(input, n): n independent outputs for one made-up input.
LocalMechanism = Callable[[float, int], np.ndarray]

_N_CELLS = 64
#: An output seen in more than this share of draws counts as a cell of its own.
_ATOM_SHARE = 0.002


def audit_local_mechanism(
    draw: LocalMechanism,
    inputs: Sequence[float],
    claimed_epsilon: float,
    delta: float = 0.0,
    *,
    n_draws: int = 50_000,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    confidence: float = CONFIDENCE,
) -> AuditReport:
    """Audit a mechanism that noises one reading.

    Args:
      draw: draw(input, n) -> (n,) outputs; its noise is its own.
      inputs: two or more made-up inputs, best the ends of the range and something beyond them; each is compared with
        each.
      claimed_epsilon, delta: what is promised for one reading.
      n_draws: per input.
      false_alarm_rate: chance of calling a correct mechanism broken.
      confidence: of the bound that is shown.

    Returns:
      A report on epsilon. It sees probabilities down to about one in the number of draws: outputs that are rarer, such
      as those that differ in the last bits alone, are beyond it.

    Raises:
      SpecificationError: if there are fewer than two inputs or too few draws.

    >>> rng = np.random.default_rng(0)
    >>> audit_local_mechanism(lambda value, n: value + rng.laplace(0, 1, n), (0.0, 1.0), claimed_epsilon=1.0).verdict
    'consistent'
    """
    if len(inputs) < 2 or n_draws < 1000:
        raise SpecificationError(
            f"local audit: expected two inputs or more and at least 1000 draws, got {len(inputs)} and {n_draws}"
        )
    outputs = [_draw(draw, value, n_draws) for value in inputs]
    cells, n_cells = _assign_cells(outputs, n_draws // 2)
    pairs = list(permutations(range(len(inputs)), 2))
    n_measured, level = n_draws - n_draws // 2, (1 - confidence) / len(pairs)
    checks = []
    for first, second in pairs:
        hits = _choose_event(cells[first], cells[second], n_cells, n_draws // 2, delta)
        bound = partial(_bound_loss, *hits, n_measured, delta)
        p_value = min(1.0, len(pairs) * find_p_value(bound, claimed_epsilon))
        name = f"epsilon, input {first} against input {second}"
        fault = f"One input is told from another better than epsilon {claimed_epsilon:.3g} allows."
        checks.append(Check(name, max(0.0, bound(level)), claimed_epsilon, p_value, fault))
    return AuditReport(
        name="local mechanism",
        quantity="epsilon",
        claimed=claimed_epsilon,
        lower_bound=max(check.measured for check in checks),
        ceiling=_bound_loss(n_measured, 0, n_measured, delta, level),
        checks=tuple(checks),
        false_alarm_rate=false_alarm_rate,
        confidence=confidence,
        remarks=(f"{n_draws} draws for each of {len(inputs)} made-up inputs.",),
    )


def _draw(draw: LocalMechanism, value: float, n_draws: int) -> np.ndarray:
    outputs = np.asarray(draw(value, n_draws), dtype=float)
    if outputs.shape != (n_draws,):
        raise SpecificationError(f"local audit: expected ({n_draws},) outputs from draw(input, n), got {outputs.shape}")
    return outputs


def _assign_cells(outputs: list[np.ndarray], n_choose: int) -> tuple[list[np.ndarray], int]:
    """The cell of each output; cells come from the draws on which the event is chosen, and hold about equally many.

    An output that comes often has a cell of its own, as has one that is not a number.
    """
    seen = np.concatenate([part[:n_choose] for part in outputs])
    seen = seen[np.isfinite(seen)]
    values, counts = np.unique(seen, return_counts=True)
    atoms = values[counts > _ATOM_SHARE * max(1, len(seen))]
    edges = np.unique(np.quantile(seen, np.linspace(0, 1, _N_CELLS + 1)[1:-1])) if len(seen) else np.zeros(1)
    # An atom takes the half-open cell from itself to the next number above.
    edges = np.unique(np.concatenate([edges, atoms, np.nextafter(atoms, np.inf)]))
    cells = [np.where(np.isnan(part), len(edges) + 1, np.searchsorted(edges, part, side="right")) for part in outputs]
    return cells, len(edges) + 2


def _choose_event(first: np.ndarray, second: np.ndarray, n_cells: int, n_choose: int, delta: float) -> tuple[int, int]:
    """The union of cells that looks best on the choosing half, and how often it came in the other half.

    By Neyman and Pearson the best events gather the cells where the first input is most in excess; tails and their
    complements are tried as well, since they need no estimate of a ratio.
    """
    counts = [np.bincount(part[:n_choose], minlength=n_cells) for part in (first, second)]
    ratio = (counts[0] + 0.5) / (counts[1] + 0.5)
    best, event = -math.inf, np.zeros(n_cells, dtype=bool)
    for order in (np.argsort(-ratio, kind="stable"), np.arange(n_cells), np.arange(n_cells)[::-1]):
        hits = [np.cumsum(count[order]) for count in counts]
        bounds = _bound_losses(hits[0], hits[1], n_choose, delta, 0.01)
        place = int(bounds.argmax())
        if bounds[place] > best:
            best, event = float(bounds[place]), np.isin(np.arange(n_cells), order[: place + 1])
    return int(event[first[n_choose:]].sum()), int(event[second[n_choose:]].sum())


def _bound_loss(n_first: int, n_second: int, n_draws: int, delta: float, level: float) -> float:
    return float(_bound_losses(np.asarray([n_first]), np.asarray([n_second]), n_draws, delta, level)[0])


def _bound_losses(first: np.ndarray, second: np.ndarray, n_draws: int, delta: float, level: float) -> np.ndarray:
    """log((least p - delta) / largest q) of events that came so often; half of the level for each bound."""
    least = np.maximum(bound_below(first, n_draws, level / 2) - delta, 1e-300)
    return np.log(least) - np.log(np.maximum(bound_above(second, n_draws, level / 2), 1e-300))
