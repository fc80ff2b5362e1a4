"""Synthetic people beside the real ones they were made from: what is drawn, judged, and nearest to whom.

It shows real rows and compares with the truth, so it is for people who do not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.errors import DataContractError, SpecificationError
from twinlab.evaluation.nearest_copy import place_rows
from twinlab.evaluation.nearest_person import NearestPeople, find_nearest_people, place_days
from twinlab.evaluation.synthetic import TableComparison, tabulate_bins
from twinlab.evaluation.synthetic_stream import StreamComparison, measure_circadian, tabulate_days
from twinlab.pipeline.canary_audit import PERSON
from twinlab.pipeline.canary_lesson import DAY_BINS, tabulate_person_days
from twinlab.pipeline.stream_judgement import judge_streams
from twinlab.pipeline.synthetic_judgement import KINDS, Judgement, TableQuestions, judge_synthetic
from twinlab.pipeline.synthetic_release import SyntheticRelease
from twinlab.pipeline.table_lesson import TABLE_ATTACKS
from twinlab.roles import Progress, report_nothing

#: What a model of daily tables shall tell by the other columns: days with much glucose.
_TARGET: Final = ("glucose_mg_dl", 110.0)
_QUICK: Final = ("membership",)
_ALL: Final = (*TABLE_ATTACKS, "membership")
_N_LISTED = 40
_N_DAYS_COMPARED = 1000
_SIDES: Final = ("synthetic", "real", "holdout")
_MEAN_DAY: Final = ("stream_circadian", "The mean day is")
#: What can be made.
TABLE, STREAMS = "daily table", "hour by hour"


@dataclass(frozen=True, repr=False)
class NearestPerson:
    """A synthetic person and the real ones nearest to it; of people who do not exist.

    Attributes:
      values: column, who, value, and hour where days are shown; who is "synthetic", "real" or "holdout".
      distances: of "real" and "holdout", and "usual", as `NearestPeople` has it.
      counts: how many synthetic people are so much nearer to people used, how many to others, and how many there are.
    """

    values: pd.DataFrame
    distances: Mapping[str, float]
    counts: tuple[int, int, int]


@dataclass(frozen=True, repr=False)
class Neighbours:
    """Everybody's nearest, and how to read them.

    Attributes:
      what: what one of them is called.
      nearest: of all made-up rows or days; private.
      read: from a made-up place, and the places of its two neighbours, to the values of `NearestPerson`.
    """

    what: str
    nearest: NearestPeople
    read: Callable[[int, int, int], pd.DataFrame]

    @property
    def names(self) -> Sequence[str]:
        """Some made-up people, first those nearest to people used for how near others are."""
        return [f"{self.what} {place + 1}" for place in self.nearest.most_copied_first[:_N_LISTED].tolist()]

    def find(self, name: str) -> NearestPerson:
        """One of `names`.

        Raises:
          SpecificationError: if there is none of that name.
        """
        if name not in self.names:
            raise SpecificationError(f"person: expected one of {', '.join(self.names[:8])}, ...; got {name!r}")
        near, place = self.nearest, int(self.nearest.most_copied_first[self.names.index(name)])
        distances = {"real": float(near.real_distances[place]), "holdout": float(near.other_distances[place])}
        values = self.read(place, int(near.real[place]), int(near.other[place]))
        counts = (*near.count_as_near(place), len(near.real))
        return NearestPerson(values, {**distances, "usual": near.usual}, counts)


@dataclass(frozen=True, repr=False)
class SyntheticView:
    """Synthetic people as they were made once.

    Attributes:
      what, method, epsilon: as ordered; epsilon is infinite where nothing is promised.
      release: with rows, guarantee and `export`.
      shown: as `draw_synthetic_columns` takes it, or `draw_synthetic_days`.
      judgement: likeness and the quick attacks, or all that is judged.
      neighbours: the nearest real people.
      is_judged_whole: whether all attacks were made.
    """

    what: str
    method: str
    epsilon: float
    release: SyntheticRelease
    shown: pd.DataFrame
    judgement: Judgement
    neighbours: Neighbours
    is_judged_whole: bool = False

    @property
    def guarantee(self) -> str:
        """What is promised, in words."""
        return str(self.release.guarantee)

    @property
    def risks(self) -> pd.DataFrame:
        """What was judged, as `draw_risk_gauges` takes it."""
        return self.judgement.table

    @property
    def people(self) -> Sequence[str]:
        """Some synthetic people by name, first those nearest to people used for how near others are."""
        return self.neighbours.names

    @property
    def sentence(self) -> str:
        """What was made, what is promised, how like real people it is, and what it tells of them."""
        name, words = ("pair_mean", "Pairs of columns are") if self.what == TABLE else _MEAN_DAY
        alike, member = self.judgement.find(name), self.judgement.find("membership_area")
        return (
            f"{self.release.sentence} {words} {alike.value:.3f} {alike.unit} off; of other real people "
            f"{alike.control:.3f}. Who is behind it is told with an area of {member.value:.2f}; a coin has 0.5."
        ).replace("  ", " ")

    def find_nearest(self, person: str) -> NearestPerson:
        """One of `people` beside the nearest person it was made from, and the nearest of as many others.

        Raises:
          SpecificationError: if there is no such synthetic person.
        """
        return self.neighbours.find(person)

    def export(self, folder: str | Path, suffix: str = ".csv") -> tuple[Path, Path]:
        """Write rows and release card into a folder, which is made if need be.

        Args:
          folder: where.
          suffix: ".csv" or ".parquet".

        Returns:
          The two files, named by what was made, how, and with which epsilon.

        Raises:
          SpecificationError: if the suffix is another.
        """
        home = Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        promise = "no promise" if np.isinf(self.epsilon) else f"epsilon {self.epsilon:g}"
        return self.release.export(home / f"{self.what} {self.method} {promise}{suffix}".lower().replace(" ", "-"))

    def __repr__(self) -> str:
        return f"SyntheticView({self.what}, {self.method}): {self.sentence}"


@dataclass(frozen=True, repr=False)
class TableSide:
    """The days of people, a row each, and what is asked of rows that were made from them.

    Attributes:
      real, others: columns "person" and those of `DAY_BINS`; simulated.
      seed: of judges; public.
    """

    real: pd.DataFrame
    others: pd.DataFrame
    seed: int = 0
    bins = DAY_BINS

    def show(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Shares of bins, as a chart takes them."""
        return tabulate_bins(TableComparison(self.real, rows, self.bins, seed=self.seed))

    def judge(self, release: SyntheticRelease, *, is_whole: bool, progress: Progress = report_nothing) -> Judgement:
        """Likeness and the quick attacks; or usefulness and all attacks too."""
        return judge_synthetic(
            self.real, release.rows, self.others, bins=self.bins, seed=self.seed, progress=progress,
            questions=_ask(self.real, _TARGET if is_whole else None), attacks=_ALL if is_whole else _QUICK,
            name=f"the table by {release.method}",
        )  # fmt: skip

    def find_neighbours(self, rows: pd.DataFrame) -> Neighbours:
        """Nearest rows, within public bounds."""
        comparison = TableComparison(self.real, rows, self.bins, self.others, seed=self.seed)
        nearest = find_nearest_people(*(place_rows(comparison, side) for side in _SIDES))

        def read(*places: int) -> pd.DataFrame:
            tables = (rows, self.real, self.others)
            found = [
                {"column": name, "who": who, "value": table[name].iloc[place]}
                for name in self.bins
                for who, table, place in zip(_SIDES, tables, places, strict=True)
            ]
            return pd.DataFrame(found)

        return Neighbours("row", nearest, read)


@dataclass(frozen=True, repr=False)
class StreamSide:
    """The hours of people, and what is asked of hours that were made from them.

    Attributes:
      real, others: cohorts from midnight on; simulated.
      seed: of judges; public.
    """

    real: Cohort
    others: Cohort
    seed: int = 0

    @cached_property
    def _tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return tabulate_person_days(self.real), tabulate_person_days(self.others)

    def show(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The mean day and its band, as a chart takes them; of rows as `Cohort.to_frame` makes them."""
        names = list(self.real.signals)
        hours = (rows["time"] - rows["time"].min().floor("D")) // pd.Timedelta(hours=1)
        codes, people = pd.factorize(rows["person_id"])
        n_hours = -(-(int(hours.max()) + 1) // HOURS_PER_DAY) * HOURS_PER_DAY
        values = np.full((len(people), n_hours, len(names)), np.nan)
        values[codes, hours.to_numpy(int)] = rows[names].to_numpy(float)
        return tabulate_days(StreamComparison(self.real.values, values, self.real.signals, seed=self.seed))

    def judge(self, release: SyntheticRelease, *, is_whole: bool, progress: Progress = report_nothing) -> Judgement:
        """Likeness of the hours; attacks on the daily means that anybody can take of them."""
        made = read_cohort(release)
        bins = {name: DAY_BINS[name] for name in self.real.signals if name in DAY_BINS}
        real, others = self._tables
        risks = judge_synthetic(
            real, tabulate_person_days(made), others, bins=bins, seed=self.seed, progress=progress,
            questions=_ask(real, None), attacks=_ALL if is_whole else _QUICK, name=f"days by {release.method}",
        )  # fmt: skip
        found = [each for each in risks.findings if KINDS[each.name][0] == "risk"]
        if is_whole:
            return Judgement((*judge_streams(self.real, made, self.others, seed=self.seed).findings, *found))
        arrays = (self.real.values, made.values)
        comparison = StreamComparison(*arrays, self.real.signals, self.others.values, self.seed)
        return Judgement((measure_circadian(comparison), *found))

    def find_neighbours(self, made: Cohort) -> Neighbours:
        """Nearest days."""
        cohorts = (made, self.real, self.others)
        points, whose = zip(*(place_days(each.values, self.real.signals) for each in cohorts), strict=True)
        nearest = find_nearest_people(points[0][:_N_DAYS_COMPARED], *points[1:])

        def read(*places: int) -> pd.DataFrame:
            found = []
            for who, cohort, days, place in zip(_SIDES, cohorts, whose, places, strict=True):
                person, day = days[place]
                hours = cohort.values[person, day * HOURS_PER_DAY : (day + 1) * HOURS_PER_DAY]
                frame = pd.DataFrame(hours.astype(float), columns=list(cohort.signals)).assign(hour=range(len(hours)))
                found.append(frame.melt("hour", var_name="column").assign(who=who))
            return pd.concat(found, ignore_index=True)

        return Neighbours("day", nearest, read)


def _ask(real: pd.DataFrame, target: tuple[str, float] | None) -> TableQuestions:
    """Where there are few people, a small group that counts is smaller. How many there are is public here."""
    return TableQuestions(target=target, least_people=min(10, max(2, real[PERSON].nunique() // 30)))


def read_cohort(release: SyntheticRelease) -> Cohort:
    """The streams of a release.

    Raises:
      DataContractError: if it is a table.
    """
    if not isinstance(release.made, Cohort):
        raise DataContractError("release: expected streams, got a table; make people hour by hour")
    return release.made
