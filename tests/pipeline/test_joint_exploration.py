"""What the panel of hospitals asks: hospitals to order, answers as `ask_hospitals` gives them, shares as they were."""

import numpy as np
import pytest

from twinlab.errors import SpecificationError
from twinlab.pipeline.hospital import QUESTION_KINDS, admit_patients, choose_question
from twinlab.pipeline.joint_asking import ask_hospitals
from twinlab.pipeline.joint_exploration import ALIKE, OWN_KIND, explore_hospitals
from twinlab.pipeline.joint_view import compare_parties


@pytest.fixture(scope="module")
def hospitals():
    return admit_patients((60, 50, 40), n_days=7)


@pytest.fixture(scope="module")
def exploration(hospitals):
    return explore_hospitals(hospitals, n_days=7)


class Stopped(Exception):
    """The reader pressed Stop."""


@pytest.mark.parametrize("question", QUESTION_KINDS)
def test_rows_are_those_of_asking_and_shares_open_the_sums(exploration, hospitals, question):
    found = exploration.ask(question, *exploration.start)
    asked = choose_question(question, hospitals)
    oracle = ask_hospitals(asked, hospitals.take_rows(asked))
    wanted = compare_parties(oracle, question, hospitals.truth)
    names = [
        [(row["party"], row["term"] if "term" in row else row["time"]) for row in rows] for rows in (found.rows, wanted)
    ]
    assert names[0] == names[1]
    values = [[row["value"] for row in rows] for rows in (found.rows, wanted)]
    assert values[0] == pytest.approx(values[1], nan_ok=True)
    assert (found.n_rounds, found.n_bytes, found.reason) == (oracle.n_rounds, oracle.n_bytes, "")
    counts = [row["total"] for row in found.totals if row["value"] in ("patients", "admitted", "not admitted")]
    assert sum(counts) == 150
    pairs = {(row["receiver"], row["sender"]) for row in found.shares}
    assert pairs == {(one, other) for one in hospitals.names for other in hospitals.names if one != other}
    assert len(found.shares) == len(pairs) * len(found.totals)
    assert all(0 <= row["share"] < 1 for row in found.shares)


def test_shown_sums_are_sums_over_everybody(exploration, hospitals):
    totals = {row["value"]: row["total"] for row in exploration.ask("means", *exploration.start).totals}
    for name, shown in (("age_years", "scaled age"), ("glucose_mg_dl", "scaled glucose")):
        column = hospitals.columns[name]
        rows = np.concatenate([hospitals.rows(party, [name]) for party in hospitals.names])
        assert totals[shown] == pytest.approx(((rows - column.middle) / column.half_range).sum(), abs=1e-6)
    bins = exploration.ask("histogram", *exploration.start).totals
    heart = np.concatenate([hospitals.rows(party, ["resting_heart_rate_bpm"]) for party in hospitals.names])
    assert bins[1] == {"value": "60 to 65 bpm", "total": ((heart >= 60) & (heart < 65)).sum()}
    curve = exploration.ask("survival", *exploration.start).totals
    columns = ["follow_up_days", "admitted"]
    watched = np.concatenate([hospitals.rows(party, columns) for party in hospitals.names])
    assert curve[1] == {"value": "by day 30", "total": ((watched[:, 0] <= 30) & (watched[:, 1] == 1)).sum()}


def test_noise_is_fresh_in_what_is_opened_and_shares_differ_each_time(exploration):
    views = [exploration.ask("means", *exploration.start, epsilon=1.0) for _ in range(2)]
    sums = [[row["total"] for row in view.totals] for view in views]
    # The noise of a sum has a grid so fine that two draws are equal with a chance below 1e-9.
    assert sums[0] != sums[1]
    assert [row["share"] for row in views[0].shares] != [row["share"] for row in views[1].shares]
    assert views[0].epsilon == 1.0


def test_an_answer_that_noise_leaves_nothing_of_has_a_reason(exploration):
    views = [exploration.ask("admission risk", *exploration.start, epsilon=0.1) for _ in range(30)]
    refused = [view for view in views if view.reason]
    # Noise in either count has a deviation of more than all 150 patients, so an answer is refused with a chance above
    # 0.5, and none of 30 is with one below 1e-9.
    assert refused
    assert all(not view.rows and not view.shares and "expected at least" in view.reason for view in refused)


def test_hospitals_are_made_to_order_and_kept(exploration):
    key = (5, 20, OWN_KIND)
    assert not exploration.is_known(*key)
    told = []
    made = exploration.admit(*key, progress=lambda *each: told.append(each))
    assert [n for _, n, _ in made] == [60, 50, 40, 30, 20]
    assert len({whom for _, _, whom in made}) == 5
    assert told
    assert exploration.is_known(*key)
    assert exploration.admit(*key, progress=None) == made
    found = exploration.ask("means", *key, most_colluding=2)
    assert next(row for row in found.rows if row["is_joint"])["n"] == 200


def test_alike_hospitals_see_people_like_any_and_stop_ends_making_them(exploration):
    def stop(*_):
        raise Stopped

    key = (3, 20, ALIKE)
    with pytest.raises(Stopped):
        exploration.admit(*key, progress=stop)
    assert not exploration.is_known(*key)
    assert {whom for _, _, whom in exploration.admit(*key)} == {"people like any"}


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ((2, 40, OWN_KIND), "n_hospitals: expected one of 3, 4, 5, 6, 7, got 2"),
        ((3, 41, OWN_KIND), "n_smallest: expected one of 20"),
        ((3, 40, "rich people"), "crowd: expected one of each sees its own kind"),
    ],
)
def test_hospitals_that_are_not_offered_are_refused(exploration, key, words):
    with pytest.raises(SpecificationError, match=words):
        exploration.admit(*key)


def test_what_is_offered_holds_the_start_and_its_text_has_nobody(exploration):
    n_hospitals, n_smallest, crowd = exploration.start
    assert (n_hospitals, n_smallest, crowd) == (3, 40, OWN_KIND)
    assert n_smallest in exploration.sizes
    assert max(exploration.sizes) == 60
    assert repr(exploration.ask("means", *exploration.start)).startswith("HospitalView(")
    assert repr(exploration) == f"HospitalExploration({exploration.first!r})"
