"""Tree-augmented marginals: each attribute hangs on one other, chosen privately, and on a hub if there is one.

Three things are paid for: the bins of each attribute; the tree, an edge at a time, each time one of those that are
furthest from what no dependence would give; the counts of each edge. With a hub, an attribute that everything may
depend on, all of these are counted beside it. Rows are then drawn along the tree.

Sources: Chow and Liu, Approximating discrete probability distributions with dependence trees, 1968; Friedman, Geiger
and Goldszmidt, Bayesian network classifiers, 1997 (the hub); McKenna, Miklau and Sheldon, Winning the NIST contest,
2021 (the same with private choice, as MST).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
from twinlab.protection.synthetic.network import Link, draw_network
from twinlab.protection.synthetic.shrinkage import make_axis, shrink_counts
from twinlab.protection.synthetic.synthetic_table import SyntheticTable, label_rows

#: Of the whole budget: the bins, the choice of the tree, its counts.
_BINS, _CHOICE, _EDGES = 0.15, 0.15, 0.7
#: Times that an edge's counts are fitted to the bins at both ends.
_N_FITS = 30
_TINY = 1e-9

#: By attribute, or by edge: counts with the axes of their attributes, then that of the hub if there is one.
Bins = Mapping[int, np.ndarray]
Edges = Mapping[Places, np.ndarray]


@dataclass(frozen=True)
class TreeSynthesizer:
    """Makes synthetic tables along a tree of attributes.

    Attributes:
      domain: what a table may hold, and whose presence is hidden; public.
      noise_multiplier: of everything together: the whole costs as much as one Gaussian event with it. Public.
      n_rows: synthetic rows; public.
      hub: an attribute that every edge is counted beside, such as a label to be predicted; public.

    Raises:
      SpecificationError: if a number is out of its range, or the hub is no attribute or has fewer than two beside it.
    """

    domain: Domain
    noise_multiplier: float
    n_rows: int
    hub: str | None = None

    def __post_init__(self) -> None:
        check_synthesis(self.noise_multiplier, self.n_rows)
        if len(self._places) < 2:
            raise SpecificationError("hub: expected two attributes or more beside it, got fewer; leave it out")

    @property
    def method(self) -> str:
        """In words."""
        return "tree-augmented marginals" + (f" beside {self.hub}" if self.hub else "")

    @property
    def _hub(self) -> Places:
        return () if self.hub is None else (self.domain.find_place(self.hub),)

    @property
    def _places(self) -> Places:
        return tuple(place for place in range(len(self.domain.names)) if place not in self._hub)

    @property
    def _bins_noise(self) -> float:
        return split_noise(self.noise_multiplier, _BINS, len(self._places))

    @property
    def _edge_noise(self) -> float:
        return split_noise(self.noise_multiplier, _EDGES, len(self._places) - 1)

    def plan(self) -> ComposedEvent:
        """What `draw` costs, known before anything is drawn: bins, choice, counts of edges."""
        shares = (_BINS, _CHOICE, _EDGES)
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
        weighed = weigh_table(table, self.domain)
        noisy = {
            place: add_gaussian(weighed.count((place, *self._hub)), self._bins_noise, noise) for place in self._places
        }
        bins = self._combine(noisy, {})
        edges = self._choose_edges(weighed, bins, noise)
        counts = {edge: add_gaussian(weighed.count(edge + self._hub), self._edge_noise, noise) for edge in edges}
        bins = self._combine(noisy, counts)
        fitted = {edge: self._fit_edge(edge, each, bins) for edge, each in counts.items()}
        rng = np.random.default_rng(seed)
        links, tables = _direct(fitted, bins, self._hub)
        rows = label_rows(draw_network(links, tables, self.n_rows, rng), self.domain, self.method, rng)
        known = {(place,): each for place, each in noisy.items()} | counts
        implied = {pair: _expect(pair, bins) for pair in combinations(self._places, 2)} | known
        model = {self._name(places): implied[places] for places in sorted(implied)}
        measured = {self._name(places): self._bins_noise if len(places) == 1 else self._edge_noise for places in known}
        return SyntheticTable(rows, model, measured, self.method, self.domain, self.plan())

    def _name(self, places: Places) -> str:
        return name_marginal(self.domain, places + self._hub)

    def _shrink(self, places: Places, noisy: np.ndarray, base: np.ndarray, variance: float) -> np.ndarray:
        axes = [make_axis(self.domain.attributes[place]) for place in places + self._hub]
        return shrink_counts(noisy, base, variance, axes)

    def _combine(self, noisy: Bins, counts: Edges) -> dict[int, np.ndarray]:
        """Likelier bins from all that was measured of them; all add up to the same people, by code of the hub."""
        people = np.maximum(np.mean([each.sum(axis=0) for each in noisy.values()], axis=0), 1.0)
        combined = {}
        for place, own in noisy.items():
            evidence, precision = [own], [self._bins_noise**-2]
            for edge, each in counts.items():
                if place in edge:
                    axis = 1 - edge.index(place)
                    evidence.append(each.sum(axis=axis))
                    precision.append(self._edge_noise**-2 / each.shape[axis])
            mean = np.average(evidence, axis=0, weights=precision)
            even = np.broadcast_to(people / len(own), own.shape)
            likely = self._shrink((place,), mean, even, 1 / sum(precision)) + _TINY
            combined[place] = likely * (people / likely.sum(axis=0))
        return combined

    def _choose_edges(self, table: WeightedTable, bins: Bins, noise: RandomSource) -> list[Places]:
        """Edges of a tree, each chosen among those that close no ring."""
        pairs = list(combinations(self._places, 2))
        scores = []
        for pair in pairs:
            expected = np.rint(_expect(pair, bins) * GRID_STEPS)
            scores.append(np.abs(table.count(pair + self._hub) - expected).sum())
        n_edges = len(self._places) - 1
        epsilon = find_choice_epsilon(1 / split_noise(self.noise_multiplier, _CHOICE, n_edges))
        group = {place: place for place in self._places}
        edges: list[Places] = []
        while len(edges) < n_edges:
            open_ = [at for at, (one, other) in enumerate(pairs) if group[one] != group[other]]
            pair = pairs[open_[choose_privately(np.array([scores[at] for at in open_]), epsilon, noise)]]
            edges.append(pair)
            old, new = group[pair[0]], group[pair[1]]
            group = {place: new if own == old else own for place, own in group.items()}
        return edges

    def _fit_edge(self, edge: Places, noisy: np.ndarray, bins: Bins) -> np.ndarray:
        """Likelier counts of an edge that agree with the bins at both ends."""
        fitted = self._shrink(edge, noisy, _expect(edge, bins), self._edge_noise**2) + _TINY
        for _ in range(_N_FITS):
            fitted = fitted * (bins[edge[0]] / fitted.sum(axis=1))[:, None]
            fitted *= (bins[edge[1]] / fitted.sum(axis=0))[None]
        return fitted


def _expect(pair: Places, bins: Bins) -> np.ndarray:
    """Counts of two attributes that say nothing of each other, beside the hub."""
    one, other = (bins[place] for place in pair)
    return one[:, None] * (other / other.sum(axis=0))[None]


def _direct(fitted: Edges, bins: Bins, hub: Places) -> tuple[list[Link], dict[Link, np.ndarray]]:
    """The tree from its first attribute outwards: the order of drawing, and the counts of each link."""
    root = min(bins)
    links: list[Link] = [(place, ()) for place in hub]
    tables: dict[Link, np.ndarray] = {link: bins[root].sum(axis=0) for link in links}
    first: Link = (root, hub)
    links.append(first)
    tables[first] = np.moveaxis(bins[root], 0, -1)
    reached = [root]
    for parent in reached:
        for edge, counts in fitted.items():
            child = edge[1 - edge.index(parent)] if parent in edge else parent
            if child not in reached:
                link: Link = (child, (parent, *hub))
                links.append(link)
                tables[link] = np.moveaxis(counts, edge.index(child), -1)
                reached.append(child)
    return links, tables
