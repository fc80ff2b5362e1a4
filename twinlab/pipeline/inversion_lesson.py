"""What do released weights say of the days they were fitted on? Twins are trained, released, and read backwards."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from twinlab.attacks.model_inversion import attack_mean_day
from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import simulate
from twinlab.errors import SpecificationError
from twinlab.evaluation.model_inversion import measure_inversion
from twinlab.experiment import BayesianTwin
from twinlab.finding import Finding
from twinlab.learn_choice import CentralLearning
from twinlab.pipeline.attacker_view import let_attack
from twinlab.pipeline.start import prepare_start
from twinlab.release import Message, NoGuarantee, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.signals import get_signal
from twinlab.threat import PublicKnowledge, ThreatModel
from twinlab.twins.population import Population, fit_prior

#: People of targets, and of the attacker's shadows, come from pools that share nobody.
_TARGET_SEED, _SHADOW_SEED = 31_000, 32_000
_POOL = 300
_LEAST_SHADOWS, _LEAST_TARGETS = 20, 5
THREAT = ThreatModel("reconstruction", "public", "how twins are trained, and twins it trained on people it simulated")


@dataclass(frozen=True, repr=False)
class InversionResult:
    """What an attacker who reads weights backwards found.

    Attributes:
      finding: the share of a blind guess's error that is gone.
      table: its row, and n_people and n_days.
      guess, truth, blind: mean days of the first target, a row an hour, a column a signal, in physical units; of
        people who do not exist.
    """

    finding: Finding
    table: pd.DataFrame = field(repr=False)
    guess: pd.DataFrame = field(repr=False)
    truth: pd.DataFrame = field(repr=False)
    blind: pd.DataFrame = field(repr=False)

    def __repr__(self) -> str:
        return f"InversionResult: {self.finding.sentence}"


def invert_twins(
    n_people: int = 3,
    *,
    n_days: int = 7,
    n_targets: int = 30,
    n_shadows: int = 200,
    seed: int = 0,
    progress: Progress = report_nothing,
) -> InversionResult:
    """Release pooled weights fitted on a few simulated people, and guess these people's mean day from them.

    Features come from a public backbone, so only the pooled weights of heads saw the people. Of one person the attack
    finds much; the more there are, the nearer is their mean day to everybody's, and the less is left to find. Targets
    are drawn from one pool of 300 people, so the interval is about that pool.

    Args:
      n_people: who train each release; public.
      n_days: of readings of each; public.
      n_targets: releases attacked, each on its own.
      n_shadows: twins that the attacker trains.
      seed: who trains which; public.
      progress: called once a twin.

    Raises:
      SpecificationError: if there are too few of anything, or more people than a pool has.
    """
    if not 1 <= n_people <= _POOL // 2 or n_days < 2 or n_targets < _LEAST_TARGETS or n_shadows < _LEAST_SHADOWS:
        raise SpecificationError(
            f"model inversion: expected 1 to {_POOL // 2} people, 2 days, {_LEAST_TARGETS} targets and "
            f"{_LEAST_SHADOWS} shadows or more, got {n_people}, {n_days}, {n_targets} and {n_shadows}"
        )
    rng = np.random.default_rng(seed)
    pools = [simulate(draw_people(_POOL, each), n_days, each).cohort for each in (_TARGET_SEED, _SHADOW_SEED)]
    signals = pools[0].signals
    learn, twin = CentralLearning(), BayesianTwin(max_horizon_hours=1)
    start = prepare_start("simulated", twin, learn, signals, progress)[0]
    fitted = []
    for pool, n_twins in zip(pools, (n_targets, n_shadows), strict=True):
        twins = []
        for number in range(n_twins):
            chosen = rng.choice(pool.n_people, n_people, replace=False)
            some = pool.select(people=[pool.person_ids[each] for each in chosen])
            twins.append((_release(start, some), _average_day(some)))
            progress("training twins", number + 1, n_twins)
        fitted.append([np.stack(each) for each in zip(*twins, strict=True)])
    (releases, truth), (shadows, days) = fitted
    knowledge = PublicKnowledge(facts={"shadow_weights": shadows, "shadow_days": days})
    claims = []
    for release in releases:
        sent = Transcript()
        sent.record(Message("trainer", "public", "weights", release.nbytes, 0.0, release, NoGuarantee("under attack")))
        claims.append(let_attack(attack_mean_day, sent, knowledge, THREAT))
    finding = measure_inversion(claims, truth, days.mean(axis=0), f"Weights of {n_people} people", seed)
    table = pd.DataFrame([{**row, "n_people": n_people, "n_days": n_days} for row in finding.table])
    first = claims[0].values
    assert first is not None
    shown = [_to_units(each, signals) for each in (first[0], truth[0], days.mean(axis=0))]
    return InversionResult(finding, table, *shown)


def _release(start: Population, people: Cohort) -> np.ndarray:
    """(weight,) pooled weights fitted on these people, over the public backbone."""
    fitted = fit_prior(start, people)
    return np.concatenate([each.numpy().ravel() for each in (fitted.forecast_mean, fitted.response_mean)])


def _average_day(people: Cohort) -> np.ndarray:
    """(hour, signal) in units of public spread from the public center, where an hour was never measured."""
    days = people.values.reshape(-1, HOURS_PER_DAY, len(people.signals)).astype(float)
    center, spread = (np.array([getattr(get_signal(name), each) for name in people.signals])
                      for each in ("center", "spread"))  # fmt: skip
    known = ~np.isnan(days)
    total = np.where(known, (days - center) / spread, 0).sum(axis=0)
    mean: np.ndarray = total / np.maximum(known.sum(axis=0), 1)
    return mean


def _to_units(day: np.ndarray, signals: tuple[str, ...]) -> pd.DataFrame:
    """A day in physical units."""
    columns = {
        name: day[:, column] * get_signal(name).spread + get_signal(name).center for column, name in enumerate(signals)
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(HOURS_PER_DAY, name="hour"))
