"""Models and their plain answers."""

import numpy as np
import pytest
import torch

from twinlab.errors import SpecificationError
from twinlab.fleet import Fleet
from twinlab.protection.homomorphic import ConvolutionModel, EncryptedHead, LinearModel, SquareNetwork
from twinlab.protection.homomorphic.model import flatten_rows


def test_a_fleet_and_its_network_answer_alike():
    fleet = Fleet(3, (6, 8, 5, 2), activation="square", loss="logistic")
    state = fleet.init([1, 2, 3])
    rows = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    for k in range(3):
        network = SquareNetwork.from_fleet(fleet, state, k)
        assert network.link == "logistic"
        expected = fleet.forward(state, rows)[k].numpy()
        np.testing.assert_allclose(network.answer_plain(rows.numpy()), expected, atol=1e-5)


def test_only_square_fleets_can_be_asked():
    fleet = Fleet(1, (2, 2, 1))
    with pytest.raises(SpecificationError, match=r"expected 'square'.*got 'tanh'; train the fleet with it"):
        SquareNetwork.from_fleet(fleet, fleet.init([0]))


def test_plain_squares_are_the_same_network(models):
    for name in ("network", "deep network"):
        network, rows = models[name]
        layers = network.list_plain_layers()
        plain = SquareNetwork(*map(tuple, zip(*layers, strict=True)), activation="plain_square")
        np.testing.assert_allclose(plain.answer_plain(rows), network.answer_plain(rows))


def test_a_convolution_is_that_of_torch(models):
    model, rows = models["convolution"]
    hidden = torch.nn.functional.conv1d(
        torch.from_numpy(rows), torch.tensor(model.kernel), torch.tensor(model.kernel_bias)
    )
    hidden = hidden / 2 + hidden**2 / 4
    expected = torch.einsum("rfp,ofp->ro", hidden, torch.tensor(model.dense)) + torch.tensor(model.dense_bias)
    np.testing.assert_allclose(model.answer_plain(rows), expected.numpy())
    np.testing.assert_allclose(model.to_plain_square().answer_plain(rows), expected.numpy())


@pytest.mark.parametrize("name", ["logistic", "network", "deep network", "convolution"])
def test_scaling_inputs_changes_nothing(models, name):
    model, rows = models[name]
    groups = model.group_features()
    scale = 2.0 ** (np.arange(groups.max() + 1) % 5 - 2)[groups]
    flat = flatten_rows(model, rows)
    np.testing.assert_allclose(model.scale_inputs(scale).answer_plain(flat / scale), model.answer_plain(rows))


def test_weights_are_out_of_reach_of_later_changes():
    weight = np.ones((1, 3))
    model = LinearModel(weight, np.zeros(1))
    weight[:] = 9
    assert model.weight.sum() == 3
    with pytest.raises(ValueError, match="read-only"):
        model.weight[0] = 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LinearModel(np.ones((2, 3)), np.zeros(1)), "expected 2 numbers"),
        (lambda: LinearModel(np.array([[np.nan]]), np.zeros(1)), "finite numbers"),
        (lambda: SquareNetwork((np.ones((2, 3)),), (np.ones(3),)), "at least two layers"),
        (lambda: SquareNetwork((np.ones((2, 3)), np.ones((4, 1))), (np.ones(3), np.ones(1))), "fit the next"),
        (
            lambda: SquareNetwork((np.ones((2, 3)), np.ones((3, 1))), (np.ones(3), np.ones(1)), activation="relu"),
            "'square' or 'plain_square', got 'relu'",
        ),
        (
            lambda: ConvolutionModel(np.ones((2, 1, 3)), np.ones(2), np.ones((1, 2, 5)), np.ones(1), 8),
            r"\(1, 2, 6\)",
        ),
        (lambda: EncryptedHead(np.ones((1, 1, 1))), "2 axes"),
    ],
)
def test_what_does_not_fit_together_is_refused(make, words):
    with pytest.raises(SpecificationError, match=words):
        make()


def test_rows_are_checked_without_being_shown():
    model = LinearModel(np.ones((1, 3)), np.zeros(1))
    with pytest.raises(SpecificationError, match=r"rows of 3 features|row of 3 features") as caught:
        model.answer_plain(np.full((2, 4), 123.456))
    assert "123" not in str(caught.value)
    with pytest.raises(SpecificationError, match="got 1 that are not"):
        model.answer_plain(np.array([[1.0, np.inf, 2.0]]))
    assert model.answer_plain(np.ones(3)).shape == (1, 1)
