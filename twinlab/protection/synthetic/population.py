"""A population of weighted rows that agrees with many released marginals at once.

Rows come from a network, which holds some dependences; the others are put in by raking: weights are multiplied until
each marginal is as released. That is mirror descent on the weights, and what it converges to is the population nearest
to the network's among all that agree. No table of all attributes is ever made, so any number of marginals may meet in
one attribute, where a graphical model would have to hold them in one clique.

Source: Deming and Stephan, On a least squares adjustment of a sampled frequency table, 1940.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from twinlab.protection.synthetic.marginal import Places, WeightedTable

#: Passes over all marginals.
_N_SWEEPS = 5
#: Of everybody: what a cell is taken to hold at least, so that no weight is multiplied by nothing or by infinity.
_LEAST_SHARE = 2.5e-6


def rake_rows(
    codes: np.ndarray,
    sizes: tuple[int, ...],
    bins: Sequence[np.ndarray],
    marginals: Mapping[Places, np.ndarray],
) -> WeightedTable:
    """Rows weighed so that marginals come out as released; bins of single attributes come last and fit best.

    Args:
      codes: (attribute, row), made from releases.
      sizes: codes of each attribute.
      bins: (code,) counts wanted of each attribute.
      marginals: counts wanted of several together.
    """
    n_people = float(bins[0].sum())
    rows = WeightedTable(codes, np.full(codes.shape[1], n_people / codes.shape[1]), sizes)
    least = _LEAST_SHARE * n_people
    targets = [((place,), each) for place, each in enumerate(bins)]
    cells = {places: rows.find_cells(places) for places in ((place for place, _ in targets + list(marginals.items())))}
    for step in range(_N_SWEEPS + 1):
        for places, wanted in targets + (list(marginals.items()) if step < _N_SWEEPS else []):
            own = cells[places]
            found = np.bincount(own, weights=rows.weights, minlength=wanted.size)
            rows.weights[:] *= ((wanted.ravel() + least) / (found + least))[own]
    return rows


def draw_rows(rows: WeightedTable, n_rows: int, order: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Codes (attribute, row) of plain rows: evenly spaced places along the weighted ones, which lie beside alike ones.

    Args:
      rows: made from releases.
      n_rows: how many; public.
      order: attributes by which rows are sorted, the first one first.
      rng: of post-processing; it hides nothing.
    """
    sorted_rows = np.lexsort([rows.codes[place] for place in reversed(order)])
    ends = np.cumsum(rows.weights[sorted_rows])
    places = (np.arange(n_rows) + rng.random()) / n_rows * ends[-1]
    chosen = sorted_rows[np.minimum(np.searchsorted(ends, places), len(ends) - 1)]
    return rows.codes[:, rng.permutation(chosen)]
