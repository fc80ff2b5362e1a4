"""Synthetic people: tables from marginals that are counted with noise, and tables and streams by a private GAN.

`Domain` says what a table may hold and whose presence is hidden, before anybody looks. `TreeSynthesizer` counts bins
and a tree of pairs, beside a hub if there is one; `WorkloadSynthesizer` counts what a workload asks for, all pairs
where noise allows it. Both tell with `plan` what they cost before anything is drawn, and make a `SyntheticTable` with
`draw`, which says in a column, in its notes and in its files that it is synthetic. `TableGan` and `StreamGan` learn
from a critic whose steps are private to a unit; on tables they lose to marginals, and are here to be compared.
`summary` has the private sums over people to which the simulator is fitted.

What marginals promise, and why
  - To one unit of the domain, added or removed: what the event of `plan` says, for everything that is released
    together: rows, model, and which marginals were chosen. A unit weighs at most 1 in each marginal, in whole steps of
    2**-20, and its weights depend on nobody else (`marginal`). Noise is a discrete Gaussian on these steps. Each
    private choice costs as much as two normals that tell as much (`grid_noise`). Squares of shifts add up to the
    event's.
  - Rows are drawn from what was released alone, by a public seed. So are likelier counts: no bound, list of words or
    edge of a bin is ever read from a table.

What is not promised
  - That nobody is like a synthetic row. A row may equal somebody's by chance; what that tells is bounded as above.
  - Anything to a person where the unit is a row. Twenty rows of one person are twenty units.
  - Anything about the order of a person's rows: each row stands for itself, so streams need another method.
  - Protection by a rehearsal's noise, which anybody who knows its seed can subtract.
  - Secrecy of faults: a table that breaks its domain is refused, which tells that it does.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinlab.protection.synthetic.domain import (
        SYNTHETIC_COLUMN,
        Attribute,
        CategoricalAttribute,
        Domain,
        NumericAttribute,
    )
    from twinlab.protection.synthetic.gan import GanSettings
    from twinlab.protection.synthetic.gan_stream import StreamGan
    from twinlab.protection.synthetic.gan_table import TableGan
    from twinlab.protection.synthetic.marginal import count_marginals
    from twinlab.protection.synthetic.synthetic_table import SyntheticTable
    from twinlab.protection.synthetic.tree_marginal import TreeSynthesizer
    from twinlab.protection.synthetic.workload_adaptive import WorkloadSynthesizer

_HOMES = {
    "Attribute": "domain",
    "CategoricalAttribute": "domain",
    "Domain": "domain",
    "GanSettings": "gan",
    "NumericAttribute": "domain",
    "SYNTHETIC_COLUMN": "domain",
    "StreamGan": "gan_stream",
    "SyntheticTable": "synthetic_table",
    "TableGan": "gan_table",
    "TreeSynthesizer": "tree_marginal",
    "WorkloadSynthesizer": "workload_adaptive",
    "count_marginals": "marginal",
}

__all__ = [
    "SYNTHETIC_COLUMN",
    "Attribute",
    "CategoricalAttribute",
    "Domain",
    "GanSettings",
    "NumericAttribute",
    "StreamGan",
    "SyntheticTable",
    "TableGan",
    "TreeSynthesizer",
    "WorkloadSynthesizer",
    "count_marginals",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used; all of them load numpy and pandas."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What completion offers."""
    return list(__all__)
