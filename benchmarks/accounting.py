"""How tight and how fast accounting is: ours beside Opacus and dp_accounting, on the same events.

Excesses are relative to dp_accounting's privacy loss distribution on a mesh of 1e-4. That is an upper bound itself:
where losses per step are no larger than its mesh (small sampling probabilities), a correct accountant may lie below it;
those settings are listed apart and count in neither excess.

Run: python benchmarks/accounting.py [--quick | --full]
"""

import argparse
import itertools
import json
import os
import platform
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from twinlab.budget import RepeatedEvent, SampledGaussianEvent
from twinlab.protection.differential_privacy import accounting
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier, compute_epsilon

DELTA = 1e-5
#: The fact sheet's settings for time: noise multiplier, sampling probability, steps.
TIMED = [
    *((1.1, 0.01, n_steps) for n_steps in (100, 1000, 3000, 10_000)),
    *((0.8, 0.05, n_steps) for n_steps in (100, 1000)),
    *((3.0, 0.1, n_steps) for n_steps in (100, 1000)),
    (6.0, 0.5, 100),
    *((0.6, 0.004, n_steps) for n_steps in (100, 1000)),
]
GRID = [
    *((1.1, 0.01, n_steps) for n_steps in (1, 10, 100, 1000, 3000, 10_000)),
    *((0.8, 0.05, n_steps) for n_steps in (1, 10, 100, 1000, 10_000)),
    *((3.0, 0.1, n_steps) for n_steps in (1, 10, 100, 1000, 10_000)),
    *((6.0, 0.5, n_steps) for n_steps in (1, 10, 100, 1000)),
    *((0.6, 0.004, n_steps) for n_steps in (1, 10, 100, 1000, 10_000)),
    *((10.0, 0.9, n_steps) for n_steps in (10, 100, 1000)),
]
COARSE = [(1.5, 0.002, 2000), (2.0, 0.0005, 5000), (1.0, 0.001, 20_000)]
N_PHASES, N_STEPS = 100, 1000


def forget() -> None:
    """Empty the caches, so that the next call is cold."""
    accounting._compute_epsilon.cache_clear()
    accounting._make_pair.cache_clear()


def account_ours(noise: float, q: float, n_steps: int, delta: float = DELTA) -> float:
    forget()
    return compute_epsilon(RepeatedEvent(SampledGaussianEvent(noise, q), n_steps), delta)


def find_peers() -> tuple[dict[str, Callable[[list[tuple[float, float, int]], float], float]], dict[str, str]]:
    """What other libraries say of (noise, q, steps) phases; and why some cannot be asked."""
    peers: dict[str, Callable[[list[tuple[float, float, int]], float], float]] = {}
    missing = {}
    try:
        from opacus.accountants import PRVAccountant, RDPAccountant  # noqa: PLC0415

        def ask_opacus(kind: Any, **options: Any) -> Callable[[list[tuple[float, float, int]], float], float]:
            def ask(phases: list[tuple[float, float, int]], delta: float) -> float:
                accountant = kind()
                accountant.history = list(phases)
                return float(accountant.get_epsilon(delta, **options))

            return ask

        peers["Opacus RDP"] = ask_opacus(RDPAccountant)
        peers["Opacus PRV"] = ask_opacus(PRVAccountant, eps_error=0.01)
    except ImportError as error:
        missing["opacus"] = str(error)
    try:
        from dp_accounting.pld import privacy_loss_distribution as pld  # noqa: PLC0415

        def ask_pld(mesh: float) -> Callable[[list[tuple[float, float, int]], float], float]:
            def ask(phases: list[tuple[float, float, int]], delta: float) -> float:
                total = None
                for noise, q, n_steps in phases:
                    part = pld.from_gaussian_mechanism(noise, sampling_prob=q, value_discretization_interval=mesh)
                    part = part.self_compose(n_steps)
                    total = part if total is None else total.compose(part)
                assert total is not None
                return float(total.get_epsilon_for_delta(delta))

            return ask

        peers["PLD 1e-4"], peers["PLD 1e-3"] = ask_pld(1e-4), ask_pld(1e-3)
    except ImportError as error:
        missing["dp_accounting"] = str(error)
    return peers, missing


def clock(work: Callable[[], float], n_times: int) -> tuple[float, float]:
    """Value and median milliseconds."""
    times = []
    value = work()
    for _ in range(n_times):
        start = time.perf_counter()
        value = work()
        times.append((time.perf_counter() - start) * 1e3)
    return value, median(times)


def measure_time(peers: dict[str, Callable], n_times: int) -> float:
    """Table of epsilons and times; the slowest of our cold calls, median of its repetitions."""
    print(f"{'noise, q, steps':>20s} {'ours':>16s}" + "".join(f"{name:>20s}" for name in peers))
    slowest = 0.0
    for setting in TIMED:
        value, ms = clock(lambda setting=setting: account_ours(*setting), n_times)  # type: ignore[misc]
        slowest = max(slowest, ms)
        line = f"{setting!s:>20s} {value:8.4f} {ms:4.0f} ms"
        for ask in peers.values():
            value, ms = clock(lambda ask=ask, setting=setting: ask([setting], DELTA), 1)  # type: ignore[misc]
            line += f"{value:11.4f} {ms:5.0f} ms"
        print(line, flush=True)
    return slowest


def measure_phases(peers: dict[str, Callable], n_times: int) -> float:
    """A hundred noise levels, one after the other."""
    noises = np.geomspace(1.5, 0.8, N_PHASES)
    phases = [(float(noise), 0.01, N_STEPS // N_PHASES) for noise in noises]
    events = [RepeatedEvent(SampledGaussianEvent(noise, q), n_steps) for noise, q, n_steps in phases]

    def work() -> float:
        forget()
        return compute_epsilon(events, DELTA)

    value, ours = clock(work, n_times)
    print(f"\n{N_PHASES} phases: ours {value:.4f} {ours:.0f} ms", end="")
    for name, ask in peers.items():
        if name == "PLD 1e-4":
            continue  # minutes
        start = time.perf_counter()
        print(f"; {name} {ask(phases, DELTA):.4f} {(time.perf_counter() - start) * 1e3:.0f} ms", end="", flush=True)
    print()
    return ours


def measure_excess(oracle: Callable | None, deltas: tuple[float, ...]) -> dict[str, Any]:
    if oracle is None:
        return {"min_excess": None, "max_excess": None}
    excesses = []
    for setting, delta in itertools.product(GRID, deltas):
        expected = oracle([setting], delta)
        if expected > 1e-3:
            excesses.append((account_ours(*setting, delta) / expected - 1, setting, delta))
    low, high = min(excesses), max(excesses)
    print(
        f"\n{len(excesses)} settings beside PLD 1e-4: excess {low[0]:+.6f} at {low[1:]} to {high[0]:+.6f} at {high[1:]}"
    )
    coarse = [account_ours(*setting) / oracle([setting], DELTA) - 1 for setting in COARSE]
    print("where PLD 1e-4 is coarse itself: " + ", ".join(f"{x:+.5f}" for x in coarse))
    return {"min_excess": low[0], "max_excess": high[0], "n_settings": len(excesses), "coarse_excess": coarse}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="the default: under three minutes")
    parser.add_argument("--full", action="store_true", help="more deltas and repetitions")
    full = parser.parse_args().full
    peers, missing = find_peers()
    cold = measure_time(peers, 15 if full else 7)
    phases = measure_phases(peers, 9 if full else 5)
    start = time.perf_counter()
    noise = calibrate_noise_multiplier(1.0, DELTA, 0.01, 1000)
    print(f"calibration to epsilon 1: noise {noise:.4f}, {(time.perf_counter() - start) * 1e3:.0f} ms")
    excess = measure_excess(peers.get("PLD 1e-4"), (1e-3, 1e-5, 1e-6, 1e-8) if full else (1e-5, 1e-7))
    values = {
        "min_excess": excess["min_excess"],
        "max_excess": excess["max_excess"],
        "cold_ms": round(cold, 2),
        "phases_100_ms": round(phases, 1),
    }
    context = {
        "full": full,
        "n_settings": excess.get("n_settings"),
        "excess_where_the_oracle_is_coarse": excess.get("coarse_excess"),
        "missing": missing,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "n_cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }
    print(json.dumps({"benchmark": "accounting", "values": values, "context": context}))


if __name__ == "__main__":
    main()
