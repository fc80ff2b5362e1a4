"""A federation of simulated devices on our embedded grid, beside Flower's Ray simulation and Apple's pfl.

The work is the same for all: 1000 devices of 64 records, a network 40-64-1 (tanh, logistic loss), one local epoch of
plain SGD in batches of 16, 5 rounds in which everybody takes part. Ours runs pre-summed, with a reply per device, and
message by message through the client app. Ray runs the very same client app and Flower's own FedAvg. pfl runs its
simulated backend on a torch module with the same start; it draws its own order of rows, so only losses compare.

`ratio_ray` counts Ray's whole run, start-up included, since every run pays it anew; `ratio_ray_steady` in the context
compares later rounds alone. Both peers want environments of their own:

  python -m venv ray-env && ray-env/bin/pip install ray==2.55.1 .   # then --ray-python ray-env/bin/python
  python -m venv pfl-env && pfl-env/bin/pip install pfl==0.6.0 torch   # then --pfl-python pfl-env/bin/python

or name them in TWINLAB_RAY_PYTHON and TWINLAB_PFL_PYTHON. On the 2 cores that we know, Ray alone takes minutes.

Run: python benchmarks/federated.py [--full] [--ray-python PATH] [--pfl-python PATH]
"""

import argparse
import functools
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

try:
    from twinlab.fleet import Fleet
    from twinlab.protection.federated.device import make_client_app, measure_devices
    from twinlab.protection.federated.federation import FederatedSettings, train_federated
    from twinlab.protection.federated.flower import ServerApp, pack_state, unpack_state
    from twinlab.protection.federated.secure_sum import add_securely
    from twinlab.protection.federated.strategy import GuardedStrategy, make_strategy
    from twinlab.protection.federated.task import DeviceRows, LocalTraining, RowsTask
except ImportError:  # a peer's environment need not hold what ours needs
    Fleet = None  # type: ignore[assignment, misc]

try:
    from flwr.simulation import run_simulation
except ImportError:
    run_simulation = None  # type: ignore[assignment]

try:
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.aggregate.weighting import WeightByDatapoints
    from pfl.algorithm.base import NNAlgorithmParams
    from pfl.algorithm.federated_averaging import FederatedAveraging
    from pfl.data.federated_dataset import FederatedDataset
    from pfl.data.pytorch import PyTorchTensorDataset
    from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
    from pfl.metrics import Weighted
    from pfl.model.pytorch import PyTorchModel
except ImportError:
    SimulatedBackend = None

N_INPUTS, WIDTH, N_ROWS, BATCH_ROWS, RATE = 40, 64, 64, 16, 0.05
N_DEVICES, N_ROUNDS = 1000, 5
RULE = torch.randn(N_INPUTS, 1, generator=torch.Generator().manual_seed(7))
HERE = Path(__file__).resolve()


@functools.lru_cache(maxsize=2048)
def make_device(device: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One device's rows, always the same: habits of its own, one rule for all."""
    draw = torch.Generator().manual_seed(1000 + device)
    shift = 0.5 * torch.randn(N_INPUTS, generator=draw)
    inputs = torch.randn(N_ROWS, N_INPUTS, generator=draw) + shift
    return inputs, ((inputs @ RULE + 0.3 * torch.randn(N_ROWS, 1, generator=draw)) > 0).float()


class MadeTask:
    """A task whose rows are made when they are asked for and forgotten."""

    def __init__(self, n_devices: int, *, is_cached: bool) -> None:
        self.fleet, self.n_devices = Fleet(1, (N_INPUTS, WIDTH, 1), loss="logistic"), n_devices
        self._make = is_cached

    def load(self, devices):
        make = make_device if self._make else make_device.__wrapped__
        inputs, targets = zip(*(make(device) for device in devices), strict=True)
        return DeviceRows(torch.stack(inputs), torch.stack(targets))


def make_rows_task(n_devices):
    made = MadeTask(n_devices, is_cached=False)
    return RowsTask(made.fleet, made.load(range(n_devices)))


def train_ours(task, n_rounds=N_ROUNDS, **settings):
    """Seconds and the model."""
    begin = time.perf_counter()
    found = train_federated(
        task,
        LocalTraining(batch_rows=BATCH_ROWS, learning_rate=RATE),
        FederatedSettings(n_rounds=n_rounds, **settings),
        initial=task.fleet.init([0]),
    )
    assert found.is_complete, found.stopped_because
    return time.perf_counter() - begin, found


def run_ray(n_devices, path):
    """In an environment with Ray: Flower's simulation of the same app; writes the model and prints seconds."""
    task = MadeTask(n_devices, is_cached=True)
    client = make_client_app(task, LocalTraining(batch_rows=BATCH_ROWS, learning_rate=RATE))
    strategy = GuardedStrategy(make_strategy("fedavg"))
    server, results = ServerApp(), []

    @server.main()
    def main(grid, context):
        while len(list(grid.get_node_ids())) < n_devices:
            time.sleep(0.1)
        results.append(strategy.start(grid, pack_state(task.fleet.init([0])), N_ROUNDS))

    begin = time.perf_counter()
    resources: dict[str, Any] = {
        "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
        "init_args": {"include_dashboard": False},
    }
    run_simulation(server, client, num_supernodes=n_devices, backend_config=resources)
    seconds = time.perf_counter() - begin
    state = unpack_state(results[0].arrays)
    assert [each.n_replied for each in strategy.rounds] == [n_devices] * N_ROUNDS, strategy.stopped_because
    save_arrays(path, state)
    print(json.dumps({"seconds": seconds, "rounds": [each.seconds for each in strategy.rounds]}))


def run_pfl(path, n_repeats):
    """In an environment with pfl: its simulated backend on the same rows from the same start; prints seconds."""
    stored = {name: torch.from_numpy(value) for name, value in np.load(path).items()}

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            first, last = torch.nn.Linear(N_INPUTS, WIDTH), torch.nn.Linear(WIDTH, 1)
            self.layers = torch.nn.Sequential(first, torch.nn.Tanh(), last)
            with torch.no_grad():
                for layer, name in ((first, "0"), (last, "1")):
                    layer.weight.copy_(stored[f"weight_{name}"][0].T)
                    layer.bias.copy_(stored[f"bias_{name}"][0])

        def loss(self, inputs, targets, is_eval=False):
            return torch.nn.functional.binary_cross_entropy_with_logits(self.layers(inputs), targets)

        @torch.no_grad()
        def metrics(self, inputs, targets):
            return {"loss": Weighted(self.loss(inputs, targets).item() * len(targets), len(targets))}

    inputs, targets = stored["inputs"], stored["targets"]
    n_devices, seconds = len(inputs), []
    for _ in range(n_repeats):
        network = Network()
        model = PyTorchModel(
            model=network,
            local_optimizer_create=torch.optim.SGD,
            central_optimizer=torch.optim.SGD(network.parameters(), lr=1.0),
        )
        turn = iter(list(range(n_devices)) * (N_ROUNDS + 1))
        data = FederatedDataset(
            lambda user: PyTorchTensorDataset(tensors=(inputs[user], targets[user])), lambda turn=turn: next(turn)
        )
        backend = SimulatedBackend(training_data=data, val_data=None, postprocessors=[WeightByDatapoints()])
        begin = time.perf_counter()
        FederatedAveraging().run(
            algorithm_params=NNAlgorithmParams(
                central_num_iterations=N_ROUNDS, evaluation_frequency=10**6, train_cohort_size=n_devices,
                val_cohort_size=None,
            ),
            backend=backend,
            model=model,
            model_train_params=NNTrainHyperParams(
                local_learning_rate=RATE, local_num_epochs=1, local_batch_size=BATCH_ROWS
            ),
            model_eval_params=NNEvalHyperParams(local_batch_size=None),
            callbacks=[],
        )  # fmt: skip
        seconds.append(time.perf_counter() - begin)
    with torch.no_grad():
        loss = network.loss(inputs.flatten(0, 1), targets.flatten(0, 1)).item()
    print(json.dumps({"seconds": seconds, "loss": loss}))


def run_memory(n_devices, replies):
    """Ten thousand devices in a process of their own; prints its greatest memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds, found = train_ours(MadeTask(n_devices, is_cached=False), 3, replies=replies)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert [each.n_replied for each in found.rounds] == [n_devices] * 3
    print(json.dumps({"seconds": seconds, "mb": peak, "mb_before": before}))


def call(python, *arguments, timeout=900):
    """Run a part of this file by some interpreter: what it reports, or why it has nothing to report."""
    code = "import sys, federated; getattr(federated, sys.argv[1])(*map(federated.read, sys.argv[2:]))"
    places = os.pathsep.join(str(place) for place in (HERE.parents[1], HERE.parent))
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    # neighbours' memory must not make Ray kill its own actors
    environment = {**os.environ, **quiet, "PYTHONPATH": places, "RAY_memory_monitor_refresh_ms": "0"}
    try:
        done = subprocess.run(
            [python, "-c", code, *map(str, arguments)],
            capture_output=True, text=True, env=environment, timeout=timeout, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, type(error).__name__
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        return None, (done.stderr.strip().splitlines() or ["it printed nothing"])[-1][:200]
    return json.loads(lines[-1]), None


def save_arrays(path, tensors):
    arrays: dict[str, Any] = {name: value.numpy() for name, value in tensors.items()}
    np.savez(path, **arrays)


def read(text):
    return int(text) if text.isdigit() else text


def differ(one, other):
    return max(float((torch.as_tensor(one[name]) - torch.as_tensor(other[name])).abs().max()) for name in one)


def measure_ours(task, n_repeats):
    """Median seconds of each way to run, taking turns, and the models."""
    ways = {"sum": {"replies": "sum"}, "each": {"replies": "each"}, "sequential": {"mode": "sequential"}}
    train_ours(task, 1, replies="sum")
    train_ours(task, 1)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found = {}
    for repeat in range(n_repeats):
        for name, settings in ways.items():
            if name != "sequential" or repeat == 0:
                spent, found[name] = train_ours(task, **settings)
                seconds[name].append(spent)
    return {name: statistics.median(values) for name, values in seconds.items()}, found


def measure_growth(sizes):
    """Seconds a round against devices, pre-summed, and the slope on double logarithmic axes."""
    spent = []
    for n_devices in sizes:
        task = make_rows_task(n_devices)
        train_ours(task, 1, replies="sum")
        rounds = [each.seconds for each in train_ours(task, 7, replies="sum")[1].rounds]
        spent.append(statistics.median(rounds))
    slope = float(np.polyfit(np.log(sizes), np.log(spent), 1)[0])
    return dict(zip(map(str, sizes), spent, strict=True)), slope


def measure_peers(options, task, n_repeats):
    """What the peers report, or why not, and Ray's model."""
    ray, pfl, model, reasons = None, None, None, {}
    with tempfile.TemporaryDirectory() as folder:
        if options.ray_python:
            path = Path(folder) / "ray.npz"
            ray, reasons["ray"] = call(options.ray_python, "run_ray", N_DEVICES, path)
            model = dict(np.load(path).items()) if ray else None
        else:
            reasons["ray"] = "no environment with Ray was named; see --ray-python"
        if options.pfl_python:
            path = Path(folder) / "rows.npz"
            parts = {**task.fleet.init([0]), "inputs": task.rows.inputs, "targets": task.rows.targets}
            save_arrays(path, parts)
            pfl, reasons["pfl"] = call(options.pfl_python, "run_pfl", path, n_repeats)
        else:
            reasons["pfl"] = "no environment with pfl was named; see --pfl-python"
    return ray, pfl, model, {name: reason for name, reason in reasons.items() if reason}


def show(seconds, ray, pfl, losses):
    """The table for the reader."""
    rows = [(f"ours, {name}", spent) for name, spent in seconds.items()]
    rows += [("pfl", statistics.median(pfl["seconds"]))] if pfl else []
    rows += [("Flower with Ray", ray["seconds"])] if ray else []
    print(f"{N_DEVICES} devices, {N_ROUNDS} rounds{'':8} seconds   over ours, sum")
    for name, spent in rows:
        print(f"{name:27} {spent:10.2f} {spent / seconds['sum']:16.1f}")
    print("loss of the model:", ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items()))


def measure_secure_sum():
    """Seconds of a whole round of masks: 10 devices, 100,000 numbers each, two of which vanish in it."""
    vectors = np.random.default_rng(0).uniform(-1, 1, (10, 100_000))
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        found = add_securely(vectors, bound=1.0, drop={"mask": {3}, "confirm": {8}})
        seconds.append(time.perf_counter() - begin)
        assert len(found.members) == 9
    return statistics.median(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="more repeats")
    parser.add_argument("--quick", action="store_true", help="the default")
    parser.add_argument("--ray-python", default=os.environ.get("TWINLAB_RAY_PYTHON"))
    parser.add_argument("--pfl-python", default=os.environ.get("TWINLAB_PFL_PYTHON"))
    options = parser.parse_args()
    n_repeats = 7 if options.full else 3
    task = make_rows_task(N_DEVICES)
    seconds, found = measure_ours(task, n_repeats)
    growth, slope = measure_growth((100, 300, 1000, 3000))
    memory = {replies: call(sys.executable, "run_memory", 10_000, replies) for replies in ("sum", "each")}
    ray, pfl, ray_model, missing = measure_peers(options, task, n_repeats)
    models = {name: each.state for name, each in found.items()}
    losses = {name: float(measure_devices(task.fleet, model, task.rows).mean()) for name, model in models.items()}
    if ray_model is not None:
        models["ray"] = ray_model
    if pfl:
        losses["pfl"] = pfl["loss"]
    show(seconds, ray, pfl, losses)
    differences = {name: differ(models["sequential"], model) for name, model in models.items() if name != "sequential"}
    print("difference from sequential:", ", ".join(f"{name} {each:.1e}" for name, each in differences.items()))
    per_round = growth[str(N_DEVICES)]
    largest = {replies: (report or {"mb": math.nan})["mb"] for replies, (report, _) in memory.items()}
    print(f"10,000 devices x 3 rounds: {largest['sum']:.0f} MB pre-summed, {largest['each']:.0f} MB with each reply")
    print("seconds a round:", ", ".join(f"{n} {spent:.3f}" for n, spent in growth.items()), f"(slope {slope:.2f})")
    values = {
        "ratio_ray": ray["seconds"] / seconds["sum"] if ray else None,
        "ratio_pfl": statistics.median(pfl["seconds"]) / seconds["sum"] if pfl else None,
        "max_difference": max(differences.values()),
        "rss_mb_10000_devices": max(largest.values()),
        "seconds_per_round_1000_devices": per_round,
    }
    steady = statistics.median(ray["rounds"][1:]) if ray else None
    context = {
        "work": f"{N_DEVICES} devices x {N_ROUNDS} rounds, {N_ROWS} rows, {N_INPUTS}-{WIDTH}-1, SGD on {BATCH_ROWS}",
        "seconds": {**seconds, "ray": ray and ray["seconds"], "pfl": pfl and statistics.median(pfl["seconds"])},
        "ratio_ray_steady": steady / per_round if steady else None,
        "ratio_ray_to_each_reply": ray["seconds"] / seconds["each"] if ray else None,
        "ratio_pfl_to_each_reply": statistics.median(pfl["seconds"]) / seconds["each"] if pfl else None,
        "secure_sum_seconds_10_devices_100000_numbers": measure_secure_sum(),
        "differences": differences,
        "losses": losses,
        "rss_mb": largest,
        "seconds_10000_devices_3_rounds": {name: report and report["seconds"] for name, (report, _) in memory.items()},
        "growth": growth,
        "slope": slope,
        "missing": missing,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    print(json.dumps({"benchmark": "federated", "values": values, "context": context}))


if __name__ == "__main__":
    main()
