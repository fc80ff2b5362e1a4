"""Where private training starts: from people who do not exist, or from constants. Both are public and cost nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.simulator import SIMULATED_SIGNALS, simulate_cohort
from twinlab.errors import SpecificationError
from twinlab.experiment import BayesianTwin, SimulatedCohort
from twinlab.learn_choice import CentralLearning, FederatedLearning
from twinlab.protection.differential_privacy.pooled_weights import PersonProducts
from twinlab.roles import Progress, report_nothing
from twinlab.twins.pooled import assume_constants, list_training_rows
from twinlab.twins.population import Population, train_population

StartName = Literal["simulated", "constant"]

#: Drawn apart from every seed that a reader is likely to study people with.
_SEED, _N_DRAWN, _N_PEOPLE, _N_DAYS, _YOUNG = 10_000, 150, 60, 28, 45
#: So many of them say which features move together.
_N_FOR_GEOMETRY = 40


@lru_cache(maxsize=1)
def draw_public_people() -> Cohort:
    """Some dozens of simulated people, young and without a condition: public, and on purpose not quite like the others.

    A start that was trained on the very people it is judged on would make the zero budget look better than it is.
    """
    cohort = simulate_cohort(SimulatedCohort(n_people=_N_DRAWN, n_days=_N_DAYS, seed=_SEED)).cohort
    about = cohort.attributes
    fit = about.index[(about["condition"] == "none") & (about["age_years"] < _YOUNG)]
    return cohort.select(people=list(fit[:_N_PEOPLE]))


def prepare_start(
    start: StartName,
    twin: BayesianTwin,
    learn: CentralLearning | FederatedLearning,
    signals: tuple[str, ...],
    progress: Progress = report_nothing,
) -> tuple[Population, Tensor]:
    """The population that training starts from, and the geometry in which it descends. Both saw nobody's readings.

    Args:
      start: "simulated" or "constant".
      twin, learn: public choices.
      signals: what the cohort measures; public.
      progress: called once an epoch; the second call with the same choices takes no time.

    Returns:
      The population, and (feature, feature) that makes features of simulated people move apart.

    Raises:
      SpecificationError: if the simulator does not know one of the signals.
    """
    missing = [name for name in signals if name not in SIMULATED_SIGNALS]
    if missing:
        raise SpecificationError(
            f"learn.privacy: a public start needs signals that the simulator knows ({', '.join(SIMULATED_SIGNALS)}); "
            f"it has no {', '.join(missing)}"
        )
    key = (start, twin, tuple(signals))
    if key not in _PREPARED:
        _PREPARED[key] = _prepare(start, twin, tuple(signals), progress)
    population, geometry = _PREPARED[key]
    return replace(population, learn=learn), geometry


_PREPARED: dict[tuple, tuple[Population, Tensor]] = {}


def _prepare(
    start: StartName, twin: BayesianTwin, signals: tuple[str, ...], progress: Progress
) -> tuple[Population, Tensor]:
    people = draw_public_people().select(signals=signals)
    if start == "simulated":
        population = train_population(
            people, twin, progress=lambda _, done, total: progress("public start", done, total)
        )
    else:
        population = assume_constants(twin, CentralLearning(), signals)
    some = people.select(people=people.person_ids[:_N_FOR_GEOMETRY])
    return population, make_products(population, some).find_geometry()


def make_products(population: Population, cohort: Cohort) -> PersonProducts:
    """What people's training time says about pooled weights, for all bands and targets; private."""
    parts = [
        PersonProducts.stack([PersonProducts.from_rows(features, answers) for features, answers in bands])
        for bands in list_training_rows(population, cohort)
    ]
    return PersonProducts(torch.cat([part.gram for part in parts]), torch.cat([part.right for part in parts]))
