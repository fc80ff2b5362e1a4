"""What happens when a party does wrong: the run ends in time, nothing is answered, and the party is named if it can be.

Each test starts three processes.
"""

import numpy as np
import pytest

from twinlab.errors import DataContractError, ProtocolError, SpecificationError
from twinlab.protection.joint.mpyc_program import CoefficientProgram, CompareProgram
from twinlab.protection.joint.mpyc_run import FAULTS, compute_all_jointly, compute_jointly
from twinlab.protection.joint.statistic import Column

HEART, SLEEP = Column("resting_heart_rate_bpm", 30.0, 130.0, "bpm"), Column("sleep_min", 0.0, 900.0, "min")
NAMES = ("north", "south", "east")
COMPARE, FIT = CompareProgram(HEART), CoefficientProgram((HEART,), SLEEP)
RNG = np.random.default_rng(6)
HEARTS = {name: RNG.uniform(50.0, 90.0, (20, 1)) for name in NAMES}
ROWS = {name: np.column_stack([hearts, 5 * hearts + RNG.normal(0, 9, (20, 1))]) for name, hearts in HEARTS.items()}


def test_a_party_that_ends_is_named():
    with pytest.raises(ProtocolError, match=r"south: expected its process to do its part, got its end"):
        compute_jointly(COMPARE, HEARTS, fault={"south": "die"})


def test_a_party_that_is_silent_is_named_when_time_is_up():
    with pytest.raises(ProtocolError, match=r"south: expected messages within . s, got none") as caught:
        compute_jointly(COMPARE, HEARTS, time_limit_s=6.0, fault={"south": "silent"})
    assert "east: expected messages" not in str(caught.value)


def test_a_false_share_of_an_opened_sum_is_found():
    with pytest.raises(ProtocolError, match=r"opened values: expected the same at all parties, got others at"):
        compute_jointly(FIT, ROWS, fault={"south": "tamper"})


def test_a_pickle_is_refused():
    with pytest.raises(ProtocolError, match=r"message: expected numbers or a word, got something else"):
        compute_jointly(COMPARE, HEARTS, fault={"south": "pickle"})


@pytest.mark.thorough  # tests of the door do it without processes
def test_a_party_that_says_anothers_number_is_named():
    with pytest.raises(ProtocolError, match=r"south: expected its own number, got another's"):
        compute_jointly(COMPARE, HEARTS, fault={"south": "impostor"})


def test_a_party_checks_its_own_rows_and_tells_no_value():
    rows = {**HEARTS, "east": np.full((20, 1), 131.5)}
    with pytest.raises(
        DataContractError, match=r"east: resting_heart_rate_bpm: expected values from 30 to 130"
    ) as caught:
        compute_jointly(COMPARE, rows)
    assert "131" not in str(caught.value)


def test_what_does_not_fit_is_refused_before_a_process_starts(monkeypatch):
    monkeypatch.setattr("twinlab.protection.joint.mpyc_run.Children", None)
    for jobs, options, text in [
        ([], {}, "programs: expected at least one"),
        ([(COMPARE, {name: HEARTS[name] for name in NAMES[:2]})], {}, "two are not protected at all"),
        ([(COMPARE, HEARTS), (FIT, dict(reversed(ROWS.items())))], {}, "tables: expected those of north, south, east"),
        ([(COMPARE, HEARTS)], {"fault": {"west": "die"}}, "fault: expected parties out of north, south, east"),
        ([(COMPARE, HEARTS)], {"fault": {"east": "lie"}}, f"fault: expected one of {', '.join(FAULTS)}"),
        ([(COMPARE, HEARTS)], {"most_colluding": 2}, "most_colluding: expected from 1 to 1"),
    ]:
        with pytest.raises(SpecificationError, match=text):
            compute_all_jointly(jobs, **options)
