"""What privacy costs in time: a private training step over a plain one, for the twin's backbone on the default cohort.

The unit is a person: each person's mean gradient is bounded, summed and covered with noise. Measured on all of a
person's rows (`ratio_private_to_plain`) and on the few rows per step of the live curve. Opacus does the same step with
its hooks, where a person is one sample of many rows; and, for comparison, a step on 256 records, its own unit.
Plain, private and Opacus take turns; each figure is the median of its times.

Run: python benchmarks/private_step.py [--full]
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import torch

try:
    from opacus.grad_sample import GradSampleModule
    from opacus.optimizers import DPOptimizer

    from twinlab.protection.differential_privacy.record_level import make_module
except ImportError:
    GradSampleModule = None

from twinlab.experiment import BayesianTwin, Experiment
from twinlab.fleet import Fleet, TrainingSettings
from twinlab.pipeline import load_cohort
from twinlab.protection.differential_privacy.descent import PrivateTraining
from twinlab.protection.differential_privacy.person_rows import PersonRows
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.differential_privacy.training import train_privately
from twinlab.twins.feature import count_short
from twinlab.twins.population import make_backbone

FEW_ROWS = 16
N_STEPS = 3


def make_rows(n_people: int, n_rows: int, fleet: Fleet) -> PersonRows:
    """Rows of the right shape; speed does not depend on what is in them."""
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(n_people, n_rows, fleet.widths[0], generator=draw)
    targets = torch.randn(n_people, n_rows, fleet.widths[-1], generator=draw)
    return PersonRows(inputs, targets, torch.ones_like(targets))


def time_plain(fleet: Fleet, rows: PersonRows) -> Callable[[], None]:
    """N_STEPS of full-batch Adam on all people's rows together."""
    inputs, targets, weights = (value.flatten(0, 1) for value in vars(rows).values())
    start = fleet.init([0])
    return lambda: void(fleet.train(start, inputs, targets, weights, TrainingSettings(n_epochs=N_STEPS)))


def time_private(fleet: Fleet, rows: PersonRows) -> Callable[[], None]:
    """N_STEPS of private Adam on the same rows."""
    start, noise = fleet.init([0]), open_noise()
    settings = PrivateTraining(rows.n_people, n_steps=N_STEPS, noise_multiplier=10.0, optimizer="adam")
    return lambda: void(train_privately(fleet, start, rows, settings, noise))


def time_opacus(fleet: Fleet, rows: PersonRows) -> Callable[[], None]:
    """N_STEPS of Opacus's DP Adam with a person as a sample; hooks."""
    module = GradSampleModule(make_module(fleet, fleet.init([0])), batch_first=True, loss_reduction="mean")
    optimizer = DPOptimizer(
        torch.optim.Adam(module.parameters(), lr=0.004),
        noise_multiplier=10.0,
        max_grad_norm=1.0,
        expected_batch_size=rows.n_people,
    )

    def steps() -> None:
        for _ in range(N_STEPS):
            optimizer.zero_grad()
            wrong = (module(rows.inputs) - rows.targets).square() * rows.weights
            (wrong.sum((1, 2)) / rows.weights.sum((1, 2)).clamp(min=1)).mean().backward()
            optimizer.step()

    return steps


def void(_: object) -> None:
    """Throw a result away."""


def take_turns(works: dict[str, Callable[[], None]], n_rounds: int) -> dict[str, float]:
    """Median processor time of each in milliseconds per step, one after the other in every round."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for name in list(works):
        works[name]()
    for _ in range(n_rounds):
        for name, work in works.items():
            begin = time.process_time()
            work()
            times[name].append(time.process_time() - begin)
    return {name: 1000 * statistics.median(values) / N_STEPS for name, values in times.items()}


def main() -> None:
    """Measure and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="15 rounds (the default)")
    parser.add_argument("--full", action="store_true", help="60 rounds")
    n_rounds = 60 if parser.parse_args().full else 15
    torch.set_num_threads(1)
    cohort = load_cohort(Experiment())
    twin = BayesianTwin()
    targets = tuple(
        name for name in cohort.signals if name in ("steps", "calories_kcal", "heart_rate_bpm", "glucose_mg_dl")
    )
    fleet = make_backbone(twin, cohort.signals, targets, n_models=1)
    assert fleet.widths[0] == count_short(cohort.signals)
    # the hours of the training time, once per horizon that the backbone learns from
    n_all = int(0.7 * cohort.n_hours) * 4
    context: dict[str, object] = {
        "n_people": cohort.n_people,
        "widths": list(fleet.widths),
        "rows_per_person": n_all,
        "threads": 1,
        "time": "process time, median",
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    values: dict[str, float | None] = {}
    print(f"{'units':>8}{'rows each':>12}{'plain ms':>12}{'private ms':>12}{'ratio':>8}{'Opacus ms':>12}{'ratio':>8}")
    for label, n_people, n_rows in (
        ("", cohort.n_people, n_all),
        ("_few_rows", cohort.n_people, FEW_ROWS),
        ("_256_records", 256, 1),
    ):
        rows = make_rows(n_people, n_rows, fleet)
        works = {"plain": time_plain(fleet, rows), "private": time_private(fleet, rows)}
        if GradSampleModule is None:
            context["opacus"] = "not installed"
        else:
            works["opacus"] = time_opacus(fleet, rows)
        found = take_turns(works, n_rounds)
        ratio = found["private"] / found["plain"]
        opacus = found.get("opacus")
        values[f"ratio_private_to_plain{label}"] = round(ratio, 3)
        values[f"ratio_opacus_to_plain{label}"] = None if opacus is None else round(opacus / found["plain"], 3)
        shown = "not installed" if opacus is None else f"{opacus:>12.2f}{opacus / found['plain']:>8.2f}"
        print(f"{n_people:>8}{n_rows:>12}{found['plain']:>12.2f}{found['private']:>12.2f}{ratio:>8.2f}{shown}")
    print(json.dumps({"benchmark": "private_step", "values": values, "context": context}))


if __name__ == "__main__":
    main()
