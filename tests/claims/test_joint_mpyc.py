"""Claim: parties that are real processes compute on MPyC's shares what one place would, and open nothing but that.

One start of three processes does all programs; plain numpy on all rows is the oracle.
"""

import sys
import threading

import numpy as np
import psutil
import pytest

from twinlab.protection.joint.mpyc_program import (
    CoefficientProgram,
    CompareProgram,
    MedianProgram,
    NaiveRidgeProgram,
    VerticalProgram,
)
from twinlab.protection.joint.mpyc_run import compute_all_jointly
from twinlab.protection.joint.regression import RidgeQuestion
from twinlab.protection.joint.statistic import Column, add_plainly, ask_jointly

HEART = Column("resting_heart_rate_bpm", 30.0, 130.0, "bpm")
STEPS, SLEEP = Column("steps", 0.0, 30_000.0, "steps"), Column("sleep_min", 0.0, 900.0, "min")
NAMES = ("north", "south", "east")
#: Stated: of scaled coefficients, one opened place is 2^-24 and rounding up to 2 of them; columns that are split are
#: rounded too.
WITHIN, WITHIN_SPLIT, WITHIN_NAIVE = 2.5 * 2.0**-24, 1e-5, 1e-5


def draw_rows(rng, n, by):
    heart = np.clip(rng.normal(68 + by, 9, n), 30, 130)
    steps = np.clip(21_000 - 140 * heart + rng.normal(0, 2500, n), 0, 30_000)
    return np.column_stack([heart, steps, np.clip(rng.normal(430, 70, n) - 0.8 * (heart - 68), 0, 900)])


def watch_ports(found, stop):
    """Addresses on which this process's children listen, and who is at the other end of what they say."""
    while not stop.wait(0.02):
        for child in psutil.Process().children(recursive=True):
            try:
                for each in child.net_connections("inet"):
                    found.add((each.status == psutil.CONN_LISTEN, each.laddr.ip, each.raddr.ip if each.raddr else None))
            except psutil.Error:
                continue


@pytest.fixture(scope="module")
def run():
    """Tables, results, and what was seen of sockets while they were computed."""
    rng = np.random.default_rng(11)
    tables = {name: draw_rows(rng, n, by) for name, n, by in zip(NAMES, (40, 25, 60), (0, 6, -4), strict=True)}
    hearts = {name: rows[:, :1] for name, rows in tables.items()}
    people = np.concatenate(list(tables.values()))
    columns = {"north": people[:, :1], "south": people[:, 1:2], "east": people[:, 2:]}
    small = {name: rows[:8] for name, rows in tables.items()}
    jobs = [
        (MedianProgram(HEART, 0.5), hearts),
        (MedianProgram(HEART, 2.0, 0.9), hearts),
        (CompareProgram(HEART), hearts),
        (CoefficientProgram((HEART, STEPS), SLEEP), tables),
        (VerticalProgram((("north", (HEART,)), ("south", (STEPS,)), ("east", (SLEEP,))), "sleep_min"), columns),
        (NaiveRidgeProgram((HEART,), SLEEP), {name: rows[:, [0, 2]] for name, rows in small.items()}),
    ]
    found, stop, heard = set(), threading.Event(), []
    watcher = threading.Thread(target=watch_ports, args=(found, stop))
    watcher.start()
    try:
        results = compute_all_jointly(jobs, on_progress=lambda *said: heard.append(said))
    finally:
        stop.set()
        watcher.join()
    return tables, small, results, found, heard


@pytest.mark.parametrize(("at", "level", "resolution"), [(0, 0.5, 0.5), (1, 0.9, 2.0)])
def test_quantiles_are_the_pooled_ones_within_half_the_resolution(run, at, level, resolution):
    tables, _, results, _, _ = run
    values = np.sort(np.concatenate(list(tables.values()))[:, 0])
    pooled = values[int(np.ceil(level * len(values) - 1e-9)) - 1]
    assert abs(results[at].answer.value - pooled) <= resolution / 2
    assert "number of people" not in results[at].opened


def test_the_party_with_the_largest_mean_is_found(run):
    tables, _, results, _, _ = run
    assert results[2].answer.party == max(NAMES, key=lambda name: tables[name][:, 0].mean())


def test_coefficients_are_those_of_pooled_rows(run):
    tables, small, results, _, _ = run
    whole = ask_jointly(RidgeQuestion((HEART, STEPS), SLEEP), list(tables.values()), add_plainly)
    few = ask_jointly(RidgeQuestion((HEART,), SLEEP), [rows[:, [0, 2]] for rows in small.values()], add_plainly)
    for result, fit, within in zip(results[3:], (whole, whole, few), (WITHIN, WITHIN_SPLIT, WITHIN_NAIVE), strict=True):
        assert np.abs(result.answer.scaled_coefficients - fit.scaled_coefficients).max() < within
        assert result.answer.n == fit.n


def test_only_ends_of_these_processes_on_loopback_were_connected(run):
    _, _, _, found, _ = run
    assert {address for _, address, _ in found} == {"127.0.0.1"}
    assert {address for _, _, address in found} <= {"127.0.0.1", None}
    assert any(listens for listens, _, _ in found), "the watcher saw them listen"


def test_mpyc_never_enters_this_process_and_nothing_is_left_running(run):
    assert "mpyc" not in sys.modules
    left = [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    assert not [child for child in left if "mpyc_party" in " ".join(child.cmdline())]


def test_each_result_says_its_cost_and_what_is_promised(run):
    _, _, results, _, heard = run
    for result in results:
        assert result.guarantee.threshold == 2
        assert result.guarantee.adversary == "semi_honest"
        assert set(result.n_bytes) == set(NAMES)
        assert min(result.n_bytes.values()) > 0
        assert result.n_messages > 0
        assert 0 < result.seconds < 60
        assert result.opened in result.sentence
    assert [said[1:] for said in heard] == [(at, len(results)) for at in range(len(results) + 1)]


def test_a_quantile_costs_no_more_for_more_people(run):
    """Parties send signs of sums, not rows: messages are as many as halvings and comparisons say."""
    _, _, results, _, _ = run
    halvings = [MedianProgram(HEART, 0.5).n_halvings, MedianProgram(HEART, 2.0, 0.9).n_halvings]
    per_step = [result.n_messages / (1 + steps) for result, steps in zip(results[:2], halvings, strict=True)]
    assert per_step[0] == pytest.approx(per_step[1], rel=0.25)


@pytest.mark.thorough
@pytest.mark.parametrize(("n_parties", "most_colluding"), [(4, 1), (5, 2), (7, 3)])
def test_more_parties_compute_the_same(n_parties, most_colluding, monkeypatch):
    """Also where Python leaves out `assert`, and where a party has rows of no columns."""
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    rng, names = np.random.default_rng(n_parties), [f"party {at}" for at in range(n_parties)]
    tables = {name: draw_rows(rng, 12 + at, at) for at, name in enumerate(names)}
    people = np.concatenate(list(tables.values()))
    hearts = {name: rows[:, :1] for name, rows in tables.items()}
    held = dict.fromkeys(names, ()) | {names[0]: (HEART, SLEEP), names[2]: (STEPS,)}
    split = {name: np.zeros((len(people), 0)) for name in names}
    split |= {names[0]: people[:, [0, 2]], names[2]: people[:, 1:2]}
    jobs = [
        (MedianProgram(HEART, 1.0), hearts),
        (CompareProgram(HEART), hearts),
        (CoefficientProgram((HEART, STEPS), SLEEP), tables),
        (VerticalProgram(tuple(held.items()), "sleep_min"), split),
    ]
    results = compute_all_jointly(jobs, most_colluding=most_colluding, time_limit_s=100)
    values = np.sort(people[:, 0])
    assert abs(results[0].answer.value - values[(len(values) + 1) // 2 - 1]) <= 0.5
    assert results[1].answer.party == max(names, key=lambda name: tables[name][:, 0].mean())
    fit = ask_jointly(RidgeQuestion((HEART, STEPS), SLEEP), list(tables.values()), add_plainly)
    for result in results[2:]:
        assert np.abs(result.answer.scaled_coefficients - fit.scaled_coefficients).max() < WITHIN_SPLIT
        assert result.guarantee.threshold == most_colluding + 1
