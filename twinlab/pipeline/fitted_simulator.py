"""The simulator fitted under differential privacy: noisy summaries of people choose a population, which then lives.

It is the mechanistic rival of methods that learn from records. People are measured once, by sums with noise; all that
follows is computed from these sums and from people who never existed. So it makes whole streams, for as many people
and days as wanted, at no further cost. In return its model of a person is ours: what the simulator does not know of
people is not in what it makes, and `FittedSimulator.gaps` says which summaries it could not follow.

On people whom the same simulator made it is at home: there, comparing it with methods that know nothing of people
flatters it, and only real people tell how good it is.

The population is chosen by Gauss-Newton steps. How summaries answer to each trait is learned once, at the usual
population, from simulated people who live the same days with and without a change; at each step the summaries of the
population so far are simulated and compared with the released ones. A trait that noise hides stays near the usual.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

import numpy as np
import pandas as pd

from twinlab.budget import Event, NeighboringRelation, NonPrivateEvent, PrivacyUnit
from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.population import TRAITS, SimulatedPopulation
from twinlab.cohorts.simulator import simulate
from twinlab.errors import SpecificationError
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier, compute_epsilon
from twinlab.protection.differential_privacy.answer import BudgetHolder
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.synthetic.summary import (
    SQUARE_WEIGHT,
    STATISTICS,
    PopulationSummary,
    Statistic,
    choose_statistics,
    describe_people,
    draw_summary,
    measure_summary,
    name_values,
    plan_summary,
)
from twinlab.release import DifferentialPrivacy, Guarantee, NoGuarantee
from twinlab.roles import Progress, report_nothing

#: People and days that are simulated to learn how summaries answer to a trait, and to compare with at each step.
_N_SLOPE_PEOPLE, _N_SLOPE_DAYS = 128, 7
_N_COMPARED, _LEAST_DAYS, _MOST_DAYS = 512, 7, 14
_N_STEPS: Final = 4
#: A step that moves no trait by more than this share of its standard error is the last.
_SMALL_STEP: Final = 0.2
_PUBLIC_SEED: Final = 4711
#: How far means and variances of real people may lie from any that the simulator can make, in reaches.
_MODEL_ERROR, _VARIANCE_ERROR = 0.02, 0.005
_FOLLOWED: Final = 3.0


@dataclass(frozen=True, repr=False)
class FittedSimulator:
    """A population chosen by summaries with noise; all of it may be published.

    Attributes:
      population: the one chosen.
      standard_errors: of each of its numbers, from noise and from how few people there are, if real people were like
        simulated ones.
      summary: what was released of the people.
      found: (value,) the summary's means, and variances between people in place of its means of squares.
      made: (value,) the same of people simulated from the population.
      tolerances: (value,) how far noise and chance alone take the two apart, as standard deviations.
      signals: of the people, and of those who are made.
      guarantee: of a person among the people, for everything here and everything made with it.
    """

    population: SimulatedPopulation
    standard_errors: Mapping[str, float]
    summary: PopulationSummary
    found: np.ndarray = field(repr=False)
    made: np.ndarray = field(repr=False)
    tolerances: np.ndarray = field(repr=False)
    signals: tuple[str, ...]
    guarantee: Guarantee

    def simulate(self, n_people: int, n_days: int, seed: int, progress: Progress = report_nothing) -> Cohort:
        """People who do not exist, hour by hour; it costs nobody anything.

        Their attributes, such as age and condition, are the simulator's own: nothing of them was learned.

        Args:
          n_people, n_days: how many; public. Days begin on a Monday.
          seed: which people and days; public, it hides nothing.
          progress: told about each day.

        Raises:
          SpecificationError: if there is nobody or no day.
        """
        own_seed = _keep_apart(seed)
        people = draw_people(n_people, own_seed, self.population)
        cohort = simulate(people, n_days, own_seed, progress=progress).cohort.select(signals=self.signals)
        ids = tuple(f"synthetic-{number:04d}" for number in range(1, n_people + 1))
        attributes = cohort.attributes.set_axis(pd.Index(ids, name="person_id"))
        return replace(cohort, name="synthetic people", person_ids=ids, attributes=attributes)

    @property
    def traits(self) -> pd.DataFrame:
        """A row a number of the population: trait, unit, usual, fitted, standard_error."""
        usual = SimulatedPopulation()
        rows = [
            {
                "trait": name,
                "unit": trait.unit,
                "usual": getattr(usual, name),
                "fitted": getattr(self.population, name),
                "standard_error": self.standard_errors[name],
            }
            for name, trait in TRAITS.items()
        ]
        return pd.DataFrame(rows)

    @property
    def gaps(self) -> pd.DataFrame:
        """What the simulator follows and what it does not: statistic, released, made, tolerance, times_tolerance.

        Means are in the statistic's own unit, variances between people in squared ones.
        """
        statistics = self.summary.statistics
        squared = [each for each in statistics if each.is_squared]
        reach = np.array([each.reach for each in statistics] + [each.reach**2 for each in squared])
        center = np.array([each.center for each in statistics] + [0.0] * len(squared))
        return pd.DataFrame(
            {
                "statistic": [each.name for each in statistics] + [f"{each.name}, variance" for each in squared],
                "released": center + reach * self.found,
                "made": center + reach * self.made,
                "tolerance": reach * self.tolerances,
                "times_tolerance": (self.found - self.made) / self.tolerances,
            }
        )

    @property
    def sentence(self) -> str:
        """How many summaries are followed, which is furthest off, and what is promised."""
        gaps = self.gaps
        times = gaps["times_tolerance"].abs().to_numpy()
        worst = int(times.argmax())
        return (
            f"A simulator fitted to {len(times)} summaries of about {self.summary.n_people:.0f} people follows "
            f"{int((times <= _FOLLOWED).sum())} of them within {_FOLLOWED:g} tolerances; furthest off, by "
            f"{times[worst]:.1f}, is {gaps['statistic'][worst]}; {self.guarantee}."
        )

    def __repr__(self) -> str:
        return f"FittedSimulator: {self.sentence}"


def fit_simulator(
    people: Cohort,
    *,
    epsilon: float,
    delta: float = 1e-5,
    ledger: BudgetHolder | None = None,
    purpose: str = "fitting the simulator",
    progress: Progress = report_nothing,
) -> FittedSimulator:
    """Fit the simulator's population to people, at one price for each of them.

    Args:
      people: private. Their signals, and from when to when their readings reach, are taken as public; how many people
        there are is not.
      epsilon, delta: of a person with all of their hours; public. Infinite epsilon adds no noise and promises nothing.
      ledger: who pays, before noise is drawn. People who do not exist need none.
      purpose: public; what the ledger writes down.
      progress: told while populations are simulated.

    Returns:
      The population with its errors, what was released, and what it cannot follow.

    Raises:
      SpecificationError: if epsilon or delta is out of range, there is less than a week, or real people have no
        ledger.
      DataContractError: if the people have no signal that can be summarized.
      BudgetExhaustedError: from the ledger; nothing was drawn.
    """
    multiplier = find_summary_noise(epsilon, delta)
    if ledger is None and people.origin != "simulated":
        raise SpecificationError("ledger: expected one that pays for real people, got none; open it with open_ledger")
    choose_statistics(people.signals)
    _require_week(people.n_days)
    event = plan_summary(multiplier) if multiplier else NonPrivateEvent()
    if ledger is not None:
        ledger.spend(event, purpose=purpose)
    summary = draw_summary(people, multiplier, open_noise()) if multiplier else measure_summary(people)
    return fit_summary(summary, people.signals, people.n_days, describe_guarantee(event, delta), progress)


def find_summary_noise(epsilon: float, delta: float) -> float:
    """The noise multiplier of summaries: 0 for infinite epsilon.

    Raises:
      SpecificationError: if epsilon or delta is out of range.
    """
    if math.isinf(epsilon) and epsilon > 0:
        return 0.0
    return calibrate_noise_multiplier(epsilon, delta)


def describe_guarantee(event: Event, delta: float) -> Guarantee:
    """What summaries drawn with this event promise to a person, and with them all that is made of them."""
    if event == NonPrivateEvent():
        return NoGuarantee("summaries of people without noise")
    relation, unit = NeighboringRelation.ADD_OR_REMOVE_ONE, PrivacyUnit.PERSON
    return DifferentialPrivacy(event, compute_epsilon(event, delta), delta, relation, unit)


def fit_summary(
    summary: PopulationSummary,
    signals: Sequence[str],
    n_days: int,
    guarantee: Guarantee,
    progress: Progress = report_nothing,
) -> FittedSimulator:
    """Choose a population from summaries that were released: post-processing, as often as wanted.

    Args:
      summary: released.
      signals: of the people, and of those who will be made; public.
      n_days: that the people were measured; public. How far means of a person wander depends on it.
      guarantee: of the summary.
      progress: told while populations are simulated.

    Raises:
      SpecificationError: if there is less than a week.

    Source: simulated summaries in place of likelihoods are indirect inference: Gourieroux, Monfort and Renault,
    Journal of Applied Econometrics 8 (1993) S85-S118.
    """
    _require_week(n_days)
    names, statistics = list(TRAITS), summary.statistics
    progress("traits changed", 0, 1)
    slopes, people = _learn_slopes()
    # with fewer signals people are shortened a little less, which the steps below make up for
    kept = [name_values(STATISTICS).index(name) for name in summary.names]
    slopes, people = slopes[kept], people[:, kept]
    turn = _linearize(summary.means, statistics)
    own = np.cov(people.T) * (1 / summary.n_people + 1 / _N_COMPARED) + summary.noise**2 * np.eye(people.shape[1])
    squares, _ = _find_squares(statistics)
    chance = turn @ own @ turn.T
    chance[squares, squares] += 2 * summary.noise**4  # of the square of a mean's noise
    unknown = np.full(len(chance), _MODEL_ERROR)
    unknown[squares] = _VARIANCE_ERROR
    trust = np.linalg.inv(chance + np.diag(unknown**2))
    usual, found = np.array(SimulatedPopulation().values), _tell_variances(summary.means, statistics, summary.noise)
    prior = np.diag([TRAITS[name].apart ** -2 for name in names])
    spread = np.linalg.inv(slopes.T @ trust @ slopes + prior)
    errors = np.sqrt(np.diag(spread))
    population = SimulatedPopulation()
    for step in range(_N_STEPS + 1):
        progress("populations compared", step, _N_STEPS + 1)
        values = _simulate_values(population, statistics, _N_COMPARED, min(n_days, _MOST_DAYS))
        made, here = _tell_variances(values.mean(axis=0), statistics), np.array(population.values)
        move = spread @ (slopes.T @ trust @ (found - made) - prior @ (here - usual))
        following = SimulatedPopulation.nearest(dict(zip(names, here + move, strict=True)))
        moved = np.abs(np.array(following.values) - here)
        if step == _N_STEPS or np.all(moved <= _SMALL_STEP * errors):
            break
        population = following
    return FittedSimulator(
        population,
        dict(zip(names, errors.tolist(), strict=True)),
        summary,
        found,
        made,
        np.sqrt(np.diag(chance)),
        tuple(signals),
        guarantee,
    )


def _keep_apart(seed: int) -> int:
    """Another seed: people who were simulated by the same one must not be simulated again, as if copied."""
    return int.from_bytes(hashlib.sha256(f"fitted simulator {seed}".encode()).digest()[:4])


def _require_week(n_days: int) -> None:
    """Refuse what may hold no day off."""
    if n_days < _LEAST_DAYS:
        raise SpecificationError(f"n_days: expected at least {_LEAST_DAYS}, got {n_days}; take whole weeks")


def _find_squares(statistics: Sequence[Statistic]) -> tuple[np.ndarray, np.ndarray]:
    """Where squares stand among the values, and where the statistics stand that they are of."""
    places = np.flatnonzero([each.is_squared for each in statistics])
    return len(statistics) + np.arange(len(places)), places


def _tell_variances(means: np.ndarray, statistics: Sequence[Statistic], noise: float = 0.0) -> np.ndarray:
    """Means of values, with variances in place of means of squares: how people differ, wherever their middle lies.

    The noise of a mean makes its square too large by the noise's variance, which is taken off.
    """
    squares, places = _find_squares(statistics)
    told = means.copy()
    told[squares] = means[squares] / SQUARE_WEIGHT - means[places] ** 2 + noise**2
    return told


def _linearize(means: np.ndarray, statistics: Sequence[Statistic]) -> np.ndarray:
    """How `_tell_variances` answers to small changes of means, (value, value)."""
    squares, places = _find_squares(statistics)
    turn = np.eye(len(means))
    turn[squares, squares], turn[squares, places] = 1 / SQUARE_WEIGHT, -2 * means[places]
    return turn


@lru_cache(maxsize=1)
def _learn_slopes() -> tuple[np.ndarray, np.ndarray]:
    """What each trait changes (value, trait), and the usual people's values (person, value), of all statistics.

    No real person has touched them. Kept for next time.
    """
    usual, columns = SimulatedPopulation(), []
    people = _simulate_values(usual, STATISTICS, _N_SLOPE_PEOPLE, _N_SLOPE_DAYS)
    start = _tell_variances(people.mean(axis=0), STATISTICS)
    for name, trait in TRAITS.items():
        here = getattr(usual, name)
        there = here + trait.apart if here + trait.apart <= trait.upper else here - trait.apart
        values = _simulate_values(replace(usual, **{name: there}), STATISTICS, _N_SLOPE_PEOPLE, _N_SLOPE_DAYS)
        columns.append((_tell_variances(values.mean(axis=0), STATISTICS) - start) / (there - here))
    return np.stack(columns, axis=1), people


def _simulate_values(
    population: SimulatedPopulation, statistics: tuple[Statistic, ...], n_people: int, n_days: int
) -> np.ndarray:
    """(person, value) of people who do not exist, always the same ones but for what the population changes."""
    people = draw_people(n_people, _PUBLIC_SEED, population)
    return describe_people(simulate(people, n_days, _PUBLIC_SEED).cohort, statistics)
