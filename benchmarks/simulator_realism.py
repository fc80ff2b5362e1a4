"""How much simulated people look like real ones: the same checks on a real Fitbit export and on simulated cohorts.

Each check is computed by the same code on the export and on simulated cohorts of as many people, recorded over the
same spans of days, and averaged over the cohorts. `max_relative_gap` is the largest |simulated - real| / |real| of all
checks. What personalisation gains is a ratio of errors, personal over pooled, since a percentage near zero has no
meaningful relative gap. The heart-rate part is not in every copy of the export: its real figures are constants,
measured on the heart-rate part of the same export (8 people; 7 for forecasts).

Run: python benchmarks/simulator_realism.py [--full] [--fitbit FOLDER]
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np

from twinlab.cohorts.fitbit import load_fitbit
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import Intervention, estimate_true_effects, simulate

MIN_HOURS = 400
RIDGE_POOLED, RIDGE_PERSONAL = 10.0, 300.0
N_HEART_RATE_PEOPLE, N_HEART_RATE_DAYS = 8, 45
DEFAULT_FITBIT = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "fitbit"

#: Measured on the heart-rate part of the same export.
HEART_RATE_REFERENCE = {
    "heart rate: mean of people (bpm)": 79.0,
    "heart rate: sd over people": 7.0,
    "heart rate: sd within a person": 11.0,
    "heart rate: variance share, person": 0.295,
    "heart rate: variance share, person x hour": 0.566,
    "heart rate: next hour, personal R2": 0.64,
    "heart rate: next hour, personal MAE (bpm)": 5.49,
    "heart rate: answer to activity, pooled MAE": 8.32,
    "heart rate: answer, 1 day of own data": 6.27,
    "heart rate: answer, 14 days of own data": 5.04,
}
#: What is known from elsewhere and not from this export; shown, never part of the gap.
#: Shah et al., J Clin Endocrinol Metab 104 (2019) 4356: 153 healthy people, sensor glucose.
ORIENTATION = {
    "healthy glucose: mean of people (mg/dL)": (99.0, "Shah et al. 2019"),
    "healthy glucose: variation within a person": (0.17, "Shah et al. 2019, five-minute values"),
    "healthy glucose: share from 70 to 140 mg/dL": (0.96, "Shah et al. 2019, five-minute values"),
    "walk of 30 min: heart rate in that hour (bpm)": (9.8, "first prototype, no real figure"),
    "walk of 30 min: sd over people": (3.0, "first prototype, no real figure"),
}


# --- levels and variance ----------------------------------------------------------------------------------------------


def describe_levels(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of people's means, their sd, and the mean of people's own sd; values (person, hour)."""
    means = np.nanmean(values, axis=1)
    return float(means.mean()), float(means.std(ddof=1)), float(np.nanstd(values, axis=1, ddof=1).mean())


def share_variance(values: np.ndarray) -> tuple[float, float, float]:
    """In-sample share of all variance that person, hour of day, and person x hour explain."""
    n_people, n_hours = values.shape
    by_hour = values.reshape(n_people, n_hours // 24, 24)
    seen = ~np.isnan(by_hour)
    total = values[~np.isnan(values)].var()

    def explain(axes: tuple[int, ...]) -> float:
        count = seen.sum(axis=axes, keepdims=True)
        mean = np.nansum(by_hour, axis=axes, keepdims=True) / np.maximum(count, 1)
        return float(np.broadcast_to(mean, by_hour.shape)[seen].var() / total)

    return explain((1, 2)), explain((0, 1)), explain((1,))


def correlate_lag(values: np.ndarray, lag: int) -> float:
    """Mean over people of the correlation with the value `lag` hours before."""
    found = []
    for row in values:
        a, b = row[lag:], row[:-lag]
        both = ~np.isnan(a) & ~np.isnan(b)
        if both.sum() > 100:
            found.append(np.corrcoef(a[both], b[both])[0, 1])
    return float(np.mean(found))


# --- forecasts --------------------------------------------------------------------------------------------------------


def shift(values: np.ndarray, lag: int) -> np.ndarray:
    """The value `lag` hours before; NaN at the beginning."""
    moved = np.full_like(values, np.nan)
    moved[:, lag:] = values[:, :-lag]
    return moved


def average_past(values: np.ndarray, hours: int, least: int) -> np.ndarray:
    """Mean of the `hours` hours before, where at least `least` were measured."""
    past = shift(values, 1)
    total = np.cumsum(np.nan_to_num(past), axis=1)
    count = np.cumsum(~np.isnan(past), axis=1)
    total[:, hours:] = total[:, hours:] - total[:, :-hours].copy()
    count[:, hours:] = count[:, hours:] - count[:, :-hours].copy()
    return np.where(count >= least, total / np.maximum(count, 1), np.nan)


def average_same_hour(values: np.ndarray, days: int = 14) -> np.ndarray:
    """Mean of the same hour on the `days` days before."""
    past = np.stack([shift(values, 24 * day) for day in range(1, days + 1)])
    count = (~np.isnan(past)).sum(axis=0)
    return np.where(count >= 2, np.nansum(past, axis=0) / np.maximum(count, 1), np.nan)


def build_features(target: np.ndarray, others: list[np.ndarray], rooted: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Lags up to 24 h, then what lies further back; (person, hour, feature) each."""
    columns = [np.sqrt(values) if root else values for values, root in zip([target, *others], rooted, strict=True)]
    near = [shift(columns[0], lag) for lag in (1, 2, 3, 6, 23, 24)] + [average_past(columns[0], 24, 6)]
    far = [shift(columns[0], lag) for lag in (48, 168)] + [average_past(columns[0], 168, 24)]
    for column in columns[1:]:
        near += [shift(column, lag) for lag in (1, 2, 24)] + [average_past(column, 24, 6)]
        far += [average_past(column, 168, 24)]
    far += [average_same_hour(target)]
    return np.stack(near, axis=-1), np.stack(far, axis=-1)


def solve_ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """Ridge weights; the last column is an intercept without penalty."""
    weight = np.full(x.shape[1], penalty)
    weight[-1] = 1e-6
    return np.linalg.solve(x.T @ x + np.diag(weight), x.T @ y)


def forecast(target: np.ndarray, others: list[np.ndarray], rooted: list[bool]) -> dict[str, float]:
    """Next-hour forecasts: the first 70 % of each person's time trains, the rest tests.

    pooled: one ridge for all on lags of up to 24 h and the clock. personal: one ridge with longer memories, plus a
    ridge per person on what it leaves over.
    """
    near, far = build_features(target, others, rooted)
    usable = ~np.isnan(target) & ~np.isnan(shift(target, 1))
    order = np.cumsum(usable, axis=1)
    trains = usable & (order <= 0.7 * usable.sum(axis=1, keepdims=True))
    tests = usable & ~trains
    hour = np.arange(target.shape[1]) % 24
    clock = np.eye(24)[hour]
    weekend = ((np.arange(target.shape[1]) // 24) % 7 >= 5)[:, None]
    clock = np.broadcast_to(np.concatenate([clock, clock * weekend], axis=1), (*target.shape, 48))

    def design(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
        known = features[trains]
        scaled = (features[rows] - np.nanmean(known, axis=0)) / (np.nanstd(known, axis=0) + 1e-9)
        return np.concatenate([np.nan_to_num(scaled), clock[rows], np.ones((rows.sum(), 1))], axis=1)

    who = np.broadcast_to(np.arange(len(target))[:, None], target.shape)
    y, y_test = target[trains], target[tests]
    pooled = design(near, tests) @ solve_ridge(design(near, trains), y, RIDGE_POOLED)
    x, x_test = (design(np.concatenate([near, far], axis=-1), rows) for rows in (trains, tests))
    shared = solve_ridge(x, y, RIDGE_POOLED)
    personal = x_test @ shared
    residual = y - x @ shared
    for person in range(len(target)):
        mine, mine_test = who[trains] == person, who[tests] == person
        personal[mine_test] += x_test[mine_test] @ solve_ridge(x[mine], residual[mine], RIDGE_PERSONAL)
    errors = {"pooled": y_test - np.maximum(pooled, 0), "personal": y_test - np.maximum(personal, 0)}
    result = {f"{name} R2": float(1 - (error**2).mean() / y_test.var()) for name, error in errors.items()}
    result["personal MAE"] = float(np.abs(errors["personal"]).mean())
    result["gain"] = float(np.sqrt((errors["personal"] ** 2).mean() / (errors["pooled"] ** 2).mean()))
    return result


# --- who is it, and how does the heart answer -------------------------------------------------------------------------


def link(profiles: list[np.ndarray], n_people: int = 31, n_days: int = 14) -> float:
    """Share of people whose nearest neighbour in another two weeks is themselves.

    Profiles are mean steps and calories per hour of day, standardised over people; the first 14 worn days against the
    next 14, for the first 31 people who have them; distances are Euclidean.
    """
    steps, calories = (values.reshape(len(values), -1, 24) for values in profiles)
    firsts, seconds = [], []
    for person in range(len(steps)):
        worn = np.flatnonzero((~np.isnan(steps[person])).sum(axis=1) >= 12)
        if len(worn) < 2 * n_days:
            continue
        halves = []
        for days in (worn[:n_days], worn[n_days : 2 * n_days]):
            both = np.concatenate([steps[person][days], calories[person][days]], axis=1)
            count = (~np.isnan(both)).sum(axis=0)
            halves.append(np.where(count, np.nansum(both, axis=0) / np.maximum(count, 1), np.nan))
        firsts.append(halves[0])
        seconds.append(halves[1])
    a, b = np.array(firsts[:n_people]), np.array(seconds[:n_people])
    both = np.concatenate([a, b])
    a, b = (np.nan_to_num((half - np.nanmean(both, axis=0)) / (np.nanstd(both, axis=0) + 1e-9)) for half in (a, b))
    distance = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
    return float((distance.argmin(axis=1) == np.arange(len(a))).mean())


def answer_to_activity(heart_rate: np.ndarray, steps: np.ndarray, intensity: np.ndarray) -> dict[str, float]:
    """MAE (bpm) of the heart rate in an hour, told from that hour's activity and clock; days after the 14th test.

    Leave one person out: seven numbers per person, with a normal prior from the others, updated with 0, 1 or 14 days.
    """
    hour = np.arange(heart_rate.shape[1])
    angle = 2 * np.pi * (hour % 24) / 24
    clock = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)], axis=-1)
    clock = np.broadcast_to(clock, (*heart_rate.shape, 5))
    x = np.concatenate([clock, np.sqrt(steps)[..., None] / 30, intensity[..., None] / 60], axis=-1)
    known = ~np.isnan(heart_rate) & ~np.isnan(x).any(axis=-1)

    def fit(rows: np.ndarray, person: int) -> np.ndarray:
        a, b = x[person][rows], heart_rate[person][rows]
        return np.linalg.solve(a.T @ a + 0.1 * np.eye(7), a.T @ b)

    own = np.array([fit(known[person], person) for person in range(len(x))])
    errors: dict[str, list[float]] = {"pooled": [], "1 day": [], "14 days": []}
    for person in range(len(x)):
        others = [other for other in range(len(x)) if other != person]
        rest = known[others]
        a, b = x[others][rest], heart_rate[others][rest]
        pooled = np.linalg.solve(a.T @ a + 0.1 * np.eye(7), a.T @ b)
        noise = (b - np.einsum("ij,ij->i", a, own[others][np.nonzero(rest)[0]])).var()
        center = own[others].mean(axis=0)
        spread = np.cov(own[others].T) + 1e-1 * np.eye(7)
        test = known[person] & (hour >= 14 * 24)
        for name, weights in (
            ("pooled", pooled),
            ("1 day", None),
            ("14 days", None),
        ):
            if weights is None:
                rows = known[person] & (hour < (24 if name == "1 day" else 14 * 24))
                a, b = x[person][rows], heart_rate[person][rows]
                precision = np.linalg.inv(spread)
                weights = np.linalg.solve(a.T @ a / noise + precision, a.T @ b / noise + precision @ center)
            errors[name].append(np.abs(heart_rate[person][test] - x[person][test] @ weights).mean())
    return {name: float(np.mean(found)) for name, found in errors.items()}


# --- all checks -------------------------------------------------------------------------------------------------------


def check_activity(steps: np.ndarray, calories: np.ndarray, intensity: np.ndarray) -> dict[str, float]:
    """All checks that need no heart rate; arrays (person, hour) of whole days from a Monday or with any start."""
    found: dict[str, float] = {}
    for name, values in (("steps", steps), ("calories", calories), ("intensity", intensity)):
        levels, shares = describe_levels(values), share_variance(values)
        found |= dict(
            zip((f"{name}: mean", f"{name}: sd over people", f"{name}: sd within a person"), levels, strict=True)
        )
        kinds = ("person", "hour", "person x hour")
        found |= {f"{name}: variance share, {kind}": share for kind, share in zip(kinds, shares, strict=True)}
        found |= {f"{name}: correlation with {lag} h before": correlate_lag(values, lag) for lag in (1, 24)}
    found["steps: share of hours without a step"] = float(np.mean(steps[~np.isnan(steps)] == 0))
    for name, target, other in (("steps", steps, calories), ("calories", calories, steps)):
        result = forecast(target, [other], [name == "steps", name != "steps"])
        found[f"{name}: next hour, pooled R2"] = result["pooled R2"]
        found[f"{name}: next hour, personal R2"] = result["personal R2"]
        found[f"{name}: personal over pooled RMSE"] = result["gain"]
    found["linkage top-1 of 31 people, 14 d to 14 d"] = link([steps, calories])
    return found


def check_heart_rate(heart_rate: np.ndarray, steps: np.ndarray, intensity: np.ndarray) -> dict[str, float]:
    """The checks of `HEART_RATE_REFERENCE`, in its order."""
    person, _, person_hour = share_variance(heart_rate)
    ahead = forecast(heart_rate, [steps], [False, True])
    answer = answer_to_activity(heart_rate, steps, intensity)
    figures = [*describe_levels(heart_rate), person, person_hour, ahead["personal R2"], ahead["personal MAE"]]
    return dict(zip(HEART_RATE_REFERENCE, [*figures, *answer.values()], strict=True))


def check_simulated(seeds: range, spans: np.ndarray) -> dict[str, float]:
    """Checks averaged over simulated cohorts whose people are recorded over the given spans, bool (person, hour)."""
    rounds = []
    n_people, n_days = len(spans), spans.shape[1] // 24
    for seed in seeds:
        cohort = simulate(draw_people(n_people, seed), n_days, seed).cohort
        names = ("steps", "calories_kcal", "intensity")
        signals = [np.where(spans, cohort.signal(name).astype(np.float64), np.nan) for name in names]
        enough = (~np.isnan(signals[0])).sum(axis=1) >= MIN_HOURS
        found = check_activity(*(values[enough] for values in signals))
        few = slice(0, N_HEART_RATE_PEOPLE), slice(0, N_HEART_RATE_DAYS * 24)
        worn = [cohort.signal(name).astype(np.float64)[few] for name in ("heart_rate_bpm", "steps", "intensity")]
        rounds.append(found | check_heart_rate(*worn))
    return {name: float(np.mean([found[name] for found in rounds])) for name in rounds[0]}


def check_real(folder: Path) -> tuple[dict[str, float], np.ndarray]:
    """Checks on a Fitbit export, and the spans over which its people were recorded."""
    cohort = load_fitbit(folder)
    enough = cohort.mask[..., 0].sum(axis=1) >= MIN_HOURS
    steps, calories, intensity = (
        cohort.signal(name).astype(np.float64)[enough] for name in ("steps", "calories_kcal", "intensity")
    )
    seen = ~np.isnan(steps)
    hours = np.arange(seen.shape[1])
    first, last = seen.argmax(axis=1), seen.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)
    spans = (hours >= first[:, None]) & (hours <= last[:, None])
    return check_activity(steps, calories, intensity), spans


def measure_speed(n_people: int = 500, n_days: int = 28) -> float:
    """People-days per second, median of three, drawing the people included."""
    speeds = []
    for seed in range(3):
        started = time.perf_counter()
        simulate(draw_people(n_people, seed), n_days, seed)
        speeds.append(n_people * n_days / (time.perf_counter() - started))
    return float(np.median(speeds))


def orient() -> list[float]:
    """Simulated figures for `ORIENTATION`, in its order, from 500 people."""
    people = draw_people(500, 0)
    cohort = simulate(people, 14, 0).cohort
    glucose = cohort.signal("glucose_mg_dl")[(cohort.attributes.condition != "type_2_diabetes").to_numpy()]
    means, spreads = np.nanmean(glucose, axis=1), np.nanstd(glucose, axis=1, ddof=1)
    inside = np.nanmean(np.where(np.isnan(glucose), np.nan, (glucose >= 70) & (glucose <= 140)))
    effect = estimate_true_effects(people, 10, 0, Intervention(9 * 24 + 15))[:, 0, 3]
    figures = means.mean(), (spreads / means).mean(), inside, effect.mean(), effect.std(ddof=1)
    return [float(figure) for figure in figures]


def print_table(real: dict[str, float], simulated: dict[str, float]) -> dict[str, float]:
    """Print real, simulated and gap per check; return the gaps."""
    gaps = {name: abs(simulated[name] - value) / abs(value) for name, value in real.items()}
    print(f"{'check':<48}{'real':>10}{'simulated':>12}{'gap':>8}")
    for name, value in real.items():
        flag = "  <- above 20 %" if gaps[name] > 0.2 else ""
        print(f"{name:<48}{value:>10.3g}{simulated[name]:>12.3g}{gaps[name]:>8.0%}{flag}")
    return gaps


def main() -> None:
    """Run the checks and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="ten simulated cohorts (the default)")
    parser.add_argument("--full", action="store_true", help="thirty simulated cohorts")
    parser.add_argument("--first-seed", type=int, default=1000, help="seed of the first simulated cohort")
    parser.add_argument("--fitbit", default=os.environ.get("TWINLAB_FITBIT") or str(DEFAULT_FITBIT))
    arguments = parser.parse_args()
    n_cohorts = 30 if arguments.full else 10
    folder = Path(arguments.fitbit)
    context: dict[str, object] = {"n_cohorts": n_cohorts, "python": platform.python_version(), "numpy": np.__version__}
    gap = None
    if folder.is_dir():
        real, spans = check_real(folder)
        simulated = check_simulated(range(arguments.first_seed, arguments.first_seed + n_cohorts), spans)
        gaps = print_table(real | HEART_RATE_REFERENCE, simulated)
        gap = round(max(gaps.values()), 4)
        context |= {
            "n_people": len(spans),
            "n_checks": len(gaps),
            "worst_check": max(gaps, key=lambda name: gaps[name]),
            "n_above_20_percent": sum(value > 0.2 for value in gaps.values()),
        }
    else:
        context["max_relative_gap"] = "no Fitbit export found; give --fitbit FOLDER or set TWINLAB_FITBIT"
        print(context["max_relative_gap"])
    print("\nfor orientation, not part of the gap")
    for (name, (reference, origin)), value in zip(ORIENTATION.items(), orient(), strict=True):
        print(f"{name:<48}{reference:>10.3g}{value:>12.3g}   {origin}")
    values = {"max_relative_gap": gap, "people_days_per_second": round(measure_speed(), 1)}
    print(json.dumps({"benchmark": "simulator_realism", "values": values, "context": context}))


if __name__ == "__main__":
    main()
