"""Audit of a whole training from a single run, with many canaries at once.

Each canary is in the run with probability one half, on a coordinate of its own, so that canaries do not disturb each
other; its score is what piled up there. Whoever guesses who was in from the scores cannot be right too often if the
training is private. Three bounds read the same scores:

- Steinke, Nasr and Jagielski, Privacy auditing with one training run, NeurIPS 2023, theorem 5.2: assumes nothing.
- Mahloujifar, Melis and Chaudhuri, Auditing f-differential privacy in one run, 2024, algorithm 3: stronger, and takes
  for granted that the trade-off of the two error rates is that of a Gaussian mechanism.
- Gaussian scores: nearly tight, and takes for granted that the scores themselves are normal with one spread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import bdtr, bdtrc, gammaincinv, ndtr, ndtri, stdtrit

from twinlab.attacks.confidence import CONFIDENCE, FALSE_ALARM_RATE, epsilon_of_gaussian, find_p_value, mu_of_gaussian
from twinlab.attacks.promise import AuditReport, Check, PrivateStep, Sampler, read_gaussian
from twinlab.budget import Event, count_leaves
from twinlab.errors import SpecificationError
from twinlab.roles import Progress, report_nothing

#: Shares of the canaries that are guessed, half "in" and half "out"; the others are passed over.
GUESSED_SHARES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
#: A canary's gradient over the clip norm: far outside it, so that missing clipping shows.
_CANARY_SIZE = 5.0
#: Numbers that all gradients of a run may hold together: about a second of clipping.
_RUN_NUMBERS = 3e7
_MOST_EPSILON, _MOST_MU = 60.0, 20.0
#: What each bound takes for granted, and where it comes from; the weakest assumption first.
_SOURCES = {
    "any mechanism": "Steinke et al. 2023",
    "Gaussian trade-off": "Mahloujifar et al. 2024",
    "Gaussian scores": "normal scores, t and chi-square",
}


@dataclass(frozen=True)
class CanaryScores:
    """What an attacker has after one run.

    Attributes:
      scores: (canary,), higher for canaries that look as if they were in.
      included: (canary,) booleans, the truth, drawn by fair coins that the training did not see.
    """

    scores: np.ndarray
    included: np.ndarray

    def __post_init__(self) -> None:
        if self.scores.shape != self.included.shape or self.scores.ndim != 1 or self.included.dtype != bool:
            raise SpecificationError(
                f"canaries: expected (canary,) numbers and booleans, got {self.scores.shape} and {self.included.shape} "
                f"of {self.included.dtype}"
            )
        if len(self.scores) < 100:
            raise SpecificationError(f"canaries: expected at least 100, got {len(self.scores)}; fewer show nothing")

    def list_guesses(self) -> list[tuple[int, int]]:
        """Number of guesses and of right ones for each share; who is guessed follows from the scores alone."""
        order = np.argsort(-self.scores, kind="stable")
        counts = []
        for n_sides in _count_sides(len(order)):
            first, last = order[:n_sides], order[-n_sides:]
            n_right = int(self.included[first].sum() + (~self.included[last]).sum())
            counts.append((2 * n_sides, n_right))
        return counts


def run_canaries(
    step: PrivateStep,
    event: Event,
    sample: Sampler | None = None,
    *,
    n_canaries: int | None = None,
    seed: int = 0,
    progress: Progress = report_nothing,
) -> CanaryScores:
    """Run a whole training on nothing but canaries. Nobody's data is read.

    Args:
      step: the private step; needs `takes_any_width`, or as many parameters as canaries are wanted.
      event: the whole training: Gaussian steps, sampled or not, in any composition.
      sample: who is in each batch; independent coins at the declared probability when None.
      n_canaries: how many; with more, the audit can show more. When None, from 400 to 1000, the fewer the more steps.
      seed: draws who is in, and the audit's own coins; never the step's noise.
      progress: called as (what, done, total).
    """
    rng = np.random.default_rng(seed)
    if n_canaries is None:
        n_canaries = _choose_n_canaries(event)
    if not step.takes_any_width:
        n_canaries = min(n_canaries, step.n_parameters)
    included = rng.random(n_canaries) < 0.5
    present = np.flatnonzero(included)
    rows = np.zeros((len(present), n_canaries))
    rows[np.arange(len(present)), present] = _CANARY_SIZE * step.clip_norm
    narrow = replace(step, n_parameters=n_canaries)
    scores = np.zeros(n_canaries)
    counts = count_leaves(event)
    n_done, n_all = 0, sum(counts.values())
    for leaf, n_steps in counts.items():
        noise_multiplier, probability = read_gaussian(leaf)
        privatize = step.make(noise_multiplier)
        for _ in range(n_steps):
            drawn = rows[_draw_present(len(rows), probability, sample, rng)]
            # A step tells the more, the less noise it has: this weight is the best one for the sum.
            scores += narrow.call(privatize, drawn) / noise_multiplier**2
            if n_done % 20 == 0:
                progress("auditing a whole run", n_done, n_all)
            n_done += 1
    return CanaryScores(np.nan_to_num(scores, nan=1e150, posinf=1e150, neginf=-1e150), included)


def audit_one_run(
    canaries: CanaryScores,
    claimed_epsilon: float,
    delta: float,
    *,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    confidence: float = CONFIDENCE,
) -> AuditReport:
    """Bound epsilon of a training from below, from the scores of one run.

    Args:
      canaries: scores and who was in.
      claimed_epsilon, delta: what was promised of the whole training, per canary's unit, add or remove one.
      false_alarm_rate: chance of calling a correct training broken.
      confidence: of the bounds that are shown; split over them.

    Returns:
      A report on epsilon. Its bound and ceiling are the larger of the two methods that need no normal scores; its rows
      hold all three, each with what it takes for granted.
    """
    level, names = (1 - confidence) / 3, list(_SOURCES)
    guesses = canaries.list_guesses()
    perfect = [(n_guesses, n_guesses) for n_guesses, _ in guesses]
    n_canaries = len(canaries.scores)
    bounds = _bound_guesses(n_canaries, guesses, delta, level)
    bounds.append(epsilon_of_gaussian(bound_mu_of_scores(canaries, level), delta))
    ceilings = [*_bound_guesses(n_canaries, perfect, delta, level), math.inf]
    p_values = _find_p_values(canaries, guesses, claimed_epsilon, delta)
    fault = f"Who was in a run is guessed more often than epsilon {claimed_epsilon:.3g} allows."
    return AuditReport(
        name="one run",
        quantity="epsilon",
        claimed=claimed_epsilon,
        lower_bound=max(bounds[:2]),
        ceiling=max(ceilings[:2]),
        checks=tuple(
            Check(f"epsilon, {name}", bound, claimed_epsilon, p_value, fault)
            for name, bound, p_value in zip(names, bounds, p_values, strict=True)
        ),
        false_alarm_rate=false_alarm_rate,
        confidence=confidence,
        remarks=(
            f"{n_canaries} canaries on coordinates of their own, in one run.",
            "Noise that is the same in every step is out of sight here; the step audit sees it.",
        ),
        rows=tuple(
            {"takes for granted": name, "source": _SOURCES[name], "lower_bound": bound, "ceiling": ceiling}
            for name, bound, ceiling in zip(names, bounds, ceilings, strict=True)
        ),
    )


def _bound_guesses(n_canaries: int, guesses: list[tuple[int, int]], delta: float, level: float) -> list[float]:
    """Bounds on epsilon by the two methods that read guesses."""
    return [
        bound_epsilon(n_canaries, guesses, delta, level),
        epsilon_of_gaussian(bound_mu_of_run(n_canaries, guesses, level), delta),
    ]


def _find_p_values(
    canaries: CanaryScores, guesses: list[tuple[int, int]], claimed_epsilon: float, delta: float
) -> list[float]:
    """How unlikely the scores are under the claim, by each method."""
    n_canaries, claimed_mu = len(canaries.scores), mu_of_gaussian(claimed_epsilon, delta)
    least = min(find_guess_p_value(n_canaries, *pair, claimed_epsilon, delta) for pair in guesses)
    return [
        min(1.0, len(guesses) * least),
        _find_run_p_value(n_canaries, guesses, claimed_mu),
        find_p_value(lambda level: bound_mu_of_scores(canaries, level), claimed_mu),
    ]


def find_guess_p_value(n_canaries: int, n_guesses: int, n_right: int, epsilon: float, delta: float) -> float:
    """Chance of so many right guesses against any mechanism with this epsilon and delta (Steinke et al., theorem 5.2).

    With delta 0, right guesses are at most as many as independent coins with probability e^epsilon / (1 + e^epsilon)
    give. With delta, the steepest average of the mass just below counts 2 * delta * canaries times.

    >>> round(find_guess_p_value(100, 10, 10, 0.0, 0.0) * 2**10, 6)
    1.0
    """
    if n_right <= 0:
        return 1.0
    coin = 1 / (1 + math.exp(-epsilon))
    reached = float(bdtrc(n_right - 1, n_guesses, coin))
    if delta == 0:
        return reached
    # P(n_right - i <= right < n_right) for i = 1 ... n_right.
    below = float(bdtr(n_right - 1, n_guesses, coin)) - np.append(
        bdtr(np.arange(n_right - 2, -1, -1), n_guesses, coin), 0.0
    )
    steepest = float((below / np.arange(1, n_right + 1)).max())
    return min(1.0, reached + 2 * n_canaries * delta * max(steepest, 0.0))


def bound_epsilon(n_canaries: int, guesses: list[tuple[int, int]], delta: float, level: float) -> float:
    """Lower bound on epsilon from guesses at several shares, wrong with probability at most `level` over all."""
    share = level / len(guesses)
    best = 0.0
    for n_guesses, n_right in guesses:
        low, high = 0.0, _MOST_EPSILON
        if find_guess_p_value(n_canaries, n_guesses, n_right, best, delta) > share:
            continue
        for _ in range(40):
            middle = (low + high) / 2
            is_refuted = find_guess_p_value(n_canaries, n_guesses, n_right, middle, delta) <= share
            low, high = (middle, high) if is_refuted else (low, middle)
        best = max(best, low)
    return best


def is_run_refuted(
    n_canaries: int, n_guesses: int, n_right: int, mu: np.ndarray | float, level: np.ndarray | float
) -> np.ndarray:
    """Whether mu-GDP makes so many right guesses less likely than a level (Mahloujifar et al., algorithm 3).

    Suppose they had just that chance. With r(i) and h(i) the shares of canaries guessed right and wrong in runs with at
    least i right ones, changing one canary's coin turns a right guess into a wrong one, so r(i + 1) is at most the
    trade-off of h(i). From the top down this forces mass into every count below; more mass than there is refutes.

    Args:
      n_canaries, n_guesses, n_right: what happened.
      mu: hypotheses, of any shape that broadcasts with the levels.
      level: probabilities.
    """
    mu, level = np.broadcast_arrays(np.asarray(mu, dtype=float), np.asarray(level, dtype=float))
    right = level * n_right / n_canaries
    wrong = level * (n_guesses - n_right) / n_canaries
    for count in range(n_right - 1, -1, -1):
        # The inverse of x -> 1 - f(x) for the Gaussian trade-off f; a share above 1 is refuted below in any case.
        least = np.maximum(wrong, ndtr(ndtri(np.minimum(right, 1.0)) - mu))
        right = right + count / (n_guesses - count) * (least - wrong)
        wrong = least
    return right + wrong > n_guesses / n_canaries * (1 + 1e-12)


def bound_mu_of_run(n_canaries: int, guesses: list[tuple[int, int]], level: float) -> float:
    """Lower bound on mu from guesses at several shares, wrong with probability at most `level` over all."""
    share, best = level / len(guesses), 0.0
    for n_guesses, n_right in guesses:
        low, high = 0.0, _MOST_MU
        # Each pass narrows the interval between the last refuted mu and the next by 40.
        for _ in range(3):
            grid = np.linspace(low, high, 41)
            n_refuted = int(is_run_refuted(n_canaries, n_guesses, n_right, grid, share).sum())
            if n_refuted == 0:
                break
            low, high = float(grid[n_refuted - 1]), float(grid[min(n_refuted, len(grid) - 1)])
        best = max(best, low)
    return best


def bound_mu_of_scores(canaries: CanaryScores, level: float) -> float:
    """Lower bound on mu if scores are normal with one spread: least difference of means over largest spread."""
    groups = canaries.scores[canaries.included], canaries.scores[~canaries.included]
    sizes = [len(group) for group in groups]
    if min(sizes) < 20:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        spreads = [float(group.std(ddof=1)) for group in groups]
        gap = float(groups[0].mean() - groups[1].mean())
    if not (math.isfinite(gap) and all(map(math.isfinite, spreads))):
        return _MOST_MU
    errors = math.hypot(*(spread / math.sqrt(size) for spread, size in zip(spreads, sizes, strict=True)))
    # Half of the level for the difference, a quarter for each spread; the larger spread stands for both.
    least = gap + float(stdtrit(min(sizes) - 1, level / 2)) * errors
    largest = max(
        spread * math.sqrt((size - 1) / (2 * float(gammaincinv((size - 1) / 2, level / 4))))
        for spread, size in zip(spreads, sizes, strict=True)
    )
    if least <= 0:
        return 0.0
    return min(least / largest, _MOST_MU) if largest > 0 else _MOST_MU


def _find_run_p_value(n_canaries: int, guesses: list[tuple[int, int]], mu: float) -> float:
    """The least level of a grid at which mu is refuted, times the number of shares."""
    levels = np.logspace(-14, 0, 113)
    best = 1.0
    for n_guesses, n_right in guesses:
        refuted = levels[is_run_refuted(n_canaries, n_guesses, n_right, mu, levels)]
        best = min(best, float(refuted.min()) if refuted.size else 1.0)
    return min(1.0, best * len(guesses))


def _choose_n_canaries(event: Event) -> int:
    """As many as keep the gradients of a whole run, half the canaries squared per step, within bounds."""
    n_full_steps = max(1.0, sum(n_steps * read_gaussian(leaf)[1] for leaf, n_steps in count_leaves(event).items()))
    return int(min(1000, max(400, math.sqrt(2 * _RUN_NUMBERS / n_full_steps))))


def _draw_present(
    n_present: int, probability: float, sample: Sampler | None, rng: np.random.Generator
) -> np.ndarray | slice:
    """Which canaries are in a batch."""
    if probability >= 1:
        return slice(None)
    return rng.random(n_present) < probability if sample is None else np.asarray(sample(n_present), dtype=bool)


def _count_sides(n_canaries: int) -> Iterator[int]:
    """Guesses on each side for each share."""
    for share in GUESSED_SHARES:
        yield max(1, int(share * n_canaries / 2))
