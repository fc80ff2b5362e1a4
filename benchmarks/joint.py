"""Joint computation: what a regression costs by secret sums, with only coefficients opened, and with everything shared.

One ridge regression, of people who do not exist, five ways: plain pooling, where one place gets all rows; secret sums
with all parties in this process; the same between processes over TLS; MPyC with only the coefficients opened, where
each party adds up its own products first; and MPyC the naive way, where every row and every step is on shares. Each way
against rows, columns and parties, of whom as many may collude as can be allowed. The naive way runs at the size that is
compared, and with the fewest rows and columns beside it; elsewhere its cell is empty. MPyC runs in pure Python; with
gmpy2 the naive way took half as long, and ours the same.

Seconds are of the computation without starting processes; that of sums between processes has their TLS handshakes.
Bytes are those that one party sends at most, messages those from one party to another, so rounds are at most so many;
what TLS and framing add is left out. Ours and the naive way take turns in the same processes; medians.

Then every statistic beside the same from pooled rows by numpy and scipy, or by plain sums for logistic regression: as
differences in half ranges of a column, scaled coefficients, shares or counts, and beside the tolerance that is stated
for it. Logistic regression is also compared with scikit-learn, which lives in an environment of its own that the first
run makes (300 MB, half a minute); where no package index is reached, that value is null and the context says why.

Run: python benchmarks/joint.py [--full] [--environment FOLDER]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from peer_environment import find_cache, name_folder, prepare_environment, run_part
from scipy import stats

import twinlab as tl
from twinlab.pipeline.joint_run import run_parties
from twinlab.release import Message

PEER = "scikit-learn==1.7.2"
PLAIN, HERE, PROCESSES = "plain pooling", "sums, in this process", "sums, processes over TLS"
COEFFICIENTS, NAIVE = "MPyC, coefficients opened", "MPyC, all on shares"
WAYS = (PLAIN, HERE, PROCESSES, COEFFICIENTS, NAIVE)
BOUND, PENALTY = 4.0, 1.0
YES = tl.joint.Column("outcome", 0, 1)
DAYS = tl.joint.Column("days", 0, 400, "days")
#: Stated by the claim tests. Of opened coefficients, `CoefficientProgram` states how many places may be off.
RIDGE, LOGISTIC, SPLIT, PLACE = 1e-9, 1e-8, 1e-5, 2.0**-24


class Size(NamedTuple):
    """How much work: parties, rows of each, and features."""

    n_parties: int
    n_rows: int
    n_features: int


BASE, SHORT, NARROW = Size(3, 1000, 10), Size(3, 100, 10), Size(3, 1000, 5)
SIZES = (
    *(SHORT, BASE, Size(3, 10_000, 10)),
    *(NARROW, Size(3, 1000, 20), Size(3, 1000, 40)),
    *(Size(5, 1000, 10), Size(7, 1000, 10)),
)
#: Runs in the other environment, which has no twinlab: rows in, a line of JSON out.
THEIR_PART = """
import json, pathlib, sys, numpy
from sklearn.linear_model import LogisticRegression
rows, penalty = numpy.load(pathlib.Path(sys.argv[1]) / "rows.npy"), float(sys.argv[2])
model = LogisticRegression(C=1 / penalty, solver="newton-cholesky", tol=1e-12, max_iter=1000)
fit = model.fit(rows[:, :-1], rows[:, -1])
print(json.dumps([*fit.intercept_, *fit.coef_[0]]))
"""


@dataclass(frozen=True)
class Cost:
    """Of one way at one size: seconds, bytes of a party, messages from one to another, and how far off it came out."""

    seconds: float
    n_bytes: int
    n_messages: int
    difference: float


@dataclass(frozen=True)
class Agreement:
    """Of a joint statistic with the pooled one."""

    statistic: str
    how: str
    difference: float
    tolerance: float


def list_columns(n_features: int) -> tuple[tuple[tl.joint.Column, ...], tl.joint.Column]:
    """Features and an outcome, with public bounds."""
    features = tuple(tl.joint.Column(f"feature_{at}", -BOUND, BOUND) for at in range(n_features))
    return features, tl.joint.Column("outcome", -BOUND, BOUND)


def draw_tables(size: Size) -> dict[str, np.ndarray]:
    """By party, a row a person: features that hang together and an outcome. Parties see different people."""
    rng = np.random.default_rng(1)
    tables = {}
    for at in range(size.n_parties):
        common = rng.normal(0.3 * at, 1, (size.n_rows, 1))
        features = 0.4 * common + rng.normal(size=(size.n_rows, size.n_features))
        outcome = 0.5 * features[:, :3].sum(axis=1) + rng.normal(0, 0.7, size.n_rows)
        tables[f"party {at + 1}"] = np.clip(np.column_stack([features, outcome]), -BOUND, BOUND)
    return tables


def pool(tables: Mapping[str, np.ndarray]) -> np.ndarray:
    """All rows in one place."""
    return np.concatenate(list(tables.values()))


def fit_least_squares(tables: Mapping[str, np.ndarray]) -> np.ndarray:
    """Scaled ridge coefficients of pooled rows, by another road than sums of products: rows and the penalty's rows."""
    rows = pool(tables) / BOUND
    size = rows.shape[1]
    inputs = np.vstack([np.column_stack([np.ones(len(rows)), rows[:, :-1]]), np.sqrt(PENALTY) * np.eye(size)[1:]])
    target = np.concatenate([rows[:, -1], np.zeros(size - 1)])
    return np.asarray(np.linalg.lstsq(inputs, target, rcond=None)[0])


def count_messages(messages: Iterable[Message]) -> tuple[int, int]:
    """Bytes that a party sends at most, and messages from one party to another at most."""
    sent: defaultdict[str, int] = defaultdict(int)
    ways: Counter[tuple[str, str]] = Counter()
    for message in messages:
        sent[message.sender] += message.n_bytes
        ways[message.sender, message.receiver] += 1
    return max(sent.values()), max(ways.values())


def add_in_process(question: Any, tables: Mapping[str, np.ndarray]) -> tuple[Any, float, tuple[int, int]]:
    """An answer by secret sums in this process, its seconds, and its bytes and messages."""
    most_rows = max(map(len, tables.values()))
    begin = time.perf_counter()
    largest = tl.joint.measure_magnitude(most_rows)
    adder = tl.joint.SecretAdder((len(tables) - 1) // 2, largest=largest, names=tuple(tables))
    answer = tl.joint.ask_jointly(question, list(tables.values()), adder)
    return answer, time.perf_counter() - begin, count_messages(adder.messages)


def add_in_open(question: Any, tables: Mapping[str, np.ndarray]) -> tuple[Any, float]:
    """The answer of one place that has all rows, and its seconds."""
    begin = time.perf_counter()
    answer = tl.joint.ask_jointly(question, [pool(tables)], tl.joint.add_plainly)
    return answer, time.perf_counter() - begin


def measure_sums(size: Size, n_turns: int, n_starts: int) -> dict[str, Cost]:
    """Plain pooling and secret sums."""
    tables, most = draw_tables(size), (size.n_parties - 1) // 2
    question = tl.joint.RidgeQuestion(*list_columns(size.n_features), PENALTY)
    truth = fit_least_squares(tables)
    seconds: dict[str, list[float]] = {PLAIN: [], HERE: [], PROCESSES: []}
    for turn in range(1 + n_turns):
        pooled, in_open = add_in_open(question, tables)
        here, in_process, traffic = add_in_process(question, tables)
        if turn:  # the first warms up
            seconds[PLAIN].append(in_open)
            seconds[HERE].append(in_process)
    for _ in range(n_starts):
        apart = run_parties(question, tables, most_colluding=most, most_rows=size.n_rows, time_limit_s=120)
        seconds[PROCESSES].append(apart.seconds)
    # Whoever pools gets each party's rows as floats, in one message.
    traffics = {PLAIN: (size.n_rows * (size.n_features + 1) * 8, 1), HERE: traffic}
    traffics[PROCESSES] = count_messages(apart.transcript)
    fits = {PLAIN: pooled, HERE: here, PROCESSES: apart.answer}
    offs = {name: float(np.abs(fit.scaled_coefficients - truth).max()) for name, fit in fits.items()}
    return {name: Cost(statistics.median(seconds[name]), *traffics[name], off) for name, off in offs.items()}


def measure_programs(n_parties: int, n_turns: int) -> dict[tuple[Size, str], Cost]:
    """MPyC's programs for all sizes of so many parties, in one start of processes, taking turns."""
    work: list[tuple[tuple[Size, str], tuple[Any, dict[str, np.ndarray]]]] = []
    drawn = {size: draw_tables(size) for size in SIZES if size.n_parties == n_parties}
    for turn in range(n_turns):
        for size, tables in drawn.items():
            columns = list_columns(size.n_features)
            work.append(((size, COEFFICIENTS), (tl.joint.CoefficientProgram(*columns, PENALTY), tables)))
            if size == BASE or (size in (SHORT, NARROW) and turn == 0):
                work.append(((size, NAIVE), (tl.joint.NaiveRidgeProgram(*columns, PENALTY), tables)))
    keys, jobs = zip(*work, strict=True)
    results = tl.joint.compute_all_jointly(jobs, most_colluding=(n_parties - 1) // 2, time_limit_s=600)
    costs = {}
    for key in dict.fromkeys(keys):
        own = [result for result, whose in zip(results, keys, strict=True) if whose == key]
        fits: list[Any] = [result.answer for result in own]
        truth = fit_least_squares(drawn[key[0]])
        costs[key] = Cost(
            statistics.median(result.seconds for result in own),
            max(own[0].n_bytes.values()),
            own[0].n_messages,
            max(float(np.abs(fit.scaled_coefficients - truth).max()) for fit in fits),
        )
    return costs


def compare_sums(tables: Mapping[str, np.ndarray]) -> list[Agreement]:
    """Statistics by secret sums beside numpy and scipy on pooled rows."""
    columns, rows = list_columns(BASE.n_features)[0], pool(tables)[:, :-1]
    own, n = {name: table[:, :-1] for name, table in tables.items()}, len(rows)
    moments = add_in_process(tl.joint.MomentQuestion(columns), own)[0]
    largest = tl.joint.measure_magnitude(BASE.n_rows)
    off = tl.joint.choose_fixed_point(largest=largest, n_parties=BASE.n_parties).worst_error
    edges = tuple(np.linspace(-BOUND, BOUND, 17).tolist())
    first = {name: table[:, :1] for name, table in tables.items()}
    histogram = add_in_process(tl.joint.HistogramQuestion(columns[0], edges), first)[0]
    levels = (0.1, 0.5, 0.9)
    quantiles = add_in_process(tl.joint.QuantileQuestion(columns[0], levels, 1e-7), first)[0]
    middles = np.quantile(rows[:, 0], levels, method="inverted_cdf")
    found = [
        ("counts", np.abs(moments.n - n), 0.0),
        ("means", np.abs(moments.means - rows.mean(0)) / BOUND, off / n + 1e-13),
        ("covariances", np.abs(moments.covariances - np.cov(rows, rowvar=False)) / BOUND**2, 3 * off / (n - 1) + 1e-13),
        ("correlations", np.abs(moments.correlations - np.corrcoef(rows, rowvar=False)), 1e-9),
        ("histogram", np.abs(histogram.counts - np.histogram(rows[:, 0], edges)[0]), 0.0),
        ("quantiles", np.abs(quantiles.values - middles) / BOUND, quantiles.resolution / 2 / BOUND),
        compare_survival(),
    ]
    return [Agreement(name, HERE, float(np.max(apart)), within) for name, apart, within in found]


def compare_survival() -> tuple[str, np.ndarray, float]:
    """Kaplan-Meier beside scipy's, for times rounded up to public ones."""
    rng, own = np.random.default_rng(2), {}
    for at in range(BASE.n_parties):
        ends = np.minimum(rng.exponential(150, BASE.n_rows), 400)
        own[f"party {at + 1}"] = np.column_stack([ends, rng.random(BASE.n_rows) < 0.6])
    found = add_in_process(tl.joint.SurvivalQuestion(DAYS, tuple(np.arange(10.0, 301.0, 10.0).tolist())), own)[0]
    rows = pool(own)
    rounded, happened = np.ceil(rows[:, 0] / 10) * 10, rows[:, 1] == 1
    curve = stats.ecdf(stats.CensoredData(uncensored=rounded[happened], right=rounded[~happened])).sf
    return "survival", np.abs(found.survival - curve.evaluate(found.times)), 1e-12


def compare_programs(tables: Mapping[str, np.ndarray]) -> list[Agreement]:
    """What MPyC computes beside numpy on pooled rows, ridge regression by rows excepted, which the costs have."""
    features, outcome = list_columns(BASE.n_features)
    rows, columns = pool(tables), (*features, outcome)
    spans = dict(zip(tables, (slice(0, 4), slice(4, 8), slice(8, None)), strict=True))
    held = tuple((name, columns[span]) for name, span in spans.items())
    split = {name: rows[:, span] for name, span in spans.items()}
    first = {name: table[:, :1] for name, table in tables.items()}
    resolution = 1e-6
    median = tl.joint.MedianProgram(features[0], resolution)
    vertical = tl.joint.VerticalProgram(held, outcome.name, PENALTY)
    jobs: list[tuple[Any, dict[str, np.ndarray]]] = [
        (median, first),
        (tl.joint.CompareProgram(features[0]), first),
        (vertical, split),
    ]
    results: list[Any] = [each.answer for each in tl.joint.compute_all_jointly(jobs, time_limit_s=120)]
    middle = np.quantile(rows[:, 0], 0.5, method="inverted_cdf")
    largest = max(tables, key=lambda name: tables[name][:, 0].mean())
    apart = np.abs(results[2].scaled_coefficients - fit_least_squares(tables)).max()
    return [
        Agreement(
            "median", "MPyC, comparisons opened", abs(results[0].value - float(middle)) / BOUND, resolution / 2 / BOUND
        ),
        Agreement("largest mean (0 right, 1 wrong)", "MPyC, a name opened", float(results[1].party != largest), 0.0),
        Agreement("ridge, columns split", COEFFICIENTS, float(apart), SPLIT),
    ]


def collect_ridge(costs: Mapping[tuple[Size, str], Cost]) -> list[Agreement]:
    """How far off ridge regressions were at most, for each way and number of parties."""
    differences: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for (size, way), cost in costs.items():
        differences[way, size.n_parties].append(cost.difference)
    found = []
    for (way, n_parties), apart in differences.items():
        n_masks = math.comb(n_parties, (n_parties - 1) // 2)
        within = {COEFFICIENTS: (n_masks // 2 + 1.75) * PLACE, NAIVE: SPLIT}.get(way, RIDGE)
        found.append(Agreement(f"ridge, {n_parties} parties", way, max(apart), within))
    return found


def compare_logistic(tables: Mapping[str, np.ndarray], folder: Path) -> tuple[Agreement, float | None, str]:
    """Newton's steps on secret sums beside the same on pooled rows, and beside scikit-learn; or why not."""
    own = {name: np.column_stack([table[:, :-1], table[:, -1] > 0.3]) for name, table in tables.items()}
    question = tl.joint.LogisticQuestion(list_columns(BASE.n_features)[0], YES, PENALTY)
    found = add_in_process(question, own)[0].scaled_coefficients
    apart = float(np.abs(found - add_in_open(question, own)[0].scaled_coefficients).max())
    agreement = Agreement("logistic", HERE, apart, LOGISTIC)
    python, missing = prepare_environment(folder, PEER, " See --environment")
    if python is None:
        return agreement, None, missing
    with tempfile.TemporaryDirectory() as name:
        np.save(Path(name) / "rows.npy", pool(own) / [*[BOUND] * BASE.n_features, 1])
        told, last = run_part(python, THEIR_PART, Path(name), str(PENALTY))
    if told is None:
        return agreement, None, f"{PEER} failed: {last or 'no word of why'}"
    theirs = np.array(json.loads(told[-1]))
    return agreement, float(np.abs(found - theirs).max()), ""


def show(costs: Mapping[tuple[Size, str], Cost], agreements: Sequence[Agreement]) -> None:
    """Both tables, for people."""
    print(f"\n{'parties':>7}{'rows':>8}{'columns':>8}  {'way':28}{'seconds':>10}{'kB a party':>12}{'messages':>10}")
    for size in SIZES:
        for way in WAYS:
            label = f"{size.n_parties:7}{size.n_rows:8}{size.n_features:8}  {way:28}"
            if cost := costs.get((size, way)):
                label += f"{cost.seconds:10.4f}{cost.n_bytes / 1000:12.1f}{cost.n_messages:10}"
            print(label.rstrip())
    print(f"\n{'statistic':33}{'how':28}{'difference':>12}{'stated':>10}")
    for each in agreements:
        print(f"{each.statistic:33}{each.how:28}{each.difference:12.1e}{each.tolerance:10.1e}")


def main() -> None:
    """Measure and print tables and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 turns of MPyC, processes started once (the default)")
    parser.add_argument("--full", action="store_true", help="5 turns of MPyC, processes started 5 times")
    usual = find_cache() / name_folder(PEER)
    parser.add_argument("--environment", type=Path, default=usual, help="of the peer; made where missing")
    options = parser.parse_args()
    n_turns, n_starts = (5, 5) if options.full else (2, 1)
    begin = time.perf_counter()
    tables = draw_tables(BASE)
    costs: dict[tuple[Size, str], Cost] = {}
    for size in SIZES:
        costs |= {(size, way): cost for way, cost in measure_sums(size, 7, n_starts).items()}
    for n_parties in sorted({size.n_parties for size in SIZES}):
        costs |= measure_programs(n_parties, n_turns)
    logistic, apart, missing = compare_logistic(tables, options.environment)
    agreements = [*compare_sums(tables), *collect_ridge(costs), logistic, *compare_programs(tables)]
    show(costs, agreements)
    ours, naive, here, plain = (costs[BASE, way] for way in (COEFFICIENTS, NAIVE, HERE, PLAIN))
    values: dict[str, float | None] = {
        "ratio_ridge": round(naive.seconds / ours.seconds, 1),
        "max_difference": max(each.difference for each in agreements),
        "n_beyond_tolerance": len([each for each in agreements if each.difference > each.tolerance]),
        "logistic_difference_sklearn": apart,
        "ratio_ridge_sums_to_plain": round(here.seconds / plain.seconds, 1),
        "bytes_ridge_sums": here.n_bytes,
        "bytes_ridge_coefficients": ours.n_bytes,
        "bytes_ridge_naive": naive.n_bytes,
    }
    context = {
        "work": "ridge regression of {} parties x {} rows x {} features".format(*BASE),
        "turns": {"sums here": 7, "starts of processes": n_starts, "MPyC": n_turns},
        "costs": [{**size._asdict(), "way": way, **asdict(cost)} for (size, way), cost in costs.items()],
        "agreements": [asdict(each) for each in agreements],
        "peer": f"null: {missing}" if missing else PEER,
        "seconds": round(time.perf_counter() - begin, 1),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    print(json.dumps({"benchmark": "joint", "values": values, "context": context}))


if __name__ == "__main__":
    main()
