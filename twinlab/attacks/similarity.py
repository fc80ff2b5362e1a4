"""How like somebody is a nameless series? Differences between people count, differences between a person's days do not.

A series is a bag of repeated measurements, such as the days of a person, each a vector of features. A person's vectors
are spread around the person's own mean m by W, and the means of people are spread around everybody's mean by B, so of
n days the mean has the covariance B + W / n. How much likelier two means a and b are if they come from one person:

    log p(a, b | same) - log p(a) - log p(b),        a, b normal, Cov(a, b) = B

which is linear discriminant analysis that knows how many days it has. Each feature then counts by how much it tells of
a person, whatever its unit, and features that say the same count once.

Source: Prince and Elder, Probabilistic linear discriminant analysis for inferences about identity (ICCV 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twinlab.errors import DataContractError

#: Chosen on simulated people (seed 1000): how far covariances are drawn towards simpler ones, and the share of a day's
#: variance that does not average out, since people also change from one week to the next.
_SHRINK_WITHIN, _SHRINK_NAMELESS, _SHRINK_BETWEEN, _DRIFT = 0.1, 0.3, 0.1, 0.1
#: The mean of fewer series is more theirs than everybody's.
_LEAST_SERIES = 10
#: Among 10,000 people all pairs in double precision, a few times over, would take more memory than the scores do.
_ROWS_AT_ONCE = 512


@dataclass(frozen=True, repr=False)
class Summary:
    """What comparing series takes of them.

    Attributes:
      means: float (series, feature).
      spread: float (feature, feature), covariance of one measurement around its series' mean; None where no series has
        two.
      n_repeats: measurements a series, the harmonic mean over series.
    """

    means: np.ndarray
    spread: np.ndarray | None
    n_repeats: float

    def __repr__(self) -> str:
        return f"Summary({self.means.shape[0]} series x {self.means.shape[1]} features, {self.n_repeats:.1f} each)"


def summarize(samples: np.ndarray) -> Summary:
    """Means and spread of series.

    Args:
      samples: (series, repeat, feature). NaN where a feature is not known; a repeat without any is not there.

    Raises:
      DataContractError: if there is no series or the shape is another.
    """
    if samples.ndim != 3 or 0 in samples.shape:
        raise DataContractError(f"samples: expected (series, repeat, feature), none of them 0, got {samples.shape}")
    known = ~np.isnan(samples)
    counts = known.sum(axis=1)
    sums = np.where(known, samples, 0).sum(axis=1, dtype=float)
    n_all = np.maximum(counts.sum(axis=0), 1)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), sums.sum(axis=0) / n_all)
    n_repeats = np.maximum(known.any(axis=2).sum(axis=1), 1)
    dof = int((n_repeats - 1).sum())
    spread = None
    if dof:
        n_features = samples.shape[2]
        spread = np.zeros((n_features, n_features))
        for first in range(0, len(samples), 256):  # all at once would take a second copy of all samples
            part = slice(first, first + 256)
            rest = np.where(known[part], samples[part] - means[part, None], 0).reshape(-1, n_features)
            spread += rest.T @ rest
        spread /= dof
    return Summary(means, spread, float(1 / (1 / n_repeats).mean()))


def compare(
    named: Summary, nameless: Summary, reference: Summary | None = None, shrink_within: float = _SHRINK_WITHIN
) -> np.ndarray:
    """How much likelier each pair is one person's than two people's, as a logarithm.

    Args:
      named: series whose people the attacker knows.
      nameless: series to be named.
      reference: series of other people, two measurements or more of each, to learn from how people differ and how they
        vary. When None both are learned from the named series, and how noisy the nameless ones are from themselves.
      shrink_within: how far the spread within people is drawn towards features that vary apart; more where there are
        few people to learn it from, 0 to 1.

    Returns:
      float32 (nameless, named); all 0 where nothing tells people apart.

    Raises:
      DataContractError: if features differ in number or nothing tells how much a person varies.
    """
    learned = reference or named
    widths = {side.means.shape[1] for side in (named, nameless, learned)}
    if len(widths) > 1:
        raise DataContractError(f"series: expected the same features everywhere, got {sorted(widths)} of them")
    if learned.spread is None:
        raise DataContractError(
            "series: expected two measurements or more of somebody, to learn how much a person varies; give more days, "
            "or a reference of other people"
        )
    scale = _find_scale(learned)
    used = scale > 0
    if not used.any() or len(learned.means) < 2:
        return np.zeros((len(nameless.means), len(named.means)), dtype=np.float32)
    scale = scale[used]
    # Into the space where one measurement varies by 1 in every direction.
    within = (learned.spread[used][:, used] / scale / scale[:, None]) * (1 - shrink_within)
    whiten = np.linalg.inv(np.linalg.cholesky(within + shrink_within * np.eye(len(scale)))) / scale
    about = learned.means[:, used] @ whiten.T
    between, turn = np.linalg.eigh(np.atleast_2d(np.cov(about.T)) - np.eye(len(scale)) * _of_mean(learned.n_repeats))
    between = (1 - _SHRINK_BETWEEN) * np.maximum(between, 0) + _SHRINK_BETWEEN * max(float(between.mean()), 1e-3)
    whiten = turn.T @ whiten
    own = np.eye(len(scale))
    if reference is None and nameless.spread is not None:
        own = whiten @ nameless.spread[used][:, used] @ whiten.T
        own = (1 - _SHRINK_NAMELESS) * own + _SHRINK_NAMELESS * np.diag(np.diag(own))
    # Noise on one side moves all its series alike, so a side is seen from its own middle, if it has one.
    first, second = (
        (side.means - (side if len(side.means) >= _LEAST_SERIES else learned).means.mean(axis=0))[:, used] @ whiten.T
        for side in (named, nameless)
    )
    return _score(
        first, second, between, _of_mean(named.n_repeats), own / nameless.n_repeats + _DRIFT * np.eye(len(own))
    )


def _of_mean(n_repeats: float) -> float:
    """Variance of a mean of some measurements, in units of one's."""
    return 1 / n_repeats + _DRIFT


def _find_scale(learned: Summary) -> np.ndarray:
    """Spread of each feature within people, or a small share of that between them; 0 where everybody is the same."""
    assert learned.spread is not None
    scale: np.ndarray = np.maximum(np.sqrt(np.diag(learned.spread)), 1e-3 * learned.means.std(axis=0))
    scale[scale <= 1e-9 * np.abs(learned.means).max(axis=0)] = 0.0
    return scale


def _score(
    named: np.ndarray, nameless: np.ndarray, between: np.ndarray, named_noise: float, nameless_noise: np.ndarray
) -> np.ndarray:
    """log N(b; expected from a) - log N(b; of somebody), for all pairs; `between` is diagonal here."""
    gain = between / (between + named_noise)
    of_anybody = np.diag(between) + nameless_noise
    of_same = of_anybody - np.diag(gain * between)
    expected, precision = named * gain, np.linalg.inv(of_same)
    one, two = expected @ precision, nameless @ np.linalg.inv(of_anybody)
    constant = 0.5 * float(np.linalg.slogdet(of_anybody)[1] - np.linalg.slogdet(of_same)[1])
    alone = ((two - nameless @ precision) * nameless).sum(axis=1)
    theirs = (one * expected).sum(axis=1)
    scores = np.empty((len(nameless), len(named)), dtype=np.float32)
    for first in range(0, len(nameless), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        scores[part] = 0.5 * (alone[part, None] - theirs) + constant + nameless[part] @ one.T
    return scores
