"""Primes and scales for a program: all sensible ones at once, and the best of those that cannot overflow.

A candidate is a row of arrays. The frame of a program fixes how its scales hang together, so that few numbers are free:
a linear program has the scale of its input; a network has a working scale after each hidden layer, the length of
the first prime that is dropped, and the split between input and weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from twinlab.protection.homomorphic.noise import find_source_variances
from twinlab.protection.homomorphic.parameters import LONGEST_PRIME, RingParameters
from twinlab.protection.homomorphic.rehearsal import Rehearsal, Source
from twinlab.protection.homomorphic.schedule import Stage

#: Shorter primes are rare in large rings.
_SHORTEST = 28
#: A bit for the sign, and one of margin.
_GUARD_BITS = 2
#: Weights that are encoded with fewer bits are hardly weights.
_LEAST_WEIGHT_BITS = 6


@dataclass(frozen=True)
class Candidates:
    """Parameters side by side, one candidate a row; all int.

    Attributes:
      data_bits: (candidate, prime).
      special_bits: (candidate,); 0 without that prime.
      scale_bits, weight_bits: (candidate, stage).
    """

    data_bits: np.ndarray
    special_bits: np.ndarray
    scale_bits: np.ndarray
    weight_bits: np.ndarray

    def __len__(self) -> int:
        return len(self.special_bits)

    def take(self, chosen: np.ndarray) -> Candidates:
        """Some of them."""
        return Candidates(
            self.data_bits[chosen], self.special_bits[chosen], self.scale_bits[chosen], self.weight_bits[chosen]
        )

    def make_ring(self, number: int, ring_degree: int) -> RingParameters:
        """The ring of one."""
        special = (int(self.special_bits[number]),) if self.special_bits[number] else ()
        return RingParameters(ring_degree, (*map(int, self.data_bits[number]), *special))


@dataclass(frozen=True)
class Score:
    """The best candidate, or what stands in the way of all.

    Attributes:
      candidates: one, the best; none if nothing fits.
      deviation: of the noise in an answer.
      shares: by source, its share of the noise variance.
      overflow: the stage whose values fit least, if nothing fits; None if not even the primes fit.
    """

    candidates: Candidates | None
    deviation: float
    shares: dict[Source, float]
    overflow: int | None = None


def list_linear(ceiling: int, n_data_primes: int, *, needs_keys: bool, output_bits: int) -> Candidates:
    """Candidates of a program without squares: as much scale as the modulus bears, split between input and weights."""
    rows = []
    for bits in range(_SHORTEST, LONGEST_PRIME + 1):
        total = bits * n_data_primes
        special = 0
        if needs_keys:
            special = min(LONGEST_PRIME, ceiling - total)
        elif n_data_primes > 1:
            # SEAL sets the last prime aside even where no key is ever switched.
            special = _SHORTEST
        if total + special > ceiling or (special and special < _SHORTEST):
            continue
        room = total - _GUARD_BITS - output_bits
        for scale in range(10, min(room - _LEAST_WEIGHT_BITS, LONGEST_PRIME) + 1):
            weight = min(room - scale, LONGEST_PRIME)
            rows.append(([bits] * n_data_primes, special, [scale, scale + weight], [weight, 0]))
    return _collect(rows, n_data_primes, 2)


def list_network(ceiling: int, n_squares: int, *, bounds: Sequence[int], n_last: int = 1) -> Candidates:
    """Candidates of a program with squares.

    Args:
      ceiling: longest modulus.
      n_squares: squares one after the other.
      bounds: by stage, bits of the largest value.
      n_last: primes that are left for the answer.
    """
    if (n_squares + n_last + 2) * _SHORTEST > ceiling:
        return _collect([], n_squares + 1 + n_last, 3 * n_squares + 3)
    grids = (
        np.arange(30, LONGEST_PRIME + 1, 5),
        np.arange(30, LONGEST_PRIME + 1, 5),
        np.arange(_SHORTEST, LONGEST_PRIME + 1, 4),
        np.arange(18, LONGEST_PRIME + 1, 2),
        np.arange(-9, 10, 3),
        # Keys are switched with less noise if all primes are shorter than the special one; it costs depth to no avail
        # unless much precision is asked for.
        np.array([LONGEST_PRIME] if n_last == 1 else [LONGEST_PRIME, LONGEST_PRIME - 6, LONGEST_PRIME - 12]),
    )
    special, last, first, working, split, longest = (each.ravel() for each in np.meshgrid(*grids, indexing="ij"))
    middle = np.minimum(longest, (ceiling - special - n_last * last - first) // n_squares)
    # The answer fills what is left of the modulus, before the last rescaling as after it.
    output = n_last * last - _GUARD_BITS - max(bounds[-2:])
    readout = np.minimum(output + middle - 2 * working, LONGEST_PRIME)
    scale = (working + first + split) // 2
    weight = working + first - scale
    inner = readout if n_squares == 1 else middle - working
    zero = np.zeros_like(working)
    scales, weights = [scale, working + first, working], [weight, zero, zero]
    for layer in range(n_squares):
        now = readout if layer == n_squares - 1 else inner
        scales += [2 * working, 2 * working + now, 2 * working + now - middle]
        weights += [now, zero, zero]
    candidates = Candidates(
        np.stack([*[last] * n_last, *[middle] * n_squares, first], axis=1),
        special,
        np.stack(scales, axis=1),
        np.stack(weights, axis=1),
    )
    least = np.minimum.reduce([readout, inner, weight, scale])
    is_sound = (middle >= _SHORTEST) & (least >= _LEAST_WEIGHT_BITS) & (np.maximum(weight, scale) <= LONGEST_PRIME)
    return candidates.take(is_sound)


def fix_candidate(ring: RingParameters, stages: Sequence[Stage], scale: int) -> Candidates:
    """The one candidate in which everything is encoded at the same scale, as is done by hand."""
    bits, scales, weights = list(ring.data_bits), [scale], []
    for before, stage in pairwise(stages):
        weights.append(scale if stage.step == "multiply" else 0)
        if stage.step == "multiply":
            scales.append(scales[-1] + scale)
        elif stage.step == "square":
            scales.append(2 * scales[-1])
        else:
            scales.append(scales[-1] - bits[before.level])
    return _collect([(bits, ring.special_bits, scales, [*weights, 0])], len(bits), len(stages))


def choose_candidate(candidates: Candidates, rehearsal: Rehearsal, stages: Sequence[Stage], ring_degree: int) -> Score:
    """The candidate with the least noise of those in which no admitted value can wrap around."""
    if not len(candidates):
        return Score(None, math.inf, {})
    levels = [stage.level for stage in stages]
    room = np.cumsum(candidates.data_bits, axis=1)[:, levels] - _GUARD_BITS - find_bits(rehearsal.bounds)
    excess = candidates.scale_bits - room
    fits = (excess <= 0).all(1) & (candidates.scale_bits >= 1).all(1)
    if not fits.any():
        nearest = int(np.argmin(excess.max(1)))
        return Score(None, math.inf, {}, overflow=int(np.argmax(excess[nearest])))
    found = candidates.take(fits)
    sources = list(rehearsal.gains)
    variances = find_source_variances(
        sources,
        ring_degree,
        found.scale_bits.astype(float),
        found.weight_bits.astype(float),
        [level + 1 for level in levels],
        found.data_bits.astype(float),
        found.special_bits.astype(float),
    )
    parts = variances * np.array([rehearsal.gains[source] for source in sources])[:, None]
    best = int(np.argmin(parts.sum(0)))
    total = float(parts[:, best].sum())
    shares = {source: float(part) / total for source, part in zip(sources, parts[:, best], strict=True)}
    return Score(found.take(np.array([best])), math.sqrt(total), shares)


def find_bits(bounds: Sequence[float]) -> np.ndarray:
    """Bits before the point of the largest values; none for those below one."""
    return np.maximum(np.ceil(np.log2(np.maximum(bounds, 1e-30))), 0).astype(int)


def _collect(rows: Sequence[tuple[list[int], int, list[int], list[int]]], n_primes: int, n_stages: int) -> Candidates:
    return Candidates(
        np.array([row[0] for row in rows], dtype=int).reshape(-1, n_primes),
        np.array([row[1] for row in rows], dtype=int),
        np.array([row[2] for row in rows], dtype=int).reshape(-1, n_stages),
        np.array([row[3] for row in rows], dtype=int).reshape(-1, n_stages),
    )
