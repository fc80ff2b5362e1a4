import pytest
import torch

from twinlab.attacks.gradient_inversion import invert_update
from twinlab.attacks.single_record import invert_single
from twinlab.errors import SpecificationError
from twinlab.fleet import Fleet

FLEET = Fleet(1, (12, 32, 1), "relu", "logistic")


def make_update(n_rows=1, seed=0):
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randn(1, n_rows, 12, generator=draw)
    targets = (torch.rand(1, n_rows, 1, generator=draw) > 0.5).float()
    return FLEET.gradients(FLEET.init([seed]), rows, targets)[0], rows[0].double()


def find_error(found, record):
    return float((found - record).norm() / record.norm())


@pytest.mark.parametrize("scale", [1.0, -0.05, 1e-4])
def test_a_record_is_read_exactly_at_any_scale(scale):
    update, rows = make_update()
    found = invert_single({name: scale * value for name, value in update.items()})
    assert find_error(found[0], rows[0]) < 1e-5


def test_under_noise_all_units_together_come_nearer_than_the_best_of_them_alone():
    """20 updates of fixed seeds, so that nothing is left to chance."""
    wins = 0
    for seed in range(20):
        update, rows = make_update(seed=seed)
        size = float(update["bias_0"].abs().max()) / 100
        draw = torch.Generator().manual_seed(100 + seed)
        noisy = {name: value + size * torch.randn(value.shape, generator=draw) for name, value in update.items()}
        alone = min(find_error(each, rows[0]) for each in invert_update(noisy))
        wins += find_error(invert_single(noisy)[0], rows[0]) < alone
    assert wins >= 18


def test_of_several_records_it_returns_none():
    update, rows = make_update(n_rows=8)
    assert min(find_error(invert_single(update)[0], row) for row in rows) > 0.1


def test_an_update_in_which_nothing_moved_gives_nothing():
    update, _ = make_update()
    assert invert_single({name: torch.zeros_like(value) for name, value in update.items()}).shape == (0, 12)


def test_an_update_of_several_models_is_refused():
    update, _ = make_update()
    with pytest.raises(SpecificationError, match=r"take one with\s+Fleet\.model"):
        invert_single({name: value.expand(2, *value.shape[1:]) for name, value in update.items()})
    with pytest.raises(SpecificationError, match="weight_0"):
        invert_single({})
