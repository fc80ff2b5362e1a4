"""The twin beside its baselines: on a real Fitbit export and on simulated people whose true effects are known."""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch

from twinlab.cohorts.fitbit import load_fitbit
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import SIMULATED_SIGNALS, Intervention, estimate_true_effects, simulate
from twinlab.evaluation.effect import measure_effects
from twinlab.evaluation.utility import measure_coverage, measure_errors
from twinlab.experiment import BayesianTwin
from twinlab.finding import Finding
from twinlab.learn_choice import CentralLearning
from twinlab.twins.action import Action
from twinlab.twins.baseline import MODELS
from twinlab.twins.population import train_population
from twinlab.twins.tracking import estimate_effects, follow

LEAST_HOURS = 400
#: Nothing was tuned on this seed.
SEED = 2024
N_PEOPLE = 64
NAMES = (
    "fitbit_steps_rmse",
    "fitbit_calories_rmse",
    "fitbit_coverage_mean",
    "fitbit_coverage_worst_person",
    "simulated_what_if_correlation",
    "simulated_what_if_bias_bpm",
    "simulated_what_if_correlation_planned",
    "simulated_what_if_bias_bpm_planned",
    "simulated_drift_recovery_days",
)


def compare(course, horizon=1):
    """All models on the same rows of everybody's test time; prints a table, returns findings by name."""
    found: dict[str, Finding] = {}
    for column, signal in enumerate(course.targets):
        counted = course.is_test() & course.is_comparable(signal, horizon)
        actual = course.actual[..., column]
        predictions = {model: course.predictions[model, horizon][..., column] for model in MODELS}
        lower, upper = course.lower[horizon][..., column], course.upper[horizon][..., column]
        findings = (
            *measure_errors(signal, actual, predictions, counted),
            *measure_coverage(signal, actual, lower, upper, counted),
        )
        found |= {finding.name: finding for finding in findings}
        print(f"\n{signal}, {horizon} h ahead, {int(counted.sum())} rows")
        for row in findings[0].table:
            print(f"  {row['model']:24s} MAE {row['mae']:8.2f}  RMSE {row['rmse']:8.2f}  R2 {row['r2']:6.3f}")
        for finding in findings[3:]:
            print(f"  {finding.sentence}")
    return found


def measure_fitbit(path, values, context):
    """Time split: the first 70 % of each person's own time trains, the rest tests."""
    if not Path(path).is_dir():
        context["fitbit"] = "null: no export there; name its folder with --fitbit or TWINLAB_FITBIT"
        return
    loaded = load_fitbit(path)
    cohort = getattr(loaded, "cohort", loaded)
    kept = (~np.isnan(cohort.values).any(axis=2)).sum(axis=1) >= LEAST_HOURS
    cohort = cohort.select(people=[person for person, keep in zip(cohort.person_ids, kept, strict=True) if keep])
    population = train_population(cohort, seed=0)
    course = follow(population, cohort, (1, 6, 24))
    print(f"\nFITBIT: {cohort.n_people} people")
    found = compare(course, 1)
    values["fitbit_steps_rmse"] = found["steps_rmse"].value
    values["fitbit_calories_rmse"] = found["calories_kcal_rmse"].value
    signals = ("steps", "calories_kcal")
    values["fitbit_coverage_mean"] = float(np.mean([found[f"{name}_coverage_mean"].value for name in signals]))
    values["fitbit_coverage_worst_person"] = min(found[f"{name}_coverage_worst_person"].value for name in signals)
    for horizon in (6, 24):
        compare(course, horizon)


def measure_what_if(n_days, context):
    """A population of some people answers for others; the truth is each life lived twice."""
    people = draw_people(2 * N_PEOPLE, SEED)
    cohort = simulate(people, n_days, SEED).cohort
    trainers, others = cohort.person_ids[:N_PEOPLE], cohort.person_ids[N_PEOPLE:]
    start = time.perf_counter()
    population = train_population(cohort, people=trainers, seed=0)
    trained = time.perf_counter()
    unseen = cohort.select(people=others)
    course = follow(population, unseen, (1,))
    followed = time.perf_counter()
    context[f"seconds_{n_days}_days"] = {"train": trained - start, "follow": followed - trained}
    print(f"\nSIMULATED: {N_PEOPLE} unseen people, {n_days} days")
    compare(course, 1)
    told: list[np.ndarray] = []
    planned: list[np.ndarray] = []
    truth: list[np.ndarray] = []
    late = people.slice(N_PEOPLE, 2 * N_PEOPLE)
    heart_rate, energy = (SIMULATED_SIGNALS.index(name) for name in ("heart_rate_bpm", "calories_kcal"))
    for hour_of_day in (10, 15, 19):
        hour = (n_days - 3) * 24 + hour_of_day
        walk = Intervention(start_hour=hour, minutes=30)
        lived = estimate_true_effects(late, n_days, SEED, walk, n_hours_after=1)
        truth.append(lived[:, 0, heart_rate])
        action = Action(minutes=30)
        for answers, measured in ((planned, None), (told, {"calories_kcal": lived[:, :, energy]})):
            table = estimate_effects(population, unseen, hour - 1, action, n_hours=1, measured=measured)
            answers.append(table[table.signal == "heart_rate_bpm"].effect.to_numpy())
    findings = {}
    for name, answers in (("walk as measured", told), ("walk only planned", planned)):
        findings[name] = measure_effects("heart_rate_bpm", np.mean(answers, axis=0), np.mean(truth, axis=0))
        one_hour = measure_effects("heart_rate_bpm", answers[1], truth[1])
        print(f"  {name}, mean of three hours. {findings[name].sentence}")
        print(f"  {name}, at three o'clock. {one_hour.sentence}")
        key = f"what_if_{n_days}_days, {name}"
        context[key] = {"three_hours": findings[name].table[0], "one_hour": one_hour.table[0]}
    return findings


def measure_drift(context):
    """Days after a beta-blocker begins until the heart-rate error stays within 20 % of what it was."""
    begin = 14 * 24
    people = draw_people(N_PEOPLE, SEED + 1)
    calm = simulate(people, 28, SEED + 1).cohort
    changed = simulate(people, 28, SEED + 1, [Intervention(start_hour=begin, kind="beta_blocker")]).cohort
    population = train_population(calm, seed=0, learn=CentralLearning(train_fraction=0.5))
    days = {}
    print("\nDRIFT: a beta-blocker from day 14")
    for label, twin in (("default", None), ("no process noise", BayesianTwin(process_noise=0.0))):
        chosen = population if twin is None else train_population(calm, twin, CentralLearning(train_fraction=0.5))
        course = follow(chosen, changed, (1,))
        column = course.targets.index("heart_rate_bpm")
        actual = course.actual[..., column]
        for what, expected in (
            ("forecast", course.predictions["twin", 1][..., column]),
            ("response", course.responses["twin"][..., course.response_targets.index("heart_rate_bpm")]),
            ("pooled response", course.responses["pooled"][..., course.response_targets.index("heart_rate_bpm")]),
        ):
            off = np.abs(expected - actual)
            before = np.nanmean(off[:, begin - 7 * 24 : begin])
            after = [np.nanmean(off[:, begin + 24 * day : begin + 24 * (day + 1)]) for day in range(14)]
            late = [day for day, error in enumerate(after) if error > 1.2 * before]
            days[f"{what}, {label}"] = float(late[-1] + 1) if late else 0.0
            print(
                f"  {what:16s} {label:17s} before {before:5.2f}, days after " + " ".join(f"{e:.2f}" for e in after[:7])
            )
    context["drift_days"] = days
    return max(days["forecast, default"], days["response, default"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="also eight weeks of simulated days")
    parser.add_argument("--quick", action="store_true", help="the default")
    root = Path(__file__).resolve().parents[1]
    folder = os.environ.get("TWINLAB_FITBIT") or root.parent / "shared" / "data" / "fitbit"
    parser.add_argument("--fitbit", default=str(folder), help="folder of a Fitbit export")
    choices = parser.parse_args()
    values = dict.fromkeys(NAMES)
    context = {
        "tuning": "prior variances, drift and steps of intervals on the Fitbit training time and on simulated people "
        "of other seeds, while figures of the Fitbit test time were in sight; energy of a walk on simulated people of "
        "another seed",
        "split": "first 70 % of each person's measured hours train, last 30 % test; next hour; the twin learns on",
        "threads": torch.get_num_threads(),
    }
    measure_fitbit(choices.fitbit, values, context)
    findings = measure_what_if(28, context)
    if choices.full:
        measure_what_if(56, context)
    for suffix, name in (("", "walk as measured"), ("_planned", "walk only planned")):
        values[f"simulated_what_if_correlation{suffix}"] = findings[name].value
        values[f"simulated_what_if_bias_bpm{suffix}"] = abs(findings[name].table[0]["bias"])
    values["simulated_drift_recovery_days"] = measure_drift(context)
    print(json.dumps({"benchmark": "twin_accuracy", "values": values, "context": context}))


if __name__ == "__main__":
    main()
