"""One call for every method: what is paid, labelled and refused."""

import json

import numpy as np
import pandas as pd
import pytest

from twinlab.budget import NonPrivateEvent, PrivacyBudget, PrivacyUnit, RepeatedEvent
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import simulate
from twinlab.errors import BudgetExhaustedError, DataContractError, SpecificationError
from twinlab.ledger import open_ledger
from twinlab.pipeline import synthetic_making
from twinlab.pipeline.synthetic_making import NobodyPays, make_synthetic
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.synthetic import CategoricalAttribute, Domain, NumericAttribute
from twinlab.protection.synthetic.gan_stream import WEEKEND
from twinlab.release import DifferentialPrivacy, NoGuarantee

ATTRIBUTES = (
    NumericAttribute("steps", 0.0, 20_000.0, 8),
    NumericAttribute("sleep_min", 0.0, 720.0, 8),
    CategoricalAttribute("site", ("a", "b")),
)
DOMAIN = Domain(ATTRIBUTES, PrivacyUnit.PERSON, person_column="person", most_rows_per_person=5)
SMALL = {"n_steps": 4, "n_hidden": 8, "every": 2}
TABLE_METHODS = {"tree_marginals": {}, "adaptive_marginals": {}, "gan": {**SMALL, "conditions": ("site",)}}


class Payer:
    def __init__(self):
        self.events = []

    def spend(self, event, *, purpose):
        self.events.append((purpose, event))


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    columns = {"steps": rng.uniform(0, 9000, 200), "sleep_min": rng.uniform(300, 500, 200)}
    return pd.DataFrame({**columns, "site": rng.choice(["a", "b"], 200), "person": np.arange(200) // 5})


@pytest.fixture(scope="module")
def cohort():
    return simulate(draw_people(12, 0), 3, 0).cohort


def make(people, method="tree_marginals", **changes):
    is_table = isinstance(people, pd.DataFrame)
    about = {"domain": DOMAIN, "ledger": NobodyPays()} if is_table else {}
    options = {"method": method, "epsilon": 3.0, "unit": PrivacyUnit.PERSON, "n_made": 50, **about}
    return make_synthetic(people, **{**options, **changes})


@pytest.mark.parametrize("method", TABLE_METHODS)
def test_every_method_pays_what_it_promises_and_labels_its_rows(method, table, tmp_path):
    payer = Payer()
    made = make(table, method, ledger=payer, options=TABLE_METHODS[method], purpose="a lesson")
    assert isinstance(made.guarantee, DifferentialPrivacy)
    assert payer.events == [("a lesson", made.guarantee.event)]
    assert 2.9 < made.guarantee.epsilon <= 3.0
    assert made.guarantee.epsilon == compute_epsilon(payer.events[0][1], 1e-5)
    assert made.rows["is_synthetic"].all()
    assert list(made.rows.columns) == [*DOMAIN.names, "is_synthetic"]
    assert len(made.rows) == 50
    assert "person" in made.sentence
    path, card = made.export(tmp_path / "people.csv")
    assert pd.read_csv(path)["is_synthetic"].all()
    assert json.loads(card.read_text())["epsilon"] == made.guarantee.epsilon


def test_a_gan_of_streams_makes_people_hour_by_hour(cohort, tmp_path):
    seen = []
    made = make(
        cohort,
        "gan",
        n_made=6,
        n_days=2,
        options={**SMALL, "condition": WEEKEND},
        look=lambda step, rows: seen.append((step, bool(rows["is_synthetic"].all()))),
    )
    assert made.made.values.shape == (6, 48, len(cohort.signals))
    assert made.made.attributes["is_synthetic"].all()
    assert made.rows["is_synthetic"].all()
    assert seen == [(2, True), (4, True)]
    assert made.guarantee.epsilon <= 3.0
    path, card = made.export(tmp_path / "people.parquet")
    assert pd.read_parquet(path).attrs["synthetic"]["unit"] == "person"
    assert json.loads(card.read_text())["n_people"] == 6
    with pytest.raises(SpecificationError, match=r"\.csv or \.parquet"):
        made.export(tmp_path / "people.txt")


def test_the_fitted_simulator_is_asked_for_what_was_asked(cohort, monkeypatch):
    """What it learns has tests of its own; here only what goes in and comes out."""
    asked = {}

    class Fitted:
        guarantee = NoGuarantee("a stub")

        def simulate(self, n_people, n_days, seed, progress):
            return simulate(draw_people(n_people, seed), n_days, seed).cohort

    monkeypatch.setattr(synthetic_making, "fit_simulator", lambda people, **options: asked.update(options) or Fitted())
    made = make(cohort, "fitted_simulator", n_made=3, n_days=2, epsilon=2.0)
    assert (asked["epsilon"], asked["delta"], asked["purpose"]) == (2.0, 1e-5, "synthetic people")
    assert made.made.attributes["is_synthetic"].tolist() == [True] * 3
    assert made.guarantee == Fitted.guarantee


def test_a_trained_gan_makes_more_at_no_cost(table):
    payer = Payer()
    made = make(table, "gan", ledger=payer, options={**SMALL, "conditions": ("site",)})
    assert set(made.source.draw(30, given={"site": "a"}).rows["site"]) == {"a"}
    assert len(payer.events) == 1


def test_a_resumed_training_is_charged_for_what_is_left(table, tmp_path):
    payer, path = Payer(), tmp_path / "gan.pt"

    def stop(what, done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(table, "gan", ledger=payer, options=SMALL, checkpoint=path, progress=stop)
    made = make(table, "gan", ledger=payer, options=SMALL, checkpoint=path)
    make(table, "gan", ledger=payer, options=SMALL, checkpoint=path)
    steps = [event.events[-1] for _, event in payer.events]
    assert [each.n_times for each in steps] == [4, 2]
    assert made.guarantee.event.events == (RepeatedEvent(steps[0].event, 4),)


def test_what_cannot_be_paid_for_is_not_made(table, tmp_path):
    ledger = open_ledger(
        tmp_path / "ledger.db", cohort="somebody", budget=PrivacyBudget(2.0, 1e-5), accountant=compute_epsilon
    )
    with pytest.raises(BudgetExhaustedError):
        make(table, ledger=ledger)
    assert make(table, ledger=ledger, epsilon=1.5).rows["is_synthetic"].all()
    rows = Domain(ATTRIBUTES, PrivacyUnit.ROW)
    with pytest.raises(SpecificationError, match="the ledger counts per person"):
        make(table, ledger=ledger, domain=rows, unit=PrivacyUnit.ROW)
    with pytest.raises(BudgetExhaustedError):
        make(table, "gan", ledger=ledger, epsilon=float("inf"), options=SMALL)


def test_a_table_that_breaks_its_domain_is_not_charged(table):
    for method, options in TABLE_METHODS.items():
        payer = Payer()
        with pytest.raises(DataContractError):
            make(table.assign(site="z"), method, ledger=payer, options=options)
        assert payer.events == []


def test_a_rehearsal_and_no_noise_promise_nothing(table):
    payer = Payer()
    one, same = (make(table, rehearsal_seed=1, ledger=payer) for _ in range(2))
    pd.testing.assert_frame_equal(one.rows, same.rows)
    assert one.guarantee == NoGuarantee("noise is reproducible")
    assert {event for _, event in payer.events} == {NonPrivateEvent()}
    bare = make(table, "gan", epsilon=float("inf"), options=SMALL)
    assert bare.guarantee == NoGuarantee("trained on people without noise")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"unit": PrivacyUnit.ROW}, "domain: expected one for a training row"),
        ({"domain": None}, "domain: expected one"),
        ({"method": "fitted_simulator"}, "makes streams of a cohort"),
        ({"method": "magic"}, "method: expected one of tree_marginals"),
        ({"ledger": None}, r"say NobodyPays\(\)"),
        ({"epsilon": float("inf")}, "finite for marginals"),
        ({"epsilon": float("nan")}, "epsilon: expected above 0"),
        ({"checkpoint": "gan.pt"}, "only a GAN takes them"),
        ({"n_made": 0}, "n_made, n_days: expected 1 or more"),
        ({"options": {"colour": 1}}, "tree_marginals takes no colour"),
        ({"method": "gan", "options": {"colour": 1}}, "expected those of a GAN"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, fault, table):
    with pytest.raises(SpecificationError, match=fault):
        make(table, **changes)


def test_streams_take_no_marginals_and_no_other_unit(cohort):
    with pytest.raises(SpecificationError, match="makes tables"):
        make(cohort)
    with pytest.raises(SpecificationError, match=r"expected PrivacyUnit\.PERSON for streams"):
        make(cohort, "gan", unit=PrivacyUnit.ROW)


def test_the_unit_has_no_default(table):
    with pytest.raises(TypeError, match="unit"):
        make_synthetic(table, method="gan", epsilon=1.0, domain=DOMAIN, ledger=NobodyPays())
