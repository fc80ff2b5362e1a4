import math
import os
import shutil

import pytest

from twinlab.budget import (
    ComposedEvent,
    GaussianEvent,
    NeighboringRelation,
    NonPrivateEvent,
    PrivacyBudget,
    PrivacyUnit,
    PureEvent,
)
from twinlab.chain import adopt_chain
from twinlab.errors import BudgetExhaustedError, PrivacyError, SpecificationError, UnsupportedEventError
from twinlab.ledger import PrivacyLedger, find_data_folder, open_ledger
from twinlab.protection.differential_privacy.accounting import compute_epsilon

BUDGET = PrivacyBudget(2.0, 1e-6)


@pytest.fixture
def ledger(tmp_path):
    return make(tmp_path / "ledger.sqlite")


def make(path, **changes):
    settings = {"cohort": "c0ffee", "budget": BUDGET, "accountant": compute_epsilon} | changes
    return PrivacyLedger(path, **settings)


def test_costs_add_up_to_what_was_spent_exactly(ledger):
    receipts = [ledger.spend(GaussianEvent(8.0 + i), purpose="research") for i in range(5)]
    assert sum(round(r.epsilon * 1e6) for r in receipts) == round(receipts[-1].total_epsilon * 1e6)
    assert ledger.gauge()["spent"] == receipts[-1].total_epsilon
    assert ledger.remaining() == receipts[-1].remaining_epsilon == pytest.approx(2 - receipts[-1].total_epsilon)
    composed = compute_epsilon([GaussianEvent(8.0 + i) for i in range(5)], 1e-6)
    assert composed <= receipts[-1].total_epsilon <= composed + 1e-6


def test_events_cost_less_together_than_one_by_one(ledger):
    first, second = ledger.spend(GaussianEvent(8.0)), ledger.spend(GaussianEvent(8.0))
    assert second.epsilon < first.epsilon


def test_an_event_that_does_not_fit_is_refused_and_costs_nothing(ledger):
    ledger.spend(PureEvent(1.5))
    with pytest.raises(
        BudgetExhaustedError, match=r"asked for epsilon 0\.6, but 0\.5 remains .*per person.*Nothing was"
    ):
        ledger.spend(PureEvent(0.6))
    assert ledger.remaining() == 0.5
    ledger.spend(PureEvent(0.5))
    assert ledger.remaining() == 0
    with pytest.raises(BudgetExhaustedError):
        ledger.spend(PureEvent(1e-6))


def test_what_protects_nothing_is_always_refused(ledger):
    with pytest.raises(BudgetExhaustedError, match="more than any budget"):
        ledger.spend(NonPrivateEvent())
    assert ledger.price(NonPrivateEvent()) == math.inf


def test_a_re_run_spends_again_and_says_so(ledger):
    again = [ledger.spend(PureEvent(0.1), experiment="ab12") for _ in range(3)]
    assert [receipt.n_earlier for receipt in again] == [0, 1, 2]
    assert "charged 2 times before" in str(again[2])
    assert "before" not in str(again[0])
    assert ledger.gauge()["spent"] == pytest.approx(0.3, abs=1e-5)


def test_a_price_is_what_is_then_charged(ledger):
    ledger.spend(GaussianEvent(5.0))
    price = ledger.price(GaussianEvent(7.0))
    assert ledger.spend(GaussianEvent(7.0)).epsilon == price


def test_a_receipt_gives_nothing_back(ledger):
    def fail_while_drawing():
        with ledger.spend(PureEvent(0.5)) as receipt:
            raise RuntimeError(str(receipt))

    with pytest.raises(RuntimeError, match=r"charged epsilon 0\.5"):
        fail_while_drawing()
    assert ledger.remaining() == 1.5


def test_a_purpose_keeps_within_its_quota_and_all_within_the_cap(tmp_path):
    ledger = make(tmp_path / "ledger.sqlite", quotas={"teaching": 0.5, "research": 1.9})
    ledger.spend(PureEvent(0.5), purpose="teaching")
    with pytest.raises(BudgetExhaustedError, match="quota of 'teaching'"):
        ledger.spend(PureEvent(0.1), purpose="teaching")
    assert ledger.remaining("teaching") == 0
    assert ledger.remaining("research") == 1.5  # its quota has 1.9, the cap has less
    with pytest.raises(BudgetExhaustedError, match="the cap"):
        ledger.spend(PureEvent(1.6), purpose="research")
    ledger.spend(PureEvent(1.0), purpose="research")
    ledger.spend(PureEvent(0.5), purpose="anything else")
    assert [(row["purpose"], row["quota"], row["spent"]) for row in ledger.gauge()["purposes"]] == [
        ("anything else", 2.0, 0.5),
        ("research", 1.9, 1.0),
        ("teaching", 0.5, 0.5),
    ]


def test_cohorts_and_units_have_accounts_of_their_own(tmp_path):
    path = tmp_path / "ledger.sqlite"
    people, others = make(path), make(path, cohort="0ther")
    readings = make(path, budget=PrivacyBudget(2.0, 1e-6, PrivacyUnit.READING))
    people.spend(PureEvent(1.0))
    readings.spend(PureEvent(0.25))
    assert (people.remaining(), others.remaining(), readings.remaining()) == (1.0, 2.0, 1.75)
    assert make(path).remaining() == 1.0


def test_a_cap_cannot_be_raised_by_opening_the_account_again(tmp_path):
    make(tmp_path / "ledger.sqlite").spend(PureEvent(1.0))
    for change in ({"budget": PrivacyBudget(3.0, 1e-6)}, {"budget": PrivacyBudget(2.0, 1e-5)}, {"quotas": {"x": 1.0}}):
        with pytest.raises(SpecificationError, match="expected the terms it was opened with"):
            make(tmp_path / "ledger.sqlite", **change)


def test_events_of_another_neighbouring_relation_are_refused(tmp_path):
    replaced = PrivacyBudget(1.0, 1e-6, neighboring_relation=NeighboringRelation.REPLACE_ONE)
    with pytest.raises(UnsupportedEventError, match="replace one"):
        make(tmp_path / "ledger.sqlite", budget=replaced)
    assert not (tmp_path / "ledger.sqlite").exists()


def test_the_rows_and_the_text_say_what_happened_and_nothing_about_people(ledger):
    ledger.spend(ComposedEvent(tuple(GaussianEvent(50.0 + i) for i in range(9))), purpose="research", experiment="ab12")
    ledger.spend(PureEvent(0.1))
    rows = ledger.entries()
    assert [row["event"] for row in rows] == ["ComposedEvent of 9 events", "PureEvent(epsilon=0.1, delta=0.0)"]
    assert [row["number"] for row in rows] == [2, 3]
    assert rows[0]["purpose"] == "research"
    assert rows[0]["experiment"] == "ab12"
    assert rows[0]["time"] < rows[1]["time"]
    assert "of 2 spent per person at delta 1e-06, 2 events" in repr(ledger)


def test_an_accountant_that_returns_nonsense_spends_nothing(tmp_path):
    for nonsense in (math.nan, -1.0):
        ledger = make(tmp_path / "ledger.sqlite", accountant=lambda events, delta, value=nonsense: value)
        with pytest.raises(UnsupportedEventError):
            ledger.spend(PureEvent(0.1))
    assert make(tmp_path / "ledger.sqlite").remaining() == 2.0


def test_a_copy_on_purpose_is_adopted_and_the_record_says_why(tmp_path):
    old, new = tmp_path / "a" / "ledger.sqlite", tmp_path / "b" / "ledger.sqlite"
    make(old).spend(PureEvent(1.0))
    shutil.copytree(old.parent, new.parent)
    with pytest.raises(PrivacyError, match="copy or a restored backup"):
        make(new)
    adopt_chain(new, reason="new disk")
    ledger = make(new)
    assert ledger.remaining() == 1.0
    ledger.spend(PureEvent(0.5))
    assert make(new).remaining() == 0.5


def test_a_moved_ledger_goes_on(tmp_path):
    make(tmp_path / "ledger.sqlite").spend(PureEvent(1.0))
    for name in ("ledger.sqlite", "ledger.sqlite.seal"):
        os.rename(tmp_path / name, tmp_path / f"moved-{name}")
    assert make(tmp_path / "moved-ledger.sqlite").remaining() == 1.0


def test_the_seal_is_for_its_owner_alone(ledger):
    seal = ledger.path.with_name("ledger.sqlite.seal")
    if os.name == "posix":
        assert seal.stat().st_mode & 0o077 == 0


def test_the_place_can_be_named_or_comes_from_the_environment(tmp_path, monkeypatch):
    named = {"cohort": "c", "budget": BUDGET, "accountant": compute_epsilon}
    assert open_ledger(tmp_path / "x.sqlite", **named).path == tmp_path / "x.sqlite"
    monkeypatch.setenv("TWINLAB_LEDGER", str(tmp_path / "deep" / "y.sqlite"))
    assert open_ledger(**named).path == tmp_path / "deep" / "y.sqlite"
    monkeypatch.delenv("TWINLAB_LEDGER")
    for variable in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    assert open_ledger(**named).path == find_data_folder() / "ledger.sqlite"
    assert tmp_path in find_data_folder().parents
