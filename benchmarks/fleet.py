"""64 small models trained as one against a fair loop of 64 ordinary trainings.

The work is this lab's: the default backbone (short features of four signals, 64, 32, four outputs), one client's few
hundred hours per model, minibatches of 32 rows, Adam. The loop uses torch.nn, autograd and torch.optim.Adam on the
same rows, in the same order, from the same weights. With batches of thousands of rows both sides are bound by
arithmetic and the ratio falls towards 1; the last row of the table shows where.
"""

import argparse
import json
import statistics
import time
from itertools import pairwise

import torch

from twinlab.fleet import Fleet, TrainingSettings

WIDTHS = (42, 64, 32, 4)
N_MODELS = 64


def train_in_a_loop(fleet, state, inputs, targets, settings):
    """One model after the other; returns their parameters stacked as a fleet's."""
    trained: dict[str, list[torch.Tensor]] = {name: [] for name in state}
    for k in range(fleet.n_models):
        layers: list[torch.nn.Module] = []
        linears = [torch.nn.Linear(n_in, n_out, dtype=inputs.dtype) for n_in, n_out in pairwise(fleet.widths)]
        for layer, linear in enumerate(linears):
            with torch.no_grad():
                linear.weight.copy_(state[f"weight_{layer}"][k].T)
                linear.bias.copy_(state[f"bias_{layer}"][k])
            layers += [linear, torch.nn.Tanh()]
        model = torch.nn.Sequential(*layers[:-1])
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
        order = torch.Generator().manual_seed(settings.order_seed)
        for _ in range(settings.n_epochs):
            for rows in torch.randperm(inputs.shape[1], generator=order).split(settings.batch_rows):
                optimizer.zero_grad()
                loss = torch.nn.functional.mse_loss(model(inputs[k, rows]), targets[k, rows])
                loss.backward()
                optimizer.step()
        for layer in range(fleet.n_layers):
            trained[f"weight_{layer}"].append(linears[layer].weight.detach().T)
            trained[f"bias_{layer}"].append(linears[layer].bias.detach())
    return {name: torch.stack(values) for name, values in trained.items()}


def measure(n_rows, batch_rows, n_epochs, n_repeats, dtype=torch.float32):
    """Median seconds of both, and the greatest difference of a parameter."""
    draw = torch.Generator().manual_seed(0)
    fleet = Fleet(N_MODELS, WIDTHS)
    inputs = torch.randn(N_MODELS, n_rows, WIDTHS[0], generator=draw).to(dtype)
    noise = 0.1 * torch.randn(N_MODELS, n_rows, WIDTHS[-1], generator=draw).to(dtype)
    targets = torch.tanh(inputs[..., : WIDTHS[-1]]) + noise
    state = {name: value.to(dtype) for name, value in fleet.init(range(N_MODELS)).items()}
    settings = TrainingSettings(n_epochs=n_epochs, batch_rows=batch_rows)
    as_one, in_a_loop = [], []
    fleet.train(state, inputs, targets, settings=TrainingSettings(n_epochs=1, batch_rows=batch_rows))
    for _ in range(n_repeats):
        start = time.perf_counter()
        one = fleet.train(state, inputs, targets, settings=settings).state
        as_one.append(time.perf_counter() - start)
        start = time.perf_counter()
        loop = train_in_a_loop(fleet, state, inputs, targets, settings)
        in_a_loop.append(time.perf_counter() - start)
    difference = max(float((one[name] - loop[name]).abs().max()) for name in one)
    return statistics.median(as_one), statistics.median(in_a_loop), difference


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="more repeats")
    parser.add_argument("--quick", action="store_true", help="the default")
    n_repeats = 5 if parser.parse_args().full else 3
    rows = []
    print(f"{'rows':>6} {'batch':>6} {'as one s':>9} {'loop s':>8} {'ratio':>6} {'difference':>11}")
    for n_rows, batch_rows, n_epochs in ((320, 32, 3), (320, 64, 5), (1024, 1024, 5)):
        one, loop, difference = measure(n_rows, batch_rows, n_epochs, n_repeats)
        rows.append({"rows": n_rows, "batch": batch_rows, "as_one_s": one, "loop_s": loop, "difference": difference})
        print(f"{n_rows:6d} {batch_rows:6d} {one:9.3f} {loop:8.3f} {loop / one:6.1f} {difference:11.1e}", flush=True)
    *_, exact = measure(320, 64, 5, 1, dtype=torch.float64)
    print(f"the same in float64, batches of 64: difference {exact:.1e}")
    values = {
        "ratio_64_models": rows[0]["loop_s"] / rows[0]["as_one_s"],
        "max_difference": rows[0]["difference"],
    }
    context = {
        "work": f"{N_MODELS} models {WIDTHS}, own data of 320 rows, minibatches of 32, Adam; median of {n_repeats}",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "all": rows,
        "difference_float64": exact,
        "note": "values are of the first row; in float32 Adam's division enlarges rounding where a gradient is near "
        "zero, which is all that is left in the other rows, as float64 shows",
    }
    print(json.dumps({"benchmark": "fleet", "values": values, "context": context}))


if __name__ == "__main__":
    main()
