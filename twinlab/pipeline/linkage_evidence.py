"""What an attacker who links people is given: a release without names, and what it knows of them from another time."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from twinlab.attacks.linkage import attack_by_heads, attack_by_points, attack_by_profile, attack_by_traffic
from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import START, simulate
from twinlab.errors import DataContractError
from twinlab.experiment import BayesianTwin, NoisyReadings
from twinlab.learn_choice import CentralLearning
from twinlab.pipeline.sensing import share_out
from twinlab.pipeline.start import prepare_start
from twinlab.protection.differential_privacy.local import protect_readings
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.release import Guarantee, Message, NoGuarantee
from twinlab.roles import Progress
from twinlab.signals import get_signal
from twinlab.threat import Attack, PublicKnowledge, ThreatModel
from twinlab.twins.feature import FeatureTable
from twinlab.twins.population import Population
from twinlab.twins.tracker import ForecastTracker, ResponseTracker

Way = Literal["profile", "heads", "points", "traffic", "updates"]
Cover = Literal["nothing", "sizes", "sizes and times"]

#: A day counts as worn with so many hours in which most of the signals were measured.
_LEAST_HOURS = 12
_N_REFERENCE, _PEOPLE_AT_ONCE = 200, 100
#: Seeds of the attacker's own simulated people lie apart from those that a reader is likely to study.
_REFERENCE_SEED = 20_000
#: Authenticated encryption adds a nonce of 12 bytes and a tag of 16 (NIST SP 800-38D).
_SEAL_BYTES = 28
#: Readings in the same half of a signal's public spread look the same to somebody who saw them in passing.
_RESOLUTION = 0.5
NO_NAMES = NoGuarantee("only the names were removed")


@dataclass(frozen=True, repr=False)
class Days:
    """The same people at two times; private.

    Attributes:
      named, nameless: float32 (person, hour, signal), whole days on which the device was worn, NaN behind a person's
        last one.
      signals: of the last axis.
      n_dropped: people with too few days.
    """

    named: np.ndarray
    nameless: np.ndarray
    signals: tuple[str, ...]
    n_dropped: int

    def __repr__(self) -> str:
        return f"Days({len(self.named)} people, {self.n_days} days at each of two times)"

    @property
    def n_days(self) -> int:
        """Days of a side, at most."""
        return int(self.named.shape[1] // HOURS_PER_DAY)


@dataclass(frozen=True, repr=False)
class Evidence:
    """An attack and all that it is given; the truth beside it, for `evaluation` alone."""

    attack: Attack
    message: Message
    knowledge: PublicKnowledge
    threat: ThreatModel
    truth: np.ndarray


def find_worn_days(cohort: Cohort) -> tuple[np.ndarray, np.ndarray]:
    """Whole days of everybody, float32 (person, day, hour, signal), and which were worn, bool (person, day).

    Args:
      cohort: private.
    """
    ahead = -cohort.start.hour % HOURS_PER_DAY
    whole = (cohort.n_hours - ahead) // HOURS_PER_DAY
    values = cohort.values[:, ahead : ahead + whole * HOURS_PER_DAY]
    days = values.reshape(cohort.n_people, whole, HOURS_PER_DAY, len(cohort.signals))
    return days, ((~np.isnan(days)).mean(axis=3) > 0.5).sum(axis=2) >= _LEAST_HOURS


def split_days(cohort: Cohort, n_days: int, skip: int = 0) -> Days:
    """Each person's own worn days, cut into two times that follow each other.

    Args:
      cohort: private.
      n_days: of a side; public. Who wore the device for fewer gives half of their days to each side, if that is at
        least half of `n_days`, and is left out otherwise.
      skip: worn days to pass over at the start; public.

    Raises:
      DataContractError: if fewer than two people are left.
    """
    days, worn = find_worn_days(cohort)
    n_each = np.minimum(n_days, (worn.sum(axis=1) - skip) // 2)
    kept = np.flatnonzero(n_each >= max(1, n_days / 2))
    if len(kept) < 2:
        raise DataContractError(
            f"linkage: expected at least 2 people with {max(1, n_days // 2) * 2} worn days or more, got {len(kept)} of "
            f"{cohort.n_people}; choose fewer days, or simulate more"
        )
    sides = np.full((2, len(kept), n_days, HOURS_PER_DAY, len(cohort.signals)), np.nan, dtype=np.float32)
    for row, person in enumerate(kept):
        n, own = int(n_each[person]), np.flatnonzero(worn[person])[skip:]
        sides[0, row, :n], sides[1, row, :n] = days[person, own[:n]], days[person, own[n : 2 * n]]
    named, nameless = sides.reshape(2, len(kept), n_days * HOURS_PER_DAY, len(cohort.signals))
    return Days(named, nameless, cohort.signals, cohort.n_people - len(kept))


def add_noise(days: Days, choice: NoisyReadings, seed: int) -> tuple[Days, Guarantee]:
    """The nameless side as devices that add noise would send it. Nobody is charged: for people who do not exist only.

    Args:
      days: of simulated people.
      choice: public.
      seed: of a rehearsal's noise; not used otherwise.
    """
    each = share_out(choice, len(days.signals))
    noise = open_noise(rehearsal=True, seed=seed) if choice.rehearsal else open_noise()
    noisy = np.empty_like(days.nameless)
    for column, name in enumerate(days.signals):
        sent = protect_readings(
            days.nameless[..., column],
            name,
            epsilon=each,
            mechanism=choice.mechanism,
            missing=choice.missing,
            noise=noise,
        )
        noisy[..., column] = np.clip(sent.values, get_signal(name).lower, get_signal(name).upper)
    noisy[~find_days(days.nameless)] = np.nan
    return replace(days, nameless=noisy), NoGuarantee("readings are noisy; which days were worn is not hidden")


def find_days(values: np.ndarray) -> np.ndarray:
    """bool (person, hour): hours of days on which anything was measured at all."""
    known = ~np.isnan(values).all(axis=2)
    by_day = known.reshape(len(values), -1, HOURS_PER_DAY).any(axis=2)
    there: np.ndarray = by_day.repeat(HOURS_PER_DAY, axis=1)
    return there


def prepare_profile(days: Days, rng: np.random.Generator, guarantee: Guarantee = NO_NAMES) -> Evidence:
    """Whole days, published without names."""
    begin = time.perf_counter()
    order = rng.permutation(len(days.named))
    return Evidence(
        attack_by_profile,
        _publish("nameless days", days.nameless[order], begin, guarantee),
        PublicKnowledge(facts={"named": days.named}),
        ThreatModel("linkage", "public", f"{days.n_days} earlier days of everybody, with names"),
        order,
    )


def prepare_points(
    days: Days, rng: np.random.Generator, n_points: int, truth_days: np.ndarray, guarantee: Guarantee = NO_NAMES
) -> Evidence:
    """The same release, and an attacker who saw a few readings of one day of everybody.

    Args:
      days: as released.
      rng: who draws the hours.
      n_points: readings that are known.
      truth_days: (person, hour, signal) as measured on the days of the release: what the attacker saw.
      guarantee: of the release.
    """
    measured = ~np.isnan(truth_days).any(axis=2)
    by_day = measured.reshape(len(measured), -1, HOURS_PER_DAY)
    enough = by_day.sum(axis=2) >= n_points
    kept = np.flatnonzero(enough.any(axis=1))
    if not len(kept):
        raise DataContractError(f"n_points: expected somebody with {n_points} measured hours a day, got nobody")
    hours = np.empty((len(kept), n_points), dtype=int)
    for row, person in enumerate(kept):
        day = rng.choice(np.flatnonzero(enough[person]))
        hours[row] = day * HOURS_PER_DAY + rng.choice(np.flatnonzero(by_day[person, day]), n_points, replace=False)
    begin = time.perf_counter()
    order = rng.permutation(len(days.nameless))
    message = _publish("nameless days", days.nameless[order], begin, guarantee)
    width = np.array([get_signal(name).spread for name in days.signals]) * _RESOLUTION
    facts = {"hours": hours, "points": truth_days[kept[:, None], hours], "resolution": width}
    return Evidence(
        attack_by_points,
        message,
        PublicKnowledge(facts=facts),
        ThreatModel("linkage", "public", f"{n_points} readings of one day of everybody, roughly"),
        np.argsort(order)[kept],
    )


def prepare_traffic(days: Days, rng: np.random.Generator, cover: Cover = "nothing") -> Evidence:
    """Sealed readings on a wire, an hour a message, and who sent earlier ones."""
    begin = time.perf_counter()
    order = rng.permutation(len(days.named))
    wire = count_sealed_bytes(days.nameless, days.signals, cover)[order]
    seconds, n_bytes = time.perf_counter() - begin, int(np.nansum(wire))
    guarantee = NoGuarantee("content is encrypted; sizes and times are not hidden")
    message = Message("device", "network", "sealed readings", n_bytes, seconds, wire, guarantee, len(order))
    named = count_sealed_bytes(days.named, days.signals, cover)
    threat = ThreatModel("linkage", "network", f"{days.n_days} earlier days of everybody's traffic, with names")
    return Evidence(attack_by_traffic, message, PublicKnowledge(facts={"named": named}), threat, order)


def count_sealed_bytes(values: np.ndarray, signals: tuple[str, ...], cover: Cover = "nothing") -> np.ndarray:
    """Bytes of each hour's message, float (person, hour): readings as JSON in whole units, encrypted; 0 where nothing
    was measured and nothing is sent. NaN on days that are not there.

    Args:
      values: (person, hour, signal); private.
      signals: of the last axis.
      cover: "sizes" pads every message to the longest that there can be; "sizes and times" also sends one every hour.
    """
    known = ~np.isnan(values)
    n_digits = 1 + np.floor(np.log10(np.maximum(np.round(np.nan_to_num(values)), 1)))
    n_letters = np.array([len(f'"{name}":,') for name in signals])
    sizes = (known * (n_letters + n_digits)).sum(axis=2) + 1 + _SEAL_BYTES  # braces, less one comma
    longest = sum(len(f'"{name}":,{get_signal(name).upper:.0f}') for name in signals) + 1 + _SEAL_BYTES
    is_sent = known.any(axis=2)
    if cover != "nothing":
        sizes = np.full(sizes.shape, float(longest))
    sent = sizes if cover == "sizes and times" else np.where(is_sent, sizes, 0.0)
    return np.where(find_days(values), sent, np.nan)


def prepare_heads(days: Days, rng: np.random.Generator, twin: BayesianTwin, progress: Progress) -> Evidence:
    """Personal heads at two times, of twins whose shared part saw nobody; and heads of the attacker's own people."""
    next_hour, learn = twin.model_copy(update={"max_horizon_hours": 1}), CentralLearning()
    population = prepare_start("simulated", next_hour, learn, days.signals, progress)[0]
    people = draw_people(_N_REFERENCE, _REFERENCE_SEED)
    own = simulate(people, 2 * days.n_days, _REFERENCE_SEED, progress=progress).cohort.select(signals=days.signals)
    others = split_days(own, days.n_days)
    known: list[np.ndarray] = []
    for values in (days.named, others.named, others.nameless):
        known.append(read_heads(population, values, days.signals))
        progress("reading heads", len(known), 4)
    begin = time.perf_counter()
    order = rng.permutation(len(days.named))
    message = _publish("nameless heads", read_heads(population, days.nameless, days.signals)[order], begin, NO_NAMES)
    progress("reading heads", 4, 4)
    return Evidence(
        attack_by_heads,
        message,
        PublicKnowledge(facts={"named": known[0], "reference": np.stack(known[1:], axis=1)}),
        ThreatModel("linkage", "public", "everybody's heads of an earlier time, with names, and the public model"),
        order,
    )


def read_heads(population: Population, values: np.ndarray, signals: tuple[str, ...]) -> np.ndarray:
    """What twins have learned of their people after some days: heads of the next hour and of effort.

    Args:
      population: public.
      values: (person, hour, signal); private.
      signals: of the last axis.

    Returns:
      float32 (person, weight); private.
    """
    found = []
    for first in range(0, len(values), _PEOPLE_AT_ONCE):
        some = values[first : first + _PEOPLE_AT_ONCE].copy()
        ids = tuple(map(str, range(len(some))))
        cohort = Cohort("heads", ids, START, signals, some, pd.DataFrame(index=list(ids)), "simulated")
        table = FeatureTable(cohort, population.targets, population.twin.max_horizon_hours)
        forecasts, responses = ForecastTracker(population, table, (1,)), ResponseTracker(population, cohort)
        for hour in range(cohort.n_hours):
            forecasts.advance(hour)
            responses.advance(hour)
        found.append(np.concatenate([each.heads.weights.flatten(1).numpy() for each in (forecasts, responses)], axis=1))
    return np.concatenate(found)


def _publish(kind: str, payload: np.ndarray, begin: float, guarantee: Guarantee) -> Message:
    """A table that everybody may read, made since `begin` of the clock."""
    return Message("trainer", "public", kind, int(payload.nbytes), time.perf_counter() - begin, payload, guarantee)
