"""Small models and set-ups that several tests share."""

import numpy as np
import pytest

from twinlab.protection.homomorphic import ConvolutionModel, EncryptedHead, LogisticModel, SquareNetwork, plan, set_up


def draw_models(seed=5):
    """One of each kind, with rows like those to come: name -> (model, rows)."""
    draw = np.random.default_rng(seed)
    network = SquareNetwork(
        (draw.normal(size=(7, 5)) / 3, draw.normal(size=(5, 2)) / 3), (draw.normal(size=5), draw.normal(size=2))
    )
    deep = SquareNetwork(
        tuple(draw.normal(size=shape) / 3 for shape in ((6, 5), (5, 3), (3, 1))),
        tuple(draw.normal(size=size) / 3 for size in (5, 3, 1)),
    )
    convolution = ConvolutionModel(
        draw.normal(size=(3, 2, 4)) / 3, draw.normal(size=3), draw.normal(size=(2, 3, 7)) / 5, draw.normal(size=2), 10
    )
    return {
        "logistic": (LogisticModel(draw.normal(size=(1, 9)), draw.normal(size=1)), draw.normal(size=(30, 9))),
        "network": (network, draw.normal(size=(30, 7))),
        "deep network": (deep, draw.normal(size=(30, 6))),
        "convolution": (convolution, draw.normal(size=(30, 2, 10))),
        "head": (EncryptedHead(draw.normal(size=(3, 11))), draw.normal(size=(30, 11))),
    }


@pytest.fixture(scope="session")
def models():
    return draw_models()


@pytest.fixture(scope="session")
def logistic(models):
    """Plan, model, rows, key holder and server of a logistic regression."""
    model, rows = models["logistic"]
    found = plan(model, rows)
    holder, server, _ = set_up(found, model)
    return found, model, rows, holder, server
