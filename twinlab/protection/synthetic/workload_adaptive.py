"""Workload-adaptive marginals: what is asked for most and known least is measured next.

The workload is the marginals that a table should agree on, all pairs of attributes unless told otherwise. The bins of
each attribute are measured first. They tell how many people there are, and so how many marginals can be measured
before noise drowns them. If that is the whole workload, it is measured at once. Otherwise marginals are chosen
privately, in rounds, by how far the population made so far is from the table on them, beyond what noise would add.

Source of the idea: McKenna, Mullins, Sheldon and Miklau, AIM: an adaptive and iterative mechanism for differentially
private synthetic data, VLDB 2022. Here noisy counts are made likelier before use (`shrinkage`), from independence or
from what a tree of the other pairs foretells, and the model is a population of weighted rows (`population`) where AIM's
is a graphical model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd

from twinlab.budget import ComposedEvent, GaussianEvent
from twinlab.errors import SpecificationError
from twinlab.protection.synthetic.domain import Domain, check_synthesis
from twinlab.protection.synthetic.grid_noise import (
    GRID_STEPS,
    RandomSource,
    add_gaussian,
    choose_privately,
    find_choice_epsilon,
    split_noise,
)
from twinlab.protection.synthetic.marginal import Places, WeightedTable, name_marginal, weigh_table
from twinlab.protection.synthetic.network import chain_pairs, choose_network, draw_network, find_tree, fit_tables
from twinlab.protection.synthetic.population import draw_rows, rake_rows
from twinlab.protection.synthetic.shrinkage import combine_bins, expect_independent, make_axis, shrink_counts
from twinlab.protection.synthetic.synthetic_table import SyntheticTable, label_rows

#: Of the whole budget: the bins; the rest goes to marginals, and this share of the rest to choosing them, if need be.
_BINS, _CHOICE = 0.15, 0.12
#: Noise may misplace so many people of each marginal, as a share, before fewer marginals are measured.
_MOST_NOISE = 0.5
_N_ROUNDS = 4
#: Weighted rows behind each synthetic one, within limits.
_ROWS_PER_ROW, _LEAST_ROWS, _MOST_ROWS = 2, 5_000, 60_000
_MEAN_OF_NORMAL = math.sqrt(2 / math.pi)
#: Of the noise in counts, what is left in likelier ones, roughly; it only weighs choices.
_NOISE_LEFT = 0.3
_MOST_CELLS = 2**20


@dataclass(frozen=True)
class WorkloadSynthesizer:
    """Makes synthetic tables that agree on a workload of marginals.

    Attributes:
      domain: what a table may hold, and whose presence is hidden; public.
      noise_multiplier: of everything together: the whole costs as much as one Gaussian event with it. Public.
      n_rows: synthetic rows; public.
      workload: how much each set of two or more attributes matters; public. All pairs alike where it is empty.

    Raises:
      SpecificationError: if a number is out of its range or a set is not usable.
    """

    domain: Domain
    noise_multiplier: float
    n_rows: int
    workload: Mapping[tuple[str, ...], float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_synthesis(self.noise_multiplier, self.n_rows)
        for names, weight in self.workload.items():
            n_cells = math.prod(self.domain.sizes[self.domain.find_place(name)] for name in names)
            if len(set(names)) < 2 or len(set(names)) < len(names) or not weight > 0 or n_cells > _MOST_CELLS:
                raise SpecificationError(
                    f"workload: expected sets of two or more different attributes with up to {_MOST_CELLS} cells and a "
                    f"weight above 0, got {' x '.join(names)} with {n_cells} cells and {weight!r}"
                )

    @property
    def method(self) -> str:
        """In words."""
        return "workload-adaptive marginals"

    def plan(self) -> ComposedEvent:
        """What `draw` costs, known before anything is drawn: bins, then marginals with their choice.

        However many marginals are chosen, which depends on the bins, they share what was set aside for them.
        """
        shares = (_BINS, 1 - _BINS)
        return ComposedEvent(tuple(GaussianEvent(split_noise(self.noise_multiplier, share)) for share in shares))

    def draw(self, table: pd.DataFrame, noise: RandomSource, seed: int = 0) -> SyntheticTable:
        """Make one synthetic table; each call costs `plan()` anew.

        Args:
          table: a row a record; private.
          noise: randomness that protects.
          seed: of rows, given the model; public, it hides nothing.

        Raises:
          DataContractError: if the table is not of this domain.
          SpecificationError: if there is too little noise for the grid.
        """
        rng = np.random.default_rng(seed)
        work = _Work(self, weigh_table(table, self.domain), noise, rng)
        work.measure_bins()
        n_chosen = work.count_affordable()
        is_all = n_chosen == len(work.weights)
        for n_now in [n_chosen] if is_all else _split_evenly(n_chosen, _N_ROUNDS):
            places = list(work.weights) if is_all else work.choose(n_now, n_chosen)
            work.measure(places, n_chosen, 1.0 if is_all else 1 - _CHOICE)
            work.fit()
        codes = draw_rows(work.rows, self.n_rows, work.order, rng)
        rows = label_rows(codes, self.domain, self.method, rng)
        known = {(place,): each for place, each in enumerate(work.noisy_bins)} | work.noisy
        model = {
            name_marginal(self.domain, places): known[places] if places in known else work.rows.count(places)
            for places in sorted({*known, *work.weights})
        }
        noise_of = {name_marginal(self.domain, places): work.find_noise(places) for places in known}
        return SyntheticTable(rows, model, noise_of, self.method, self.domain, self.plan())


class _Work:
    """One synthesis under way."""

    def __init__(
        self, asked: WorkloadSynthesizer, table: WeightedTable, noise: RandomSource, rng: np.random.Generator
    ) -> None:
        """Nothing is measured yet."""
        self._domain, self._table, self._noise, self._rng = asked.domain, table, noise, rng
        self._axes = [make_axis(each) for each in asked.domain.attributes]
        self._bins_noise = split_noise(asked.noise_multiplier, _BINS, len(self._axes))
        self._rest_noise = split_noise(asked.noise_multiplier, 1 - _BINS)
        self._marginal_noise = math.inf
        self._n_rows = min(max(_ROWS_PER_ROW * asked.n_rows, _LEAST_ROWS), _MOST_ROWS)
        self.weights = _place_workload(asked)
        self.noisy_bins: list[np.ndarray] = []
        self.noisy: dict[Places, np.ndarray] = {}
        self._likely: dict[Places, np.ndarray] = {}
        self._bins: list[np.ndarray] = []
        self.rows: WeightedTable
        self.order: list[int] = []

    def measure_bins(self) -> None:
        """The bins of each attribute, and a population of independent attributes."""
        counts = (self._table.count((place,)) for place in range(len(self._axes)))
        self.noisy_bins = [add_gaussian(each, self._bins_noise, self._noise) for each in counts]
        self._bins = combine_bins(self.noisy_bins, self._bins_noise**2, {}, 1.0, self._axes)

    def count_affordable(self) -> int:
        """How many marginals can be measured before noise drowns them; at least as many as a tree has edges."""
        sizes = [math.prod(self._domain.sizes[place] for place in places) for places in self.weights]
        n_cells = sum(sizes) / len(sizes)
        people = float(self._bins[0].sum())
        most = (2 * people * _MOST_NOISE / (_MEAN_OF_NORMAL * self._rest_noise * n_cells)) ** 2
        return min(max(math.floor(most), len(self._axes) - 1), len(self.weights))

    def find_noise(self, places: Places) -> float:
        """Standard deviation of the noise in a measured marginal."""
        return self._bins_noise if len(places) == 1 else self._marginal_noise

    def choose(self, n_now: int, n_chosen: int) -> list[Places]:
        """Marginals that the population is furthest from, by private choice, each of the others left."""
        epsilon = find_choice_epsilon(1 / split_noise(self._rest_noise, _CHOICE, n_chosen))
        noise = split_noise(self._rest_noise, 1 - _CHOICE, n_chosen)
        added = _NOISE_LEFT * _MEAN_OF_NORMAL * noise * GRID_STEPS
        left = [places for places in self.weights if places not in self.noisy]
        scores = []
        for places in left:
            expected = np.rint(self._expect(places) * GRID_STEPS)
            error = np.abs(self._table.count(places) - expected).sum()
            scores.append(self.weights[places] * (error - added * expected.size))
        chosen: list[Places] = []
        for _ in range(n_now):
            at = choose_privately(np.array(scores), epsilon, self._noise)
            chosen.append(left.pop(at))
            scores.pop(at)
        return chosen

    def measure(self, chosen: list[Places], n_chosen: int, share: float) -> None:
        """Counts of chosen marginals, with noise, made likelier by what the population says."""
        noise = self._marginal_noise = split_noise(self._rest_noise, share, n_chosen)
        for places in chosen:
            self.noisy[places] = add_gaussian(self._table.count(places), noise, self._noise)
        self._bins = combine_bins(self.noisy_bins, self._bins_noise**2, self.noisy, noise**2, self._axes)
        for places in chosen:
            axes = [self._axes[place] for place in places]
            self._likely[places] = shrink_counts(self.noisy[places], self._expect(places), noise**2, axes)
        if not self.order:
            self._reconsider(noise**2)

    def _reconsider(self, variance: float) -> None:
        """Pairs once more, where a tree of the others foretells what was measured better than independence does."""
        pairs: dict[Places, np.ndarray] = {places: each for places, each in self._likely.items() if len(places) == 2}
        tree = {edge: pairs[edge] for edge in find_tree(pairs, len(self._axes))}
        for places, implied in chain_pairs(tree, self._bins).items():
            if places in pairs:
                noisy = self.noisy[places]
                apart = [np.sum((noisy - base) ** 2) for base in (implied, self._expect(places))]
                if apart[0] < apart[1]:
                    axes = [self._axes[place] for place in places]
                    self._likely[places] = shrink_counts(noisy, implied, variance, axes)

    def fit(self) -> None:
        """A population that agrees with all that was measured."""
        pairs: dict[Places, np.ndarray] = {
            pair: self._likely.get(pair, expect_independent([self._bins[place] for place in pair]))
            for pair in combinations(range(len(self._axes)), 2)
        }
        links = choose_network(pairs, len(self._axes))
        codes = draw_network(links, fit_tables(pairs, links), self._n_rows, self._rng)
        self.rows = rake_rows(codes, self._domain.sizes, self._bins, self._likely)
        self.order = [place for place, _ in links]

    def _expect(self, places: Places) -> np.ndarray:
        """What the population so far says of a marginal; before there is one, that attributes are independent."""
        if not self.order:
            return expect_independent([self._bins[place] for place in places])
        return self.rows.count(places)


def _place_workload(asked: WorkloadSynthesizer) -> dict[Places, float]:
    """Weights by places, the largest 1: no score then moves by more than one unit does."""
    if not asked.workload:
        return dict.fromkeys(combinations(range(len(asked.domain.names)), 2), 1.0)
    largest = max(asked.workload.values())
    return {
        tuple(sorted(asked.domain.find_place(name) for name in names)): weight / largest
        for names, weight in asked.workload.items()
    }


def _split_evenly(n: int, n_parts: int) -> list[int]:
    """Whole parts of a number that differ by at most one; none is 0."""
    return [part for part in ((n + at) // n_parts for at in range(n_parts)) if part]
