"""Days of hourly readings: scaled and back, one example a person, made within bounds."""

import contextlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch

from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.synthetic.domain import CategoricalAttribute
from twinlab.protection.synthetic.gan import GanSettings
from twinlab.protection.synthetic.gan_stream import (
    WEEKEND,
    StreamCritic,
    StreamGan,
    scale_readings,
    unscale_readings,
)

SIGNALS = ("steps", "heart_rate_bpm")
SETTINGS = GanSettings(0.0, sampling_probability=1.0, n_steps=4, n_hidden=6, steps_per_update=2)


@dataclass
class People:
    """What the GAN reads of a cohort."""

    values: np.ndarray
    attributes: pd.DataFrame
    signals: tuple = ("heart_rate_bpm", "steps")

    start = property(lambda self: pd.Timestamp("2025-03-07 18:00"))  # a Friday evening
    n_people = property(lambda self: len(self.values))
    n_hours = property(lambda self: self.values.shape[1])


def make_people(n_people=5, n_hours=6 + 3 * 24 + 5):
    """Nobody walks at night; the first person wore nothing on the second day."""
    rng = np.random.default_rng(0)
    values = np.stack([rng.uniform(55, 110, (n_people, n_hours)), rng.uniform(1, 3000, (n_people, n_hours))], axis=-1)
    values[:, (np.arange(n_hours) + 18) % 24 < 6, 1] = 0
    values[0, 6 + 24 : 6 + 48] = np.nan
    values[1, 10, 0] = np.nan
    return People(values.astype(np.float32), pd.DataFrame({"sex": ["f", "m"] * (n_people // 2) + ["f"]}))


class Stepper:
    """Steps without protection."""

    def __init__(self, n_most=99):
        self.seen, self._n_most = [], n_most

    def __call__(self, critic, loss, settings, make_optimizer):
        self._critic, self._loss, self._optimizer = critic, loss, make_optimizer(critic.parameters())
        return self

    def choose(self, n_units):
        return torch.arange(min(n_units, self._n_most))

    def step(self, inputs, targets, weights):
        self.seen.append((inputs, targets, weights))
        self._optimizer.zero_grad()
        self._loss(self._critic(inputs), targets, weights).sum().backward()
        self._optimizer.step()

    def rest(self):
        return contextlib.nullcontext()


def train(people=None, n_most=99, **options):
    stepper = Stepper(n_most)
    gan = StreamGan(SIGNALS, SETTINGS, **options)
    return gan.train(people or make_people(), stepper, open_noise(rehearsal=True, seed=1)), stepper


def test_readings_come_back_from_the_scale_they_are_learned_on():
    days = make_people().values[:, 6 : 6 + 72].reshape(-1, 24, 2)[..., ::-1]
    days = days[np.isfinite(days).any((1, 2))].copy()
    days[0, 0] = (25_000, 250)
    days[0, 1] = (0, 20)
    back = unscale_readings(scale_readings(days, SIGNALS), SIGNALS)
    np.testing.assert_allclose(back, days, rtol=1e-4, atol=0.01)
    assert np.abs(scale_readings(days, SIGNALS)).max() <= 1


def test_a_person_is_one_example_of_whole_days_and_days_not_worn_weigh_nothing():
    examples = StreamGan(SIGNALS, SETTINGS).list_examples(make_people())
    assert examples.values.shape == (5, 3, 2 * 4 * 24)
    assert examples.weights.tolist()[0] == [0.5, 0.0, 0.5]
    np.testing.assert_allclose(examples.weights.sum(1), 1.0, rtol=1e-6)
    # The first whole day begins at midnight, with hours in which nobody walks: steps are the first signal.
    assert bool((examples.values[2, 0, 48:54] == 1).all())
    assert StreamGan(SIGNALS, SETTINGS, most_days_per_person=2).list_examples(make_people()).values.shape[1] == 2


def test_conditions_are_the_calendar_or_an_attribute():
    examples = StreamGan(SIGNALS, SETTINGS, condition=WEEKEND).list_examples(make_people())
    assert examples.cells.tolist() == [[1, 1, 0]] * 5
    by_sex = StreamGan(SIGNALS, SETTINGS, condition=CategoricalAttribute("sex", ("f", "m")))
    assert by_sex.list_examples(make_people()).cells[:, 0].tolist() == [0, 1, 0, 1, 0]
    _, stepper = train(condition=WEEKEND)
    days = stepper.seen[0][0]
    assert days.shape == (5, 6, 2 * 4 * 24 + 2)
    assert torch.equal(days[:, :3, -2:], days[:, 3:, -2:])


def test_made_days_are_within_bounds_and_the_same_from_the_same_seed():
    trained, _ = train(condition=WEEKEND)
    days = trained.draw(30, seed=2, words=[True] * 30)
    assert days.shape == (30, 24, 2)
    assert days.dtype == np.float32
    assert np.nanmin(days[..., 0]) >= 0
    assert np.nanmin(days[..., 1]) >= 20
    assert np.nanmax(days[..., 1]) <= 250
    assert 0.05 < np.isnan(days).mean() < 0.7  # before it has learned, each hour is missing one time in three
    np.testing.assert_array_equal(days, trained.draw(30, seed=2, words=[True] * 30))
    assert not np.array_equal(days, trained.draw(30, seed=3, words=[True] * 30), equal_nan=True)


def test_a_step_in_which_nobody_takes_part_is_one_like_any_other():
    trained, stepper = train(n_most=0, condition=WEEKEND)
    assert [tuple(days.shape) for days, _, _ in stepper.seen] == [(0, 6, 2 * 4 * 24 + 2)] * 4
    assert trained.draw(3).shape == (3, 24, 2)


def test_each_day_is_scored_for_itself():
    """Days stand on an axis of their own: what is in one does not reach another's score."""
    critic = StreamCritic(8, 0, 6)
    days = torch.randn(2, 3, 8 * 24, generator=torch.Generator().manual_seed(0))
    scores = critic(days).detach()
    changed = days.clone()
    changed[1, 2] += 1
    after = critic(changed).detach()
    assert scores.shape == (2, 3)
    different = (scores != after).tolist()
    assert different == [[False] * 3, [False, False, True]]
    assert torch.allclose(critic(days[:, [2]]).detach()[:, 0], scores[:, 2], atol=1e-6)


def test_what_cannot_be_is_refused():
    with pytest.raises(SpecificationError, match="expected a signal among"):
        StreamGan(("mood",), SETTINGS)
    with pytest.raises(SpecificationError, match="different ones"):
        StreamGan(("steps", "steps"), SETTINGS)
    with pytest.raises(SpecificationError, match="most_days_per_person"):
        StreamGan(SIGNALS, SETTINGS, most_days_per_person=0)
    with pytest.raises(DataContractError, match="expected whole days"):
        StreamGan(SIGNALS, SETTINGS).list_examples(make_people(n_hours=20))
    with pytest.raises(DataContractError, match="no glucose_mg_dl"):
        StreamGan(("glucose_mg_dl",), SETTINGS).list_examples(make_people())
    with pytest.raises(DataContractError, match="an attribute 'condition'"):
        StreamGan(SIGNALS, SETTINGS, condition=CategoricalAttribute("condition", ("a", "b"))).list_examples(
            make_people()
        )
    trained, _ = train(condition=WEEKEND)
    with pytest.raises(SpecificationError, match="a word of False, True for each"):
        trained.draw(2, words=["Sunday", True])
