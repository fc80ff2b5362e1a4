"""Claims: a person moves the critic's step by no more than the bound, noise and coins are what the account says, and
what is charged is what was promised, before anything is drawn. The naive unit, a day, is caught.

An audit calls a correct step broken with probability below 1e-6; its noise is a rehearsal's, so that this is never.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from twinlab.attacks.promise import PrivateStep
from twinlab.attacks.sampler_audit import audit_sampler
from twinlab.attacks.step_audit import audit_step
from twinlab.budget import PrivacyUnit, SampledGaussianEvent, count_leaves
from twinlab.errors import BudgetExhaustedError
from twinlab.pipeline.synthetic_making import make_synthetic
from twinlab.protection.differential_privacy import randomness
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.differential_privacy.record_level import RecordTraining, UnitStepper
from twinlab.protection.synthetic import CategoricalAttribute, Domain, NumericAttribute
from twinlab.protection.synthetic.gan import GanSettings, measure_difference

#: Wide, so that the audit needs few calls to see the noise.
WIDTH, N_DAYS, CLIP = 1000, 4, 0.7
DOMAIN = Domain(
    (NumericAttribute("steps", 0.0, 20_000.0, 8), CategoricalAttribute("site", ("a", "b"))),
    PrivacyUnit.PERSON,
    person_column="person",
    most_rows_per_person=3,
)


def make_step(unit):
    """A step of a critic that is one line, fed with days of which each person's gradient is the row asked for."""
    noise = open_noise(rehearsal=True, seed=3)

    def make(noise_multiplier):
        def privatize(gradients):
            critic = nn.Sequential(nn.Linear(gradients.shape[1], 1, bias=False), nn.Flatten(1))
            nn.init.zeros_(critic[0].weight)
            terms = RecordTraining(1, 1.0, 1, noise_multiplier, CLIP)
            stepper = UnitStepper(critic, measure_difference, terms, noise, lambda own: torch.optim.SGD(own, lr=1.0))
            days = torch.from_numpy(gradients).float()[:, None].expand(-1, N_DAYS, -1)
            signs, weights = torch.ones(days.shape[:2]), torch.full(days.shape[:2], 1 / N_DAYS)
            if unit == "day":  # what a person's days are where each is clipped for itself
                days, signs, weights = days.flatten(0, 1)[:, None], signs.view(-1, 1), N_DAYS * weights.view(-1, 1)
            stepper.step(days, signs, weights)
            return -critic[0].weight.detach()[0].double().numpy()

        return privatize

    return PrivateStep(make, CLIP, WIDTH)


def test_a_person_moves_a_step_by_no_more_than_the_bound_and_its_noise_is_right():
    report = audit_step(make_step("person"), 1.5, n_repeats=120)
    assert report.verdict == "consistent", report.sentence
    assert 0.99 < max(check.measured for check in report.checks if check.name.startswith("sensitivity")) <= 1.01


def test_a_day_as_the_unit_is_caught():
    report = audit_step(make_step("day"), n_repeats=60)
    assert report.verdict == "broken"
    assert any("clip norms" in fault for fault in report.faults)


def test_people_take_part_by_coins_of_the_probability_that_is_accounted():
    critic = nn.Linear(2, 1)
    terms = RecordTraining(1, 0.2, 1, 1.0, CLIP)
    noise = open_noise(rehearsal=True, seed=5)
    stepper = UnitStepper(critic, measure_difference, terms, noise, lambda own: torch.optim.SGD(own, lr=1.0))

    def sample(n_units):
        taken = np.zeros(n_units, dtype=bool)
        taken[stepper.choose(n_units).numpy()] = True
        return taken

    assert audit_sampler(sample, 0.2).verdict == "consistent"
    assert audit_sampler(sample, 0.25).verdict == "broken"


def test_the_account_is_that_of_the_steps():
    settings = GanSettings(1.3, sampling_probability=0.05, n_steps=400)
    terms = RecordTraining(1, 0.05, 400, 1.3)
    assert compute_epsilon(settings.plan(1), 1e-5) == compute_epsilon(terms.events(), 1e-5)


class Payer:
    """Writes down what is charged, or has nothing left."""

    def __init__(self, *, is_empty=False):
        self.events, self._is_empty = [], is_empty

    def spend(self, event, *, purpose):
        if self._is_empty:
            raise BudgetExhaustedError("nothing left")
        self.events.append(event)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    columns = {"steps": rng.uniform(0, 9000, 60), "site": rng.choice(["a", "b"], 60), "person": np.arange(60) // 3}
    return pd.DataFrame(columns)


def make_gan(table, payer, **options):
    return make_synthetic(
        table,
        method="gan",
        epsilon=2.0,
        unit=PrivacyUnit.PERSON,
        domain=DOMAIN,
        ledger=payer,
        n_made=20,
        options={"n_steps": 4, "n_hidden": 8, **options},
    )


def test_what_is_charged_is_what_is_promised(table):
    payer = Payer()
    made = make_gan(table, payer, conditions=("site",))
    assert payer.events == [made.guarantee.event]
    steps = [n for leaf, n in count_leaves(*payer.events).items() if isinstance(leaf, SampledGaussianEvent)]
    assert steps == [4]
    assert 1.9 < made.guarantee.epsilon <= 2.0
    assert made.guarantee.privacy_unit == PrivacyUnit.PERSON


def test_nothing_is_drawn_for_who_cannot_pay(table, monkeypatch):
    drawn = []
    monkeypatch.setattr(randomness.NoiseSource, "draw_words", lambda *_: drawn.append(1))
    with pytest.raises(BudgetExhaustedError):
        make_gan(table, Payer(is_empty=True))
    assert drawn == []
