"""Who is in this mean? Hour-by-hour means of a group are published, attacked, and the claims are scored."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd
import torch

from twinlab.attacks.aggregate import AGGREGATE_METHODS, find_contributors
from twinlab.budget import GaussianEvent
from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.errors import SpecificationError
from twinlab.evaluation.membership import ACCUSED, measure_membership, trace_curve
from twinlab.experiment import Experiment, SimulatedCohort
from twinlab.pipeline.attacker_view import let_attack
from twinlab.pipeline.attribute_evidence import take_days
from twinlab.pipeline.composition import load_cohort
from twinlab.pipeline.membership_lesson import MembershipResult
from twinlab.pipeline.shadowing import draw_members, find_promised_ceiling
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier
from twinlab.protection.differential_privacy.descent import describe_training_guarantee
from twinlab.protection.differential_privacy.gaussian_noise import add_noise, find_rounding_room
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.release import Guarantee, Message, NoGuarantee, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.signals import get_signal
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

AggregateDefence = Literal["exact", "rounded", "suppressed", "private"]
AGGREGATE_DEFENCES: Final[tuple[AggregateDefence, ...]] = get_args(AggregateDefence)
THREAT: Final = ThreatModel(
    "membership",
    "public",
    "the published means, how they were made, a candidate's readings, and readings of people of its own",
)
#: Means are rounded to this share of the signal's public spread: 60 steps, 1.3 beats a minute.
_ROUND_TO = 0.1
#: Hours in which fewer people than this moved, slept or were measured are not published.
_FEWEST = 10
#: A person who lies this many public spreads from the public centre in every hour is not shortened.
_REACH = 1.0
_FEWEST_OTHERS, _FEWEST_IN, _FEWEST_GROUPS = 50, 2, 2


def attack_aggregate(
    people: Cohort | Experiment,
    *,
    defence: AggregateDefence = "exact",
    epsilon: float = 1.0,
    n_in: int = 50,
    n_days: int = 14,
    signals: Sequence[str] = ("steps",),
    n_groups: int = 40,
    n_others: int = 600,
    seed: int = 0,
    progress: Progress = report_nothing,
) -> MembershipResult:
    """Publish hour-by-hour means of groups of people, and let an attacker say who is in each.

    The attacker knows a candidate's readings, how means are made, and people of its own. Each group is a random half of
    the candidates. A reading that is not there counts as the signal's public centre. It compares with the truth, and is
    for people who do not exist, or whose data's licence allows it; nobody is charged.

    Args:
      people: private; an experiment's are simulated, as many as needed, or loaded. The first `2 * n_in` are candidates,
        the others the attacker's own.
      defence: "exact" means; "rounded" to a tenth of the public spread; "suppressed" where fewer than ten people moved
        or were measured; "private": what a person adds over all hours is shortened to a public length, and noise hides
        the person as a whole.
      epsilon: of the private mean; its delta is the experiment's, or the default one's.
      n_in: people in each mean; public.
      n_days: whole days, of 24 means each; public.
      signals: whose means are published.
      n_groups: how many means are attacked.
      n_others: the attacker's own people, where they are simulated; otherwise all that are left.
      seed: of groups and bootstrap; public. Noise never depends on it.
      progress: told while people live and groups are attacked.

    Returns:
      Finding, table and curves. The table has a row per method, with `error` beside: how far published means lie from
      the exact ones, root mean square over published hours, in public spreads; and `published`, the share of hours.

    Raises:
      SpecificationError: if a choice is not there, or there are too few people.
      DataContractError: if there are too few days.
    """
    _check(defence, epsilon, n_in, n_groups, n_others)
    cohort = _load(people, n_in, n_days, n_others, progress)
    delta = (people if isinstance(people, Experiment) else Experiment()).budget.delta
    pool = _Contributions.of(cohort.select(signals=signals), n_days)
    press = _Press(defence, epsilon, delta, n_in, pool.added[0].size)
    candidates, others = press.shorten(pool.added[: 2 * n_in]), press.shorten(pool.added[2 * n_in :])
    members = draw_members(n_groups, 2 * n_in, seed)
    told = {"candidates": candidates, "reference": others, "n_people": n_in, "noise_variance": press.noise_variance}
    claims: dict[str, list[Claims]] = {method: [] for method in AGGREGATE_METHODS}
    square, n_shown = 0.0, 0
    for group, each in enumerate(members):
        begin = time.perf_counter()
        published = press.publish(candidates[each], pool.is_active[: 2 * n_in][each])
        seconds = time.perf_counter() - begin
        transcript = Transcript()
        transcript.record(
            Message("trainer", "public", "aggregate", published.nbytes, seconds, published, press.guarantee)
        )
        for method, found in claims.items():
            facts = {"method": method, **told}
            found.append(let_attack(find_contributors, transcript, PublicKnowledge(facts=facts), THREAT))
        square += float(np.nansum((published - pool.added[: 2 * n_in][each].mean(axis=0)) ** 2))
        n_shown += int(np.isfinite(published).sum())
        progress("attacking means", group + 1, n_groups)
    name = f"{press.name}, {n_in} people"
    finding = measure_membership(claims, members, name[:1].upper() + name[1:], seed)
    ceiling = find_promised_ceiling(epsilon, delta, ACCUSED[1]) if defence == "private" else None
    table = pd.DataFrame(list(finding.table)).assign(
        target=name,
        promised_ceiling=ceiling,
        error=math.sqrt(square / n_shown) if n_shown else math.nan,
        published=n_shown / (n_groups * pool.added[0].size),
    )
    curves = [
        pd.DataFrame(trace_curve(each, members)).assign(target=name, method=method) for method, each in claims.items()
    ]
    return MembershipResult(finding, table, pd.concat(curves, ignore_index=True))


def compare_aggregates(
    people: Cohort | Experiment,
    defences: Sequence[AggregateDefence] = AGGREGATE_DEFENCES,
    *,
    epsilon: float = 1.0,
    n_in: int = 50,
    n_days: int = 14,
    signals: Sequence[str] = ("steps",),
    n_groups: int = 40,
    n_others: int = 600,
    seed: int = 0,
    progress: Progress = report_nothing,
) -> MembershipResult:
    """The same attack on several ways to publish; arguments as for `attack_aggregate`. The finding is the first's."""
    if not defences:
        raise SpecificationError(f"defences: expected at least one of {', '.join(AGGREGATE_DEFENCES)}, got none")
    _check(defences[0], epsilon, n_in, n_groups, n_others)
    cohort = _load(people, n_in, n_days, n_others, progress)
    results = [
        attack_aggregate(
            cohort,
            defence=defence,
            epsilon=epsilon,
            n_in=n_in,
            n_days=n_days,
            signals=signals,
            n_groups=n_groups,
            n_others=n_others,
            seed=seed,
            progress=progress,
        )
        for defence in defences
    ]
    return MembershipResult(
        results[0].finding,
        pd.concat([each.table for each in results], ignore_index=True),
        pd.concat([each.roc for each in results], ignore_index=True),
    )


@dataclass(frozen=True, repr=False)
class _Contributions:
    """What people add to a mean, in public spreads from the public centre, zero where nothing was measured; private.

    Attributes:
      added: float (person, day, signal and hour).
      is_active: bool of the same shape: measured, and above the least that there can be.
    """

    added: np.ndarray = field(repr=False)
    is_active: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, cohort: Cohort, n_days: int) -> _Contributions:
        """From whole days."""
        values = take_days(cohort, n_days).astype(float)
        known = [get_signal(name) for name in cohort.signals]
        lower, center, spread = (
            np.array([getattr(each, name) for each in known]) for name in ("lower", "center", "spread")
        )
        sides = (np.nan_to_num((values - center) / spread), values > lower)
        by_day = [each.reshape(len(values), n_days, HOURS_PER_DAY * len(known)) for each in sides]
        return cls(by_day[0], by_day[1])


class _Press:
    """Publishes means in one way, all of which is public."""

    def __init__(self, defence: AggregateDefence, epsilon: float, delta: float, n_in: int, n_values: int) -> None:
        self._defence, self._n_in = defence, n_in
        self._clip_norm = _REACH * math.sqrt(n_values)
        self._noise_multiplier = calibrate_noise_multiplier(epsilon, delta) if defence == "private" else 0.0
        self._room = 1 - find_rounding_room(n_values)
        self.name = f"private means, epsilon {epsilon:g}" if defence == "private" else f"{defence} means"
        self.guarantee: Guarantee = NoGuarantee("means are published without noise")
        self.noise_variance = 0.0
        if defence == "private":
            events = (GaussianEvent(self._noise_multiplier),)
            self.guarantee = describe_training_guarantee(events, delta, is_rehearsal=False)
            self.noise_variance = (self._noise_multiplier * self._clip_norm / n_in) ** 2
        elif defence == "rounded":
            self.noise_variance = _ROUND_TO**2 / 12  # of an error that is spread evenly over a step

    def shorten(self, added: np.ndarray) -> np.ndarray:
        """What each person adds, in private means no longer than the public bound."""
        if self._defence != "private":
            return added
        lengths = np.sqrt((added**2).sum(axis=(1, 2), keepdims=True))
        shortened: np.ndarray = added * np.minimum(1.0, self._room * self._clip_norm / np.maximum(lengths, 1e-12))
        return shortened

    def publish(self, added: np.ndarray, is_active: np.ndarray) -> np.ndarray:
        """The mean of a group, float (day, value), NaN where it is not published.

        Args:
          added: (person, day, value), shortened; private.
          is_active: bool of the same shape; private.
        """
        total: np.ndarray = added.sum(axis=0)
        if self._defence == "private":
            bound, noise = torch.tensor([self._clip_norm]), torch.tensor([self._noise_multiplier])
            noisy = add_noise(torch.from_numpy(total).reshape(1, -1), bound, noise, open_noise())
            total = noisy.double().numpy().reshape(total.shape)
        mean = total / self._n_in
        if self._defence == "rounded":
            mean = np.round(mean / _ROUND_TO) * _ROUND_TO
        if self._defence == "suppressed":
            mean = np.where(is_active.sum(axis=0) >= _FEWEST, mean, np.nan)
        return mean


def _check(defence: str, epsilon: float, n_in: int, n_groups: int, n_others: int) -> None:
    """All faults at once."""
    faults = []
    if defence not in AGGREGATE_DEFENCES:
        faults.append(f"defence: expected one of {', '.join(AGGREGATE_DEFENCES)}, got {defence!r}")
    if not 0 < epsilon < math.inf:
        faults.append(f"epsilon: expected a finite number above 0, got {epsilon}")
    for name, value, least in (
        ("n_in", n_in, _FEWEST_IN), ("n_groups", n_groups, _FEWEST_GROUPS), ("n_others", n_others, _FEWEST_OTHERS)
    ):  # fmt: skip
        if value < least:
            faults.append(f"{name}: expected {least} or more, got {value}")
    if faults:
        raise SpecificationError("; ".join(faults))


def _load(people: Cohort | Experiment, n_in: int, n_days: int, n_others: int, progress: Progress) -> Cohort:
    """Candidates first, then the attacker's own people."""
    if isinstance(people, Experiment):
        if isinstance(people.cohort, SimulatedCohort):
            people = people.with_({"cohort.n_people": 2 * n_in + n_others, "cohort.n_days": n_days})
        people = load_cohort(people, progress)
    if people.n_people < 2 * n_in + _FEWEST_OTHERS:
        raise SpecificationError(
            f"n_in: expected at most {max(0, people.n_people - _FEWEST_OTHERS) // 2} with {people.n_people} people, "
            f"half of the candidates and {_FEWEST_OTHERS} of the attacker's own, got {n_in}"
        )
    return people
