"""Audit of one private step: what it lets through, and whether its noise is what it says.

Two lines of evidence. The first assumes nothing about how the step works: a canary is added to crafted neighbours, a
test tells the outputs with it from those without it, and its error rates bound mu of Gaussian differential privacy from
below (Nasr et al., Adversary instantiation, S&P 2021, and Tight auditing, USENIX Security 2023). It sees most at little
noise, so it always runs at `TEST_NOISE_MULTIPLIER`. The second uses what is promised, a bounded sum plus independent
Gaussian noise, and is sharp at any noise: it checks the noise for size, shape and independence (`noise_check.py`), and
measures with nearly no noise how far any one unit moves the sum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from twinlab.attacks.confidence import CONFIDENCE, FALSE_ALARM_RATE, bound_mu, find_p_value
from twinlab.attacks.noise_check import check_noise, check_spread
from twinlab.attacks.promise import AuditReport, Check, PrivateStep, Privatizer
from twinlab.errors import TwinlabError
from twinlab.roles import Progress, report_nothing

#: Where the test that assumes nothing is strong: a correct step allows mu = 1 / 0.7 there.
TEST_NOISE_MULTIPLIER = 0.7
#: So little noise that what is left of the sum is its sensitivity.
PROBE_NOISE_MULTIPLIER = 1e-4
_HUGE = 1e3
_N_OTHERS = 8
#: Parameters of the membership tests, where the step takes any number of them.
_TEST_WIDTH = 500
#: Outputs kept whole hold about this many numbers in all, and are no more than this many.
_KEPT_NUMBERS, _MOST_KEPT = 200_000, 4000
_CHUNK_NUMBERS = 2_000_000
_TOLERANCE = 0.01


@dataclass(frozen=True)
class _Context:
    """Neighbours: the others (unit, parameter) and one canary (parameter,) that is in or not."""

    name: str
    others: np.ndarray
    canary: np.ndarray

    @property
    def joined(self) -> np.ndarray:
        return np.concatenate([self.others, self.canary[None]])

    def score(self, outputs: np.ndarray) -> np.ndarray:
        """(repeat, score): along the canary, along the others, and how much is left beside both."""
        along = _unit(self.canary)
        beside = self.others.sum(0)
        beside = _unit(beside - (beside @ along) * along)
        outputs = np.nan_to_num(outputs, nan=1e150, posinf=1e150, neginf=-1e150)
        first, second = outputs @ along, outputs @ beside
        rest = np.einsum("rp,rp->r", outputs, outputs) - first**2 - second**2
        return np.stack([first, second, rest], axis=1)


@dataclass(frozen=True)
class _Outputs:
    """What a step gave for one set of gradients: scores of every repeat, and the first few outputs whole."""

    scores: np.ndarray
    kept: np.ndarray


def audit_step(
    step: PrivateStep,
    noise_multiplier: float = TEST_NOISE_MULTIPLIER,
    *,
    n_repeats: int = 800,
    seed: int = 0,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    confidence: float = CONFIDENCE,
    progress: Progress = report_nothing,
) -> AuditReport:
    """Audit a private step on made-up gradients. Costs no privacy: nobody's data is read.

    Args:
      step: the step and its promise; public.
      noise_multiplier: at which it is really used; its noise is checked there as well.
      n_repeats: calls per set of gradients; with more, the bound comes nearer to the truth.
      seed: drives the audit's own choices, never the step's noise.
      false_alarm_rate: chance of calling a correct step broken.
      confidence: of the lower bound that is shown.
      progress: called as (what, done, total).

    Returns:
      A report on mu of one step at `TEST_NOISE_MULTIPLIER`: claimed, measured at least, and the most it could show.

    Raises:
      SpecificationError: if the step gives something of another shape than its promise.
    """
    rng = np.random.default_rng(seed)
    checks, bounds = _test_membership(step, n_repeats, confidence, rng, progress)
    loud = _collect_silent(step, TEST_NOISE_MULTIPLIER)
    checks += check_noise(loud / (TEST_NOISE_MULTIPLIER * step.clip_norm), f"noise {TEST_NOISE_MULTIPLIER:g}")
    if noise_multiplier != TEST_NOISE_MULTIPLIER:
        real = _collect_silent(step, noise_multiplier)
        checks += check_noise(real / (noise_multiplier * step.clip_norm), f"noise {noise_multiplier:g}")
    progress("auditing the step", len(bounds), len(bounds) + 1)
    probes, remarks = _probe_sensitivity(step, rng)
    privatize = step.make(TEST_NOISE_MULTIPLIER)
    checks += [*probes, *_probe_non_finite(step, privatize, loud), *_probe_nobody(step, privatize)]
    return AuditReport(
        name="step",
        quantity="mu of one step",
        claimed=1 / TEST_NOISE_MULTIPLIER,
        lower_bound=max(bound.at((1 - confidence) / len(bounds)) for bound in bounds),
        ceiling=bounds[0].most((1 - confidence) / len(bounds)),
        checks=tuple(checks),
        false_alarm_rate=false_alarm_rate,
        confidence=confidence,
        remarks=(
            f"Tested at noise multiplier {TEST_NOISE_MULTIPLIER:g}, where a leak shows best, on crafted neighbours; "
            "neighbours that nobody thought of are not covered.",
            *remarks,
        ),
    )


def _test_membership(
    step: PrivateStep, n_repeats: int, confidence: float, rng: np.random.Generator, progress: Progress
) -> tuple[list[Check], list[_Bound]]:
    """Tell outputs with a canary from those without, in each context."""
    if step.takes_any_width:
        # What a canary adds does not depend on how many coordinates stay empty; fewer of them are faster.
        step = replace(step, n_parameters=min(step.n_parameters, _TEST_WIDTH))
    contexts = _craft_contexts(step)
    claimed, share = 1 / TEST_NOISE_MULTIPLIER, len(contexts)
    privatize = step.make(TEST_NOISE_MULTIPLIER)
    silent = _collect(step, privatize, np.zeros_like(contexts[0].others), contexts, n_repeats)
    checks: list[Check] = []
    bounds = []
    for number, context in enumerate(contexts):
        progress("auditing the step", number, share + 1)
        is_silent = not context.others.any()
        without = silent[number] if is_silent else _collect_one(step, privatize, context.others, context, n_repeats)
        present = _collect_one(step, privatize, context.joined, context, n_repeats)
        bound = _Bound.of(without.scores, present.scores, rng)
        bounds.append(bound)
        p_value = min(1.0, share * find_p_value(bound.at, claimed))
        fault = f"A membership test tells one unit apart more often than mu {claimed:.3g} allows."
        checks.append(Check(f"mu, {context.name}", bound.at((1 - confidence) / share), claimed, p_value, fault))
        checks.append(_check_shift(without.scores[:, 0], present.scores[:, 0], step.clip_norm, context.name))
        checks += check_spread(present.kept / (TEST_NOISE_MULTIPLIER * step.clip_norm), context.name)
    return checks, bounds


def _craft_contexts(step: PrivateStep) -> list[_Context]:
    """Neighbours on which known faults show: each canary is far larger than may pass."""
    width, norm = step.n_parameters, step.clip_norm
    first = np.zeros(width)
    first[0] = norm
    silent = np.zeros((_N_OTHERS, width))
    return [
        _Context("huge canary among silent units", silent, _HUGE * first),
        _Context("huge canary in all coordinates", silent, np.full(width, _HUGE * norm / math.sqrt(width))),
        _Context("huge canary against the others", np.tile(first, (_N_OTHERS, 1)), -_HUGE * first),
    ]


def _count_kept(step: PrivateStep) -> int:
    """How many outputs to keep whole."""
    return min(_MOST_KEPT, max(48, _KEPT_NUMBERS // step.n_parameters))


def _collect_silent(step: PrivateStep, noise_multiplier: float) -> np.ndarray:
    """Outputs (call, parameter) on units that contribute nothing: by the promise, nothing but noise."""
    silent = np.zeros((_N_OTHERS, step.n_parameters))
    return np.concatenate(list(_repeat(step, step.make(noise_multiplier), silent, _count_kept(step))))


def _collect_one(
    step: PrivateStep, privatize: Privatizer, gradients: np.ndarray, context: _Context, n_repeats: int
) -> _Outputs:
    return _collect(step, privatize, gradients, [context], n_repeats)[0]


def _collect(
    step: PrivateStep, privatize: Privatizer, gradients: np.ndarray, contexts: list[_Context], n_repeats: int
) -> list[_Outputs]:
    """Repeat a step on the same gradients, and score its outputs for each context."""
    scores: list[list[np.ndarray]] = [[] for _ in contexts]
    kept: list[np.ndarray] = []
    n_left = _count_kept(step)
    for outputs in _repeat(step, privatize, gradients, n_repeats):
        for place, context in enumerate(contexts):
            scores[place].append(context.score(outputs))
        if n_left > 0:
            kept.append(outputs[:n_left])
            n_left -= len(kept[-1])
    whole = np.concatenate(kept)
    return [_Outputs(np.concatenate(parts), whole) for parts in scores]


def _repeat(step: PrivateStep, privatize: Privatizer, gradients: np.ndarray, n_repeats: int) -> Iterator[np.ndarray]:
    """Outputs (some repeats, parameter) of the same gradients, as noisy sums."""
    size = max(1, _CHUNK_NUMBERS // max(1, gradients.size))
    for start in range(0, n_repeats, size):
        n_now = min(size, n_repeats - start)
        if step.is_batched:
            many = np.repeat(gradients[None], n_now, axis=0)
            yield np.asarray(privatize(many), dtype=float) * step.divisor
        else:
            yield np.stack([step.call(privatize, gradients) for _ in range(n_now)])


class _Bound:
    """A membership test chosen on a third of the repeats, and its errors on the rest."""

    def __init__(self, n_false_alarms: int, n_misses: int, n_without: int, n_with: int) -> None:
        self._errors = (np.asarray(n_false_alarms), np.asarray(n_misses))
        self._sizes = (n_without, n_with)

    @classmethod
    def of(cls, without: np.ndarray, present: np.ndarray, rng: np.random.Generator) -> _Bound:
        """Choose score, side and threshold where they look best, then count errors where they were not chosen."""
        without, present = rng.permutation(without), rng.permutation(present)
        n_choose = len(without) // 3
        best, choice = -1.0, (0, 1.0, 0.0)
        for column in range(without.shape[1]):
            for sign in (1.0, -1.0):
                low, high = (sign * part[:n_choose, column] for part in (without, present))
                thresholds = np.quantile(np.concatenate([low, high]), np.linspace(0.01, 0.99, 99))
                false_alarms = len(low) - np.searchsorted(np.sort(low), thresholds)
                misses = np.searchsorted(np.sort(high), thresholds)
                bounds = bound_mu(false_alarms, misses, len(low), len(high), 0.05)
                place = int(bounds.argmax())
                if bounds[place] > best:
                    best, choice = float(bounds[place]), (column, sign, float(thresholds[place]))
        column, sign, threshold = choice
        low, high = (sign * part[n_choose:, column] for part in (without, present))
        return cls(int((low >= threshold).sum()), int((high < threshold).sum()), len(low), len(high))

    def at(self, level: float) -> float:
        """Lower bound on mu, wrong with probability at most `level`."""
        return float(bound_mu(*self._errors, *self._sizes, level))

    def most(self, level: float) -> float:
        """The bound of a test without errors."""
        return float(bound_mu(np.zeros(1), np.zeros(1), *self._sizes, level)[0])


def _check_shift(without: np.ndarray, present: np.ndarray, clip_norm: float, name: str) -> Check:
    """Whether the mean moves by more than the clip norm along the canary (normal by the promise, so a z-test)."""
    shift = abs(float(present.mean() - without.mean()))
    # At least the promised noise, so that a step with too little of it is not blamed twice by a lucky few calls.
    promised = TEST_NOISE_MULTIPLIER * clip_norm
    spread = math.hypot(
        max(promised, float(without.std())) / math.sqrt(len(without)),
        max(promised, float(present.std())) / math.sqrt(len(present)),
    )
    p_value = float(2 * ndtr(-(shift - clip_norm) / spread)) if shift > clip_norm else 1.0
    if not math.isfinite(shift):
        p_value = 0.0
    fault = "One unit moves the sum by more than the clip norm: clipping is missing or too loose."
    return Check(f"shift over clip norm, {name}", shift / clip_norm, 1.0, p_value, fault)


def _probe_sensitivity(step: PrivateStep, rng: np.random.Generator) -> tuple[list[Check], list[str]]:
    """Measure with nearly no noise how far one unit moves the sum, over many neighbours; no statistics needed."""
    try:
        privatize = step.make(PROBE_NOISE_MULTIPLIER)
        first = step.call(privatize, np.zeros((1, step.n_parameters)))
    except (TwinlabError, ValueError) as error:
        return [], [f"Sensitivity was not probed: the step refuses little noise ({type(error).__name__})."]
    promised = PROBE_NOISE_MULTIPLIER * step.clip_norm * math.sqrt(step.n_parameters)
    if np.linalg.norm(first) > 3 * promised + 6 * PROBE_NOISE_MULTIPLIER * step.clip_norm:
        return [], ["Sensitivity was not probed: the step's noise does not follow its noise multiplier."]
    worst, where = 0.0, ""
    for name, others, canary in _list_probes(step, rng):
        means = [
            np.mean([step.call(privatize, rows) for _ in range(3)], axis=0)
            for rows in (others, np.concatenate([others, canary[None]]))
        ]
        shift = float(np.linalg.norm(means[1] - means[0])) / step.clip_norm
        if not shift <= worst:
            worst, where = shift, name
    # Left-over noise adds its square to the square of the shift.
    most = math.sqrt((1 + _TOLERANCE) ** 2 + 2 * (promised / step.clip_norm) ** 2)
    fault = f"One unit moves the sum by {worst:.3g} clip norms ({where}); 1 is promised."
    return [Check("sensitivity over clip norm", worst, 1.0, float(worst <= most), fault)], []


def _list_probes(step: PrivateStep, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Neighbours of many sizes, scales and angles."""
    width, norm = step.n_parameters, step.clip_norm
    for n_others in (1, 2, 7, 32):
        for scale in (0.1, 1.0, 20.0):
            directions = rng.standard_normal((n_others, width))
            others = scale * norm * directions / np.linalg.norm(directions, axis=1, keepdims=True)
            mean, stray = _unit(others.sum(0)), _unit(rng.standard_normal(width))
            for way, direction in (("against", -mean), ("along", mean), ("across", stray)):
                size = float(rng.choice([0.9, 1.4, 3.0, 1e3, 1e6]))
                name = f"{n_others} units of {scale:g}, one {way} them of {size:g} clip norms"
                yield name, others, size * norm * direction


def _probe_non_finite(step: PrivateStep, privatize: Privatizer, silent: np.ndarray) -> list[Check]:
    """A unit whose gradient overflowed must not spoil the sum: that it did would betray the unit."""
    fault = "A unit with a non-finite gradient makes the whole step non-finite or stops it, which betrays the unit."
    others = np.zeros((_N_OTHERS, step.n_parameters))
    # A finite but unbounded answer betrays the unit as well: the noise alone never comes near this.
    limit = step.clip_norm + max(
        2 * float(np.linalg.norm(silent, axis=1).max()),
        TEST_NOISE_MULTIPLIER * step.clip_norm * (math.sqrt(step.n_parameters) + 12),
    )
    n_leaks = 0
    spoiled = (np.nan, np.inf, -np.inf, 1e200)
    for value in spoiled:
        for columns in (slice(0, 1), slice(None)):
            canary = np.zeros(step.n_parameters)
            canary[columns] = value
            try:
                with np.errstate(all="ignore"):
                    output = step.call(privatize, np.concatenate([others, canary[None]]))
                    n_leaks += not np.linalg.norm(output) <= limit
            except (ArithmeticError, ValueError, RuntimeError):
                n_leaks += 1
    return [Check("non-finite gradients that leak", float(n_leaks), 0.0, float(n_leaks == 0), fault)]


def _probe_nobody(step: PrivateStep, privatize: Privatizer) -> list[Check]:
    """A batch without units must give noise like any other: that it fails would betray that nobody was drawn."""
    fault = "A batch with nobody in it stops the step, so that a single unit more would be seen."
    try:
        with np.errstate(all="ignore"):
            output = step.call(privatize, np.zeros((0, step.n_parameters)))
        is_fine = bool(np.isfinite(output).all())
    except (ArithmeticError, ValueError, RuntimeError, IndexError):
        is_fine = False
    return [Check("empty batches that fail", float(not is_fine), 0.0, float(is_fine), fault)]


def _unit(vector: np.ndarray) -> np.ndarray:
    """The vector at length one, or zero where it is nothing but rounding."""
    length = np.linalg.norm(vector)
    return vector / length if length > 1e-9 else np.zeros_like(vector)
