import pytest
import torch

from twinlab.attacks.descent import descend_each
from twinlab.attacks.gradient_matching import KnownTraining, match_updates
from twinlab.attacks.record_prior import assume_smooth, learn_prior
from twinlab.errors import SpecificationError
from twinlab.fleet import Fleet
from twinlab.pipeline.reconstruction import UpdateSetting, train_openly

FLEET = Fleet(1, (10, 24, 1), "tanh", "logistic")


def draw_updates(known, n_updates=3, seed=0):
    """Updates (update, ...), the states sent and the records behind them."""
    draw = torch.Generator().manual_seed(seed)
    states = Fleet(n_updates, known.fleet.widths, known.fleet.activation, "logistic").init(list(range(n_updates)))
    n_rows = known.n_rows * known.n_devices
    records = torch.randn(n_updates, n_rows, known.fleet.widths[0], generator=draw).double()
    targets = (torch.rand(n_updates, n_rows, 1, generator=draw) > 0.5).double()
    flat = known.train({name: value.double() for name, value in states.items()}, records, targets)
    parts = flat.split([value[0].numel() for value in states.values()], 1)
    return {name: part.view_as(states[name]) for name, part in zip(states, parts, strict=True)}, states, records


def find_errors(found, records):
    """Relative distance of each record to the nearest one found."""
    return torch.cdist(records, found).amin(2) / records.norm(dim=2)


def test_each_problem_finds_its_own_minimum():
    """Rosenbrock's valleys, each scaled and placed differently: the steepest way alone needs thousands of steps."""
    center = torch.tensor([[0.0], [1.0], [-2.0]]).double()

    def measure(place):
        first, second = (place - center).unbind(1)
        return (1 - first) ** 2 + 100 * (second - first**2) ** 2

    place, value = descend_each(measure, torch.tensor([[-1.2, 1.0], [0.0, 0.0], [3.0, -2.0]]).double(), 150)
    torch.testing.assert_close(place, (center + 1).expand(-1, 2), rtol=1e-6, atol=1e-6)
    assert float(value.max()) < 1e-12


def test_a_problem_does_not_depend_on_the_others():
    def measure(place):
        return (place**4).sum(1) + (place[:, 0] - 1) ** 2

    start = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).double()
    together, _ = descend_each(measure, start, 12)
    alone = torch.cat([descend_each(measure, each[None], 12)[0] for each in start])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_devices", [1, 3])
@pytest.mark.parametrize("n_steps", [1, 2])
def test_what_the_attacker_computes_is_what_devices_do(n_devices, n_steps):
    known = KnownTraining(FLEET, 4, n_steps, n_devices, clip_norm=0.01)
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(n_devices, 4, 10, generator=draw)
    targets = (torch.rand(n_devices, 4, 1, generator=draw) > 0.5).float()
    state = FLEET.init([5])
    setting = UpdateSetting("as told", n_rows=4, n_steps=n_steps, n_devices=n_devices, clip_norm=0.01)
    truly = torch.cat([value.flatten(1) for value in train_openly(FLEET, state, inputs, targets, setting).values()], 1)
    computed = known.train(state, inputs.view(1, -1, 10), targets.view(1, -1, 1))
    torch.testing.assert_close(computed, truly, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("clip_norm", [None, 0.005])
def test_a_small_batch_of_a_smooth_model_is_found_and_the_attacker_knows_it(clip_norm):
    known = KnownTraining(FLEET, 3, clip_norm=clip_norm)
    updates, states, records = draw_updates(known)
    found = match_updates(updates, states, known, n_restarts=8, n_steps=200)
    errors = find_errors(found.records, records)
    assert float(errors.median()) < 1e-3
    # where the mismatch is rounding, the records are right
    sure = found.mismatch < 1e-4
    assert bool(sure.any())
    assert float(errors[sure].max()) < 1e-2


def test_two_local_steps_do_not_hide_two_records():
    known = KnownTraining(FLEET, 2, n_steps=2)
    updates, states, records = draw_updates(known)
    found = match_updates(updates, states, known, n_steps=200)
    assert float(find_errors(found.records, records).median()) < 1e-2


def test_noise_of_the_same_length_holds_no_record():
    known = KnownTraining(FLEET, 1)
    updates, states, records = draw_updates(known)
    draw = torch.Generator().manual_seed(9)
    noise = {name: torch.randn(value.shape, generator=draw).double() for name, value in updates.items()}
    noise = {name: value * updates[name].norm() / value.norm() for name, value in noise.items()}
    real, made_up = (match_updates(each, states, known, n_restarts=4, n_steps=100) for each in (updates, noise))
    assert float(find_errors(real.records, records).max()) < 1e-3
    assert float(find_errors(made_up.records, records).min()) > 0.1
    assert float(made_up.mismatch.min()) > 0.1


def test_the_same_seed_finds_the_same():
    known = KnownTraining(FLEET, 2)
    updates, states, _ = draw_updates(known)
    first, again, other = (match_updates(updates, states, known, None, 2, 20, seed).records for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_prior_is_the_law_of_public_rows():
    """Whitened rows of the law itself have mean square one: 4,000 rows, off by 0.1 with probability below 1e-9."""
    draw = torch.Generator().manual_seed(0)
    rows = (
        torch.randn(4000, 3, generator=draw).double()
        @ torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 3.0]]).double()
        + 2
    )
    prior = learn_prior(rows)
    assert float(prior.measure(rows).mean()) / 3 == pytest.approx(1, abs=0.1)
    smooth = assume_smooth(24)
    series = torch.sin(torch.arange(24) / 24 * 6.28).double()
    assert float(smooth.measure(series)) < 0.2 * float(smooth.measure(series[torch.randperm(24, generator=draw)]))


def test_what_does_not_fit_is_refused():
    with pytest.raises(SpecificationError, match="one logistic model"):
        KnownTraining(Fleet(2, (4, 3, 1), "tanh", "logistic"), 1)
    with pytest.raises(SpecificationError, match="one logistic model"):
        KnownTraining(Fleet(1, (4, 3, 1)), 1)
    with pytest.raises(SpecificationError, match="divide into steps"):
        KnownTraining(FLEET, 3, n_steps=2)
    known = KnownTraining(FLEET, 1)
    updates, states, _ = draw_updates(known)
    with pytest.raises(SpecificationError, match="an update for each state"):
        match_updates({"weight_0": updates["weight_0"]}, states, known)
    with pytest.raises(SpecificationError, match="at least two public rows"):
        learn_prior(torch.zeros(1, 3))
