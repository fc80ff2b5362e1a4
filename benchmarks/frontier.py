"""The whole curve of privacy against utility, 12 epsilons x 5 draws, beside a loop of 60 runs of Opacus.

Model, people, rows, steps and epsilons are the same, in one process, and so is the unit: a person is one sample of many
rows to Opacus.

`ratio_60_runs` is about the curve that the lab shows, whose model is the pooled weights behind everybody's head:
linear, each person's gradient over all of their rows in every step. Ours works on each person's products. It counts
our whole curve, plan and scores included, and of Opacus the steps alone; one of its steps is timed 20 times per run
and counted as often as the run has steps, since all are alike.

`network_ratio_60_runs` is about small networks from fresh weights. There Opacus runs the loop that its documentation
teaches, calibration included; `network_ratio_60_runs_steps_only` leaves the calibration of both out. --quick runs
Opacus once per epsilon (12 of the 60 runs, which differ in nothing but the seed) and counts each five times; --full
runs all 60. Opacus gets whichever number of threads is faster for it.

Run: python benchmarks/frontier.py [--full]
"""

import argparse
import json
import os
import platform
import time

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from twinlab.experiment import BayesianTwin, Experiment
from twinlab.fleet import Fleet
from twinlab.learn_choice import CentralLearning
from twinlab.pipeline import load_cohort
from twinlab.pipeline.exploration import PrivacyExploration, explore_privacy
from twinlab.pipeline.place import Scenario
from twinlab.protection.differential_privacy.descent import PrivateTraining
from twinlab.protection.differential_privacy.frontier import (
    EPSILONS,
    SEEDS,
    Frontier,
    FrontierPoint,
    judge_frontier,
    plan_frontier,
)
from twinlab.protection.differential_privacy.network_frontier import score_people, train_frontier
from twinlab.protection.differential_privacy.person_rows import PersonRows, arrange_rows
from twinlab.protection.differential_privacy.training import StepRows
from twinlab.twins.feature import FeatureTable, choose_targets
from twinlab.twins.pooled import list_training_rows
from twinlab.twins.population import first_test_hours, make_backbone

try:
    from opacus import PrivacyEngine

    from twinlab.protection.differential_privacy.record_level import make_module
except ImportError:
    PrivacyEngine = None

ROWS_PER_PERSON, ROWS_PER_STEP, HORIZONS = 640, 4, (1, 2, 6, 14)
N_SCORED = 12


def load_rows() -> tuple[PersonRows, Fleet, tuple[str, ...]]:
    """Rows of the default cohort for the default twin's backbone, and its shape."""
    cohort, twin, learn = load_cohort(Experiment()), BayesianTwin(), CentralLearning()
    targets = choose_targets(cohort.signals, twin.targets)
    table = FeatureTable(cohort, targets, twin.max_horizon_hours)
    cut = first_test_hours(cohort, learn.train_fraction)
    inputs, answers = [], []
    for horizon in HORIZONS:
        wanted = np.full_like(table.values, np.nan)
        wanted[:, : table.n_hours - horizon] = table.values[:, horizon:]
        wanted[np.arange(table.n_hours)[None, :] + horizon >= cut[:, None]] = np.nan
        inputs.append(torch.from_numpy(table.short(horizon)))
        answers.append(torch.from_numpy(wanted))
    rows = arrange_rows(list(torch.cat(inputs, dim=1)), list(torch.cat(answers, dim=1)), ROWS_PER_PERSON)
    return rows, make_backbone(twin, cohort.signals, targets, n_models=len(SEEDS)), targets


class PeopleDataset(Dataset):
    """A person is a sample; which of a person's rows a step uses is set from outside."""

    def __init__(self, cut: StepRows) -> None:
        self._cut = cut
        self.step = 0

    def __len__(self) -> int:
        return self._cut.n_people

    def __getitem__(self, person: int) -> tuple[Tensor, Tensor, Tensor]:
        rows = self._cut.take(self.step)
        return rows.inputs[person], rows.targets[person], rows.weights[person]


def run_opacus(fleet: Fleet, seed: int, data: PeopleDataset, epsilon: float, delta: float, n_steps: int):
    """One run as the documentation has it: seconds of calibration and of steps."""
    begin = time.perf_counter()
    alone = Fleet(1, fleet.widths, fleet.activation)
    module = make_module(alone, alone.init([seed]))
    module, optimizer, loader = PrivacyEngine().make_private_with_epsilon(
        module=module,
        optimizer=torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9),
        data_loader=DataLoader(data, batch_size=len(data)),
        target_epsilon=epsilon,
        target_delta=delta,
        epochs=n_steps,
        max_grad_norm=1.0,
    )
    ready = time.perf_counter()
    for step in range(n_steps):
        data.step = step
        for inputs, targets, weights in loader:
            optimizer.zero_grad()
            wrong = (module(inputs) - targets).square() * weights
            (wrong.sum((1, 2)) / weights.sum((1, 2)).clamp(min=1)).mean().backward()
            optimizer.step()
    return ready - begin, time.perf_counter() - ready


def loop_opacus(fleet: Fleet, rows: PersonRows, frontier: Frontier, n_seeds: int) -> tuple[float, float, int]:
    """Seconds of calibration and of steps for the whole curve, and how many runs were made."""
    data = PeopleDataset(StepRows(rows, frontier.settings[0]))
    # small products gain nothing from a second thread; let Opacus show which suits it
    n_threads, speeds = torch.get_num_threads(), {}
    for n in sorted({1, n_threads}):
        torch.set_num_threads(n)
        speeds[n] = run_opacus(fleet, 0, data, 1.0, frontier.delta, 20)[1]
    torch.set_num_threads(min(speeds, key=lambda n: speeds[n]))
    calibration = steps = 0.0
    for settings, epsilon in zip(frontier.settings, frontier.epsilons, strict=True):
        for seed in frontier.seeds[:n_seeds]:
            assert isinstance(settings.n_steps, int)
            first, rest = run_opacus(fleet, seed, data, epsilon, frontier.delta, settings.n_steps)
            calibration, steps = calibration + first, steps + rest
    torch.set_num_threads(n_threads)
    share = len(frontier.seeds) / n_seeds
    return calibration * share, steps * share, n_seeds * len(frontier.epsilons)


def trace(fleet: Fleet, rows: PersonRows, training: PrivateTraining, delta: float, scored: PersonRows, names):
    """Our whole curve: the plan, seconds of planning, of the first private point and of all, and the points."""
    begin = time.perf_counter()
    frontier = plan_frontier(training, delta)
    planned = time.perf_counter() - begin
    points: list[FrontierPoint] = []
    first = 0.0
    evaluate = score_people(fleet, scored, names)
    for group in train_frontier(fleet, fleet.init(SEEDS), rows, frontier, evaluate):
        points += group
        if not first and group[0].epsilon > 0:
            first = time.perf_counter() - begin
    return frontier, planned, first, time.perf_counter() - begin, points


def load_weights_rows(exploration: PrivacyExploration) -> tuple[Tensor, Tensor, Tensor, int]:
    """Rows of everybody for the pooled weights, whitened, each band's features in a place of their own."""
    ground = exploration.prepare("constant")
    inputs, answers = [], []
    for bands in list_training_rows(ground.population, exploration.cohort):
        moved = torch.stack([features @ ground.geometry for features, _ in bands], dim=1)
        n_people, n_bands, n_hours, width = moved.shape
        place = torch.zeros(n_people, n_bands, n_hours, n_bands, width)
        for band in range(n_bands):
            place[:, band, :, band] = moved[:, band]
        inputs.append(place.flatten(3).flatten(1, 2))
        answers.append(torch.stack([wanted for _, wanted in bands], dim=1).flatten(1, 2))
    rows, wanted = torch.cat(inputs), torch.cat(answers)
    return rows, torch.nan_to_num(wanted), torch.isfinite(wanted).float(), wanted.shape[2]


def time_opacus_weights(exploration: PrivacyExploration, frontier: Frontier, n_timed: int = 20) -> float:
    """Seconds that Opacus takes for the steps of all runs of the weights' curve."""
    rows, targets, weights, n_targets = load_weights_rows(exploration)
    data, total = TensorDataset(rows, targets, weights), 0.0
    for settings in frontier.settings:
        module: torch.nn.Module = torch.nn.Linear(rows.shape[2], n_targets)
        optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
        module, optimizer, loader = PrivacyEngine().make_private(
            module=module, optimizer=optimizer, data_loader=DataLoader(data, batch_size=len(data)),
            noise_multiplier=float(np.max(settings.noise_multiplier)), max_grad_norm=1.0,
        )  # fmt: skip
        begin = time.perf_counter()
        for _ in range(n_timed):
            for x, y, w in loader:
                optimizer.zero_grad()
                wrong = (module(x) - y).square() * w
                (wrong.sum((1, 2)) / w.sum((1, 2)).clamp(min=1)).mean().backward()
                optimizer.step()
        total += (time.perf_counter() - begin) / n_timed * int(np.max(settings.n_steps)) * len(frontier.seeds)
    return total


def measure_weights_curve() -> dict[str, float | None]:
    """Our curve of pooled weights, twins and scores included, beside Opacus's steps alone."""
    exploration, scenario = explore_privacy(Experiment().with_({"cohort": "shipped"})), Scenario()
    exploration.prepare("constant")
    seconds, firsts = [], []
    for _ in range(3):
        begin, first = time.perf_counter(), 0.0
        for _ in exploration.trace(scenario):
            if not first and len(exploration.table(scenario, "heart_rate_bpm")):
                first = time.perf_counter() - begin
        seconds.append(time.perf_counter() - begin)
        firsts.append(first)
    ours = float(np.median(seconds))
    print(f"pooled weights: first point {np.median(firsts):.2f} s, all 60 points {ours:.2f} s, scored by whole twins")
    opacus = None if PrivacyEngine is None else time_opacus_weights(exploration, exploration.planner.plan(scenario))
    if opacus is not None:
        print(f"Opacus, the steps of 60 runs of the same model on the same rows: {opacus:.0f} s")
    return {
        "ratio_60_runs": None if opacus is None else round(opacus / ours, 1),
        "first_point_seconds": round(float(np.median(firsts)), 3),
        "all_points_seconds": round(ours, 3),
    }


def main() -> None:
    """Measure and print the curve, a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="12 of the 60 Opacus runs (the default)")
    parser.add_argument("--full", action="store_true", help="all 60 Opacus runs")
    is_full = parser.parse_args().full
    rows, fleet, names = load_rows()
    scored = rows.take_people(torch.arange(N_SCORED))
    rows = rows.take_people(torch.arange(N_SCORED, rows.n_people))
    training = PrivateTraining(rows.n_people, rows_per_step=ROWS_PER_STEP)
    delta = 1 / (1.1 * rows.n_people)
    trace(fleet, rows, training, delta, scored, names)  # warm up
    rounds = [trace(fleet, rows, training, delta, scored, names) for _ in range(3)]
    frontier, planned, first, total, points = sorted(rounds, key=lambda each: each[3])[1]
    finding = judge_frontier(points, names[0])
    print(f"mean absolute error of {names[0]} (scaled), {N_SCORED} people nobody trained on")
    print(f"zero budget: {finding.baseline:.3f}")
    print(f"{'epsilon':>8}{'mean':>8}{'lowest':>8}{'highest':>9}  verdict")
    for row in finding.table:
        print(f"{row['epsilon']:>8g}{row['mean']:>8.3f}{row['lowest']:>8.3f}{row['highest']:>9.3f}  {row['verdict']}")
    print(f"{finding.sentence}\n")
    print(f"ours: first point {first:.2f} s, all {frontier.n_points} points {total:.2f} s")
    values: dict[str, float | None] = {
        "network_ratio_60_runs": None,
        "network_ratio_60_runs_steps_only": None,
        "network_first_point_seconds": round(first, 3),
        "network_all_points_seconds": round(total, 3),
    }
    context: dict[str, object] = {
        "n_people": rows.n_people,
        "widths": list(fleet.widths),
        "rows_per_step": ROWS_PER_STEP,
        "n_steps": [settings.n_steps for settings in frontier.settings],
        "epsilons": list(EPSILONS),
        "delta": round(delta, 5),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if PrivacyEngine is None:
        context["network_ratio_60_runs"] = "Opacus is not installed"
    else:
        calibration, steps, n_runs = loop_opacus(fleet, rows, frontier, len(SEEDS) if is_full else 1)
        values["network_ratio_60_runs"] = round((calibration + steps) / total, 1)
        values["network_ratio_60_runs_steps_only"] = round(steps / (total - planned), 1)
        context |= {"opacus_runs_measured": n_runs, "opacus_seconds": round(calibration + steps, 1)}
        note = "" if n_runs == frontier.n_points else f", from {n_runs} runs"
        print(f"Opacus, 60 runs: {calibration + steps:.1f} s, of it calibration {calibration:.1f} s{note}")
    values |= measure_weights_curve()
    print(json.dumps({"benchmark": "frontier", "values": values, "context": context}))


if __name__ == "__main__":
    main()
