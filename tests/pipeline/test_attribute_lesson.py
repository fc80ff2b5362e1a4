import numpy as np
import pytest

import twinlab as tl
from twinlab.cohorts.person import draw_people
from twinlab.errors import DataContractError, SpecificationError
from twinlab.pipeline.attribute_evidence import ATTRIBUTES, draw_others, tabulate_public, tabulate_secrets
from twinlab.pipeline.attribute_lesson import attack_attributes, compare_attribute_sources
from twinlab.roles import report_nothing

#: Claims and quicker tests watch over the same.
pytestmark = pytest.mark.thorough

SMALL = tl.Experiment().with_({"cohort.n_people": 60, "cohort.n_days": 4, "cohort.seed": 3})
FEW = {"n_days": 3, "n_others": 60}


@pytest.fixture(scope="module")
def result():
    return attack_attributes(SMALL, from_="readings", **FEW)


def test_a_row_and_a_finding_for_each_attribute_that_splits_people(result):
    assert set(result.table["attribute"]) | set(result.left_out) == set(ATTRIBUTES)
    assert len(result.findings) == len(result.table) > 3
    assert (result.table["advantage"].diff().dropna() <= 0).all()
    assert result.findings[0].sentence in result.sentence
    assert (result.table["source"] == "readings").all()


def test_the_server_saw_readings_and_no_attribute(result):
    (message,) = result.transcript
    assert message.receiver == result.threat.access == "server"
    assert message.payload.shape == (60, 72, 6)
    assert message.n_messages == 60


def test_an_attribute_is_never_among_what_is_public():
    about = draw_people(300, 0).attributes
    assert tabulate_public(about).shape == (300, 7)
    assert tabulate_public(about, "sex").shape == (300, 6)
    assert tabulate_public(about, "age").shape == (300, 1)
    male = tabulate_secrets(about)["male"].to_numpy()
    assert not any(np.array_equal(column, male) for column in tabulate_public(about, ATTRIBUTES["male"]).T)
    older = tabulate_secrets(about)["older than 50"].to_numpy()
    public = tabulate_public(about, ATTRIBUTES["older than 50"])
    assert not any(np.array_equal(column, older) for column in public.T)


def test_the_attackers_own_people_are_never_those_in_question():
    usual = draw_others(5, 2, ("steps",), -1, report_nothing).values
    other = draw_others(5, 2, ("steps",), 21_000, report_nothing).values
    assert not np.array_equal(usual, other, equal_nan=True)


def test_sources_stand_side_by_side():
    table = compare_attribute_sources(SMALL, ("readings", "noisy readings"), attributes=("male",), **FEW)
    assert table["source"].tolist() == ["readings", "noisy readings"]
    assert table["baseline"].nunique() == 1


def test_twins_let_out_heads_and_forecasts():
    few = SMALL.with_({"cohort.n_people": 20})
    table = compare_attribute_sources(few, ("heads", "forecasts"), attributes=("male",), n_days=2, n_others=50)
    assert table["source"].tolist() == ["heads", "forecasts"]
    assert table["auc"].between(0, 1).all()


def test_what_is_not_there_is_refused():
    with pytest.raises(SpecificationError, match=r"from_: .*; attributes: .*; n_days: .*; n_others: "):
        attack_attributes(SMALL, from_="dreams", attributes=("wealth",), n_days=1, n_others=3)
    with pytest.raises(DataContractError, match="at most the 4 whole days"):
        attack_attributes(SMALL, from_="readings", n_days=9)
    with pytest.raises(SpecificationError, match="study more people"):
        attack_attributes(SMALL, from_="readings", attributes=("sleep apnoea",), n_people=10, **FEW)
    nameless = tl.load_cohort(SMALL)
    bare = type(nameless)("bare", nameless.person_ids, nameless.start, nameless.signals, nameless.values)
    with pytest.raises(DataContractError, match="only simulated people's are known"):
        attack_attributes(bare, from_="readings", **FEW)
