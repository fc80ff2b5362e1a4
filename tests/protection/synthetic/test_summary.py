"""Summaries of people: one person moves them little, and they are what they say."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.budget import GaussianEvent, NonPrivateEvent
from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import START, simulate
from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.synthetic.grid_noise import GRID_STEPS
from twinlab.protection.synthetic.summary import (
    LENGTH_BOUND,
    SQUARE_WEIGHT,
    STATISTICS,
    Statistic,
    choose_statistics,
    describe_people,
    draw_summary,
    measure_summary,
    name_values,
    plan_summary,
    sum_people,
)
from twinlab.signals import SIGNALS

ALL = tuple(SIGNALS)


def make_cohort(values: np.ndarray, start: pd.Timestamp = START, signals: tuple[str, ...] = ALL) -> Cohort:
    ids = tuple(f"person-{number}" for number in range(len(values)))
    return Cohort("made up", ids, start, signals, values.astype(np.float32))


@pytest.fixture(scope="module")
def people() -> Cohort:
    return simulate(draw_people(40, 2), 14, 2).cohort


@given(seed=st.integers(0, 2**32 - 1), n_people=st.integers(2, 6), n_hours=st.integers(1, 200), gaps=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_a_person_moves_the_sums_by_no_more_than_the_bound(seed: int, n_people: int, n_hours: int, gaps: float) -> None:
    rng = np.random.default_rng(seed)
    lower, upper = (np.array([getattr(signal, end) for signal in SIGNALS.values()]) for end in ("lower", "upper"))
    shape = (n_people, n_hours, len(ALL))
    at_an_end = np.broadcast_to(rng.integers(0, 2, (n_people, 1, len(ALL))), shape)
    share = rng.random(shape) if seed % 2 else at_an_end
    values = lower + share * (upper - lower).astype(float)
    values[rng.random(values.shape) < gaps] = np.nan
    start = START + pd.Timedelta(hours=int(rng.integers(0, 168)))
    whole = sum_people(make_cohort(values, start), STATISTICS)
    less = sum_people(make_cohort(values[1:], start), STATISTICS)
    alone = sum_people(make_cohort(values[:1], start), STATISTICS)
    np.testing.assert_array_equal(whole - less, alone)
    assert sum(int(each) ** 2 for each in whole - less) <= GRID_STEPS**2


def describe_plainly(cohort: Cohort, person: int, statistic: Statistic) -> float:
    """One statistic, hour by hour, in plain numbers."""
    times, readings = cohort.times, cohort.signal(statistic.signal)[person].tolist()
    seen = [(time, value) for time, value in zip(times, readings, strict=True) if not math.isnan(value)]
    by_hour: dict[int, list[float]] = {}
    for time, value in seen:
        by_hour.setdefault(time.hour, []).append(value)
    means = {hour: sum(each) / len(each) for hour, each in by_hour.items()}
    level = sum(means.values()) / len(means)
    if statistic.kind.startswith("worn"):
        hours = range(10, 20) if statistic.kind == "worn by day" else range(1, 5)
        raw = sum(time.hour in hours for time, _ in seen) / sum(time.hour in hours for time in times)
    elif statistic.kind == "brisk":
        raw = sum(value >= 1500 for _, value in seen) / len(seen)
    elif statistic.kind == "weekend":
        off = [value for time, value in seen if time.weekday() >= 5]
        on = [value for time, value in seen if time.weekday() < 5]
        raw = math.log((sum(off) / len(off) + 10) / (sum(on) / len(on) + 10)) if off and on else statistic.center
    elif len(means) < 18:
        raw = statistic.center
    elif statistic.kind == "level":
        raw = level
    elif statistic.kind == "log level":
        raw = math.log(level + 10)
    elif statistic.kind == "wander":
        raw = math.sqrt(sum((value - means[time.hour]) ** 2 for time, value in seen) / len(seen))
    else:
        turn = math.cos if statistic.kind == "cosine" else math.sin
        raw = sum((mean - level) * turn(2 * math.pi * hour / 24) for hour, mean in means.items()) / 12
        raw /= level + 10 if statistic.signal == "steps" else 1
    return min(max((raw - statistic.center) / statistic.reach, -1), 1)


@pytest.mark.parametrize("first_hour", [0, 5])
def test_statistics_are_the_plain_ones(people: Cohort, first_hour: int) -> None:
    some = people.select(people=people.person_ids[:6], hours=slice(first_hour, 200))
    found = describe_people(some, STATISTICS)
    for person in range(6):
        plain = [describe_plainly(some, person, each) for each in STATISTICS]
        squares = [SQUARE_WEIGHT * value**2 for value, each in zip(plain, STATISTICS, strict=True) if each.is_squared]
        whole = np.array(plain + squares)
        np.testing.assert_allclose(found[person], whole * min(1, LENGTH_BOUND / np.linalg.norm(whole)), atol=1e-5)


def test_nobody_is_longer_than_the_bound_though_clipped_values_are() -> None:
    """Clipped one by one, this person would move sums by more than noise was made for."""
    one = make_cohort(np.ones((1, 168, 1)) * [signal.upper for signal in SIGNALS.values()])
    plain = np.array([describe_plainly(one, 0, each) for each in STATISTICS])
    assert np.linalg.norm(plain) > 1.3 * LENGTH_BOUND
    assert np.linalg.norm(describe_people(one, STATISTICS)) == pytest.approx(LENGTH_BOUND)
    length = np.linalg.norm(sum_people(one, STATISTICS).astype(float)) / GRID_STEPS
    assert 0.9999 < length <= 1


def test_company_changes_nobody_and_nobody_measured_is_in_the_middle(people: Cohort) -> None:
    values = people.values[:3].copy()
    values[1] = np.nan
    found = describe_people(make_cohort(values), STATISTICS)
    np.testing.assert_array_equal(found[[0, 2]], describe_people(people, STATISTICS)[[0, 2]])
    worn = [each.kind.startswith("worn") for each in STATISTICS] + [False] * (found.shape[1] - len(STATISTICS))
    assert (found[1, ~np.array(worn)] == 0).all()
    assert (found[1, worn] == -1).all(), "that nothing was measured is known of them"


def test_means_are_the_sums_over_the_people(people: Cohort) -> None:
    summary = measure_summary(people)
    assert summary.n_people == pytest.approx(40, abs=1e-3)
    np.testing.assert_allclose(summary.means, describe_people(people, STATISTICS).mean(axis=0), atol=1e-5)
    assert (summary.noise, summary.event) == (0, NonPrivateEvent())
    assert len(summary.names) == len(summary.means) == len(set(summary.names))


def test_noise_is_as_large_as_it_says(people: Cohort) -> None:
    source = open_noise(rehearsal=True, seed=3)  # repeatable, so that this test cannot fail by chance
    exact = sum_people(people, STATISTICS) / GRID_STEPS
    drawn = np.array([draw_summary(people, 2.0, source).sums - exact for _ in range(150)])
    assert drawn.std() == pytest.approx(2.0, rel=0.05)
    assert abs(drawn.mean()) < 0.15
    assert np.abs(np.corrcoef(drawn.T) - np.eye(drawn.shape[1])).max() < 0.4
    summary = draw_summary(people, 2.0, source)
    assert summary.event == plan_summary(2.0) == GaussianEvent(2.0)
    assert summary.noise * summary.n_people == pytest.approx(2.0 * math.hypot(LENGTH_BOUND, 1))


def test_signals_choose_statistics() -> None:
    assert {each.signal for each in choose_statistics(("steps", "intensity"))} == {"steps"}
    assert name_values(choose_statistics(("glucose_mg_dl",)))[-1] == "glucose_mg_dl level, squared"
    with pytest.raises(DataContractError, match="expected at least one of steps, calories_kcal"):
        choose_statistics(("intensity",))


def test_too_little_noise_is_refused(people: Cohort) -> None:
    for draw in (plan_summary, lambda multiplier: draw_summary(people, multiplier, open_noise())):
        with pytest.raises(SpecificationError, match=r"expected at least 0.0625, got 0.01; lower epsilon"):
            draw(0.01)


def test_repr_tells_noisy_numbers_only(people: Cohort) -> None:
    assert repr(measure_summary(people)).startswith("PopulationSummary(22 means over about 40 people")
