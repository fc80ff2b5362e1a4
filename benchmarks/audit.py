"""Does the audit of differential privacy find planted faults, and does it leave correct training alone?

    python benchmarks/audit.py [--quick | --full]

Plants faults in a small private step of the benchmark's own, in samplers, in books and in whole runs, audits each, and
audits correct ones 60 times, twinlab's own private training among them. The broken privatisers are naive on purpose;
none is part of twinlab.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch

from twinlab.attacks.audit import TrainingUnderAudit, audit_release
from twinlab.attacks.ledger_audit import audit_ledger
from twinlab.attacks.local_audit import audit_local_mechanism
from twinlab.attacks.one_run_audit import audit_one_run, run_canaries
from twinlab.attacks.promise import AuditReport, PrivateStep, Privatizer, Sampler
from twinlab.attacks.sampler_audit import audit_sampler
from twinlab.attacks.step_audit import audit_step
from twinlab.budget import (
    ComposedEvent,
    Event,
    GaussianEvent,
    NeighboringRelation,
    PrivacyUnit,
    RepeatedEvent,
    SampledGaussianEvent,
)
from twinlab.fleet import Fleet
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.differential_privacy.person_rows import PersonRows
from twinlab.protection.differential_privacy.randomness import NoiseSource, open_noise
from twinlab.protection.differential_privacy.training import PrivateTraining, train_privately
from twinlab.release import DifferentialPrivacy

CLIP_NORM, DIVISOR, DELTA = 1.0, 64.0, 1e-5
#: Parameters of the default twin, near enough.
N_PARAMETERS = 4000
Bounding = Callable[[np.ndarray, float], np.ndarray]
Noising = Callable[[np.random.Generator, int, float], np.ndarray]


def clip(gradients: np.ndarray, clip_norm: float) -> np.ndarray:
    """The correct sum: each row at most the clip norm long, and nothing of a row that is not finite."""
    rows = np.where(np.isfinite(gradients).all(1, keepdims=True), gradients, 0.0)
    largest = np.maximum(np.abs(rows).max(1, keepdims=True, initial=0.0), 1e-300)
    lengths = largest * np.linalg.norm(rows / largest, axis=1, keepdims=True)
    return (rows * np.minimum(1.0, clip_norm / np.maximum(lengths, 1e-300))).sum(0)


def clip_mean(gradients: np.ndarray, clip_norm: float) -> np.ndarray:
    n_units = max(len(gradients), 1)
    return clip(gradients.sum(0, keepdims=True) / n_units, clip_norm) * n_units


def clip_carelessly(gradients: np.ndarray, clip_norm: float) -> np.ndarray:
    lengths = np.linalg.norm(gradients, axis=1, keepdims=True)
    return (gradients * np.minimum(1.0, clip_norm / np.maximum(lengths, 1e-300))).sum(0)


def draw_normal(rng: np.random.Generator, width: int, spread: float) -> np.ndarray:
    """The correct noise."""
    return spread * rng.standard_normal(width)


def forget_a_layer(rng: np.random.Generator, width: int, spread: float) -> np.ndarray:
    noise = draw_normal(rng, width, spread)
    noise[-max(1, width // 100) :] = 0
    return noise


def share_between_layers(rng: np.random.Generator, width: int, spread: float) -> np.ndarray:
    return np.resize(draw_normal(rng, (width + 1) // 2, spread), width)


def make_step(
    bound: Bounding = clip,
    draw: Noising = draw_normal,
    width: int = 1000,
    seed: int | None = None,
    divide_by_batch: bool = False,
) -> PrivateStep:
    """A private step from its two halves; a seed makes the benchmark's own noise repeatable."""
    source = np.random.default_rng(seed)

    def make(noise_multiplier: float) -> Privatizer:
        def privatize(gradients: np.ndarray) -> np.ndarray:
            noisy = bound(gradients, CLIP_NORM) + draw(source, gradients.shape[1], noise_multiplier * CLIP_NORM)
            return noisy / (max(len(gradients), 1) if divide_by_batch else DIVISOR)

        return privatize

    return PrivateStep(make, CLIP_NORM, width, DIVISOR)


def scale_noise(factor: float) -> Noising:
    return lambda rng, width, spread: draw_normal(rng, width, factor * spread)


def forget_every_second() -> Noising:
    """Noise in every second step only."""
    state = {"n_calls": 0}

    def draw(rng: np.random.Generator, width: int, spread: float) -> np.ndarray:
        state["n_calls"] += 1
        return draw_normal(rng, width, spread * (state["n_calls"] % 2))

    return draw


def make_broken_steps(width: int = 1000, seed: int | None = None) -> dict[str, PrivateStep]:
    """Planted faults of a step, by name."""

    def build(bound: Bounding = clip, draw: Noising = draw_normal, divide_by_batch: bool = False) -> PrivateStep:
        return make_step(bound, draw, width, seed, divide_by_batch)

    return {
        "no clipping": build(lambda rows, norm: rows.sum(0)),
        "clipping the mean": build(clip_mean),
        "clipping each coordinate": build(lambda rows, norm: np.clip(rows, -norm, norm).sum(0)),
        "clipping each layer apart": build(
            lambda rows, norm: np.concatenate([clip(part, norm) for part in np.array_split(rows, 2, axis=1)])
        ),
        "clipping to 1.5 C": build(lambda rows, norm: clip(rows, 1.5 * norm)),
        "dividing by the actual batch": build(divide_by_batch=True),
        "no noise": build(draw=scale_noise(0.0)),
        "noise x 0.5": build(draw=scale_noise(0.5)),
        "noise x 0.8": build(draw=scale_noise(0.8)),
        "noise over sqrt(B)": build(draw=scale_noise(1 / math.sqrt(DIVISOR))),
        "noise over B": build(draw=scale_noise(1 / DIVISOR)),
        "same seed each step": build(
            draw=lambda rng, width, spread: draw_normal(np.random.default_rng(7), width, spread)
        ),
        "noise forgotten every second step": build(draw=forget_every_second()),
        "noise forgotten in one layer": build(draw=forget_a_layer),
        "noise shared between layers": build(draw=share_between_layers),
        "uniform noise of the same spread": build(
            draw=lambda rng, width, spread: spread * rng.uniform(-math.sqrt(3), math.sqrt(3), width)
        ),
        "non-finite gradients leak": build(clip_carelessly),
    }


def make_training_step(
    clipping: Literal["automatic", "fixed"] = "automatic",
    width: int = N_PARAMETERS,
    noise: NoiseSource | None = None,
    noise_factor: float = 1.0,
    clip_norm: float = 0.5,
) -> PrivateStep:
    """Twinlab's own private training as the audit sees it: one step of descent on a linear model with weights 0.

    Inputs g / s and target -s / 2 give a person the gradient g for the weights, and s, next to nothing, for the bias.
    All repeats are models of one fleet, each with its own noise. A noise factor below 1 plants a fault.
    """
    noise, slope, expected_people = noise or open_noise(), 1e-4, 10

    def make(noise_multiplier: float) -> Privatizer:
        settings = PrivateTraining(
            expected_people=expected_people,
            n_steps=1,
            noise_multiplier=noise_multiplier * noise_factor,
            clipping=clipping,
            clip_norm=clip_norm,
            optimizer="descent",
            learning_rate=1.0,
            tail=1.0,
        )

        def privatize(gradients: np.ndarray) -> np.ndarray:
            n_models, _, n_inputs = gradients.shape
            fleet = Fleet(n_models, (n_inputs, 1))
            start = {"weight_0": torch.zeros(n_models, n_inputs, 1), "bias_0": torch.zeros(n_models, 1)}
            # Somebody with a gradient of zero is always there; a batch with nobody in it looks like this.
            own = torch.from_numpy(np.pad(gradients[0], ((0, 1), (0, 0)))).float()[:, None]
            is_active = (own != 0).any(-1, keepdim=True).float()
            rows = PersonRows(own / slope, -0.5 * slope * is_active, torch.ones(len(own), 1, 1))
            trained = train_privately(fleet, start, rows, settings, noise)
            return -trained.state["weight_0"][..., 0].numpy()

        return privatize

    return PrivateStep(make, clip_norm, width, divisor=expected_people, is_batched=True)


def make_samplers(rate: float, n_units: int, seed: int | None = None) -> dict[str, Sampler]:
    """Planted faults of a sampler, by name, and "Poisson", which is correct."""
    rng = np.random.default_rng(seed)
    size = round(rate * n_units)

    def walk(shuffle: bool) -> Sampler:
        queue: list[int] = []

        def sample(n_units: int) -> np.ndarray:
            if len(queue) < size:
                queue[:] = rng.permutation(n_units).tolist() if shuffle else list(range(n_units))
            mask = np.zeros(n_units, dtype=bool)
            mask[[queue.pop() for _ in range(size)]] = True
            return mask

        return sample

    favour = np.where(np.arange(n_units) < n_units // 20, 3.0, 1 - 2 / 19)
    return {
        "Poisson": lambda n_units: rng.random(n_units) < rate,
        "shuffled epochs": walk(shuffle=True),
        "fixed order": walk(shuffle=False),
        "rate x 1.5": lambda n_units: rng.random(n_units) < 1.5 * rate,
        "weighted units": lambda n_units: rng.random(n_units) < rate * favour,
    }


def train(noise_multiplier: float, n_steps: int) -> RepeatedEvent:
    """What a full-batch training does."""
    return RepeatedEvent(GaussianEvent(noise_multiplier), n_steps)


def audit_books() -> dict[str, AuditReport]:
    """Planted faults of the books."""
    run = train(10.0, 100)
    twice = ComposedEvent((run, run))
    declared = compute_epsilon(run, DELTA)
    return {
        "a re-run that nobody declared": audit_ledger(twice, declared, DELTA, compute_epsilon),
        "a missing ledger entry": audit_ledger(twice, compute_epsilon(twice, DELTA), DELTA, compute_epsilon, run),
        "less noise than was recorded": audit_ledger(train(5.0, 100), declared, DELTA, compute_epsilon, run),
    }


def audit_runs(seed: int | None) -> dict[str, AuditReport]:
    """Planted faults seen from a whole run alone, at epsilon 4.4."""
    event = train(10.0, 100)
    steps = make_broken_steps(seed=seed)
    names = ("no clipping", "no noise", "noise x 0.5")
    claimed = compute_epsilon(event, DELTA)
    return {f"{name}, whole run": audit_one_run(run_canaries(steps[name], event), claimed, DELTA) for name in names}


def audit_readings(seed: int | None) -> dict[str, AuditReport]:
    """A planted fault of noise on readings: half of the scale that epsilon 1 asks for."""
    rng = np.random.default_rng(seed)
    report = audit_local_mechanism(lambda value, n: value + rng.laplace(0, 0.5, n), (0.0, 1.0), claimed_epsilon=1.0)
    return {"Laplace noise of half the scale": report}


def plant_all(seed: int | None = None) -> dict[str, AuditReport]:
    """Audit every planted fault."""
    reports = {name: audit_step(step) for name, step in make_broken_steps(seed=seed).items()}
    samplers = make_samplers(0.04, 400, seed)
    reports |= {name: audit_sampler(sample, 0.04) for name, sample in samplers.items() if name != "Poisson"}
    return reports | audit_books() | audit_runs(seed) | audit_readings(seed)


def count_false_alarms(n_runs: int = 60) -> tuple[int, list[str]]:
    """Audit correct training, the benchmark's and twinlab's own, at several noises and widths, sampling included."""
    n_alarms, words = 0, list[str]()
    for number in range(n_runs):
        kind, width = number % 4, (8, 100, 1000)[number % 3]
        steps = make_step(width=width), make_training_step("automatic", width), make_training_step("fixed", width)
        sample = make_samplers(0.1, 400)["Poisson"] if kind == 2 else None
        events = train(0.7, 5), train(1.1, 20), RepeatedEvent(SampledGaussianEvent(1.1, 0.1), 50), train(10.0, 100)
        target = TrainingUnderAudit(steps[number // 4 % 3], sample=sample, account=compute_epsilon)
        badge = audit_release(promise(events[kind]), target, seed=number, n_repeats=600, n_canaries=500)
        n_alarms += bool(badge.faults)
        words += badge.faults
    return n_alarms, words


def promise(event: Event) -> DifferentialPrivacy:
    epsilon = compute_epsilon(event, DELTA)
    return DifferentialPrivacy(event, epsilon, DELTA, NeighboringRelation.ADD_OR_REMOVE_ONE, PrivacyUnit.PERSON)


def measure_seconds(n_runs: int) -> tuple[float, float, str]:
    """Median seconds of the audit of twinlab's training at epsilon 1, by the clock and of the processor; its badge."""
    seconds, worked, sentence = [], [], ""
    for number in range(n_runs):
        started = time.perf_counter(), time.process_time()
        target = TrainingUnderAudit(make_training_step(), account=compute_epsilon)
        badge = audit_release(promise(train(37.3, 100)), target, seed=number)
        seconds.append(time.perf_counter() - started[0])
        worked.append(time.process_time() - started[1])
        sentence = badge.sentence
    return float(np.median(seconds)), float(np.median(worked)), sentence


def main() -> None:
    """Audit, print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="each fault once (the default)")
    parser.add_argument("--full", action="store_true", help="each fault five times; flagged means every time")
    arguments = parser.parse_args()
    rounds = [plant_all() for _ in range(5 if arguments.full else 1)]
    flagged = {name: all(found[name].verdict == "broken" for found in rounds) for name in rounds[0]}
    print(f"{'planted fault':<36}{'verdict':<12}{'quantity':<17}{'claimed':>9}{'at least':>10}{'ceiling':>9}")
    for name, report in rounds[0].items():
        numbers = [math.nan if x is None else x for x in (report.claimed, report.lower_bound, report.ceiling)]
        verdict = "flagged" if flagged[name] else "MISSED"
        print(f"{name:<36}{verdict:<12}{report.quantity:<17}" + "{:>9.3g}{:>10.3g}{:>9.3g}".format(*numbers))
    n_alarms, words = count_false_alarms()
    print(f"false alarms in 60 correct runs: {n_alarms} {words or ''}")
    seconds, worked, sentence = measure_seconds(9 if arguments.full else 5)
    print(f"twinlab's private training, {N_PARAMETERS} parameters: {seconds:.2f} s, {worked:.2f} s of processor.")
    print(sentence)
    values = {
        "bugs_flagged": sum(flagged.values()),
        "bugs_planted": len(flagged),
        "false_alarms": n_alarms,
        "seconds": round(seconds, 3),
    }
    context = {
        "missed": [name for name, is_flagged in flagged.items() if not is_flagged],
        "n_correct_runs": 60,
        "n_parameters": N_PARAMETERS,
        "n_rounds": len(rounds),
        "processor_seconds": round(worked, 3),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    print(json.dumps({"benchmark": "audit", "values": values, "context": context}))


if __name__ == "__main__":
    main()
