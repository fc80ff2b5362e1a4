"""Choosing layout, ring and scales for a model, or saying why there are none.

A plan rehearses each layout's program on calibration rows, half again as large as they are, and bounds every value it
can take for any row that the plan will admit. Then it weighs all primes and scales: those under which a value could
wrap around are out, of the rest the one with the least noise counts, and if its error exceeds the tolerance in all
layouts and rings, the plan is refused by naming the operation at fault and a ring degree that would do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinlab.errors import IncompatibleChoicesError, SpecificationError
from twinlab.protection.homomorphic.encryption_plan import EncryptionPlan
from twinlab.protection.homomorphic.layout import Layout
from twinlab.protection.homomorphic.layout_choice import estimate_seconds, fit_layout, list_layouts
from twinlab.protection.homomorphic.linear_layout import InterleavedLayout
from twinlab.protection.homomorphic.model import AnyModel, EncryptedHead, flatten_rows
from twinlab.protection.homomorphic.noise import SIGMAS, find_flooding_deviation
from twinlab.protection.homomorphic.parameters import RING_DEGREES, RingParameters, find_ceiling
from twinlab.protection.homomorphic.rehearsal import Rehearsal, Source, rehearse
from twinlab.protection.homomorphic.scale_search import (
    Candidates,
    Score,
    choose_candidate,
    find_bits,
    fix_candidate,
    list_linear,
    list_network,
)
from twinlab.protection.homomorphic.schedule import Stage, count_data_primes, list_stages

#: Rows may be so many times the largest of the calibration.
MARGIN = 1.5
#: Rows that are rehearsed: those of the largest norm.
_N_REHEARSED = 16
#: A linear program takes one data prime if it can, else two or three.
_MOST_LINEAR_PRIMES = 3
#: Answers of a network are left with one prime if that will do; flooded ones need more.
_MOST_LAST_PRIMES = 3
#: Larger rings are looked at only when none of these serves, or when a single question would take so long in them that
#: a layout which fits the next ring may be faster.
_USUAL_DEGREES = (2048, 4096, 8192)
_SLOW_SECONDS = 0.5


@dataclass(frozen=True)
class _Question:
    """What was asked of the planner."""

    model: AnyModel
    tolerance: float
    batch: int
    quantum_safe: bool
    share_results: bool
    by_hand: tuple[RingParameters, int] | None


@dataclass(frozen=True)
class _Rehearsed:
    """A layout, rehearsed for any ring."""

    layout: Layout
    rehearsal: Rehearsal


@dataclass(frozen=True)
class _Found:
    """A layout in a ring with its best scales, good enough or not."""

    layout: Layout
    rehearsal: Rehearsal
    stages: tuple[Stage, ...]
    ring_degree: int
    score: Score
    error: float
    seconds: float


def plan(
    model: AnyModel,
    calibration: np.ndarray | Sequence[Sequence[float]],
    tolerance: float = 1e-3,
    batch: int = 1,
    quantum_safe: bool = False,
    share_results: bool = False,
    *,
    ring_degree: int | None = None,
    prime_bits: Sequence[int] | None = None,
    scale_bits: int | None = None,
) -> EncryptionPlan:
    """Choose layout, ring degree, primes and scales for asking a model in secret.

    Args:
      model: what is asked; the provider's.
      calibration: (row, feature) like those to come; private, used here only. The plan tells the power of two above
        each feature's largest magnitude, and admits rows up to half again as large. For an `EncryptedHead`, features
        that will be asked; public.
      tolerance: largest error of an answer; public.
      batch: questions that come together; public.
      quantum_safe: keep 128-bit security against quantum computers as well.
      share_results: answers will be told to others than the key holder, the server for one. They then carry noise
        that hides the key, and are rounded.
      ring_degree: try this one only.
      prime_bits, scale_bits: check these parameters, chosen by hand for `ring_degree`, instead of choosing.

    Returns:
      The cheapest plan for the batch that meets the tolerance.

    Raises:
      SpecificationError: if something asked for makes no sense.
      IncompatibleChoicesError: if no parameters do: values would overflow, depth runs out, or noise exceeds the
        tolerance. The message names the operation and a ring degree that would do.

    >>> from twinlab.protection.homomorphic import LogisticModel
    >>> model = LogisticModel(np.full((1, 40), 0.1), np.zeros(1))
    >>> plan(model, np.ones((5, 40))).layout.name
    'interleaved'
    """
    question = _Question(
        model, tolerance, batch, quantum_safe, share_results, _read_hand(ring_degree, prime_bits, scale_bits)
    )
    _check_question(question, ring_degree)
    rows = flatten_rows(model, calibration)
    input_scale = _find_input_scale(model, rows)
    layouts = [_rehearse_layout(layout, model, rows, input_scale) for layout in list_layouts(model)]
    degrees = RING_DEGREES if ring_degree is None else (ring_degree,)
    found: list[_Found] = []
    for degree in degrees:
        found += [each for layout in layouts if (each := _search(layout, degree, question)) is not None]
        good = [each for each in found if each.error <= tolerance]
        best = min(good, key=lambda each: each.seconds, default=None)
        is_slow = best is not None and best.seconds > _SLOW_SECONDS and batch == 1
        is_last = degree == degrees[-1] or degree > _USUAL_DEGREES[-1]
        if best is not None and (is_last or (degree == _USUAL_DEGREES[-1] and not is_slow)):
            return _make_plan(best, question, rows, input_scale)
    raise IncompatibleChoicesError(_explain_refusal(found, layouts, question, ring_degree))


def _read_hand(
    ring_degree: int | None, prime_bits: Sequence[int] | None, scale_bits: int | None
) -> tuple[RingParameters, int] | None:
    """Parameters that were chosen by hand."""
    if prime_bits is None and scale_bits is None:
        return None
    if prime_bits is None or scale_bits is None or ring_degree is None:
        raise SpecificationError(
            "plan: expected ring_degree, prime_bits and scale_bits together, got some of them; give all three to check "
            "parameters, or none to have them chosen"
        )
    return RingParameters(ring_degree, tuple(prime_bits)), scale_bits


def _check_question(question: _Question, ring_degree: int | None) -> None:
    """Refuse what makes no sense, all at once."""
    faults = []
    if not 0 < question.tolerance < 1:
        faults.append(f"tolerance: expected a number between 0 and 1, got {question.tolerance}")
    if question.batch < 1:
        faults.append(f"batch: expected at least one question, got {question.batch}")
    if ring_degree is not None and ring_degree not in RING_DEGREES:
        faults.append(f"ring_degree: expected one of {', '.join(map(str, RING_DEGREES))}, got {ring_degree}")
    if question.by_hand and question.quantum_safe and question.by_hand[0].quantum_security_bits < 128:
        ring = question.by_hand[0]
        ceiling = find_ceiling(ring.ring_degree, quantum_safe=True)
        faults.append(
            f"prime_bits: expected at most {ceiling} bits in all at ring degree {ring.ring_degree} to be quantum-safe, "
            f"got {ring.modulus_bits}; take shorter primes or a larger ring"
        )
    if faults:
        raise SpecificationError("\n".join(faults))


def _find_input_scale(model: AnyModel, rows: np.ndarray) -> np.ndarray:
    """(feature,): a power of two above what is encrypted, so that no row shows in it more than by its magnitude."""
    if isinstance(model, EncryptedHead):
        # Heads of other people have weights where the typical one has none: one scale for all.
        return np.full(model.n_features, _power_above(np.abs(model.typical).max()))
    groups = model.group_features()
    largest = np.zeros(groups.max() + 1)
    np.maximum.at(largest, groups, np.abs(rows).max(0))
    return np.array([_power_above(each) for each in largest])[groups]


def _power_above(value: float) -> float:
    return 2.0 ** math.ceil(math.log2(value)) if value > 0 else 1.0


def _rehearse_layout(layout: Layout, model: AnyModel, rows: np.ndarray, input_scale: np.ndarray) -> _Rehearsed:
    """Run the program on the largest rows, made larger, and on the bound of what is admitted."""
    largest = rows[np.argsort(-np.linalg.norm(rows / _find_spread(rows), axis=1), kind="stable")[:_N_REHEARSED]]
    roomy = fit_layout(layout, layout.n_positions * layout.columns_per_row * len(largest))
    assert roomy is not None
    bound = np.full((model.n_outputs, model.n_features), MARGIN)
    if isinstance(model, EncryptedHead):
        assert isinstance(roomy, InterleavedLayout)
        question = _find_question_bound(rows)
        constants: Any = roomy.prepare_question(MARGIN * largest * input_scale, question * input_scale)
        heads = MARGIN * roomy.spread(model.typical / input_scale)
        columns = np.tile(heads, (1, len(largest), 1))
    else:
        constants = roomy.prepare(model.scale_inputs(input_scale))
        columns = MARGIN * roomy.spread(largest / input_scale)
    return _Rehearsed(layout, rehearse(roomy, constants, columns, roomy.spread(bound)[:, 0]))


def _find_spread(rows: np.ndarray) -> np.ndarray:
    """(feature,): so that features in large units do not alone decide which rows are large."""
    spread = np.sqrt((rows**2).mean(0))
    return np.where(spread > 0, spread, 1.0)


def _find_question_bound(rows: np.ndarray) -> np.ndarray:
    """(feature,): bound on features in the clear."""
    return MARGIN * np.array([_power_above(each) for each in np.abs(rows).max(0)])


def _search(rehearsed: _Rehearsed, ring_degree: int, question: _Question) -> _Found | None:
    """The best scales of a layout in a ring."""
    layout = fit_layout(rehearsed.layout, ring_degree // 2)
    if layout is None:
        return None
    options = []
    for stages, candidates in _list_options(layout, rehearsed.rehearsal, ring_degree, question):
        score = choose_candidate(candidates, rehearsed.rehearsal, stages, ring_degree)
        error, _, _ = _find_error(score.deviation, question)
        seconds = estimate_seconds(layout, rehearsed.rehearsal.counts, stages, ring_degree, question.batch)
        options.append(_Found(layout, rehearsed.rehearsal, stages, ring_degree, score, error, seconds))
        if error <= question.tolerance:
            break
    return min(options, key=lambda each: (each.error, each.score.overflow is None))


def _list_options(
    layout: Layout, rehearsal: Rehearsal, ring_degree: int, question: _Question
) -> list[tuple[tuple[Stage, ...], Candidates]]:
    """Candidates, by number of primes."""
    n_squares = layout.n_squares
    if question.by_hand:
        ring, scale = question.by_hand
        stages = list_stages(n_squares, len(ring.data_bits))
        if stages[-1].level < 0:
            return [(list_stages(n_squares, count_data_primes(n_squares)), _no_candidates(n_squares))]
        return [(stages, fix_candidate(ring, stages, scale))]
    ceiling = find_ceiling(ring_degree, quantum_safe=question.quantum_safe)
    bits = find_bits(rehearsal.bounds).tolist()
    if n_squares:
        return [
            (
                list_stages(n_squares, count_data_primes(n_squares, n_last)),
                list_network(ceiling, n_squares, bounds=bits, n_last=n_last),
            )
            for n_last in range(1, _MOST_LAST_PRIMES + 1)
        ]
    return [
        (
            list_stages(0, n_primes),
            list_linear(ceiling, n_primes, needs_keys=bool(layout.steps), output_bits=bits[-1]),
        )
        for n_primes in range(1, _MOST_LINEAR_PRIMES + 1)
    ]


def _no_candidates(n_squares: int) -> Candidates:
    return list_network(0, max(1, n_squares), bounds=[0, 0])


def _find_error(deviation: float, question: _Question) -> tuple[float, float, float]:
    """Error of an answer, deviation of flooding noise, and rounding."""
    if not question.share_results or math.isinf(deviation):
        return SIGMAS * deviation, 0.0, 0.0
    flooding = find_flooding_deviation(deviation)
    rounding = 10.0 ** math.floor(math.log10(question.tolerance / 4))
    return SIGMAS * math.hypot(deviation, flooding) + rounding / 2, flooding, rounding


def _make_plan(found: _Found, question: _Question, rows: np.ndarray, input_scale: np.ndarray) -> EncryptionPlan:
    """The plan of what was found best."""
    candidates = found.score.candidates
    assert candidates is not None
    error, flooding, rounding = _find_error(found.score.deviation, question)
    is_head = isinstance(question.model, EncryptedHead)
    return EncryptionPlan(
        shape=question.model.describe(),
        link=question.model.link,
        layout=found.layout,
        ring=question.by_hand[0] if question.by_hand else candidates.make_ring(0, found.ring_degree),
        stages=found.stages,
        scale_bits=tuple(map(int, candidates.scale_bits[0])),
        weight_bits=tuple(map(int, candidates.weight_bits[0])),
        input_scale=tuple(map(float, input_scale)),
        input_margin=MARGIN,
        question_bound=tuple(map(float, _find_question_bound(rows))) if is_head else None,
        output_bound=2.0 ** int(find_bits([found.rehearsal.output_bound])[0]),
        noise_deviation=found.score.deviation,
        flooding_deviation=flooding,
        rounding=rounding,
        expected_error=error,
        tolerance=question.tolerance,
        batch=question.batch,
        quantum_safe=question.quantum_safe,
        share_results=question.share_results,
        seconds=found.seconds,
    )


def _explain_refusal(
    found: Sequence[_Found], layouts: Sequence[_Rehearsed], question: _Question, ring_degree: int | None
) -> str:
    """What stands in the way, and what to do."""
    rest = [degree for degree in RING_DEGREES if ring_degree is not None and degree != ring_degree]
    free = _Question(
        question.model, question.tolerance, question.batch, question.quantum_safe, question.share_results, None
    )
    would_do = [
        degree
        for degree in ([ring_degree] if question.by_hand and ring_degree else []) + rest
        if any((each := _search(layout, degree, free)) and each.error <= question.tolerance for layout in layouts)
    ]
    advice = (
        f"take ring degree {would_do[0]} and let `plan` choose primes and scale"
        if would_do
        else "take fewer layers, smaller weights, a larger tolerance"
        + (", or do not share results" if question.share_results else "")
    )
    if not found:
        n_slots = (ring_degree or RING_DEGREES[-1]) // 2
        return f"layout: expected a question to fit the {n_slots} slots of a ciphertext, got a longer one; {advice}"
    nearest = min(found, key=lambda each: (each.error, each.score.overflow is None))
    where = f"ring degree {nearest.ring_degree}, layout {nearest.layout.name!r}"
    if nearest.score.candidates is not None:
        worst = max(nearest.score.shares, key=lambda source: nearest.score.shares[source])
        return (
            f"tolerance: expected an error of at most {question.tolerance:.1e}, got {nearest.error:.1e} in {where}; "
            f"most of it comes from {_name_source(worst, nearest.stages)}; {advice}"
        )
    if nearest.score.overflow is not None:
        bits = int(find_bits(nearest.rehearsal.bounds)[nearest.score.overflow])
        return (
            f"overflow: expected room for every value, but after {nearest.stages[nearest.score.overflow].operation} "
            f"values need {bits} bits on top of their scale, which the modulus has not in {where}; {advice}"
        )
    return (
        f"depth: expected primes for {nearest.layout.n_squares + 1} layers, but {where} has none left for "
        f"{nearest.stages[-1].operation}; {advice}"
    )


def _name_source(source: Source, stages: Sequence[Stage]) -> str:
    """Where noise comes from, in words."""
    origin, stage = source
    return {
        "encryption": "fresh encryption at too small a scale",
        "weights": f"encoding the weights of {stages[min(stage + 1, len(stages) - 1)].operation}",
        "weight": f"encoding the weights of {stages[min(stage + 1, len(stages) - 1)].operation}",
        "rounding": stages[stage].operation,
        "switching": f"switching keys after {stages[stage].operation}",
        "switching peak": f"switching keys after {stages[stage].operation}",
    }[origin]
