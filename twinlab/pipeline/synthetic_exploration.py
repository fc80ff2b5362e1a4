"""Synthetic people to order: by every method and at every budget, seen beside the real ones that they were made from.

Everybody in here is simulated, so nobody is charged, and real rows may be shown. With real people this cannot be
explored: every move would cost them anew, and what is shown beside the synthetic people is protected by nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, cast

import numpy as np
import pandas as pd

from twinlab.budget import NonPrivateEvent, PrivacyUnit
from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import simulate
from twinlab.errors import SpecificationError
from twinlab.evaluation.synthetic import Bins, are_words
from twinlab.pipeline.canary_audit import PERSON
from twinlab.pipeline.canary_lesson import DAY_BINS, tabulate_person_days
from twinlab.pipeline.synthetic_making import Method, make_synthetic
from twinlab.pipeline.synthetic_release import SyntheticRelease
from twinlab.pipeline.synthetic_view import (
    STREAMS,
    TABLE,
    Neighbours,
    StreamSide,
    SyntheticView,
    TableSide,
    read_cohort,
)
from twinlab.pipeline.table_lesson import blur_table
from twinlab.protection.differential_privacy.guarantee import NobodyPays
from twinlab.protection.synthetic import (
    SYNTHETIC_COLUMN,
    CategoricalAttribute,
    Domain,
    NumericAttribute,
    SyntheticTable,
)
from twinlab.release import NoGuarantee
from twinlab.roles import Progress, report_nothing
from twinlab.signals import get_signal

#: Methods that are not among the usual ones: slow, and without a promise.
GAN, COPY = "GAN", "copy with noise"
_METHODS: Final[Mapping[str, Mapping[str, Method | None]]] = {
    TABLE: {
        "adaptive marginals": "adaptive_marginals", "tree of marginals": "tree_marginals", GAN: "gan", COPY: None
    },
    STREAMS: {"fitted simulator": "fitted_simulator", GAN: "gan", COPY: None},
}  # fmt: skip
_ABOUT: Final = {
    "adaptive marginals": "Pairs of columns that are known least so far are counted with noise, and rows made to agree",
    "tree of marginals": "Pairs of columns along a tree, which is chosen privately, are counted with noise",
    GAN: "A generator learns from a critic, which learns from people in small steps with noise",
    "fitted simulator": "Sums over people, with noise, choose whom the simulator simulates. Its model of a person is "
    "ours",
    COPY: "Every real person with a little noise that nobody accounted for. It looks well and hides nobody",
}
EPSILONS: Final = (0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0)
#: Spread of the naive copy's noise, in ranges of a column and in spreads of a signal.
_COPY_NOISE, _COPY_HOUR_NOISE = 0.02, 0.05
_LEAST_PEOPLE, _LEAST_DAYS = 40, 7
#: Fewer steps of a GAN than usual, so that a reader can wait for them, and when it shows what it has learned.
_GANS: Final[Mapping[str, Mapping[str, Any]]] = {
    TABLE: {"n_steps": 600, "every": 100, "conditions": ("condition",)},
    STREAMS: {"n_steps": 300, "every": 50},
}

#: Called with what a GAN makes while it learns: after how many steps, and as `SyntheticView.shown`.
Look = Callable[[str, pd.DataFrame], None]
_Key = tuple[str, str, float]


@dataclass(frozen=True, repr=False)
class SyntheticExploration:
    """Synthetic people to order; `twinlab.widgets.SyntheticPeople` shows it.

    Attributes:
      real: whom all are made from; simulated.
      others: as many other people; simulated.
      delta: of every promise.
      gan: options of the GAN, as `make_synthetic` takes them.
      seed: of draws and of judges, never of noise.
    """

    real: Cohort
    others: Cohort
    delta: float = 1e-5
    gan: Mapping[str, Any] = field(default_factory=dict, hash=False)
    seed: int = 0
    _made: dict[_Key, SyntheticView] = field(default_factory=dict, hash=False)

    @property
    def whats(self) -> Sequence[str]:
        """What can be made."""
        return tuple(_METHODS)

    @property
    def epsilons(self) -> Sequence[float]:
        """Budgets of a person that a slider offers; `make` takes any."""
        return EPSILONS

    @property
    def bins(self) -> Bins:
        """Public bins of the daily table: hourly means, years, and words."""
        return DAY_BINS

    def list_methods(self, what: str) -> Sequence[str]:
        """How it can be made.

        Raises:
          SpecificationError: if it cannot be made at all.
        """
        if what not in _METHODS:
            raise SpecificationError(f"what: expected one of {', '.join(_METHODS)}, got {what!r}")
        return tuple(_METHODS[what])

    def describe(self, method: str) -> str:
        """A method in a sentence."""
        return _ABOUT[method]

    def has_promise(self, method: str) -> bool:
        """Whether an epsilon means anything to it."""
        return method != COPY

    def is_known(self, method: str, epsilon: float, what: str = TABLE) -> bool:
        """Whether these people are there already."""
        return self._name(method, epsilon, what) in self._made

    def make(
        self,
        method: str,
        epsilon: float,
        what: str = TABLE,
        *,
        look: Look | None = None,
        progress: Progress = report_nothing,
    ) -> SyntheticView:
        """Make synthetic people, unless they are there: whoever comes back to an epsilon finds the same ones.

        Args:
          method: one of `list_methods(what)`.
          epsilon: of a person with all of their days; public.
          what: "daily table" or "hour by hour".
          look: called with what the GAN makes while it learns.
          progress: told while it runs; what it raises ends it.

        Raises:
          SpecificationError: if a value is none that is offered.
        """
        key = self._name(method, epsilon, what)
        if key not in self._made:
            release = self._copy(what) if method == COPY else self._synthesize(key, look, progress)
            progress("synthetic people judged", 1, 2)
            side, neighbours = self._find_side(what), self._find_neighbours(what, release)
            shown, judged = side.show(release.rows), side.judge(release, is_whole=False)
            self._made[key] = SyntheticView(what, method, key[2], release, shown, judged, neighbours)
        return self._made[key]

    def judge(
        self, method: str, epsilon: float, what: str = TABLE, *, progress: Progress = report_nothing
    ) -> SyntheticView:
        """The same people, judged whole: usefulness, and singling out, linkability and inference as well.

        Streams are attacked as the daily means that anybody can take of them. What a twin learns from them, which
        takes longer, `judge_forecast` says.

        Raises:
          SpecificationError: if a value is none that is offered.
        """
        view = self.make(method, epsilon, what, progress=progress)
        if not view.is_judged_whole:
            judged = self._find_side(what).judge(view.release, is_whole=True, progress=progress)
            view = replace(view, judgement=judged, is_judged_whole=True)
            self._made[self._name(method, epsilon, what)] = view
        return view

    def compare(
        self,
        methods: Sequence[str] | None = None,
        epsilons: Sequence[float] = (1.0, 10.0),
        what: str = TABLE,
        *,
        progress: Progress = report_nothing,
    ) -> pd.DataFrame:
        """Methods and budgets judged whole on the same people, as `draw_synthesizers` takes it.

        Args:
          methods: of `list_methods(what)`. When None all but the GAN, which is slow, and the copy, which promises
            nothing.
          epsilons: of a person; public.
          what: "daily table" or "hour by hour".
          progress: told while they are made.

        Returns:
          Rows as in `Judgement.table` with method, epsilon, unit, seed and seconds before them. A method that promises
          nothing comes once, at an infinite epsilon.

        Raises:
          SpecificationError: if a value is none that is offered, or there is nothing to compare.
        """
        usual = [name for name in self.list_methods(what) if name not in (GAN, COPY)]
        names = usual if methods is None else methods
        runs = list(dict.fromkeys(self._name(name, each, what) for name in names for each in epsilons))
        if not runs:
            raise SpecificationError("compare: expected at least one method and one epsilon, got none")
        found = []
        for done, (_, method, epsilon) in enumerate(runs):
            progress("synthetic people compared", done, len(runs))
            view = self.judge(method, epsilon, what)
            judged = view.judgement.table
            head: dict[str, Any] = {"method": method, "epsilon": epsilon, "unit": str(view.release.unit)}
            head |= {"seed": self.seed, "seconds": view.release.seconds}
            for place, (column, value) in enumerate(head.items()):
                judged.insert(place, column, value)
            found.append(judged)
        progress("synthetic people compared", len(runs), len(runs))
        return pd.concat(found, ignore_index=True)

    @cached_property
    def _table_side(self) -> TableSide:
        return TableSide(tabulate_person_days(self.real), tabulate_person_days(self.others), self.seed)

    @cached_property
    def _stream_side(self) -> StreamSide:
        return StreamSide(self.real, self.others, self.seed)

    @cached_property
    def _domain(self) -> Domain:
        """The daily table's public domain."""
        attributes = [
            CategoricalAttribute(name, cast(tuple[str, ...], bins))
            if are_words(bins)
            else NumericAttribute(name, float(bins[0]), float(bins[-1]), edges=tuple(map(float, bins)))
            for name, bins in DAY_BINS.items()
        ]
        return Domain(tuple(attributes), PrivacyUnit.PERSON, person_column=PERSON, most_rows_per_person=self._n_days)

    @property
    def _n_days(self) -> int:
        return self.real.n_hours // HOURS_PER_DAY

    def _find_side(self, what: str) -> TableSide | StreamSide:
        return self._table_side if what == TABLE else self._stream_side

    def _find_neighbours(self, what: str, release: SyntheticRelease) -> Neighbours:
        if what == TABLE:
            return self._table_side.find_neighbours(release.rows)
        return self._stream_side.find_neighbours(read_cohort(release))

    def _name(self, method: str, epsilon: float, what: str) -> _Key:
        """What an order is kept as."""
        if method not in self.list_methods(what):
            raise SpecificationError(
                f"method: expected one of {', '.join(self.list_methods(what))} for what={what!r}, got {method!r}"
            )
        if not (epsilon > 0 and (math.isfinite(epsilon) or not self.has_promise(method))):
            raise SpecificationError(f"epsilon: expected above 0 and finite, got {epsilon!r}")
        return what, method, float(epsilon) if self.has_promise(method) else math.inf

    def _synthesize(self, key: _Key, look: Look | None, progress: Progress) -> SyntheticRelease:
        """By a method that keeps its epsilon."""
        what, name, epsilon = key
        method = _METHODS[what][name]
        assert method is not None
        order: dict[str, Any] = {"method": method, "epsilon": epsilon, "delta": self.delta, "unit": PrivacyUnit.PERSON,
                                 "seed": self.seed, "progress": progress}  # fmt: skip
        if method == "gan":
            order["options"] = {**_GANS[what], **self.gan}
            if look is not None:
                side = self._find_side(what)
                order["look"] = lambda step, rows: look(f"after {step} steps", side.show(rows))
        if what == STREAMS:
            return make_synthetic(self.real, n_made=self.real.n_people, n_days=self._n_days, **order)
        n_made = self.real.n_people * self._n_days
        return make_synthetic(self._table_side.real, domain=self._domain, n_made=n_made, ledger=NobodyPays(), **order)

    def _copy(self, what: str) -> SyntheticRelease:
        """Real people with noise: what many would call anonymous. The noise is by a seed, and protects nobody."""
        rng, unit = np.random.default_rng(self.seed), PrivacyUnit.PERSON
        promise = NoGuarantee("a copy of people, with noise that nobody accounted for")
        if what == TABLE:
            rows = blur_table(self._table_side.real[list(self._domain.names)], _COPY_NOISE, rng)
            rows = rows.assign(**{SYNTHETIC_COLUMN: True})
            table = SyntheticTable(rows, {}, {}, COPY, self._domain, NonPrivateEvent())
            return SyntheticRelease(table, None, COPY, unit, promise, 0.0)
        known = [get_signal(name) for name in self.real.signals]
        low, high, spread = (np.array([getattr(each, end) for each in known]) for end in ("lower", "upper", "spread"))
        noise = _COPY_HOUR_NOISE * spread * rng.normal(size=self.real.values.shape)
        blurred = np.clip(self.real.values + noise, low, high)
        values = np.where(self.real.values == 0, 0, blurred).astype(np.float32)[rng.permutation(self.real.n_people)]
        ids = tuple(f"synthetic-{number:04d}" for number in range(1, self.real.n_people + 1))
        about = pd.DataFrame({SYNTHETIC_COLUMN: [True] * len(ids)}, index=pd.Index(ids, name="person_id"))
        made = Cohort(COPY, ids, self.real.start, self.real.signals, values, about, "simulated")
        return SyntheticRelease(made, None, COPY, unit, promise, 0.0)

    def __repr__(self) -> str:
        return f"SyntheticExploration({self.real.n_people} simulated people, {self.others.n_people} others)"


def explore_synthetic(
    people: Cohort | None = None,
    *,
    n_people: int = 300,
    n_days: int = 7,
    delta: float = 1e-5,
    gan: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress = report_nothing,
) -> SyntheticExploration:
    """Get simulated people ready for a panel that makes synthetic ones from half of them.

    Args:
      people: simulated, of known age and condition, with a week or more from a midnight on; half are made from, the
        others are held out. Those that `n_people` and `n_days` say when None.
      n_people: on each side; public.
      n_days: of each; public.
      delta: of every promise.
      gan: options of the GAN, as `make_synthetic` takes them, where they shall not be those of a panel: fewer steps
        than usual, so that a reader can wait.
      seed: which people are simulated, and of all draws that protect nobody; public.
      progress: told while people live.

    Raises:
      SpecificationError: if the people are real, or too few, or their time too short.
    """
    if people is None:
        if n_people < 1:
            raise SpecificationError(f"n_people: expected {_LEAST_PEOPLE // 2} or more, got {n_people}")
        people = simulate(draw_people(2 * n_people, seed), n_days, seed, progress=progress).cohort
    if people.origin != "simulated":
        raise SpecificationError(
            "people: expected simulated ones, got measured ones; use make_synthetic with a ledger for these, since "
            "each look here would cost them anew"
        )
    if people.n_people < _LEAST_PEOPLE or people.n_hours < _LEAST_DAYS * HOURS_PER_DAY or people.start.hour:
        raise SpecificationError(
            f"people: expected {_LEAST_PEOPLE} or more with {_LEAST_DAYS} days from a midnight on, got "
            f"{people.n_people} with {people.n_hours // HOURS_PER_DAY} days"
        )
    half = people.n_people // 2
    ids = people.person_ids
    real, others = people.select(people=ids[:half]), people.select(people=ids[half : 2 * half])
    return SyntheticExploration(real, others, delta, dict(gan or {}), seed)
