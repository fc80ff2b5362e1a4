"""The training loop around a critic: what is drawn, weighed, kept and gone on with."""

import contextlib

import numpy as np
import pandas as pd
import pytest
import torch

from twinlab.budget import ComposedEvent, GaussianEvent, NonPrivateEvent, PrivacyUnit, RepeatedEvent
from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.synthetic.domain import CategoricalAttribute, Domain, NumericAttribute
from twinlab.protection.synthetic.gan import GanSettings, Keeping, draw_choice, measure_difference
from twinlab.protection.synthetic.gan_table import TableGan, make_sight

DOMAIN = Domain(
    (
        NumericAttribute("steps", 0.0, 20_000.0, 8, has_zero_bin=True, is_whole=True),
        NumericAttribute("sleep_min", 0.0, 720.0, 6, may_be_missing=True),
        CategoricalAttribute("site", ("a", "b", "c")),
    ),
    PrivacyUnit.PERSON,
    person_column="person",
    most_rows_per_person=4,
)


class OpenStepper:
    """Steps of a critic without protection, that keep what they were given."""

    def __init__(self, chosen):
        self.chosen, self.seen, self.n_rests = chosen, [], 0

    def __call__(self, critic, loss, settings, make_optimizer):
        self._critic, self._loss, self._optimizer = critic, loss, make_optimizer(critic.parameters())
        return self

    def choose(self, n_units):
        return torch.tensor([each for each in self.chosen if each < n_units], dtype=torch.long)

    def step(self, inputs, targets, weights):
        self.seen.append((inputs, targets, weights))
        self._optimizer.zero_grad()
        self._loss(self._critic(inputs), targets, weights).sum().backward()
        self._optimizer.step()

    @contextlib.contextmanager
    def rest(self):
        self.n_rests += 1
        self._critic.requires_grad_(False)
        yield
        self._critic.requires_grad_(True)


def make_table(n_people=30, seed=0):
    """Mornings without steps at site a, long walks at b; a person's first row names their site."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(n_people), 1 + np.arange(n_people) % 4)
    site = np.array(["a", "b"])[people % 2]
    steps = np.where(site == "a", 0, rng.uniform(15_000, 17_000, len(people)))
    sleep = np.where(rng.random(len(people)) < 0.3, np.nan, rng.uniform(300, 480, len(people)))
    return pd.DataFrame({"steps": steps, "sleep_min": sleep, "site": site, "person": people})


def train(table, stepper, noise_seed=1, conditions=(), keeping=None, look=None, progress=None, **changes):
    options = {"sampling_probability": 1.0, "n_steps": 6, "n_hidden": 12, "steps_per_update": 2, **changes}
    gan = TableGan(DOMAIN, GanSettings(0.0, **options), conditions)
    noise = open_noise(rehearsal=True, seed=noise_seed)
    return gan.train(table, stepper, noise, 3, keeping, look, *([progress] if progress else []))


def test_a_person_is_one_example_of_real_and_made_days_that_weigh_alike():
    stepper = OpenStepper([0, 3])
    train(make_table(), stepper)
    days, signs, weights = stepper.seen[0]
    assert days.shape == (2, 8, 9 + 7 + 3)
    assert signs.tolist() == [[-1] * 4 + [1] * 4] * 2
    # Person 0 has one row, person 3 has four; empty places weigh nothing.
    assert weights.tolist() == [[1, 0, 0, 0] * 2, [0.25] * 8]
    assert float((weights * signs).sum()) == 0
    choices = days[1].split((9, 7, 3), 1)
    assert all(torch.allclose(each.sum(1), torch.ones(8)) for each in choices)


def test_later_rows_of_a_person_are_left_out():
    table = pd.concat([make_table(), pd.DataFrame({"steps": [1.0] * 9, "sleep_min": 100.0, "site": "c", "person": 1})])
    stepper = OpenStepper([1])
    train(table, stepper)
    assert stepper.seen[0][2].shape == (1, 8)
    assert int(stepper.seen[0][0][0, :4, 18].sum()) == 2


def test_made_days_beside_a_person_have_their_conditions():
    stepper = OpenStepper([0, 1])
    train(make_table(), stepper, conditions=("site",))
    days = stepper.seen[0][0]
    assert torch.equal(days[:, :4, -3:], days[:, 4:, -3:])
    assert days[0, 0, -3:].tolist() == [1, 0, 0]
    assert days[1, 0, -3:].tolist() == [0, 1, 0]


def test_the_generator_draws_the_same_whoever_takes_part_and_made_days_beside_people_do_not():
    """Else the public seed would tell how many took part, or shift everybody else's days where one is left out."""
    few, many = OpenStepper([0]), OpenStepper(range(30))
    no_learning = {"critic_learning_rate": 1e-30}
    one, other = (train(make_table(), each, **no_learning) for each in (few, many))
    for own, same in zip(one.generator.parameters(), other.generator.parameters(), strict=True):
        assert torch.equal(own, same)
    again = OpenStepper([0])
    train(make_table(), again, noise_seed=2, **no_learning)
    assert torch.equal(few.seen[0][0][:, :4], again.seen[0][0][:, :4])
    assert not torch.equal(few.seen[0][0][:, 4:], again.seen[0][0][:, 4:])


def test_the_critic_rests_whenever_the_generator_learns_and_its_weights_stay_bounded():
    stepper = OpenStepper(range(30))
    train(make_table(), stepper, weight_bound=0.01)
    assert stepper.n_rests == 3
    assert all(float(each.detach().abs().max()) <= 0.01 for each in stepper._critic.parameters())


def test_it_learns_what_goes_with_what():
    trained = train(
        make_table(),
        OpenStepper(range(30)),
        conditions=("site",),
        n_hidden=32,
        n_steps=200,
        steps_per_update=1,
        learning_rate=0.003,
        critic_learning_rate=0.003,
    )
    rows = trained.draw(400).rows
    found = rows.groupby("site")["steps"].agg(lambda each: (each == 0).mean())
    assert found["a"] > 0.6 > 0.3 > found["b"]
    asked = trained.draw(50, given={"site": "b"}).rows
    assert set(asked["site"]) == {"b"}
    with pytest.raises(SpecificationError, match="conditions of the training"):
        trained.draw(5, given={"steps": 3})
    with pytest.raises(SpecificationError, match="3 public categories"):
        trained.draw(5, given={"site": "d"})


def test_a_step_in_which_nobody_takes_part_is_one_like_any_other():
    stepper = OpenStepper([])
    trained = train(make_table(), stepper, conditions=("site",))
    assert [len(days) for days, _, _ in stepper.seen] == [0] * 6
    assert len(trained.draw(5).rows) == 5


def test_a_stopped_training_goes_on_where_it_was(tmp_path):
    path, steps, table = tmp_path / "gan.pt", [], make_table()

    def stop(what, done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(table, OpenStepper(range(30)), keeping=Keeping(path, 4), progress=stop)
    looked = []
    resumed = OpenStepper(range(30))
    train(
        table,
        resumed,
        keeping=Keeping(path, 4),
        look=lambda step, so_far: looked.append((step, len(so_far.draw(5).rows))),
        progress=lambda what, done, total: steps.append(done),
    )
    assert steps == [5, 6]
    assert looked == [(6, 5)]
    finished = train(table, OpenStepper([]), keeping=Keeping(path, 4))
    assert all(torch.isfinite(each).all() for each in finished.generator.parameters())


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    path = tmp_path / "gan.pt"
    train(make_table(), OpenStepper([0]), keeping=Keeping(path))
    with pytest.raises(DataContractError, match="other settings"):
        train(make_table(), OpenStepper([0]), keeping=Keeping(path), n_steps=8)
    path.write_bytes(b"something else")
    with pytest.raises(DataContractError, match="that a GAN wrote"):
        train(make_table(), OpenStepper([0]), keeping=Keeping(path))


def test_the_plan_is_the_steps_and_the_counts_of_conditions():
    settings = GanSettings(2.0, sampling_probability=1.0, n_steps=10)
    steps = RepeatedEvent(GaussianEvent(2.0), 10)
    assert settings.plan(1) == ComposedEvent((steps,))
    assert settings.plan(3) == ComposedEvent((GaussianEvent(8.0), steps))
    assert settings.plan(3, 4) == ComposedEvent((RepeatedEvent(GaussianEvent(2.0), 6),))
    assert GanSettings(0.0).plan(1) == NonPrivateEvent()


def test_a_critic_sees_where_numbers_lie_and_words_again():
    """Steps have eight bins and zero, sleep six and missing, and there are three sites."""
    sight = make_sight(DOMAIN.attributes)
    assert sight.shape == (19, 19 + 1 + 1 + 3)
    assert torch.equal(sight[:, :19], torch.eye(19))
    place = sight[:, 19]
    assert float(place[0]) == -float(place[7]) < 0
    assert place[8:].tolist() == [0.0] * 11
    assert torch.equal(sight[16:, 21:], float(place[7]) * torch.eye(3))


def test_all_faults_of_settings_are_named_at_once():
    with pytest.raises(SpecificationError, match=r"sampling_probability.*noise_multiplier.*n_steps.*clip_norm"):
        GanSettings(float("nan"), sampling_probability=0.0, n_steps=0, clip_norm=-1.0)
    for conditions in (("steps",), ("site", "site"), ("nothing",)):
        with pytest.raises(SpecificationError, match="conditions: expected"):
            TableGan(DOMAIN, GanSettings(1.0), conditions)


def test_a_choice_is_drawn_by_its_logits_and_passes_gradients():
    logits = torch.tensor([1.0, 2.0, 0.0]).repeat(20_000, 1).requires_grad_()
    choice = draw_choice(logits, torch.Generator().manual_seed(0))
    shares = choice.detach().mean(0)
    torch.testing.assert_close(shares, torch.tensor([1.0, 2.0, 0.0]).softmax(0), rtol=0, atol=0.02)
    choice[:, 0].sum().backward()
    assert float(logits.grad.abs().sum()) > 0


def test_the_loss_is_made_days_less_real_ones():
    scores, signs = torch.tensor([[1.0, 9.0, 4.0, 9.0]]), torch.tensor([[-1.0, -1.0, 1.0, 1.0]])
    assert measure_difference(scores, signs, torch.tensor([[1.0, 0.0, 1.0, 0.0]])).tolist() == [3.0]
