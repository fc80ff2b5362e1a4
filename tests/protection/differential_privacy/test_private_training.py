"""Private training with a person as the unit: what a person may add, what noise is added, and what it costs."""

import math

import numpy as np
import pytest
import torch

from twinlab.budget import GaussianEvent, NonPrivateEvent, count_leaves
from twinlab.errors import BudgetExhaustedError, DataContractError, SpecificationError
from twinlab.fleet import Fleet
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier, compute_epsilon
from twinlab.protection.differential_privacy.clipping import clip_to, normalise_to, sum_bounded_gradients
from twinlab.protection.differential_privacy.descent import (
    PrivateTraining,
    _Run,
    describe_training_guarantee,
    find_count_noise,
    list_events,
    list_variants,
    split_multiplier,
)
from twinlab.protection.differential_privacy.gaussian_noise import add_noise, draw_gaussian
from twinlab.protection.differential_privacy.person_rows import PersonRows, arrange_rows
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.differential_privacy.schedule import choose_n_steps, shape_noise
from twinlab.protection.differential_privacy.training import StepRows, _Layout, _NetworkSource, train_privately
from twinlab.release import DifferentialPrivacy, NoGuarantee

WIDTHS = (6, 8, 5, 2)


def make_rows(n_people=12, n_rows=10, seed=0):
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n_people, n_rows, WIDTHS[0], generator=draw)
    targets = torch.stack([inputs[..., 0] - inputs[..., 1], inputs[..., 2].tanh()], dim=-1)
    weights = (torch.rand(n_people, n_rows, 2, generator=draw) < 0.8).float()
    return PersonRows(inputs, targets, weights)


def make_fleet(n_models=1, seed=0):
    fleet = Fleet(n_models, WIDTHS)
    return fleet, fleet.init(range(seed, seed + n_models))


def count_parameters(fleet, state):
    return sum(value[0].numel() for value in state.values())


def find_person_gradients(fleet, state, rows):
    """The slow way: every person a model of its own."""
    people, repeated = fleet.repeat(state, rows.n_people)
    gradient, _ = people.gradients(repeated, rows.inputs, rows.targets, rows.weights)
    names = [f"{kind}_{layer}" for layer in range(fleet.n_layers) for kind in ("weight", "bias")]
    return torch.cat([gradient[name].flatten(1) for name in names], dim=1)


@pytest.fixture(params=["whole gradients", "inner products"])
def way(request, monkeypatch):
    """Both ways to bound the same sum."""
    most = 0 if request.param == "whole gradients" else 1000
    monkeypatch.setattr("twinlab.protection.differential_privacy.clipping.MOST_ROWS_FOR_INNER_PRODUCTS", most)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("activation", ["tanh", "square"])
@pytest.mark.parametrize("rule", [clip_to, normalise_to])
def test_the_bounded_sum_equals_the_sum_of_people_bounded_one_by_one(rule, activation):
    rows = make_rows()
    fleet = Fleet(3, WIDTHS, activation=activation)
    state = fleet.init(range(3))
    bound = rule(torch.tensor([0.2, 1.0, 5.0]), count_parameters(fleet, state))
    total, norms = sum_bounded_gradients(fleet, state, rows, bound)
    one_by_one = [find_person_gradients(Fleet(1, WIDTHS, activation), fleet.model(state, k), rows) for k in range(3)]
    expected_norms = torch.stack([each.norm(dim=1) for each in one_by_one])
    factors = bound(expected_norms)
    expected = torch.stack([factors[k] @ each for k, each in enumerate(one_by_one)])
    torch.testing.assert_close(norms, expected_norms, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_at_once", [1, 5, 1000])
def test_taking_some_people_at_a_time_changes_nothing(monkeypatch, n_at_once):
    rows = make_rows()
    fleet, state = make_fleet(2)
    rule = normalise_to(torch.ones(2), 100)
    whole, _ = sum_bounded_gradients(fleet, state, rows, rule)
    size = 2 * count_parameters(fleet, state)
    monkeypatch.setattr("twinlab.protection.differential_privacy.clipping._VALUES_AT_ONCE", n_at_once * size)
    torch.testing.assert_close(sum_bounded_gradients(fleet, state, rows, rule)[0], whole, rtol=1e-5, atol=1e-6)


def change_by_removing(rows, person, rule):
    """How far the sum moves when one person is removed."""
    fleet, state = make_fleet()
    others = rows.take_people(torch.tensor([k for k in range(rows.n_people) if k != person]))
    sums = [sum_bounded_gradients(fleet, state, each.clean(), rule)[0] for each in (rows, others)]
    return float((sums[0] - sums[1]).norm())


STRANGE = {
    "ordinary": lambda inputs, targets: None,
    "huge": lambda inputs, targets: inputs.mul_(1e12),
    "huge targets": lambda inputs, targets: targets.fill_(1e18),
    "too large to square": lambda inputs, targets: targets.fill_(1e30),
    "opposite rows": lambda inputs, targets: targets.copy_(torch.tensor([1e6, -1e6]).repeat(5)[:, None].expand(10, 2)),
    "not a number": lambda inputs, targets: inputs[3].fill_(math.nan),
    "infinite": lambda inputs, targets: targets[:2].fill_(math.inf),
}


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("clipping", ["fixed", "automatic"])
@pytest.mark.parametrize("kind", STRANGE)
def test_nobody_moves_the_sum_by_more_than_the_bound(kind, clipping):
    rows = make_rows()
    STRANGE[kind](rows.inputs[4], rows.targets[4])
    clip_norm = 0.5
    make = clip_to if clipping == "fixed" else normalise_to
    assert change_by_removing(rows, 4, make(torch.tensor([clip_norm]), 100)) <= clip_norm


def test_without_a_bound_one_person_would_move_it_further():
    rows = make_rows()
    STRANGE["huge"](rows.inputs[4], rows.targets[4])
    assert change_by_removing(rows, 4, torch.ones_like) > 0.5


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_broken_person_adds_nothing_and_harms_nobody(broken):
    rows = make_rows()
    fleet, state = make_fleet()
    rule = normalise_to(torch.ones(1), 100)
    without = rows.take_people(torch.arange(1, 12))
    rows.inputs[0].fill_(broken)
    total, _ = sum_bounded_gradients(fleet, state, rows.clean(), rule)
    torch.testing.assert_close(total, sum_bounded_gradients(fleet, state, without, rule)[0])


@pytest.mark.usefixtures("way")
def test_a_gradient_that_overflows_adds_zero_even_without_cleaning():
    rows = make_rows()
    fleet, state = make_fleet()
    rule = clip_to(torch.ones(1), 100)
    without = rows.take_people(torch.arange(1, 12))
    rows.targets[0].fill_(3e38)
    total, norms = sum_bounded_gradients(fleet, state, rows, rule)
    assert not bool(torch.isfinite(norms[0, 0]))
    torch.testing.assert_close(total, sum_bounded_gradients(fleet, state, without, rule)[0])


@pytest.mark.usefixtures("way")
def test_a_person_without_rows_adds_zero():
    rows = make_rows()
    rows.weights[2].zero_()
    fleet, state = make_fleet()
    for make in (clip_to, normalise_to):
        assert change_by_removing(rows, 2, make(torch.ones(1), 100)) < 1e-6
    assert torch.isfinite(sum_bounded_gradients(fleet, state, rows, clip_to(torch.ones(1), 100))[0]).all()


def test_arranged_rows_of_others_do_not_depend_on_who_is_there():
    draw = torch.Generator().manual_seed(0)
    lengths = [7, 40, 3, 0, 12]
    inputs = [torch.randn(n, 4, generator=draw) for n in lengths]
    targets = [torch.randn(n, 2, generator=draw) for n in lengths]
    targets[0][2] = math.nan
    inputs[4][0, 0] = math.inf
    everybody = arrange_rows(inputs, targets, n_rows=10)
    # person 1 holds the longest record: padding to it would move everybody else's rows
    others = arrange_rows(inputs[:1] + inputs[2:], targets[:1] + targets[2:], n_rows=10)
    for name in ("inputs", "targets", "weights"):
        kept = getattr(everybody, name)[[0, 2, 3, 4]]
        assert torch.equal(kept, getattr(others, name))
    assert everybody.inputs.shape == (5, 10, 4)
    assert not everybody.weights[3].any()
    assert torch.isfinite(everybody.inputs).all()
    assert torch.isfinite(everybody.targets).all()
    assert everybody.weights[0].sum() == 20


def test_arranging_refuses_what_does_not_fit():
    with pytest.raises(DataContractError, match="same people"):
        arrange_rows([torch.zeros(3, 2)], [torch.zeros(4, 1)], 5)
    with pytest.raises(DataContractError, match="same people"):
        arrange_rows([], [], 5)
    with pytest.raises(DataContractError, match="expected inputs"):
        PersonRows(torch.zeros(3, 2), torch.zeros(3, 1), torch.zeros(3, 1))


def test_the_divisor_is_the_declared_number_of_people():
    """One more person who adds nothing leaves the update as it is, to the last bit: the count is not in it."""
    rows = make_rows()
    more = PersonRows(*(torch.cat([value, torch.zeros_like(value[:1])]) for value in vars(rows).values()))
    fleet, start = make_fleet()
    settings = PrivateTraining(expected_people=20, n_steps=3, noise_multiplier=1.0, optimizer="descent")

    def update(rows, settings):
        trained = train_privately(fleet, start, rows, settings, open_noise(rehearsal=True, seed=3))
        return torch.cat([value.flatten() for value in trained.state.values()])

    assert torch.equal(update(rows, settings), update(more, settings))
    # the control: divided by who is there, the two differ and the difference tells that somebody joined
    counted = [
        update(each, PrivateTraining(each.n_people, n_steps=3, noise_multiplier=1.0, optimizer="descent"))
        for each in (rows, more)
    ]
    assert not torch.equal(*counted)


def measure_noise(settings, n_models=1):
    """Standard deviation of what training adds where nobody has any data, in units of one step's noise of 1."""
    fleet = Fleet(n_models, (20, 60, 40))
    start = fleet.init(range(n_models))
    rows = PersonRows(torch.zeros(4, 6, 20), torch.zeros(4, 6, 40), torch.zeros(4, 6, 40))
    trained = train_privately(fleet, start, rows, settings, open_noise())
    change = torch.cat([(trained.state[name] - start[name]).flatten(1) for name in start], dim=1)
    return change.square().mean(1).sqrt() * settings.expected_people / settings.learning_rate, change.shape[1]


@pytest.mark.parametrize("schedule", ["constant", "down", "up"])
@pytest.mark.parametrize("clip_norm", [1.0, 0.3])
def test_the_noise_is_as_large_as_the_events_say(schedule, clip_norm):
    settings = PrivateTraining(
        expected_people=50,
        n_steps=20,
        noise_multiplier=4.0,
        clip_norm=clip_norm,
        noise_schedule=schedule,
        optimizer="descent",
        learning_rate=1.0,
        tail=1 / 20,
    )
    measured, n_values = measure_noise(settings)
    (events,) = list_events(settings, 1)
    variance = sum(n * event.noise_multiplier**2 for event, n in count_leaves(*events).items())
    # a false alarm needs 5.5 standard deviations of a variance estimated from that many values
    assert float(measured**2) == pytest.approx(clip_norm**2 * variance, rel=5.5 * math.sqrt(2 / n_values))


def test_a_schedule_costs_what_constant_noise_costs():
    for n_steps in (7, 10, 100, 333):
        base = calibrate_noise_multiplier(1.0, 1e-5, 1.0, n_steps)
        for schedule in ("constant", "down", "up"):
            settings = PrivateTraining(10, n_steps=n_steps, noise_multiplier=base, noise_schedule=schedule)
            (events,) = list_events(settings, 1)
            assert sum(count_leaves(*events).values()) == n_steps
            assert compute_epsilon(events, 1e-5) == pytest.approx(1.0, rel=2e-3)
    falling = shape_noise(100, "down")
    assert falling[0] / falling[-1] == pytest.approx(2.3)
    assert list(shape_noise(100, "up")) == pytest.approx(list(falling[::-1]))


def test_noise_is_secret_unless_a_rehearsal_is_asked_for():
    fleet, start = make_fleet()
    settings = PrivateTraining(12, n_steps=2, noise_multiplier=1.0)
    secret = [train_privately(fleet, start, make_rows(), settings, open_noise()) for _ in range(2)]
    rehearsed = [
        train_privately(fleet, start, make_rows(), settings, open_noise(rehearsal=True, seed=1)) for _ in range(2)
    ]
    assert not torch.equal(secret[0].state["weight_0"], secret[1].state["weight_0"])
    assert torch.equal(rehearsed[0].state["weight_0"], rehearsed[1].state["weight_0"])
    assert [each.is_rehearsal for each in (*secret, *rehearsed)] == [False, False, True, True]


def test_no_seed_of_torch_reaches_the_noise():
    torch_state = torch.random.get_rng_state()
    try:
        drawn = []
        for _ in range(2):
            torch.manual_seed(0)
            drawn.append(draw_gaussian(open_noise(), 10))
        assert not torch.equal(*drawn)
    finally:
        torch.random.set_rng_state(torch_state)


def test_drawn_values_are_standard_normal():
    n = 400_000
    values = draw_gaussian(open_noise(), n).double()
    assert abs(float(values.mean())) < 5.5 / math.sqrt(n)
    assert float(values.var()) == pytest.approx(1, abs=5.5 * math.sqrt(2 / n))
    for edge in (0.5, 1.0, 2.0, 3.0):
        share = math.erfc(edge / math.sqrt(2))
        assert float((values.abs() > edge).double().mean()) == pytest.approx(
            share, abs=5.5 * math.sqrt(share * (1 - share) / n)
        )
    half = n // 2
    assert abs(float((values[:half] * values[half:]).mean())) < 5.5 / math.sqrt(half)


def test_sum_and_noise_lie_on_one_public_grid():
    total = torch.randn(2, 500)
    clip_norm = torch.tensor([1.0, 0.25])
    noisy = add_noise(total, clip_norm, torch.tensor([0.5, 0.5]), open_noise())
    steps = noisy.double() / (clip_norm[:, None].double() / 2**20)
    assert torch.equal(steps, steps.round())
    untouched = total.double() / (clip_norm[:, None].double() / 2**20)
    assert not torch.equal(untouched, untouched.round())


def test_sampling_takes_people_with_the_stated_probability_and_survives_nobody():
    fleet, start = make_fleet(2)
    rows = make_rows(n_people=40)
    settings = PrivateTraining(40, n_steps=30, noise_multiplier=1.0, sampling_probability=0.2)
    seen = []

    class Counting:
        is_rehearsal = False

        def __init__(self):
            self.inner = open_noise()

        def draw_words(self, n):
            return self.inner.draw_words(n)

        def draw_uniform(self, shape):
            drawn = self.inner.draw_uniform(shape)
            seen.append(drawn < 0.2)
            return drawn

    trained = train_privately(fleet, start, rows, settings, Counting())
    taken = np.stack(seen)
    assert taken.shape == (30, 2, 40)
    assert taken.mean() == pytest.approx(0.2, abs=5.5 * math.sqrt(0.16 / taken.size))
    assert all(event.sampling_probability == 0.2 for event in count_leaves(*trained.events[0]))
    rare = PrivateTraining(40, n_steps=5, noise_multiplier=1.0, sampling_probability=1e-9)
    lonely = train_privately(fleet, start, rows, rare, open_noise())
    assert all(bool(torch.isfinite(value).all()) for value in lonely.state.values())


def test_count_and_gradient_noise_together_cost_what_is_claimed():
    multiplier = torch.tensor([0.8, 1.5, 20.0])
    count_noise = find_count_noise(multiplier)
    of_gradient = split_multiplier(multiplier, count_noise)
    # plus or minus one half is the most one person moves the count
    torch.testing.assert_close(of_gradient**-2 + (2 * count_noise) ** -2, multiplier**-2)
    assert (of_gradient > multiplier).all()


def test_quantile_clipping_finds_the_median_norm():
    rows = make_rows(n_people=400)
    fleet, start = make_fleet()
    settings = PrivateTraining(
        400, n_steps=60, noise_multiplier=0.5, clipping="quantile", clip_norm=50.0, learning_rate=1e-9
    )
    layout = _Layout.of(start, fleet.n_layers)
    source = _NetworkSource(fleet, layout, StepRows(rows, settings))
    run = _Run(layout.flatten(start), settings, torch.tensor([60]), torch.tensor([0]), open_noise())
    for step in range(60):
        run.step(step, source)
    norms = find_person_gradients(fleet, start, rows).norm(dim=1)
    assert float(run.clip_norm[0]) == pytest.approx(float(norms.median()), rel=0.15)


@pytest.mark.parametrize("optimizer", ["descent", "momentum", "adam"])
def test_models_of_a_fleet_train_as_if_alone(optimizer):
    rows = make_rows()
    fleet, start = make_fleet(3)
    shared = {"expected_people": 12, "optimizer": optimizer, "rows_per_step": 4}
    together = train_privately(
        fleet,
        start,
        rows,
        PrivateTraining(n_steps=[5, 12, 8], learning_rate=[0.1, 0.01, 0.03], **shared),
        open_noise(),
    )
    for k, (n_steps, rate) in enumerate([(5, 0.1), (12, 0.01), (8, 0.03)]):
        settings = PrivateTraining(n_steps=n_steps, learning_rate=rate, **shared)
        alone = train_privately(Fleet(1, WIDTHS), fleet.model(start, k), rows, settings, open_noise())
        for name, value in alone.state.items():
            torch.testing.assert_close(together.state[name][k], value[0], rtol=1e-4, atol=1e-5)
    assert together.events == ((NonPrivateEvent(),),) * 3


@pytest.mark.parametrize("clipping", ["automatic", "fixed", "quantile"])
def test_training_learns_where_people_are_many_and_noise_is_modest(clipping):
    rows = make_rows(n_people=400, n_rows=12)
    fleet, start = make_fleet()
    before = fleet.gradients(start, rows.inputs.flatten(0, 1), rows.targets.flatten(0, 1))[1]
    settings = PrivateTraining(400, n_steps=150, noise_multiplier=5.0, clipping=clipping, learning_rate=0.3)
    trained = train_privately(fleet, start, rows, settings, open_noise())
    after = fleet.gradients(trained.state, rows.inputs.flatten(0, 1), rows.targets.flatten(0, 1))[1]
    assert float(after) < 0.5 * float(before)


def test_the_last_states_are_averaged():
    rows = make_rows()
    fleet, start = make_fleet()
    shared = {"expected_people": 12, "optimizer": "descent", "learning_rate": 0.5}
    last = [
        train_privately(fleet, start, rows, PrivateTraining(n_steps=n, tail=1 / n, **shared), open_noise()).state
        for n in (3, 4)
    ]
    both = train_privately(fleet, start, rows, PrivateTraining(n_steps=4, tail=0.5, **shared), open_noise()).state
    for name, value in both.items():
        torch.testing.assert_close(value, (last[0][name] + last[1][name]) / 2)


def test_the_start_is_left_alone_and_progress_can_stop_training():
    rows = make_rows()
    fleet, start = make_fleet()
    before = {name: value.clone() for name, value in start.items()}
    seen = []

    def stop(what, done, total):
        seen.append((done, total))
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_privately(fleet, start, rows, PrivateTraining(12, n_steps=9), open_noise(), stop)
    assert seen == [(1, 9), (2, 9), (3, 9)]
    assert all(torch.equal(before[name], start[name]) for name in start)


def test_all_faults_of_the_settings_are_named_at_once():
    with pytest.raises(SpecificationError) as caught:
        PrivateTraining(expected_people=0, n_steps=0, noise_multiplier=-1, clip_norm=0, sampling_probability=0, tail=0)
    for name in ("expected_people", "n_steps", "noise_multiplier", "clip_norm", "sampling_probability", "tail"):
        assert f"{name}: expected" in str(caught.value)
    with pytest.raises(SpecificationError, match="one number or 2"):
        list_events(PrivateTraining(10, n_steps=[1, 2, 3]), 2)
    with pytest.raises(SpecificationError, match="epsilon"):
        choose_n_steps(0)


def test_nothing_private_shows():
    rows = make_rows()
    rows.inputs.fill_(12.345)
    assert "12.3" not in repr(rows)
    trained = train_privately(*make_fleet(), rows, PrivateTraining(12, n_steps=1, noise_multiplier=1.0), open_noise())
    assert "tensor" not in repr(trained)


class Refusing:
    """A ledger that is empty."""

    def __init__(self):
        self.asked = []

    def spend(self, event, *, purpose):
        self.asked.append(event)
        raise BudgetExhaustedError("nothing is left")


class Unused:
    """Noise that must not be drawn."""

    is_rehearsal = False

    def __getattr__(self, name):
        raise AssertionError("noise was drawn before the ledger agreed")


def test_the_ledger_is_asked_before_any_noise_is_drawn():
    ledger = Refusing()
    settings = PrivateTraining(12, n_steps=3, noise_multiplier=2.0)
    with pytest.raises(BudgetExhaustedError):
        train_privately(*make_fleet(2), make_rows(), settings, Unused(), ledger=ledger)
    assert count_leaves(*ledger.asked) == {GaussianEvent(2.0): 6}


def test_a_guarantee_is_given_only_where_there_is_one():
    (events,) = list_events(PrivateTraining(12, n_steps=3, noise_multiplier=2.0), 1)
    promised = describe_training_guarantee(events, 1e-5, is_rehearsal=False)
    assert isinstance(promised, DifferentialPrivacy)
    assert promised.epsilon == compute_epsilon(events, 1e-5)
    assert "person" in str(promised)
    assert describe_training_guarantee(events, 1e-5, is_rehearsal=True) == NoGuarantee("noise is reproducible")
    (free,) = list_events(PrivateTraining(12), 1)
    assert isinstance(describe_training_guarantee(free, 1e-5, is_rehearsal=False), NoGuarantee)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_what_enters_and_what_comes_back_make_the_gradient(loss):
    """Of the fleet's two ways to a gradient, one keeps rows apart."""
    fleet = Fleet(2, WIDTHS, loss=loss)
    state = fleet.init([0, 1])
    rows = make_rows(n_people=1)
    inputs, targets, weights = rows.inputs[0], (rows.targets[0] > 0).float(), rows.weights[0]
    activations, errors = fleet.backpropagate(state, inputs, targets, weights / weights.sum())
    gradient, _ = fleet.gradients(state, inputs, targets, weights)
    for layer in range(fleet.n_layers):
        torch.testing.assert_close(torch.matmul(activations[layer].mT, errors[layer]), gradient[f"weight_{layer}"])
        torch.testing.assert_close(errors[layer].sum(1), gradient[f"bias_{layer}"])


def test_variants_stand_side_by_side_at_one_cost():
    rows = make_rows(n_people=200)
    noise = calibrate_noise_multiplier(2.0, 1e-3, 1.0, 40)
    variants = list_variants(PrivateTraining(200, n_steps=40, noise_multiplier=noise))
    fleet, start = make_fleet()
    for settings in variants.values():
        trained = train_privately(fleet, start, rows, settings, open_noise())
        assert compute_epsilon(trained.events[0], 1e-3) == pytest.approx(2.0, rel=2e-3)
        assert all(bool(torch.isfinite(value).all()) for value in trained.state.values())
