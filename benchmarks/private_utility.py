"""What a twin loses when the shared part is trained privately: the next hour's error of people nobody trained on.

350 simulated people train, 150 unseen ones are followed for 28 days with heads of their own; errors are those of the
last 14 days. `<signal>_loss` is the relative rise of the mean absolute error against the twin trained without privacy,
at epsilon 1 of a person, delta 1 / (1.1 * 350). Four ways stand side by side:

- zero budget: the shared part comes from other simulated people, who are public. They are young and healthy, so what
  they teach is not quite true of the others;
- private: their backbone and weights are the start, and the pooled weights are fitted privately to the 350. This is
  `<signal>_loss`;
- private from scratch: no start but a public constant. Half of the budget trains the backbone on what a person's own
  routine leaves unexplained, half fits the pooled weights. Public people only say which features move together;
- non-private: what the losses are measured against.

Learning rates and shares of the budget were chosen on other simulated people (seeds 1000 and 1001).

Run: python benchmarks/private_utility.py [--full]
"""

import argparse
import json
import math
import platform
import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.simulator import simulate_cohort
from twinlab.experiment import SimulatedCohort
from twinlab.fleet import Fleet
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier, compute_epsilon
from twinlab.protection.differential_privacy.descent import PrivateTraining
from twinlab.protection.differential_privacy.person_rows import arrange_rows
from twinlab.protection.differential_privacy.pooled_weights import PersonProducts, fit_pooled_weights
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.differential_privacy.training import train_privately
from twinlab.twins.feature import FeatureTable, unscale
from twinlab.twins.head import PersonalHeads
from twinlab.twins.population import Population, first_test_hours, make_backbone, train_population

N_TRAIN, N_TEST, N_DAYS, FIRST_TEST_DAY = 350, 150, 28, 14
EPSILON, DELTA = 1.0, 1 / (1.1 * N_TRAIN)
N_STEPS = 100
#: Chosen on seeds 1000 and 1001.
START_RATE, SCRATCH_RATE, NETWORK_RATE = 0.01, 0.03, 0.1
ROUTINE_SHARE, ROWS_PER_PERSON, ROWS_PER_STEP = 0.7, 256, 32
PUBLIC_SEED, N_PUBLIC_DRAWN, N_PUBLIC = 10_000, 300, 100
SHORT = {"steps": "steps", "calories_kcal": "calories", "heart_rate_bpm": "heart_rate", "glucose_mg_dl": "glucose"}


def simulate(n_people: int, seed: int) -> Cohort:
    """People who do not exist."""
    return simulate_cohort(SimulatedCohort(n_people=n_people, n_days=N_DAYS, seed=seed)).cohort


def draw_public_people() -> Cohort:
    """Young, healthy simulated people: public, and not quite like the others."""
    cohort = simulate(N_PUBLIC_DRAWN, PUBLIC_SEED)
    about = cohort.attributes
    fit = about.index[(about["condition"] == "none") & (about["age_years"] < 45)]
    return cohort.select(people=list(fit[:N_PUBLIC]))


def list_answers(cohort: Cohort, table: FeatureTable, horizon: int, train_fraction: float) -> np.ndarray:
    """Float (person, hour, target) by origin hour, NaN where unknown or in the test time."""
    answers = np.full_like(table.values, np.nan)
    answers[:, : table.n_hours - horizon] = table.values[:, horizon:]
    late = np.arange(table.n_hours)[None, :] + horizon >= first_test_hours(cohort, train_fraction)[:, None]
    answers[late] = np.nan
    return answers


def list_products(population: Population, cohort: Cohort) -> PersonProducts:
    """People's products for all bands and targets."""
    table = FeatureTable(cohort, population.targets, population.twin.max_horizon_hours)
    return PersonProducts.stack(
        [
            PersonProducts.from_rows(
                population.forecast_features(table, anchor),
                torch.from_numpy(list_answers(cohort, table, anchor, population.learn.train_fraction)),
            )
            for anchor in population.anchors
        ]
    )


def find_geometry(population: Population, public: Cohort) -> Tensor:
    """Which features move together, learned from some public people."""
    return list_products(population, public.select(people=public.person_ids[:40])).find_geometry()


def fit_weights(population: Population, cohort: Cohort, geometry: Tensor, noise_multiplier: float, rate: float):
    """The population with pooled weights fitted privately, starting from its own; and what that cost."""
    settings = PrivateTraining(
        N_TRAIN, n_steps=N_STEPS, noise_multiplier=noise_multiplier, learning_rate=rate, optimizer="momentum"
    )
    start = population.forecast_mean
    products = list_products(population, cohort)
    fitted = fit_pooled_weights(products, start.flatten(0, 1), settings, open_noise(), geometry)
    return replace(population, forecast_mean=fitted.weights.view(start.shape)), fitted.events


def train_backbone_from_scratch(shape: Population, cohort: Cohort, noise_multiplier: float):
    """A backbone trained privately on what a share of the person's own routine leaves unexplained; and its cost."""
    targets = shape.targets
    table = FeatureTable(cohort, targets, shape.twin.max_horizon_hours)
    inputs, answers = [], []
    for anchor in shape.anchors:
        wanted = list_answers(cohort, table, anchor, shape.learn.train_fraction)
        # level features are yesterday, routine, routine of this kind of day, ..., one per target each
        routine = table.level(anchor)[..., 2 * len(targets) : 3 * len(targets)]
        inputs.append(torch.from_numpy(table.short(anchor)))
        answers.append(torch.from_numpy(wanted - ROUTINE_SHARE * routine))
    rows = arrange_rows(list(torch.cat(inputs, dim=1)), list(torch.cat(answers, dim=1)), ROWS_PER_PERSON)
    fleet: Fleet = make_backbone(shape.twin, shape.signals, targets, n_models=1)
    settings = PrivateTraining(
        N_TRAIN,
        n_steps=N_STEPS,
        noise_multiplier=noise_multiplier,
        learning_rate=NETWORK_RATE,
        rows_per_step=ROWS_PER_STEP,
    )
    trained = train_privately(fleet, fleet.init([1]), rows, settings, open_noise())
    last = fleet.n_layers - 1
    mean = torch.zeros_like(shape.forecast_mean)
    n_features = shape.twin.n_features
    mean[:, :, :n_features] = trained.state[f"weight_{last}"][0].T
    mean[:, :, -1] = trained.state[f"bias_{last}"][0]
    for target in range(len(targets)):
        mean[:, target, n_features + 2 * len(targets) + target] = ROUTINE_SHARE
    return replace(shape, backbone=trained.state, forecast_mean=mean), trained.events[0]


def follow_next_hour(population: Population, cohort: Cohort) -> np.ndarray:
    """Mean absolute error (person, target) of the next hour in the last days, each person with a head of their own."""
    table = FeatureTable(cohort, population.targets, population.twin.max_horizon_hours)
    features = population.forecast_features(table, 1)
    actual = torch.from_numpy(table.values)
    n_people, n_hours, n_targets = actual.shape
    prior = population.forecast_prior(torch.arange(n_targets))
    prior = replace(prior, mean=prior.mean[:1])
    heads = PersonalHeads(prior, n_people)
    expected = torch.full_like(actual, math.nan)
    for hour in range(1, n_hours):
        asked = features[:, hour - 1 : hour]
        expected[:, hour] = heads.predict(asked)[:, 0]
        now = actual[:, hour : hour + 1]
        heads.update(asked, torch.nan_to_num(now), ~torch.isnan(now))
    first = FIRST_TEST_DAY * 24
    errors = [
        np.abs(unscale(expected[:, first:, column].numpy(), name) - cohort.signal(name)[:, first:])
        for column, name in enumerate(population.targets)
    ]
    totals = np.stack([np.nansum(error, axis=1) for error in errors], axis=1)
    counts = np.stack([(~np.isnan(error)).sum(axis=1) for error in errors], axis=1)
    # whoever wore nothing in the last days has no error of their own
    return np.where(counts >= 24, totals / np.maximum(counts, 1), np.nan)


def measure(seed: int, public: Cohort, started: Population) -> tuple[dict[str, np.ndarray], Cohort, float]:
    """Errors (person, target) of each way on one simulated cohort; and the epsilon that was spent."""
    cohort = simulate(N_TRAIN + N_TEST, seed)
    train, test = (cohort.select(people=ids) for ids in (cohort.person_ids[:N_TRAIN], cohort.person_ids[N_TRAIN:]))
    open_twin = train_population(train)
    noise = calibrate_noise_multiplier(EPSILON, DELTA, 1.0, N_STEPS)
    private, events = fit_weights(started, train, find_geometry(started, public), noise, START_RATE)
    half = calibrate_noise_multiplier(EPSILON, DELTA, 1.0, 2 * N_STEPS)
    scratch, first = train_backbone_from_scratch(started, train, half)
    scratch, second = fit_weights(scratch, train, find_geometry(scratch, public), half, SCRATCH_RATE)
    spent = max(compute_epsilon(events, DELTA), compute_epsilon((*first, *second), DELTA))
    ways = {"non-private": open_twin, "zero budget": started, "private": private, "private from scratch": scratch}
    return {name: follow_next_hour(population, test) for name, population in ways.items()}, test, spent


def rise(errors: dict[str, np.ndarray], way: str) -> np.ndarray:
    """Relative rise of people's errors, (person, target)."""
    return errors[way] / errors["non-private"] - 1


def print_losers(all_errors: list[dict[str, np.ndarray]], tests: list[Cohort], names: list[str]) -> dict[str, float]:
    """Who loses most by privacy: the worst decile, and groups of people."""
    rises = np.concatenate([rise(errors, "private") for errors in all_errors])
    known = rises[~np.isnan(rises).any(axis=1)]
    worst = np.sort(known, axis=0)[-max(1, len(known) // 10) :].mean(axis=0)
    print("\nwho loses by privacy (mean rise of people's own errors)")
    print(f"{'worst decile':<36}" + "".join(f"{value:>12.1%}" for value in worst))
    for column in ("condition", "sex", "works_shifts"):
        about = np.concatenate([test.attributes[column].astype(str).to_numpy() for test in tests])
        for group in sorted(set(about)):
            member = about == group
            if member.sum() >= 8:
                means = np.nanmean(rises[member], axis=0)
                print(f"{f'{column}: {group} ({member.sum()})':<36}" + "".join(f"{value:>12.1%}" for value in means))
    return {f"{name}_worst_decile_loss": round(float(value), 4) for name, value in zip(names, worst, strict=True)}


def main() -> None:
    """Measure and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one simulated cohort (the default)")
    parser.add_argument("--full", action="store_true", help="five simulated cohorts")
    seeds = range(5) if parser.parse_args().full else range(1)
    begin = time.perf_counter()
    public = draw_public_people()
    started = train_population(public)
    names = [SHORT[name] for name in started.targets]
    found = [measure(seed, public, started) for seed in seeds]
    all_errors, tests = [each[0] for each in found], [each[1] for each in found]
    print(f"next hour's mean absolute error, epsilon {EPSILON:g} per person, {len(found)} cohort(s)")
    print(f"{'':<36}" + "".join(f"{name:>12}" for name in names))
    values: dict[str, float] = {}
    for way in ("non-private", "zero budget", "private", "private from scratch"):
        means = np.mean([np.nanmean(errors[way], axis=0) for errors in all_errors], axis=0)
        print(f"{way:<36}" + "".join(f"{value:>12.2f}" for value in means))
    for way, prefix in (("zero budget", "zero_budget_"), ("private", ""), ("private from scratch", "from_scratch_")):
        losses = [
            np.nanmean(errors[way], axis=0) / np.nanmean(errors["non-private"], axis=0) - 1 for errors in all_errors
        ]
        loss = np.mean(losses, axis=0)
        print(f"{'loss: ' + way:<36}" + "".join(f"{value:>12.1%}" for value in loss))
        values |= {f"{prefix}{name}_loss": round(float(value), 4) for name, value in zip(names, loss, strict=True)}
    values |= print_losers(all_errors, tests, names)
    better = [name for name in names if values[f"{name}_loss"] < values[f"zero_budget_{name}_loss"]]
    print(f"\ntraining on people beats the zero budget for: {', '.join(better) or 'nothing; do not train'}")
    context = {
        "n_train": N_TRAIN,
        "n_unseen": N_TEST,
        "n_cohorts": len(found),
        "epsilon": EPSILON,
        "epsilon_spent": round(max(each[2] for each in found), 4),
        "delta": round(DELTA, 6),
        "public_start": "100 simulated people without a condition, younger than 45",
        "training_beats_zero_budget": better,
        "seconds": round(time.perf_counter() - begin, 1),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    print(json.dumps({"benchmark": "private_utility", "values": values, "context": context}))


if __name__ == "__main__":
    main()
