"""Training many models as one gives what training each of them alone, with torch's own tools, gives."""

import pytest
import torch

from twinlab.fleet import Fleet, TrainingSettings


def _train_alone(fleet, state, k, inputs, targets, mask, settings, rate, decay):
    """One ordinary module with autograd and torch's optimiser, on the same rows in the same order."""
    layers = []
    for layer in range(fleet.n_layers):
        linear = torch.nn.Linear(*state[f"weight_{layer}"].shape[1:])
        with torch.no_grad():
            linear.weight.copy_(state[f"weight_{layer}"][k].T)
            linear.bias.copy_(state[f"bias_{layer}"][k])
        layers += [linear, torch.nn.Tanh()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    order = torch.Generator().manual_seed(settings.order_seed)
    for _ in range(settings.n_epochs):
        for rows in torch.randperm(len(inputs), generator=order).split(settings.batch_rows):
            optimizer.zero_grad()
            weight = mask[rows]
            error = ((model(inputs[rows]) - targets[rows]) ** 2 * weight).sum() / weight.sum().clamp(min=1)
            error.backward()
            optimizer.step()
    return model


@pytest.mark.parametrize("shared", [True, False])
def test_a_fleet_equals_a_loop_of_single_models(shared):
    n_models, draw = 5, torch.Generator().manual_seed(0)
    shape = (n_models, 60)
    inputs = torch.randn(*shape, 6, generator=draw)
    targets = torch.randn(*shape, 2, generator=draw)
    mask = (torch.rand(*shape, 2, generator=draw) > 0.2).float()
    if shared:
        inputs, targets = inputs[0], targets[0]
    fleet = Fleet(n_models, (6, 8, 4, 2))
    rates, decays = [0.001, 0.002, 0.004, 0.008, 0.004], [0.0, 0.01, 0.0, 0.1, 0.0]
    settings = TrainingSettings(n_epochs=5, batch_rows=16, learning_rate=rates, weight_decay=decays, order_seed=3)
    state = fleet.init(range(n_models))
    trained = fleet.train(state, inputs, targets, mask, settings).state
    for k in range(n_models):
        own = (inputs, targets) if shared else (inputs[k], targets[k])
        alone = _train_alone(fleet, state, k, *own, mask[k], settings, rates[k], decays[k])
        for layer in range(fleet.n_layers):
            linear = alone[2 * layer]
            assert (trained[f"weight_{layer}"][k] - linear.weight.T).abs().max() < 1e-5
            assert (trained[f"bias_{layer}"][k] - linear.bias).abs().max() < 1e-5
