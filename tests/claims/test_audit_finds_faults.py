"""The audit finds broken privacy and leaves correct privacy alone.

Planted faults and correct steps draw from fixed seeds. An audit's false alarm rate is 1e-6 over all of its checks, so
60 correct runs raise one with probability below 1e-4; that the seeds are fixed turns this into never.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from twinlab.attacks.audit import TrainingUnderAudit, audit_release
from twinlab.attacks.promise import PrivateStep
from twinlab.attacks.sampler_audit import audit_sampler
from twinlab.attacks.step_audit import TEST_NOISE_MULTIPLIER, audit_step
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.differential_privacy.randomness import open_noise

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 64


@pytest.fixture(scope="module")
def planted():
    """The benchmark's planted faults."""
    spec = importlib.util.spec_from_file_location("planted_faults", ROOT / "benchmarks/audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("width", [20, 1000])
def test_every_planted_fault_of_a_step_is_found(planted, width):
    steps = planted.make_broken_steps(width=width, seed=0)
    assert len(steps) >= 12
    missed = [name for name, step in steps.items() if audit_step(step).verdict != "broken"]
    assert missed == []


def test_every_planted_fault_of_sampling_books_runs_and_readings_is_found(planted):
    samplers = planted.make_samplers(0.04, 400, seed=0)
    reports = {name: audit_sampler(sample, 0.04) for name, sample in samplers.items()}
    assert reports.pop("Poisson").verdict == "consistent"
    reports |= planted.audit_books() | planted.audit_runs(seed=0) | planted.audit_readings(seed=0)
    assert [name for name, report in reports.items() if report.verdict != "broken"] == []


def test_no_false_alarm_in_60_correct_runs_and_bounds_stay_below_the_claim(planted):
    """Bounds at 95 %: more than 20 of 60 above the claim would have probability below 1e-10."""
    faults, n_above = [], np.zeros(3)
    for number in range(60):
        event = planted.train(*((0.7, 5), (1.1, 20), (2.0, 50), (10.0, 100))[number % 4])
        target = TrainingUnderAudit(planted.make_step(width=(8, 100, 1000)[number % 3], seed=number))
        guarantee = planted.promise(event)
        badge = audit_release(guarantee, target, seed=number, n_repeats=300, n_canaries=300)
        faults += badge.faults
        n_above += [row["lower_bound"] > guarantee.epsilon for row in badge.bounds[:3]]
    assert faults == []
    assert (n_above <= 20).all()


@pytest.mark.parametrize("clipping", ["automatic", "fixed"])
def test_twinlabs_own_private_training_passes_its_audit(planted, clipping):
    """Through the door that users take; the noise is a rehearsal's, so that nothing varies from run to run."""
    noise = open_noise(rehearsal=True, seed=1)
    target = TrainingUnderAudit(planted.make_training_step(clipping, 300, noise), account=compute_epsilon)
    badge = audit_release(planted.promise(planted.train(10.0, 40)), target)
    assert badge.faults == ()
    assert badge.implied_epsilon > 0.5 * badge.claimed_epsilon


def test_the_same_training_with_four_fifths_of_the_noise_does_not(planted):
    step = planted.make_training_step("fixed", 300, open_noise(rehearsal=True, seed=1), noise_factor=0.8)
    badge = audit_release(planted.promise(planted.train(10.0, 40)), TrainingUnderAudit(step), n_canaries=200)
    assert badge.faults[0] == "There is too little noise."


def make_opacus_step(mode, loss_per_sample_is_flat):
    """A step of Opacus on a linear model whose gradient of a row is the row itself: weights 0, targets -1/2."""

    def make(noise_multiplier):
        model = nn.Linear(WIDTH, 1, bias=False)
        nn.init.zeros_(model.weight)
        loader = DataLoader(TensorDataset(torch.zeros(16, WIDTH), torch.zeros(16, 1)), batch_size=16)
        made = PrivacyEngine(accountant="rdp").make_private(
            module=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
            criterion=nn.MSELoss(),
            data_loader=loader,
            noise_multiplier=noise_multiplier,
            max_grad_norm=1.0,
            grad_sample_mode=mode,
            poisson_sampling=False,
        )
        module, optimizer = made[0], made[1]
        criterion = made[2] if mode == "ghost" else nn.MSELoss()

        def privatize(gradients):
            targets = torch.full((len(gradients), 1), -0.5)
            optimizer.zero_grad()
            predicted = module(torch.tensor(gradients, dtype=torch.float32))
            if loss_per_sample_is_flat:
                predicted, targets = predicted.squeeze(1), targets.squeeze(1)
            criterion(predicted, targets).backward()
            optimizer.step()
            return model.weight.grad.flatten().numpy().copy()

        return privatize

    return PrivateStep(make, 1.0, WIDTH, divisor=16, takes_any_width=False)


def measure_sensitivity(step):
    """By brute force, with next to no noise: how far one large row moves the sum of silent ones, in clip norms."""
    privatize = step.make(1e-6)
    silent, canary = np.zeros((8, WIDTH)), np.zeros((1, WIDTH))
    canary[0, 0] = 1e3
    shift = step.call(privatize, np.concatenate([silent, canary])) - step.call(privatize, silent)
    return float(np.linalg.norm(shift)) / step.clip_norm


@pytest.mark.filterwarnings("ignore:Secure RNG turned off")  # Opacus, of every engine without secure_mode
@pytest.mark.filterwarnings("ignore:Full backward hook is firing")  # torch, since inputs need no gradient
@pytest.mark.parametrize(
    ("mode", "is_flat"),
    [("hooks", False), ("ghost", True), ("ghost", False)],
    ids=["hooks", "ghost (B,)", "ghost (B, 1)"],
)
def test_the_audit_agrees_with_brute_force_on_the_installed_opacus(mode, is_flat):
    """A loss per sample of shape (B, 1) in ghost mode is what users must be guarded against.

    Where the installed version clips such a loss as well, both measurements say so, and the test passes.
    """
    step = make_opacus_step(mode, is_flat)
    is_unbounded = measure_sensitivity(step) > 1.01
    report = audit_step(step, n_repeats=200)
    failed = {check.name.split(",")[0] for check in report.failed}
    loose = {"mu", "shift over clip norm", "sensitivity over clip norm"}
    assert (loose <= failed) if is_unbounded else not (loose & failed)
    assert is_flat or mode == "ghost" or not is_unbounded
    if is_unbounded:
        assert report.lower_bound > 2 / TEST_NOISE_MULTIPLIER
