"""Our risks of a released table beside those of Anonymeter: singling out, linkability, inference.

The same releases of the same simulated people, from a copy that hides nobody to a fresh draw that has nobody to hide,
and of each as many guesses for both. Both get a control as large as the originals. Anonymeter wants older numpy than we
do, so it lives in an environment of its own, which the first run makes (about 500 MB, a minute or two): tables go there
as Parquet, counts come back as JSON. Where no package index is reached, values are null and the last words say why.

A risk is (rate - rate outside) / (1 - rate outside) here and there. Differences compare that of counts pooled over
draws, not cut off at 0. Each side's intervals are its own: ours from Clopper-Pearson intervals of both rates, theirs
from Wilson's and the propagation of errors, cut to 0 to 1.

One answer differs, and the last rows say why: a copy whose numbers were moved a little is open to our descriptions of
several columns, which are boxes 2 % of a column wide to either side, and closed to theirs, which are half-lines that
begin at the record's own value, so that noise moves half of the people out of each. Half-lines in our own hands
(`describe_by_half_lines`), scored as we score, find as little; that they find a true copy shows that they work.

Run: python benchmarks/table_risk.py [--full] [--environment FOLDER]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import peer_environment

from twinlab.evaluation.table_risk import measure_table_risk, score_singling_out
from twinlab.pipeline.table_lesson import (
    LEFT,
    SECRET,
    TABLE_ATTACKS,
    PeopleTables,
    attack_table,
    choose_table_releases,
    draw_people_tables,
)
from twinlab.threat import Claims

PEER = "anonymeter==1.1.0"
#: Everybody is a target, so that both infer and link the very same people.
N_PEOPLE, N_DAYS, N_TARGETS, N_COLUMNS = 400, 3, 400, 4
COPY, NOISY, FRESH = "a copy", "a copy with 0.5 % noise", "a fresh draw of the population"
SEVERAL = TABLE_ATTACKS[1]

#: Runs in the other environment, which has no twinlab: a folder of tables and choices in, a line of JSON out.
THEIR_PART = """
import json, logging, pathlib, sys, time, warnings
import numpy, pandas
from anonymeter.evaluators.inference_evaluator import InferenceEvaluator
from anonymeter.evaluators.linkability_evaluator import LinkabilityEvaluator
from anonymeter.evaluators.singling_out_evaluator import SinglingOutEvaluator

logging.disable()
warnings.simplefilter("ignore")  # of the peer and its old libraries; they say nothing of the tables
folder = pathlib.Path(sys.argv[1])
chosen = json.loads((folder / "choices.json").read_text())
n, left, secret = chosen["n_targets"], chosen["left"], chosen["secret"]
rows, begin = [], time.perf_counter()
for draw in range(chosen["n_draws"]):
    numpy.random.seed(draw)  # their linkability and inference draw targets from the global generator
    people, others = (pandas.read_parquet(folder / f"{draw}_{name}.parquet") for name in ("originals", "control"))
    right = [name for name in people.columns if name not in left]
    known = [name for name in people.columns if name != secret]
    for place, release in enumerate(chosen["releases"]):
        made = pandas.read_parquet(folder / f"{draw}_{place}.parquet")[list(people.columns)]
        alone = dict(ori=people, syn=made, n_attacks=n, control=others, max_attempts=20_000, seed=draw)
        found = (
            SinglingOutEvaluator(**alone).evaluate("univariate"),
            SinglingOutEvaluator(**alone, n_cols=chosen["n_columns"]).evaluate("multivariate"),
            LinkabilityEvaluator(people, made, (left, right), n, 1, others).evaluate(n_jobs=1),
            InferenceEvaluator(people, made, known, secret, True, n, others).evaluate(n_jobs=1),
        )
        for attack, each in zip(chosen["attacks"], found):
            counts, risk = each.results(), each.risk()
            rows.append(dict(attack=attack, release=release, draw=draw, risk=float(risk.value), low=float(risk.ci[0]),
                             high=float(risk.ci[1]), n_right=int(counts.n_success), n_control=int(counts.n_control)))
print(json.dumps({"rows": rows, "seconds": time.perf_counter() - begin}))
"""


def find_cache() -> Path:
    """Where the other environment is kept between runs."""
    return peer_environment.find_cache() / peer_environment.name_folder(PEER)


def prepare_environment(folder: Path) -> tuple[Path | None, str]:
    """The interpreter that has the peer, or None and why not."""
    return peer_environment.prepare_environment(folder, PEER, " See --environment")


def measure_theirs(python: Path, draws: Sequence[PeopleTables], releases: Sequence[Mapping[str, pd.DataFrame]]) -> Any:
    """Rows and seconds that the other environment reports.

    Raises:
      RuntimeError: if it fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for draw, (tables, made) in enumerate(zip(draws, releases, strict=True)):
            tables.originals.to_parquet(folder / f"{draw}_originals.parquet")
            tables.control.to_parquet(folder / f"{draw}_control.parquet")
            for place, each in enumerate(made.values()):
                each.to_parquet(folder / f"{draw}_{place}.parquet")
        choices = {
            "n_targets": N_TARGETS,
            "n_columns": N_COLUMNS,
            "n_draws": len(draws),
            "left": LEFT,
            "secret": SECRET,
            "releases": list(releases[0]),
            "attacks": TABLE_ATTACKS,
        }
        (folder / "choices.json").write_text(json.dumps(choices))
        told, last = peer_environment.run_part(python, THEIR_PART, folder)
    if told is None:
        raise RuntimeError(f"{PEER} failed: {last or 'it said nothing'}")
    return json.loads(told[-1])


def measure_ours(draws: Sequence[PeopleTables], releases: Sequence[Mapping[str, pd.DataFrame]]) -> pd.DataFrame:
    """A row per draw, release and attack."""
    found = []
    for draw, (tables, made) in enumerate(zip(draws, releases, strict=True)):
        for name, release in made.items():
            risks = attack_table(
                release, tables.originals, tables.control, n_targets=N_TARGETS, name=name, seed=draw
            ).table
            found.append(risks.assign(draw=draw))
    return pd.concat(found, ignore_index=True)


def describe_by_half_lines(release: pd.DataFrame, n_guesses: int, n_columns: int, seed: int) -> Claims:
    """Descriptions that a number begin at a record's own value and go away from the median, and that one record fits.

    Args:
      release: a row a person.
      n_guesses: records to describe, at most; one description each, of the first of ten that fits it alone.
      n_columns: in each, drawn at random.
      seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    is_number = {name: release[name].dtype.kind in "iuf" for name in release.columns}
    columns = {
        name: release[name].to_numpy(float) if is_number[name] else release[name].astype(str).to_numpy(object)
        for name in release.columns
    }
    middle = {name: np.median(columns[name]) for name in columns if is_number[name]}
    values: list[dict[str, Any]] = []
    for row in rng.permutation(len(release))[:n_guesses]:
        for _ in range(10):
            description: dict[str, Any] = {}
            fits = np.ones(len(release), dtype=bool)
            for name in rng.choice(list(columns), n_columns, replace=False):
                own, column = columns[name][row], columns[name]
                if not is_number[name]:
                    description[name], inside = own, column == own
                elif own > middle[name]:
                    description[name], inside = (float(own), np.inf), column >= own
                else:
                    description[name], inside = (-np.inf, float(own)), column <= own
                fits &= inside
            if fits.sum() == 1:
                values.append(description)
                break
    listed = np.empty(len(values), dtype=object)
    listed[:] = values
    return Claims("singling_out", np.zeros(len(values)), listed, "half-lines that one released record fits")


def measure_half_lines(draws: Sequence[PeopleTables], releases: Sequence[Mapping[str, pd.DataFrame]]) -> pd.DataFrame:
    """What their kind of description finds when we score it: a row for the copy and one for the copy with noise."""
    rows = []
    for name in (COPY, NOISY):
        inside: list[np.ndarray] = []
        outside: list[np.ndarray] = []
        for draw, (tables, made) in enumerate(zip(draws, releases, strict=True)):
            claims = describe_by_half_lines(made[name], N_TARGETS, N_COLUMNS, draw)
            inside.append(score_singling_out(claims, tables.originals))
            outside.append(score_singling_out(claims, tables.control))
        found = measure_table_risk("half-lines", np.concatenate(inside), np.concatenate(outside), release=name)
        rows.append(found.table[0])
    return pd.DataFrame(rows)


def pool(ours: pd.DataFrame, theirs: pd.DataFrame | None) -> pd.DataFrame:
    """A row per release and attack: risks of counts pooled over draws, and how many intervals of draws hold 0."""
    rows = []
    for (release, attack), own in ours.groupby(["release", "attack"], sort=False):
        n_guesses = int(own["n_targets"].sum())
        inside, outside = ((own[key] * own["n_targets"]).sum() for key in ("rate", "control_rate"))
        pooled = measure_table_risk(
            str(attack), np.full(n_guesses, inside / n_guesses), np.full(n_guesses, outside / n_guesses)
        )
        numbers = pooled.table[0]
        row: dict[str, Any] = {"release": release, "attack": attack, "ours": pooled.value}
        row |= {"ours_low": numbers["low"], "ours_high": numbers["high"]}
        row["ours_hold_0"] = int(((own["low"] <= 0) & (own["high"] >= 0)).sum())
        if theirs is not None:
            other = theirs[(theirs["release"] == release) & (theirs["attack"] == attack)]
            rate, control = (other[key].sum() / (N_TARGETS * len(other)) for key in ("n_right", "n_control"))
            row |= {"theirs": (rate - control) / (1 - control), "theirs_told": other["risk"].mean()}
            row |= {"theirs_low": other["low"].mean(), "theirs_high": other["high"].mean()}
            row["theirs_hold_0"] = int((other["low"] <= 0).sum())
        rows.append({**row, "n_draws": len(own)})
    return pd.DataFrame(rows)


def show(table: pd.DataFrame, half_lines: pd.DataFrame) -> None:
    """The table and what explains it, for people."""
    print(f"\n{'release':31s} {'attack':29s} {'ours':>6s} {'interval':>16s}   {'theirs':>6s} {'interval':>16s}")
    for row in table.to_dict("records"):
        other = ""
        if "theirs" in row:
            other = f"   {row['theirs']:6.3f} {row['theirs_low']:7.3f} to {row['theirs_high']:5.3f}"
        print(f"{row['release']:31s} {row['attack']:29s} {row['ours']:6.3f} {row['ours_low']:7.3f} to "
              f"{row['ours_high']:5.3f}{other}")  # fmt: skip
    print("Intervals: ours of all draws together, theirs the mean of the draws'.")
    for row in half_lines.to_dict("records"):
        print(f"Half-lines of {N_COLUMNS} columns against {row['release']}, scored by us: risk {row['risk']:.3f} "
              f"({row['low']:.3f} to {row['high']:.3f}).")  # fmt: skip


def collect(table: pd.DataFrame, half_lines: pd.DataFrame) -> dict[str, float | None]:
    """Values of the line of JSON."""
    null = table[table["release"] == FRESH]
    n_null = null["n_draws"].sum()
    values: dict[str, float | None] = {
        "largest_difference_null": None,
        "largest_difference_copy": None,
        "null_within_interval_ours": float(null["ours_hold_0"].sum() / n_null),
        "null_within_interval_theirs": None,
        "noisy_copy_singled_out_ours": None,
        "noisy_copy_singled_out_theirs": None,
        "noisy_copy_singled_out_half_lines": float(half_lines.set_index("release")["risk"][NOISY]),
    }
    noisy = table[(table["release"] == NOISY) & (table["attack"] == SEVERAL)].iloc[0]
    values["noisy_copy_singled_out_ours"] = float(noisy["ours"])
    if "theirs" in table:
        apart = (table["ours"] - table["theirs"]).abs()
        values["largest_difference_null"] = float(apart[table["release"] == FRESH].max())
        values["largest_difference_copy"] = float(apart[table["release"] == COPY].max())
        values["null_within_interval_theirs"] = float(null["theirs_hold_0"].sum() / n_null)
        values["noisy_copy_singled_out_theirs"] = float(noisy["theirs"])
    return values


def main() -> None:
    """Attack the same releases twice; print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="12 draws of people instead of 4")
    parser.add_argument("--quick", action="store_true", help="the default")
    parser.add_argument("--environment", type=Path, default=find_cache(), help="of the peer; made where it is missing")
    arguments = parser.parse_args()
    draws = [draw_people_tables(N_PEOPLE, N_DAYS, seed) for seed in range(12 if arguments.full else 4)]
    releases = [choose_table_releases(tables, seed) for seed, tables in enumerate(draws)]
    python, missing = prepare_environment(arguments.environment)
    theirs = None if python is None else measure_theirs(python, draws, releases)
    begin = time.perf_counter()
    ours = measure_ours(draws, releases)
    seconds = time.perf_counter() - begin
    table = pool(ours, None if theirs is None else pd.DataFrame(theirs["rows"]))
    half_lines = measure_half_lines(draws, releases)
    show(table, half_lines)
    context = {
        "n_rows": N_PEOPLE,
        "n_control": N_PEOPLE,
        "n_targets": N_TARGETS,
        "n_columns": N_COLUMNS,
        "n_draws": len(draws),
        "peer": PEER if theirs else f"null: {missing}",
        "seconds": {"ours, with a blind attack beside each": round(seconds, 1), "theirs": theirs and theirs["seconds"]},
        "table": table.round(4).to_dict("records"),
        "half_lines": half_lines[["release", "risk", "low", "high"]].round(4).to_dict("records"),
    }
    print(json.dumps({"benchmark": "table_risk", "values": collect(table, half_lines), "context": context}))
    if missing:
        sys.exit(missing)


if __name__ == "__main__":
    main()
