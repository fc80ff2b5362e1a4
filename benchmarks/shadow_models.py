"""64 shadow models of the default twin's backbone as one fleet, beside a loop of single trainings.

Each shadow trains on a random half of 120 people, which is as many as the default experiment has (60 people, 28 days,
30 epochs). A shadow needs no more than to show how much better a model fits a person who took part. So an epoch uses
3,200 rows drawn anew, in steps of 32 and with a longer step, of the 100,000 that the lab's own training passes over in
steps of 1,024.

`ratio_64_shadows` is for equal work: the loop uses torch.nn, autograd and torch.optim.Adam on the same rows in the same
order, from the same weights. A few models of the loop are timed and counted as 64, since all are alike.
`ratio_to_full_trainings` has the lab's own trainings, all rows, in the loop. What fewer rows cost the attack is
measured: targets trained in full, as the lab trains, are attacked with these shadows (`found_full_targets`: share of
members found at 1 % of outsiders accused; a blind guess finds 1 %). --full attacks them with 64 full shadows, too.

Run: python benchmarks/shadow_models.py [--full]
"""

import argparse
import json
import math
import statistics
import time
from itertools import pairwise

import torch

from twinlab.attacks.membership import METHODS, score_members
from twinlab.evaluation.membership import measure_membership
from twinlab.experiment import Experiment
from twinlab.learn_choice import CentralLearning
from twinlab.pipeline.shadowing import (
    ROWS_PER_EPOCH,
    choose_settings,
    draw_members,
    draw_pool,
    list_pool_rows,
    train_shadows,
)
from twinlab.roles import report_nothing
from twinlab.threat import Claims
from twinlab.twins.feature import choose_targets
from twinlab.twins.population import make_backbone

N_SHADOWS, N_IN_LOOP = 64, 3


def train_alone(fleet, state, k, rows, own, settings):
    """One ordinary training of shadow k: the loop's body. Parameters by name."""
    layers: list[torch.nn.Module] = []
    linears = [torch.nn.Linear(n_in, n_out) for n_in, n_out in pairwise(fleet.widths)]
    for layer, linear in enumerate(linears):
        with torch.no_grad():
            linear.weight.copy_(state[f"weight_{layer}"][k].T)
            linear.bias.copy_(state[f"bias_{layer}"][k])
        layers += [linear, torch.nn.Tanh()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    n_rows = min(settings.rows_per_epoch or len(own), len(own))
    n_total = settings.n_epochs * -(-n_rows // settings.batch_rows)
    warm_up, step = max(1, n_total // 10), 0
    half_turn = math.pi / max(1, n_total - warm_up)
    order = torch.Generator().manual_seed(settings.order_seed)
    for _ in range(settings.n_epochs):
        for batch in torch.randperm(len(own), generator=order)[:n_rows].split(settings.batch_rows):
            step += 1
            late = 0.5 * (1 + math.cos((step - warm_up) * half_turn))
            optimizer.param_groups[0]["lr"] = settings.learning_rate * (step / warm_up if step <= warm_up else late)
            use = own[batch]
            known = rows.known[use]
            optimizer.zero_grad()
            loss = ((model(rows.inputs[use]) - rows.answers[use]).square() * known).sum() / known.sum().clamp(min=1)
            loss.backward()
            optimizer.step()
    trained = {f"weight_{layer}": linear.weight.detach().T for layer, linear in enumerate(linears)}
    return trained | {f"bias_{layer}": linear.bias.detach() for layer, linear in enumerate(linears)}


def time_it(work):
    """Seconds by the clock and of the processor, and what the work gave."""
    begin, used = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - begin, time.process_time() - used, result


def attack(shadows, targets):
    """Finding of each method on some targets, with these shadows."""
    found = {}
    for method in METHODS:
        scores = [score_members(method, signal, shadows.signals, shadows.members) for signal in targets.signals]
        claims = [Claims("membership", each) for each in scores]
        found[method] = measure_membership({method: claims}, targets.members).table[0]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="more repeats and targets, and full shadows")
    parser.add_argument("--quick", action="store_true", help="the default")
    is_full = parser.parse_args().full
    experiment = Experiment()
    pool = draw_pool(experiment, report_nothing)
    members = draw_members(N_SHADOWS, pool.n_people, seed=0)
    rows = list_pool_rows(experiment, pool)
    own = rows.list_own(members, seed=0)
    fleet = make_backbone(experiment.twin, pool.signals, choose_targets(pool.signals, None), n_models=N_SHADOWS)
    state, settings = fleet.init(range(N_SHADOWS)), choose_settings(CentralLearning(), 0, ROWS_PER_EPOCH)
    data = (rows.inputs, rows.answers, rows.known)
    as_one, in_loop = [], []
    for repeat in range(5 if is_full else 2):
        seconds, used, trained = time_it(lambda: fleet.train(state, *data, settings, rows=own).state)
        as_one.append((seconds, used))
        for k in range(repeat * N_IN_LOOP, (repeat + 1) * N_IN_LOOP):
            seconds, used, alone = time_it(lambda k=k: train_alone(fleet, state, k, rows, own[k], settings))
            in_loop.append((seconds, used))
            difference = max(float((trained[name][k] - value).abs().mean()) for name, value in alone.items())
    one, one_cpu = (statistics.median(column) for column in zip(*as_one, strict=True))
    loop, loop_cpu = (N_SHADOWS * statistics.median(column) for column in zip(*in_loop, strict=True))
    print(f"64 shadows as one {one:.1f} s (processor {one_cpu:.1f}); loop {loop:.0f} s (processor {loop_cpu:.0f}); "
          f"ratio {loop / one:.1f} (processor {loop_cpu / one_cpu:.1f})", flush=True)  # fmt: skip
    n_targets = 16 if is_full else 4
    target_members = draw_members(n_targets, pool.n_people, seed=1)
    seconds, used, targets = time_it(
        lambda: train_shadows(experiment, pool, target_members, 1000, report_nothing, rows_per_epoch=None)
    )
    full, full_cpu = N_SHADOWS / n_targets * seconds, N_SHADOWS / n_targets * used
    shadows = train_shadows(experiment, pool, members, 0, report_nothing)
    found = {"few rows": attack(shadows, targets)}
    if is_full:
        found["all rows"] = attack(
            train_shadows(experiment, pool, members, 0, report_nothing, rows_per_epoch=None), targets
        )
    print(f"{n_targets} targets trained in full, attacked with 64 shadows")
    for kind, by_method in found.items():
        for method, row in by_method.items():
            share = row["found_at_1_percent"]
            print(f"  {kind:9s} {method:13s} area {row['area']:.3f}  members found at 1 % {share:.1%} "
                  f"({row['low']:.1%} to {row['high']:.1%})")  # fmt: skip
    values = {
        "ratio_64_shadows": loop / one,
        "seconds_64_shadows": one,
        "ratio_to_full_trainings": full / one,
        "found_full_targets": found["few rows"]["lira_offline"]["found_at_1_percent"],
        "found_by_loss_threshold": found["few rows"]["loss"]["found_at_1_percent"],
    }
    context = {
        "processor_seconds": {"as_one": one_cpu, "loop": loop_cpu, "full_trainings": full_cpu},
        "processor_ratio": loop_cpu / one_cpu,
        "timed_in_loop": len(in_loop),
        "mean_difference": difference,
        "rows": {"per_epoch": ROWS_PER_EPOCH, "of": own.shape[1], "step": settings.batch_rows},
        "targets": n_targets,
        "found_and_area": {
            kind: {method: [row["found_at_1_percent"], row["area"]] for method, row in by_method.items()}
            for kind, by_method in found.items()
        },
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    print(json.dumps({"benchmark": "shadow_models", "values": values, "context": context}))


if __name__ == "__main__":
    main()
