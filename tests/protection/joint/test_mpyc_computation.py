"""Programs' answers, computed by parties whose arithmetic hides nothing, equal those of all rows in one place.

`PlainArithmetic` is what arithmetic on shares must come to, with the errors it may make; `tests/claims` runs the same
programs on real shares in real processes.
"""

import asyncio
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import DataContractError, ProtocolError
from twinlab.protection.joint.distribution import QuantileQuestion
from twinlab.protection.joint.mpyc_computation import compute
from twinlab.protection.joint.mpyc_program import (
    CoefficientProgram,
    CompareProgram,
    MedianProgram,
    VerticalProgram,
)
from twinlab.protection.joint.regression import RidgeQuestion
from twinlab.protection.joint.statistic import Column, add_plainly, ask_jointly

HEART = Column("resting_heart_rate_bpm", 30.0, 130.0, "bpm")
FEATURES = (Column("age", 18.0, 98.0, "years"), Column("steps", 0.0, 30_000.0, "steps"), HEART)
SLEEP = Column("sleep_min", 0.0, 900.0, "min")
NAMES = ("north", "south", "east")
EXACT = 1e-9


class Table:
    """Where all parties lay their numbers down, and wait for the others'."""

    def __init__(self, n_parties):
        self.n_parties, self.laid, self.opened = n_parties, {}, []

    async def gather(self, place, turn, thing):
        self.laid.setdefault(turn, {})[place] = thing
        while len(self.laid[turn]) < self.n_parties:
            await asyncio.sleep(0)
        return [self.laid[turn][at] for at in range(self.n_parties)]


class PlainArithmetic:
    """One party's side. A share is the number; what is cut is off by as much as masks may make it, at random."""

    def __init__(self, table, place, most_colluding=1, rng=None):
        self.table, self.place, self.turn = table, place, 0
        self.n_parties, self.n_masks = table.n_parties, math.comb(table.n_parties, most_colluding)
        self.rng = rng or np.random.default_rng(0)

    async def tell_all(self, word):
        self.turn += 1
        return await self.table.gather(self.place, self.turn, word)

    async def share(self, own, shapes, modulus):
        found = await self.tell_all(own)
        assert [np.shape(numbers) for numbers in found] == [tuple(shape) for shape in shapes]
        return found

    async def open(self, shares, modulus):
        found = read_signed(shares, modulus)
        self._note(found)
        return found

    async def reshare(self, products, modulus):
        return products

    async def cut(self, product, n_cut, n_bits, modulus):
        numbers = read_signed(product, modulus)
        assert all(abs(number) < 2**n_bits for number in numbers)
        # There is room for the mask above the number.
        assert self.n_masks * 2 ** (n_bits + 1 + 64) + 2 ** (n_bits + 1) < modulus
        reach = self.n_masks // 2
        moved = self.rng.integers(-reach, reach + 1, len(numbers)).tolist()
        return np.array(
            [*(((number >> n_cut) + by) % modulus for number, by in zip(numbers, moved, strict=True)), None],
            dtype=object,
        )[:-1]

    async def is_sum_negative(self, own, n_bits):
        total = sum(await self.tell_all(own))
        assert abs(total) < 2**n_bits
        self._note(total < 0)
        return total < 0

    def _note(self, found):
        if self.place == 0:
            self.table.opened.append(found)

    async def find_largest(self, own, n_bits):
        assert abs(own) < 2**n_bits
        found = await self.tell_all(own)
        return found.index(max(found))


def read_signed(numbers, modulus):
    return [int(number) - modulus if number > modulus // 2 else int(number) for number in numbers.tolist()]


def compute_plainly(program, tables, most_colluding=1):
    """The program's answer, and all that was opened."""

    async def work():
        table = Table(len(tables))
        # All move by the same, as their generators begin alike.
        parties = [PlainArithmetic(table, at, most_colluding) for at in range(len(tables))]
        found = await asyncio.gather(
            *(compute(program, rows, party) for rows, party in zip(tables.values(), parties, strict=True))
        )
        assert all(numbers == found[0] for numbers in found)
        return program.conclude(found[0], list(tables)), table.opened

    return asyncio.run(work())


def draw_tables(seed, sizes, columns):
    """Rows within bounds, of which columns follow from each other more or less, and parties differ."""
    rng = np.random.default_rng(seed)
    lower, upper = (np.array([getattr(column, end) for column in columns]) for end in ("lower", "upper"))
    mix = rng.normal(0, 0.4, (len(columns), len(columns)))
    tables = {}
    for name, size in zip(NAMES, sizes, strict=False):
        scaled = np.clip(rng.normal(rng.normal(0, 0.3), 0.5, (size, len(columns))) @ mix, -1, 1)
        tables[name] = np.clip((lower + upper) / 2 + (upper - lower) / 2 * scaled, lower, upper)
    return tables


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.integers(0, 40), min_size=3, max_size=3),
    st.sampled_from([0.5, 0.25, 0.9, 1 / 3, 0.1]),
    st.sampled_from([0.1, 1.0, 7.0, 100.0]),
)
def test_a_quantile_is_that_of_pooled_rows_within_half_its_resolution(seed, sizes, level, resolution):
    tables = draw_tables(seed, sizes, (HEART,))
    values = np.sort(np.concatenate(list(tables.values()))[:, 0])
    program = MedianProgram(HEART, resolution, level, min_count=3)
    rank = max(1, math.ceil(level * len(values) - EXACT))
    if min(rank, len(values) - rank) < 3:
        assert len(values) < program.least_people
        with pytest.raises(DataContractError, match="expected at least"):
            compute_plainly(program, tables)
        return
    answer, _ = compute_plainly(program, tables)
    assert answer.resolution <= resolution
    assert abs(answer.value - values[rank - 1]) <= answer.resolution / 2 + EXACT


def test_a_quantile_is_the_one_that_counting_finds():
    tables = draw_tables(5, (30, 50, 40), (HEART,))
    program = MedianProgram(HEART, 100 / 2**8, 0.25)
    counted = ask_jointly(QuantileQuestion(HEART, (0.25,), 100 / 2**8, n_bins=2), list(tables.values()), add_plainly)
    assert compute_plainly(program, tables)[0].value == pytest.approx(counted.values[0], abs=EXACT)


def test_all_that_a_quantile_opens_follows_from_its_answer():
    """With the answer, whoever saw no bit can write all of them down."""
    tables = draw_tables(8, (30, 50, 40), (HEART,))
    program = MedianProgram(HEART, 0.5, 0.75)
    answer, opened = compute_plainly(program, tables)
    enough, *steps = opened
    low, high, told = 0, 2**program.n_halvings, []
    while high - low > 1:
        middle = (low + high) // 2
        told.append(answer.value > program.find_edge(middle))
        low, high = (middle, high) if told[-1] else (low, middle)
    assert not enough
    assert steps == told


def test_the_largest_mean_is_found_and_ties_go_to_the_first():
    rows = {name: np.full((12, 1), 60.0 + by) for name, by in zip(NAMES, (0.0, 5.0, 5.0), strict=True)}
    assert compute_plainly(CompareProgram(HEART), rows)[0].party == "south"
    rows["east"][0] += 1e-3
    assert compute_plainly(CompareProgram(HEART), rows)[0].party == "east"
    rows["north"] = rows["north"][:3]
    with pytest.raises(DataContractError, match="people of this party: expected at least 10"):
        compute_plainly(CompareProgram(HEART), rows)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.integers(0, 60), min_size=2, max_size=4),
    st.integers(1, 3),
    st.sampled_from([1e-3, 1.0, 50.0]),
)
def test_coefficients_are_those_of_pooled_rows(seed, sizes, n_features, penalty):
    columns = (*FEATURES[:n_features], SLEEP)
    tables = draw_tables(seed, (40, *sizes)[:3], columns)
    answer, opened = compute_plainly(CoefficientProgram(columns[:-1], SLEEP, penalty), tables)
    _check_fit(answer, list(tables.values()), penalty)
    assert [len(numbers) for numbers in opened] == [1, n_features + 1], "the number of people, and the coefficients"


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([30, 90]), st.sampled_from([1e-3, 1.0]))
def test_coefficients_of_split_columns_are_those_of_whole_rows(seed, n, penalty):
    columns = (*FEATURES, SLEEP)
    whole = draw_tables(seed, (n,), columns)["north"]
    program = VerticalProgram(
        (("north", (SLEEP, FEATURES[0])), ("south", FEATURES[1:]), ("east", ())), SLEEP.name, penalty
    )
    tables = {"north": whole[:, [3, 0]], "south": whole[:, 1:3], "east": np.zeros((n, 0))}
    answer, opened = compute_plainly(program, tables)
    _check_fit(answer, [whole], penalty, exact=1e-5)
    assert [len(numbers) for numbers in opened] == [4]


def test_columns_that_follow_from_each_other_share_a_coefficient():
    rows = draw_tables(3, (60,), (HEART,))["north"]
    twice = (HEART, Column("again", 30.0, 130.0))
    tables = {name: np.column_stack([rows, rows, 5 * rows]) for name in NAMES}
    fit, _ = compute_plainly(CoefficientProgram(twice, SLEEP, 0.01), tables)
    assert fit.scaled_coefficients[1] == pytest.approx(fit.scaled_coefficients[2], abs=1e-6)
    _check_fit(fit, list(tables.values()), 0.01)


def test_too_few_people_open_nothing_more():
    tables = draw_tables(1, (3, 3, 3), (HEART, SLEEP))
    with pytest.raises(DataContractError, match="people: expected at least 10 over all parties, got fewer"):
        compute_plainly(CoefficientProgram((HEART,), SLEEP), tables)


def test_split_columns_of_different_people_are_refused():
    program = VerticalProgram((("north", (HEART,)), ("south", (SLEEP,)), ("east", ())), SLEEP.name)
    tables = {"north": np.full((12, 1), 60.0), "south": np.full((11, 1), 400.0), "east": np.zeros((12, 0))}
    with pytest.raises(ProtocolError, match="expected the same people"):
        compute_plainly(program, tables)


def _check_fit(answer, parties, penalty, exact=1e-6):
    """Against numpy, on rows scaled here, and against the question whose penalty it is to have."""
    features, outcome = answer.features, answer.outcome
    rows = np.concatenate(parties)
    scaled = [(rows[:, at] - c.middle) / c.half_range for at, c in enumerate((*features, outcome))]
    inputs = np.column_stack([np.ones(len(rows)), *scaled[:-1]])
    penalties = penalty * np.diag([0.0] + [1.0] * len(features))
    weights = np.linalg.solve(inputs.T @ inputs + penalties, inputs.T @ scaled[-1])
    assert np.abs(answer.scaled_coefficients - weights).max() < exact
    assert answer.n == len(rows)
    try:
        fit = ask_jointly(RidgeQuestion(features, outcome, penalty), parties, add_plainly)
    except DataContractError:  # it opens enough to see that rounding matters, and refuses
        return
    assert np.abs(answer.scaled_coefficients - fit.scaled_coefficients).max() < exact
    # In units, an error is that of a scaled coefficient times ranges.
    ranges = np.abs(fit.outcome.half_range / np.array([1.0, *(c.half_range for c in features)]))
    ranges[0] += sum(fit.outcome.half_range * abs(c.middle) / c.half_range for c in features)
    assert (np.abs(answer.coefficients - fit.coefficients) < exact * ranges).all()
    assert [row["term"] for row in answer.table()] == ["intercept", *(c.name for c in features)]
