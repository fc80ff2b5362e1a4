"""Rows drawn one attribute after the other, each given at most two that were drawn before.

Tables of two attributes are enough to begin with: the table of three that supposes no more than its three pairs do is
found by iterative proportional fitting (Deming and Stephan 1940), and it is small. Rows are dealt out evenly, not by
independent chance: of all rows alike in what came before, each code gets its share to within one row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from twinlab.protection.synthetic.marginal import Places

#: Times that three pairs are fitted: to choose parents, and to draw.
_N_FITS_TO_CHOOSE, _N_FITS = 4, 15
_TINY = 1e-12

#: An attribute, and what it is drawn given.
Link = tuple[int, Places]


def choose_network(pairs: Mapping[Places, np.ndarray], n_attributes: int) -> list[Link]:
    """Attributes in the order of drawing, each with its parents: the two that tell most of it among those before.

    Args:
      pairs: released counts of every two attributes.
      n_attributes: how many there are.
    """
    told = np.zeros((n_attributes, n_attributes))
    for (one, other), counts in pairs.items():
        told[one, other] = told[other, one] = measure_information(counts)
    first, second = divmod(int(told.argmax()), n_attributes)
    if first == second:
        first, second = 0, 1
    links: list[Link] = [(first, ()), (second, (first,))]
    placed = [first, second]
    while len(placed) < n_attributes:
        rest = [each for each in range(n_attributes) if each not in placed]
        best = told[np.ix_(rest, placed)]
        row, column = divmod(int(best.argmax()), len(placed))
        child, parent = rest[row], placed[column]
        others = [each for each in placed if each != parent]
        gains = [_measure_gain(pairs, (parent, other, child)) for other in others]
        links.append((child, (parent, others[int(np.argmax(gains))])))
        placed.append(child)
    return links


def find_tree(pairs: Mapping[Places, np.ndarray], n_attributes: int) -> list[Places]:
    """The pairs that tell most and close no ring (Chow and Liu 1968).

    Args:
      pairs: released counts of some sets of two attributes.
      n_attributes: how many there are.
    """
    group = list(range(n_attributes))
    tree: list[Places] = []
    for one, other in sorted(pairs, key=lambda pair: -measure_information(pairs[pair] + _TINY)):
        old, new = group[one], group[other]
        if old != new:
            tree.append((one, other))
            group = [new if own == old else own for own in group]
    return tree


def chain_pairs(tree: Mapping[Places, np.ndarray], bins: Sequence[np.ndarray]) -> dict[Places, np.ndarray]:
    """Counts of every two attributes that a tree joins by more than one edge, if it holds all there is to know.

    Args:
      tree: released counts of pairs that close no ring.
      bins: (code,) released counts of each attribute.
    """
    implied: dict[Places, np.ndarray] = {}
    for root, counts in enumerate(bins):
        joint = {root: np.diag(counts)}
        reached = [root]
        for parent in reached:
            for one, other in tree:
                child = other if parent == one else one
                if parent in (one, other) and child not in joint:
                    given = _find_pair(tree, parent, child) + _TINY
                    joint[child] = joint[parent] @ (given / given.sum(axis=1, keepdims=True))
                    reached.append(child)
        implied |= {(root, child): each for child, each in joint.items() if child > root and (root, child) not in tree}
    return implied


def draw_network(
    links: Sequence[Link],
    tables: Mapping[Link, np.ndarray],
    n_rows: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Codes (attribute, row).

    Args:
      links: attributes in the order of drawing.
      tables: for each link released counts of its parents and itself, an axis an attribute in that order.
      n_rows: how many.
      rng: of post-processing; it hides nothing.
    """
    codes = np.zeros((len(links), n_rows), dtype=np.int64)
    for link in links:
        child, parents = link
        table = tables[link] + _TINY
        groups = np.zeros(n_rows, dtype=np.int64)
        for place, size in zip(parents, table.shape, strict=False):
            groups = groups * size + codes[place]
        codes[child] = _deal(table.reshape(-1, table.shape[-1]), groups, rng)
    return codes


def fit_tables(pairs: Mapping[Places, np.ndarray], links: Sequence[Link]) -> dict[Link, np.ndarray]:
    """For each link the counts of parents and child that suppose no more than their pairs do."""
    tables: dict[Link, np.ndarray] = {}
    for child, parents in links:
        if len(parents) == 2:
            table = _fit_three(pairs, (*parents, child), _N_FITS)
        elif parents:
            table = _find_pair(pairs, parents[0], child)
        else:
            other = next(each for each, _ in links if each != child)
            table = _find_pair(pairs, child, other).sum(axis=1)
        tables[child, parents] = table
    return tables


def measure_information(counts: np.ndarray) -> float:
    """Mutual information of the last axis with all others together, in nats.

    >>> round(measure_information(np.eye(2)), 3)
    0.693
    """
    shares = counts.reshape(-1, counts.shape[-1]) / counts.sum()
    ratio = shares / np.maximum(shares.sum(axis=1, keepdims=True) * shares.sum(axis=0), 1e-300)
    return float((shares * np.log(np.where(shares > 0, ratio, 1.0))).sum())


def _measure_gain(pairs: Mapping[Places, np.ndarray], places: Places) -> float:
    """What two parents tell of a child together, supposing no more than three pairs do."""
    return measure_information(_fit_three(pairs, places, _N_FITS_TO_CHOOSE))


def _fit_three(pairs: Mapping[Places, np.ndarray], places: Places, n_fits: int) -> np.ndarray:
    """Shares of three attributes whose pairs are given."""
    first, second, third = places
    ends = ((first, second), (first, third), (second, third))
    near, left, right = (_find_pair(pairs, *each) for each in ends)
    # a trace of everything, so that pairs which noise made contradict each other still have something in common
    near, left, right = (each / each.sum() + _TINY for each in (near, left, right))
    table = near[:, :, None] * left[:, None, :] / np.maximum(near.sum(axis=1), _TINY)[:, None, None]
    for _ in range(n_fits):
        table = table * (right / np.maximum(table.sum(axis=0), _TINY))[None]
        table *= (left / np.maximum(table.sum(axis=1), _TINY))[:, None]
        table *= (near / np.maximum(table.sum(axis=2), _TINY))[:, :, None]
    return table


def _find_pair(pairs: Mapping[Places, np.ndarray], one: int, other: int) -> np.ndarray:
    """Counts of two attributes in this order."""
    return pairs[one, other] if one < other else pairs[other, one].T


def _deal(table: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(row,) codes: within each group of rows, in random order, evenly spaced places on the group's own line."""
    n_rows = len(groups)
    order = np.argsort(groups + rng.random(n_rows))
    sorted_groups = groups[order]
    sizes = np.bincount(groups, minlength=len(table))
    starts = np.cumsum(sizes) - sizes
    offsets = rng.random(len(table))
    places = (np.arange(n_rows) - starts[sorted_groups] + offsets[sorted_groups]) / sizes[sorted_groups]
    ends = np.cumsum(table, axis=1)
    ends /= ends[:, -1:]
    codes = np.empty(n_rows, dtype=np.int64)
    codes[order] = np.minimum((places[:, None] > ends[sorted_groups]).sum(axis=1), table.shape[1] - 1)
    return codes
