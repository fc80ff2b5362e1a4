"""How many nameless people an attacker names: on a real Fitbit export, and on simulated people, by days and population.

    python benchmarks/linkage.py [--fitbit FOLDER] [--full]

Everything about the attack was chosen on simulated people (seed 1000). The Fitbit people are those with 28 worn days or
more; of each the first 14 are named and the next 14 are not. Later windows of the same people say how much that varies.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.cohorts.fitbit import load_fitbit
from twinlab.experiment import Experiment, NoisyReadings
from twinlab.pipeline.composition import load_cohort
from twinlab.pipeline.linkage_evidence import split_days
from twinlab.pipeline.linking import link_people

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

#: Nothing was tuned on this seed.
SEED = 2024
N_DAYS = 14
#: People from whom top-1 among many more is foretold.
N_FEW = 300
FITBIT = Path(__file__).resolve().parents[2] / "shared" / "data" / "fitbit"


def keep_people_with_days(cohort: Cohort, n_days: int) -> Cohort:
    """People with so many days on which some hour was measured."""
    hours = np.asarray(cohort.mask.any(axis=2))
    days = hours[:, : cohort.n_hours // HOURS_PER_DAY * HOURS_PER_DAY].reshape(cohort.n_people, -1, HOURS_PER_DAY)
    worn = days.any(axis=2).sum(axis=1)
    kept = [person for person, n in zip(cohort.person_ids, worn, strict=True) if n >= n_days]
    return cohort.select(people=kept)


def link_by_nearest_profile(cohort: Cohort, n_days: int) -> float:
    """The usual attack, as a rival: the nearest mean of each hour of the day, every hour brought to one spread."""
    days = split_days(cohort, n_days)
    sides = [np.nanmean(each.reshape(len(each), -1, HOURS_PER_DAY * each.shape[2]), axis=1)
             for each in (days.named, days.nameless)]  # fmt: skip
    first, second = ((each - sides[0].mean(axis=0)) / sides[0].std(axis=0) for each in sides)
    apart = ((second[:, None] - first[None]) ** 2).sum(axis=2)
    return float((apart.argmin(axis=1) == np.arange(len(first))).mean())


def measure_fitbit(folder: Path, values: dict[str, Any], context: dict[str, Any]) -> None:
    """Real people, whose licence allows it; shares only."""
    if not folder.is_dir():
        context["fitbit"] = "null: no export there; name its folder with --fitbit or TWINLAB_FITBIT"
        return
    cohort = keep_people_with_days(load_fitbit(folder), 2 * N_DAYS)
    found = {n_days: link_people(cohort, n_days=n_days) for n_days in (3, 7, N_DAYS)}
    for n_days, each in found.items():
        print(f"FITBIT, {n_days} days of each side. {each.sentence}")
    last = found[N_DAYS]
    values["fitbit_top1_14_days"] = last.finding.value
    values["chance"] = last.finding.baseline
    row = last.table.iloc[0]
    windows = [link_people(cohort, n_days=N_DAYS, skip=skip) for skip in (7, 14, 21, 28)]
    alone = {name: link_people(cohort, n_days=N_DAYS, signals=(name,)).finding.value for name in cohort.signals}
    points = link_people(cohort, by="points", n_days=N_DAYS)
    print(f"FITBIT. {points.sentence}")
    context["fitbit"] = {
        "people": int(row["targets"]),
        "interval": last.finding.interval,
        "control": last.finding.control,
        "top1_3_7_days": [found[n_days].finding.value for n_days in (3, 7)],
        "top5_3_7_14_days": [float(each.table["top_5"].iloc[0]) for each in found.values()],
        "named_open_world": float(row["named_open_world"]),
        "one_to_one": link_people(cohort, n_days=N_DAYS, one_to_one=True).finding.value,
        "nearest_profile": {n_days: link_by_nearest_profile(cohort, n_days) for n_days in found},
        "later_windows": [(int(each.table["targets"].iloc[0]), each.finding.value) for each in windows],
        "by_signal": alone,
        "singled_out_by_4_points": points.finding.value,
        "extrapolated": last.extrapolate((100, 1000)).to_dict("records"),
    }


def measure_simulated(sizes: tuple[int, ...], context: dict[str, Any]) -> None:
    """People who do not exist: by population, what a smaller one foretold of it, and defences."""
    for n_people in sizes:
        begin = time.perf_counter()
        cohort = load_cohort(Experiment().with_({"cohort.n_people": n_people, "cohort.seed": SEED}))
        lived = time.perf_counter()
        found = link_people(cohort, n_days=N_DAYS)
        seconds = time.perf_counter() - lived
        print(
            f"SIMULATED, {n_people} people, lived in {lived - begin:.0f} s, linked in {seconds:.1f} s. {found.sentence}"
        )
        context[f"simulated_{n_people}"] = {
            "top1": found.finding.value,
            "interval": found.finding.interval,
            "control": found.finding.control,
            "named_open_world": float(found.table["named_open_world"].iloc[0]),
            "seconds": round(seconds, 2),
            "peak_gb": find_peak_gb(),
        }
        if n_people > N_FEW:
            context[f"foretold_{n_people}"] = compare_with_foretold(cohort)
        if n_people == sizes[0]:
            context["defences"] = {
                "traffic": link_people(cohort, by="traffic").finding.value,
                "traffic_padded": link_people(cohort, by="traffic", cover="sizes and times").finding.value,
                "noise_24_a_day": link_people(cohort, sense=NoisyReadings(epsilon=24.0)).finding.value,
                "noise_500_a_day": link_people(cohort, sense=NoisyReadings(epsilon=500.0)).finding.value,
            }


def compare_with_foretold(cohort: Cohort) -> list[dict[str, Any]]:
    """Top-1 among more and more people, measured, beside what the first few of them foretold; by signals."""
    rows = []
    for signals in (cohort.signals, ("heart_rate_bpm",), ("steps",)):
        every = link_people(cohort, n_days=N_DAYS, signals=signals)
        few = link_people(cohort, n_days=N_DAYS, signals=signals, n_people=N_FEW)
        n_there = int(every.table["targets"].iloc[0])
        sizes = [size for size in (100, 1000) if size < n_there] + [n_there]
        name = "all signals" if len(signals) > 1 else signals[0]
        measured, foretold = (each.extrapolate(sizes).to_dict("records") for each in (every, few))
        for size, one, other in zip(sizes, measured, foretold, strict=True):
            row = {"signals": name, "n_people": size, "measured": one["top_1"], "foretold": other["top_1"]}
            rows.append({**row, "low": other["low"], "high": other["high"], "extrapolated": other["extrapolated"]})
            print(f"  {name:15s} {size:6d} people: {one['top_1']:.1%} named; the first {N_FEW} foretold "
                  f"{other['top_1']:.1%} ({other['low']:.1%} to {other['high']:.1%})")  # fmt: skip
    return rows


def find_peak_gb() -> float | None:
    """Most memory that this process has had at once, where the system tells."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 2)


def main() -> None:
    """Attack, print sentences and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fitbit", default=os.environ.get("TWINLAB_FITBIT") or str(FITBIT), help="folder of an export")
    parser.add_argument("--full", action="store_true", help="10,000 simulated people too, and personal heads")
    arguments = parser.parse_args()
    values: dict[str, Any] = {"fitbit_top1_14_days": None, "chance": None}
    context: dict[str, Any] = {"seed": SEED}
    measure_fitbit(Path(arguments.fitbit), values, context)
    measure_simulated((100, 1000, *((10_000,) if arguments.full else ())), context)
    if arguments.full:
        heads = link_people(Experiment().with_({"cohort.n_people": 200, "cohort.seed": SEED}), by="heads")
        print(heads.sentence)
        context["heads_200"] = {"top1": heads.finding.value, "interval": heads.finding.interval}
    print(json.dumps({"benchmark": "linkage", "values": values, "context": context}))


if __name__ == "__main__":
    main()
