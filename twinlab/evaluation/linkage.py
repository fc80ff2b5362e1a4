"""How many people an attacker named rightly. The truth stays here; an attack never sees it.

Three questions, since one number flatters somebody: how often the first name is right when the person is surely among
those known (closed world); how often when it need not be, and a stranger may be named falsely once in twenty (open
world); and how often a few known readings leave one person only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, gammaln, log_ndtr
from scipy.stats import beta

from twinlab.errors import DataContractError
from twinlab.finding import Finding
from twinlab.threat import Claims

_LEVEL = 0.05
_INTERVAL_KIND = "95 % Clopper-Pearson over people"
_STRANGERS_NAMED = 0.05
_N_SHUFFLES, _N_DRAWS = 50, 400


def measure_linkage(claims: Claims, truth: np.ndarray, name: str = "linkage_top_1", seed: int = 0) -> Finding:
    """Share of targets whose right candidate comes first, beside a blind guess.

    Args:
      claims: scores (target, candidate).
      truth: int (target,), the right candidate, -1 where it is not among them; private.
      name: of the finding.
      seed: of the shuffles; public.

    Returns:
      The finding's control holds the same claims against identities that were shuffled. Its table has one row:
      targets, candidates, top_1, top_5, expected_rank, named_open_world (share of targets whose right candidate comes
      first with a score that strangers reach once in twenty times), strangers, chance, and top_1's low and high.

    Raises:
      DataContractError: if shapes do not fit or no target is among the candidates.
    """
    ranks = _Ranks.of(claims, truth)
    n_candidates, n_targets = claims.scores.shape[1], len(ranks.above)
    chance = 1 / n_candidates
    top_1, top_5 = ranks.share_within(1), ranks.share_within(5)
    low, high = bound_share(top_1 * n_targets, n_targets)
    rank = float((1 + ranks.above + ranks.equal / 2).mean())
    threshold = float(np.quantile(ranks.strangers, 1 - _STRANGERS_NAMED))
    in_open = float(((ranks.own > threshold) & (ranks.above + ranks.equal == 0)).mean())
    row = {
        "targets": n_targets,
        "candidates": n_candidates,
        "top_1": top_1,
        "low": low,
        "high": high,
        "top_5": top_5,
        "expected_rank": rank,
        "named_open_world": in_open,
        "strangers": len(ranks.strangers),
        "chance": chance,
    }
    return Finding(
        name=name,
        value=top_1,
        interval=(low, high),
        interval_kind=_INTERVAL_KIND,
        baseline=chance,
        baseline_name="a blind guess",
        control=_shuffle_truth(claims, truth, seed),
        sentence=(
            f"By {claims.method or 'an attack'}, {top_1:.0%} of {n_targets} people are named rightly at the first try "
            f"among {n_candidates} (95 % interval {low:.0%} to {high:.0%}), {top_5:.0%} within five; a blind guess "
            f"names {chance:.1%}. If one stranger in twenty may be named falsely, {in_open:.0%} are still named."
        ),
        table=(row,),
    )


def measure_uniqueness(claims: Mapping[int, Claims], truth: np.ndarray) -> Finding:
    """Share of people whom some known readings single out: theirs is the only series that fits them all.

    Args:
      claims: by number of readings, scores (person, series) that are 1 where all fit, from `attack_by_points`.
      truth: int (person,), the right series, -1 where the person is not among them; private.

    Returns:
      About the most readings. The table has a row per number: n_points, singled_out, low, high, fits (series that fit,
      mean over people), named_wrongly (another's series is the only one that fits), people. The control is the share of
      people who seem to be singled out when their own series is not there.

    Raises:
      DataContractError: if shapes do not fit or nobody is among the series.
    """
    if not claims:
        raise DataContractError("uniqueness: expected claims for at least one number of readings, got none")
    rows = []
    for n_points, each in sorted(claims.items()):
        _check(each, truth)
        present = np.flatnonzero(truth >= 0)
        fits = each.scores[present] >= 1
        own = fits[np.arange(len(present)), truth[present]]
        n_fits = fits.sum(axis=1)
        alone = (n_fits == 1) & own
        low, high = bound_share(int(alone.sum()), len(present))
        rows.append(
            {
                "n_points": n_points,
                "singled_out": float(alone.mean()),
                "low": low,
                "high": high,
                "fits": float(n_fits.mean()),
                "named_wrongly": float(((n_fits == 1) & ~own).mean()),
                "without_their_own": float((n_fits - own == 1).mean()),
                "people": len(present),
            }
        )
    last = rows[-1]
    return Finding(
        name="singled_out",
        value=float(last["singled_out"]),
        interval=(float(last["low"]), float(last["high"])),
        interval_kind=_INTERVAL_KIND,
        baseline=0.0,
        baseline_name="knowing nothing",
        control=float(last["without_their_own"]),
        sentence=(
            f"{last['n_points']} known readings single out {last['singled_out']:.0%} of {last['people']} people (95 % "
            f"interval {last['low']:.0%} to {last['high']:.0%}); on average {last['fits']:.1f} series fit them."
        ),
        table=tuple(rows),
    )


def extrapolate_linkage(
    claims: Claims, truth: np.ndarray, sizes: Sequence[int], seed: int = 0
) -> list[dict[str, float | int | bool]]:
    """Top-1 among more candidates than were there, or fewer, if the people were as alike as these.

    Each target has a chance p that a stranger fits better than the right candidate, so among n candidates it comes
    first with (1 - p)^(n - 1). Among fewer the mean of that is counted, not fitted. Beyond, it depends on targets whose
    p is too small to see, and two laws with two parameters each guess at them. One has p Beta distributed over people,
    and top-1 falls slowly, as a power of n; the other has p a normal probability of a normal number, and it falls
    faster. Both take it that some people are much easier to find than others: p near 0 is never rare (a first parameter
    of at most 1), the normal number has a spread of at least 1/2. Either law says by which factor top-1 falls below
    what was counted among all, since neither meets that exactly. The number given is the mean of both; its interval
    reaches from the lower end of one to the upper end of the other, and is wide far out, as it should be.
    Compare Rocher, Hendrickx and de Montjoye, "A scaling law to model the effectiveness of identification techniques"
    (Nature Communications 16, 2025), who find that two parameters carry far. Half a target that one stranger beats
    keeps a perfect result from promising perfection.

    Args:
      claims: scores (target, candidate).
      truth: int (target,); private.
      sizes: numbers of candidates, 2 or more; public.
      seed: of the bootstrap over targets; public.

    Returns:
      For each size a row n_people, top_1, low, high (90 % bootstrap over targets, beyond those there are of both laws),
      chance, extrapolated.

    Raises:
      DataContractError: if shapes do not fit, no target is among the candidates, or there are fewer than two.
    """
    ranks = _Ranks.of(claims, truth)
    n_others = claims.scores.shape[1] - 1
    if n_others < 1 or min(sizes, default=2) < 2:
        raise DataContractError("sizes: expected 2 candidates or more, in the claims and in each size")
    beaten = np.round(ranks.above + ranks.equal / 2).astype(int)
    counts = np.bincount(beaten, minlength=n_others + 1).astype(float)
    draws = np.random.default_rng(seed).multinomial(len(beaten), counts / counts.sum(), size=_N_DRAWS)
    weights = np.concatenate([counts[None], draws])
    laws = _fit_laws(weights, n_others) if max(sizes, default=2) - 1 > n_others else []

    def count(size: int) -> np.ndarray:
        shares: np.ndarray = weights @ _chance_of_being_first(n_others, size) / len(beaten)
        return shares

    here = count(n_others + 1)
    rows: list[dict[str, float | int | bool]] = []
    for size in sizes:
        beyond = size - 1 > n_others
        tops = [here * law(size) / np.maximum(law(n_others + 1), 1e-300) for law in laws] if beyond else [count(size)]
        ends = np.quantile([top[1:] for top in tops], (0.05, 0.95), axis=1)
        row = {"n_people": int(size), "top_1": float(np.mean([top[0] for top in tops]))}
        row |= {"low": float(ends[0].min()), "high": float(ends[1].max())}
        rows.append({**row, "chance": 1 / size, "extrapolated": beyond})
    return rows


def bound_share(n_right: float, n_trials: int) -> tuple[float, float]:
    """95 % Clopper-Pearson interval of a share; ties may count in part.

    >>> [round(end, 3) for end in bound_share(0, 10)]
    [0.0, 0.308]
    """
    low = float(beta.ppf(_LEVEL / 2, n_right, n_trials - n_right + 1)) if n_right > 0 else 0.0
    high = float(beta.ppf(1 - _LEVEL / 2, n_right + 1, n_trials - n_right)) if n_right < n_trials else 1.0
    return low, high


@dataclass(frozen=True, repr=False)
class _Ranks:
    """Of each target that is among the candidates: how many others fit better and as well, its own score; and the best
    score of a stranger, once a target, with the right candidate taken away where there is one."""

    above: np.ndarray
    equal: np.ndarray
    own: np.ndarray
    strangers: np.ndarray

    @staticmethod
    def of(claims: Claims, truth: np.ndarray) -> _Ranks:
        _check(claims, truth)
        above, equal, own, strangers = [], [], [], []
        for scores, right in zip(claims.scores, truth, strict=True):
            if right < 0:
                strangers.append(scores.max())
                continue
            others = np.delete(scores, right)
            above.append((others > scores[right]).sum())
            equal.append((others == scores[right]).sum())
            own.append(scores[right])
            strangers.append(others.max(initial=-np.inf))
        return _Ranks(*(np.array(each, dtype=float) for each in (above, equal, own, strangers)))

    def share_within(self, n_tries: int) -> float:
        """Share of targets whose right candidate is among the first; ties are drawn by lot."""
        return float(np.clip((n_tries - self.above) / (self.equal + 1), 0, 1).mean())


def _check(claims: Claims, truth: np.ndarray) -> None:
    """Refuse what cannot be compared; the message holds shapes only."""
    scores = claims.scores
    if scores.ndim != 2 or scores.shape[1] < 1 or np.shape(truth) != scores.shape[:1]:
        raise DataContractError(
            f"linkage: expected scores (target, candidate) and truth (target,), got {scores.shape} and "
            f"{np.shape(truth)}"
        )
    if not np.isfinite(scores).all():
        raise DataContractError("linkage: expected finite scores; some are NaN or infinite")
    if (truth >= scores.shape[1]).any() or not (truth >= 0).any():
        raise DataContractError(
            f"linkage: expected candidates below {scores.shape[1]}, -1 for somebody who is not there, and at least one "
            "who is"
        )


def _shuffle_truth(claims: Claims, truth: np.ndarray, seed: int) -> float:
    """Mean top-1 where the right candidates are dealt anew among the targets."""
    present = np.flatnonzero(truth >= 0)
    scores = claims.scores if len(present) == len(truth) else claims.scores[present]  # a copy takes as much again
    best = scores.max(axis=1)
    n_best = (scores == best[:, None]).sum(axis=1)
    rng = np.random.default_rng(seed)
    found = [
        ((scores[np.arange(len(present)), rng.permutation(truth[present])] == best) / n_best).mean()
        for _ in range(_N_SHUFFLES)
    ]
    return float(np.mean(found))


def _chance_of_being_first(n_others: int, size: int) -> np.ndarray:
    """(beaten,) chance that none of those who fit better is among the others of a smaller group."""
    beaten = np.arange(n_others + 1)
    kept = size - 1
    room = np.maximum(n_others - beaten - kept, 0)
    chance = gammaln(n_others - beaten + 1) - gammaln(room + 1) - gammaln(n_others + 1) + gammaln(n_others - kept + 1)
    return np.where(beaten <= n_others - kept, np.exp(chance), 0.0)


def _fit_laws(weights: np.ndarray, n_others: int) -> list[Callable[[int], np.ndarray]]:
    """Both laws, each fitted to all draws (draw, beaten) by largest likelihood on a grid: size -> top-1 (draw,)."""
    # Their limits were chosen on simulated people (seeds 5 and 6), by what 150 to 180 of them say of 900.
    weights = weights.copy()
    weights[:, 1] += 0.5
    beaten = np.flatnonzero(weights.any(axis=0))
    weights = weights[:, beaten]
    first, second = (each.ravel()[:, None] for each in np.meshgrid(np.logspace(-3, 0, 49), np.logspace(-2, 5, 85)))
    likely = betaln(first + beaten, second + n_others - beaten) - betaln(first, second)
    best = (weights @ likely.T).argmax(axis=1)
    own = first[best, 0], second[best, 0]
    # The same for p = Phi(-(middle + width z)), z standard normal: the integral over z by Gauss and Hermite.
    nodes, share = np.polynomial.hermite_e.hermegauss(31)
    share = share / share.sum()
    middle, width = (each.ravel()[:, None] for each in np.meshgrid(np.linspace(-1, 8, 73), np.linspace(0.5, 5, 37)))
    log_p, log_rest = log_ndtr(-(middle + width * nodes)), log_ndtr(middle + width * nodes)
    normal = np.stack([np.exp(n * log_p + (n_others - n) * log_rest) @ share for n in beaten.tolist()], axis=1)
    ways = gammaln(n_others + 1) - gammaln(beaten + 1) - gammaln(n_others - beaten + 1)
    likely = np.log(np.maximum(normal, 1e-300)) + ways
    chosen = (weights @ likely.T).argmax(axis=1)
    return [
        lambda size: np.exp(betaln(own[0], own[1] + size - 1) - betaln(*own)),
        lambda size: np.exp((size - 1) * log_rest[chosen]) @ share,
    ]
