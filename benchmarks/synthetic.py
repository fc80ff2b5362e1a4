"""Synthetic people by our methods and by outside ones: the same tables, bins, unit, epsilon and delta, in one run.

Three tables of different shape: a tree of attributes, dense correlations (every column leans on the same few hidden
traits), and days as rows (blocks of hours, so that a stream is a long row). Each row is another person, so that the row
that outside libraries hide is a person here. Bins are public and everybody's; nobody is told what will be asked.

Error is the total variation distance between real and synthetic rows, on average over all pairs of columns.
`best_marginal_error_over_best_outside...` is our best method's over the best outside one's: each method's error is its
mean over draws, and the largest ratio of the three tables counts. Beside them stand columns shuffled apart, and as many
other people of the same population: below their error, rows follow the accidents of this very table, not only people.

Outside are AIM of dpmm 0.1.9 (SAS) and MST on mbi 2.0.0 (Private-PGM; its package has no mechanisms, so MST's few lines
are here: bins, a tree by private choice, its edges, each a third of the budget, and estimation and drawing by mbi).
Both live in environments of their own, which the first run makes (about 1.2 GB, a minute or two). Where no package
index is reached, values are null and the last words say why.

What differs: rivals turn epsilon and delta into zero-concentrated privacy, as their authors do, and we account for
normal noise exactly, which makes our noise 8 % smaller at epsilon 1 and 6 % at 10. And we know that bins of numbers are
neighbours, which rivals' interfaces do not take.

AIM runs with `QUICK_AIM` or `FULL_AIM`. Its defaults, 16 rounds a column and 1000 steps of estimation a round, take one
to two minutes of processor time for a draw of six columns; --patient runs them. On one such table their errors were
0.0263 and 0.0137 at epsilon 1 and 3, with `QUICK_AIM` 0.0252 and 0.0164, one draw each, and our best 0.0249 and 0.0119.

Times are processor seconds of one draw, without imports, as they do not depend on who else computes. mbi compiles for
each shape of tree; that is in its seconds, as it is in everybody's who makes a table. `time_ratio` is the best outside
method's over our best method's, `time_ratio_fastest_outside` the fastest outside one's: the smallest of all tables and
epsilons.

`forecast_loss_over_real_dp`: the forecasting twin trained on people of the simulator fitted under privacy, over the
same twin trained privately on the real people, at the same epsilon and unit, minus one; tested on other people. These
real people are simulated too, of a population unlike the usual one, so the simulator's kind of person is theirs.

Run: python benchmarks/synthetic.py [--full] [--patient] [--environments FOLDER]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peer_environment import find_cache, name_folder, prepare_environment, start_part, wait_for_part

from twinlab.budget import PrivacyUnit
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.population import SimulatedPopulation
from twinlab.cohorts.simulator import simulate
from twinlab.experiment import Experiment
from twinlab.pipeline.stream_judgement import judge_forecast
from twinlab.pipeline.synthetic_making import make_synthetic
from twinlab.protection.differential_privacy.guarantee import NobodyPays
from twinlab.protection.synthetic import CategoricalAttribute, Domain, NumericAttribute

EPSILONS, DELTA, N_DRAWS = (1.0, 3.0, 10.0), 1e-5, 3
OURS = ("tree_marginals", "adaptive_marginals")
QUICK_AIM = {"rounds": 30, "n_iters": 150, "max_model_size": 0.5}
#: Larger tables take more of everything: at epsilon 1 on the tree of 12 columns the error falls from 0.050 to 0.037.
FULL_AIM = {"rounds": 120, "n_iters": 400, "max_model_size": 4}
#: A GAN takes longer than all else of ours together, so it has one draw, of one table; without --full at one epsilon
#: and in few steps.
GAN, GAN_TABLE, QUICK_GAN_EPSILON, QUICK_GAN_STEPS = "gan", "tree", 10.0, 300
#: People of the forecasting task, and how they differ from the usual population.
N_TRAIN, N_TEST, N_DAYS = 120, 60, 14
UNUSUAL = SimulatedPopulation(
    activity_log=-0.4, resting_heart_rate_bpm=74, sleep_need_hours=7.0, chronotype_hours=1.5, circadian_bpm=4.5
)

#: The first lines of every rival's part: tables and choices in, codes and a line of JSON a draw out.
THEIR_START = """
import itertools, json, pathlib, sys, time, warnings
warnings.simplefilter("ignore")  # of the peers and their old libraries; they say nothing of the tables
import numpy as np
folder = pathlib.Path(sys.argv[1])
chosen = json.loads((folder / "choices.json").read_text())

def run(name, make):
    for table, sizes in chosen["tables"].items():
        codes = np.load(folder / f"{table}.npy")  # (row, column)
        for epsilon in chosen["epsilons"]:
            for draw in range(chosen["n_draws"]):
                begin = time.process_time()
                made = make(codes, sizes, epsilon, chosen["delta"])
                seconds = time.process_time() - begin
                file = f"{table} {epsilon} {draw} {name}.npy"
                np.save(folder / file, made.astype(np.int64))
                told = dict(method=name, table=table, epsilon=epsilon, file=file, seconds=seconds)
                print(json.dumps(told), flush=True)
"""
DPMM_PART = """
import pandas
from dpmm.models.aim import AIMGM

def make_aim(codes, sizes, epsilon, delta):
    names = [f"c{place}" for place in range(len(sizes))]
    maker = AIMGM(domain=dict(zip(names, sizes)), epsilon=epsilon, delta=delta, n_jobs=1, **chosen["aim"])
    maker.fit(pandas.DataFrame(codes, columns=names))
    return maker.generate(n_records=len(codes))[names].to_numpy()

run("AIM by dpmm", make_aim)
"""
MBI_PART = """
import jax
jax.config.update("jax_enable_x64", True)
import mbi

def find_rho(epsilon, delta):
    # the zero-concentrated budget of epsilon and delta (Canonne, Kamath and Steinke 2020, proposition 12)
    order = np.concatenate([np.linspace(1.0005, 20, 20_000), np.geomspace(20, 5000, 4000)])
    low, high = 0.0, epsilon + 1
    for _ in range(60):
        rho = (low + high) / 2
        log_delta = np.min((order - 1) * (order * rho - epsilon) + order * np.log1p(-1 / order) - np.log(order - 1))
        low, high = (rho, high) if log_delta <= np.log(delta) else (low, rho)
    return low

def make_mst(codes, sizes, epsilon, delta):
    rng, rho = np.random.default_rng(), find_rho(epsilon, delta)
    names = [f"c{place}" for place in range(len(sizes))]
    domain = mbi.Domain(tuple(names), tuple(sizes))
    data = mbi.Dataset({name: codes[:, place] for place, name in enumerate(names)}, domain)
    count = lambda where, sets: np.asarray(where.project(sets).datavector(), float)

    def measure(several):
        noise = np.sqrt(len(several) * 3 / (2 * rho))
        return [mbi.LinearMeasurement(count(data, each) + rng.normal(0, noise, domain.size(each)), each, noise)
                for each in several]

    bins = measure([(name,) for name in names])
    model = mbi.estimation.MirrorDescent().estimate(domain, bins, iters=1000)
    scores = {pair: abs(count(data, pair) - count(model, pair)).sum() for pair in itertools.combinations(names, 2)}
    rate = np.sqrt(8 * rho / 3 / (len(names) - 1)) / 2
    group, edges = {name: name for name in names}, []
    while len(edges) < len(names) - 1:
        left = [pair for pair in scores if group[pair[0]] != group[pair[1]]]
        logits = rate * np.array([scores[pair] for pair in left])
        chance = np.exp(logits - logits.max())
        one, other = left[rng.choice(len(left), p=chance / chance.sum())]
        edges.append((one, other))
        group = {name: group[other] if own == group[one] else own for name, own in group.items()}
    model = mbi.estimation.MirrorDescent().estimate(domain, bins + measure(edges), iters=5000)
    made = model.synthetic_data(len(codes))
    return np.stack([np.asarray(made.data[name]) for name in names], axis=1)

run("MST on mbi", make_mst)
"""


#: Outside packages, and what runs in the environment of each.
PEERS = {"dpmm==0.1.9": DPMM_PART, "mbi==2.0.0": MBI_PART}
Running = list[tuple[str, subprocess.Popen, Path]]


@dataclass(frozen=True)
class Table:
    """People who do not exist, a row each.

    Attributes:
      rows: in their own units.
      others: as many of the same population.
      domain: public.
    """

    rows: pd.DataFrame
    others: pd.DataFrame
    domain: Domain

    def encode(self, rows: pd.DataFrame) -> np.ndarray:
        """Codes (row, column)."""
        return self.domain.encode(rows).T


def make_domain(rows: pd.DataFrame, bounds: Mapping[str, tuple[float, float]], n_bins: int) -> Domain:
    """Bins between public bounds; columns without bounds hold the numbers 0, 1, 2 as words."""
    attributes = [
        NumericAttribute(name, *bounds[name], n_bins) if name in bounds else CategoricalAttribute(name, (0, 1, 2))
        for name in rows.columns
    ]
    return Domain(tuple(attributes), PrivacyUnit.ROW)


def make_tree(n_rows: int, n_columns: int, n_bins: int) -> Table:
    """Each column leans on one other: every one between -4 and 4, but for each sixth, which holds three words."""

    def draw(seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        columns = {"c0": rng.normal(size=n_rows)}
        for place in range(1, n_columns):
            parent = columns[f"c{(place - 1) // 2}"]
            parent = (parent - parent.mean()) / parent.std()
            bent = parent if place % 3 else np.abs(parent) - 0.8
            value = 0.8 * bent + 0.6 * rng.normal(size=n_rows)
            columns[f"c{place}"] = np.digitize(value, (-0.5, 0.6)) if place % 6 == 5 else value
        return pd.DataFrame(columns)

    rows = draw(11)
    return Table(
        rows, draw(12), make_domain(rows, {str(c): (-4.0, 4.0) for c in rows if rows[c].dtype == float}, n_bins)
    )


def make_dense(n_rows: int, n_columns: int, n_bins: int) -> Table:
    """Every column is a mixture of the same three hidden traits and a little of its own."""
    mixture = np.random.default_rng(20).normal(size=(3, n_columns))
    mixture /= np.linalg.norm(mixture, axis=0)

    def draw(seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        values = 0.9 * rng.normal(size=(n_rows, 3)) @ mixture + 0.44 * rng.normal(size=(n_rows, n_columns))
        return pd.DataFrame(values, columns=[f"c{place}" for place in range(n_columns)])

    rows = draw(21)
    return Table(rows, draw(22), make_domain(rows, {str(name): (-4.0, 4.0) for name in rows}, n_bins))


def make_days(n_rows: int, n_blocks: int, n_bins: int) -> Table:
    """A day of heart rate and steps in blocks of hours. Steps have narrow bins where people rest."""

    def draw(seed: int) -> pd.DataFrame:
        truth = simulate(draw_people(n_rows, seed), 1, seed).truth
        columns: dict[str, np.ndarray] = {}
        for name in ("heart_rate_bpm", "steps"):
            blocks = truth.signal(name).reshape(n_rows, n_blocks, -1).mean(axis=2)
            columns |= {f"{name} {block}": blocks[:, block] for block in range(n_blocks)}
        return pd.DataFrame(columns).astype(float)

    rows = draw(31)
    edges = tuple(2000.0 * (np.arange(n_bins + 1) / n_bins) ** 2)
    attributes = [
        NumericAttribute(name, 0.0, 2000.0, edges=edges)
        if name.startswith("steps")
        else NumericAttribute(name, 40.0, 130.0, n_bins)
        for name in rows.columns
    ]
    return Table(rows, draw(32), Domain(tuple(attributes), PrivacyUnit.ROW))


def measure_error(one: np.ndarray, other: np.ndarray, sizes: Sequence[int]) -> float:
    """Total variation distance of two tables of codes (row, column), on average over pairs of columns."""

    def share(codes: np.ndarray, a: int, b: int) -> np.ndarray:
        return np.bincount(codes[:, a] * sizes[b] + codes[:, b], minlength=sizes[a] * sizes[b]) / len(codes)

    pairs = list(combinations(range(len(sizes)), 2))
    return float(np.mean([np.abs(share(one, *pair) - share(other, *pair)).sum() / 2 for pair in pairs]))


def start_peers(
    tables: Mapping[str, Table], folder: Path, environments: Path, n_draws: int, aim: Mapping[str, float]
) -> tuple[Running, dict[str, str]]:
    """Rivals at work, and of those that cannot work why."""
    choices: dict[str, Any] = {"tables": {name: table.domain.sizes for name, table in tables.items()}}
    choices |= {"epsilons": EPSILONS, "delta": DELTA, "n_draws": n_draws, "aim": aim}
    running: Running = []
    missing: dict[str, str] = {}
    for package, part in PEERS.items():
        python, why = prepare_environment(environments / name_folder(package), package)
        if python is None:
            missing[package] = why
            continue
        place = folder / package
        place.mkdir()
        for name, table in tables.items():
            np.save(place / f"{name}.npy", table.encode(table.rows))
        (place / "choices.json").write_text(json.dumps(choices))
        running.append((package, start_part(python, THEIR_START + part, place), place))
    return running, missing


def collect_peers(running: Running, tables: Mapping[str, Table], missing: dict[str, str]) -> list[dict[str, Any]]:
    """Rows of rivals, when they are done; who fails is missing."""
    rows = []
    for package, process, place in running:
        told, last = wait_for_part(process, place)
        if told is None:
            missing[package] = f"failed: {last or 'it said nothing'}"
            continue
        for line in told:
            row = json.loads(line)
            table = tables[row["table"]]
            made = np.load(place / row.pop("file"))
            rows.append({**row, "error": measure_error(table.encode(table.rows), made, table.domain.sizes)})
    return rows


def measure_ours(tables: Mapping[str, Table], is_full: bool) -> list[dict[str, Any]]:
    """A row a draw of ours, the GAN's among them."""
    rows = []
    for name, table in tables.items():
        truth = table.encode(table.rows)
        for epsilon in EPSILONS:
            has_gan = name == GAN_TABLE and (is_full or epsilon == QUICK_GAN_EPSILON)
            for method in (*OURS, *[GAN] * has_gan):
                options = {"n_steps": QUICK_GAN_STEPS} if method == GAN and not is_full else {}
                for draw in range(1 if method == GAN else N_DRAWS):
                    begin = time.process_time()
                    made = make_synthetic(
                        table.rows,
                        method=method,  # type: ignore[arg-type]
                        epsilon=epsilon,
                        delta=DELTA,
                        unit=PrivacyUnit.ROW,
                        domain=table.domain,
                        n_made=len(table.rows),
                        ledger=NobodyPays(),
                        options=options,
                        seed=draw,
                    )
                    seconds = time.process_time() - begin
                    error = measure_error(truth, table.encode(made.rows), table.domain.sizes)
                    row = {"method": method, "table": name, "epsilon": epsilon, "seconds": seconds, "error": error}
                    rows.append(row)
    return rows


def measure_bounds(tables: Mapping[str, Table]) -> dict[str, dict[str, float]]:
    """Of each table the error of columns shuffled apart, and of other people."""
    rng, found = np.random.default_rng(0), {}
    for name, table in tables.items():
        truth, sizes = table.encode(table.rows), table.domain.sizes
        apart = measure_error(truth, rng.permuted(truth, axis=0), sizes)
        found[name] = {
            "columns shuffled apart": apart,
            "other people": measure_error(truth, table.encode(table.others), sizes),
        }
    return found


def measure_forecast(epsilon: float) -> dict[str, Any]:
    """What a twin loses when it learns from synthetic people rather than privately from real ones."""
    everybody = simulate(draw_people(N_TRAIN + N_TEST, 41, UNUSUAL), N_DAYS, 41).cohort
    people = everybody.select(people=everybody.person_ids[:N_TRAIN])
    others = everybody.select(people=everybody.person_ids[N_TRAIN:])
    release = make_synthetic(
        people,
        method="fitted_simulator",
        epsilon=epsilon,
        delta=DELTA,
        unit=PrivacyUnit.PERSON,
        n_made=N_TRAIN,
        n_days=N_DAYS,
    )
    private = {"kind": "central", "privacy": {"kind": "person", "epsilon": epsilon}}
    experiment = Experiment().with_({"learn": private, "budget.delta": DELTA})
    found = judge_forecast(people, release.made, experiment, holdout=others)  # type: ignore[arg-type]
    rows = [row for row in found.table if row["signal"] == "all"]
    return {"epsilon": epsilon, "loss": rows[0]["ratio"] - 1, "rows": rows}


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """A row a table and epsilon: our best and the best outside, errors and seconds."""
    means = table.groupby(["table", "epsilon", "method"], sort=False)[["error", "seconds"]].mean().reset_index()
    rows = []
    for (name, epsilon), cell in means.groupby(["table", "epsilon"], sort=False):
        ours, outside = (cell[cell["method"].isin((*OURS, GAN)) == own] for own in (True, False))
        best = ours.sort_values("error").iloc[0]
        row = {"table": name, "epsilon": epsilon, "ours": best["method"], "our_error": best["error"]}
        row["our_seconds"] = best["seconds"]
        if len(outside):
            rival = outside.sort_values("error").iloc[0]
            row |= {"outside": rival["method"], "outside_error": rival["error"], "outside_seconds": rival["seconds"]}
            row |= {"error_ratio": best["error"] / rival["error"], "time_ratio": rival["seconds"] / best["seconds"]}
            row["time_ratio_fastest"] = outside["seconds"].min() / best["seconds"]
        rows.append(row)
    return pd.DataFrame(rows)


def show(table: pd.DataFrame, bounds: Mapping[str, Mapping[str, float]], forecasts: Sequence[dict[str, Any]]) -> None:
    """Tables for people."""
    for name, own in table.groupby("table", sort=False):
        print(f"\n{name}: " + ", ".join(f"{what} {error:.4f}" for what, error in bounds[str(name)].items()))
        print(f"  {'error (processor seconds)':26s}" + "".join(f"{f'epsilon {e:g}':>20s}" for e in EPSILONS))
        for method, cells in own.groupby("method", sort=False):
            found = cells.groupby("epsilon")[["error", "seconds"]].mean()
            told = (
                f"{found['error'][e]:.4f} ({found['seconds'][e]:.2f})" if e in found.index else "" for e in EPSILONS
            )
            print(f"  {method:26s}" + "".join(f"{each:>20s}" for each in told))
    for each in forecasts:
        print(f"\nforecast at epsilon {each['epsilon']:g} a person, errors of the next hour in spreads of a signal")
        for row in each["rows"]:
            print(f"  {row['trained_on']:40s} {row['error']:.4f}  ({100 * (row['ratio'] - 1):+.1f} %)")


def collect(cells: pd.DataFrame, forecasts: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Values of the line of JSON."""
    name = "best_marginal_error_over_best_outside"
    values: dict[str, float | None] = dict.fromkeys([name, *(f"{name}_epsilon_{e:g}" for e in EPSILONS)])
    values |= {"time_ratio": None, "time_ratio_fastest_outside": None}
    if "error_ratio" in cells:
        values[name] = float(cells["error_ratio"].max())
        values |= {f"{name}_epsilon_{e:g}": float(own.max()) for e, own in cells.groupby("epsilon")["error_ratio"]}
        values["time_ratio"] = float(cells["time_ratio"].min())
        values["time_ratio_fastest_outside"] = float(cells["time_ratio_fastest"].min())
    values["forecast_loss_over_real_dp"] = max(each["loss"] for each in forecasts)
    return values


def main() -> None:
    """Make every table by every method; print tables and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="larger tables, forecasts at every epsilon; an hour or two")
    parser.add_argument("--quick", action="store_true", help="the default")
    parser.add_argument(
        "--patient",
        action="store_true",
        help="AIM as its authors set it; a quarter of an hour more, many hours with --full",
    )
    parser.add_argument("--environments", type=Path, default=find_cache(), help="of the peers; made where missing")
    arguments = parser.parse_args()
    full = arguments.full
    aim: Mapping[str, float] = {} if arguments.patient else FULL_AIM if full else QUICK_AIM
    n_rows, n_columns, n_bins, n_draws = (20_000, 12, 16, 2) if full else (5_000, 6, 8, 1)
    makers: dict[str, Callable[[], Table]] = {
        "tree": lambda: make_tree(n_rows, n_columns, n_bins),
        "dense": lambda: make_dense(n_rows, n_columns, n_bins),
        "days": lambda: make_days(n_rows, 8 if full else 3, n_bins),
    }
    tables = {name: make() for name, make in makers.items()}
    with tempfile.TemporaryDirectory() as name:
        running, missing = start_peers(tables, Path(name), arguments.environments, n_draws, aim)
        try:
            forecasts = [measure_forecast(epsilon) for epsilon in (EPSILONS if full else EPSILONS[:1])]
            ours = measure_ours(tables, full)
            theirs = collect_peers(running, tables, missing)
        finally:
            for _, process, _ in running:
                process.kill()
    table = pd.DataFrame(ours + theirs)
    cells, bounds = compare(table), measure_bounds(tables)
    show(table, bounds, forecasts)
    context = {
        "tables": {name: {"n_rows": n_rows, "sizes": each.domain.sizes} for name, each in tables.items()},
        "delta": DELTA,
        "unit": "a row, which is a person",
        "n_draws": {"ours": N_DRAWS, "outside": n_draws, "gan": 1},
        "aim": aim or "its defaults",
        "peers": {package: missing.get(package, "ran") for package in PEERS},
        "bounds": bounds,
        "cells": cells.round(4).to_dict("records"),
        "rows": table.groupby(["table", "method", "epsilon"], sort=False)[["error", "seconds"]].mean().round(4)
        .reset_index().to_dict("records"),
        "forecasts": forecasts,
    }  # fmt: skip
    print(json.dumps({"benchmark": "synthetic", "values": collect(cells, forecasts), "context": context}))
    if missing:
        sys.exit("; ".join(missing.values()))


if __name__ == "__main__":
    main()
