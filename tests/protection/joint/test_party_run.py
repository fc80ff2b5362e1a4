"""Parties over real connections, a thread each: same terms or nothing, fresh sessions, and who is missing is named."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from twinlab.errors import DataContractError, ProtocolError, SpecificationError, TwinlabError
from twinlab.protection.joint import (
    Column,
    HistogramQuestion,
    MomentQuestion,
    QuantileQuestion,
    add_plainly,
    ask_jointly,
)
from twinlab.protection.joint.identity import make_identity
from twinlab.protection.joint.link import Link
from twinlab.protection.joint.party_run import RunTerms, replay_answer, run_party

NAMES = ("north", "south", "east")
STEPS = Column("steps", 0.0, 30_000.0, "steps")
QUESTION = QuantileQuestion(STEPS, (0.5,), resolution=200.0)
TERMS = RunTerms(NAMES, QUESTION)


@pytest.fixture(scope="module")
def identities():
    return {name: make_identity(name, 2) for name in NAMES}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(1)
    return {name: rng.uniform(0, 30_000, (size, 1)) for name, size in zip(NAMES, (40, 0, 90), strict=True)}


def run_all(identities, rows, terms=None, time_limit_s=5.0, **options):
    """Each party's run, or the error that it ended with."""
    terms = terms or dict.fromkeys(NAMES, TERMS)
    with contextlib.ExitStack() as stack:
        links = {
            name: stack.enter_context(Link(identity, time_limit_s=time_limit_s))
            for name, identity in identities.items()
        }

        def work(name):
            others = [other for other in NAMES if other != name]
            try:
                with links[name] as link:
                    link.connect(
                        {other: links[other].address for other in others},
                        {other: identities[other].certificate for other in others},
                    )
                    return run_party(terms[name], link, rows[name], **options.get(name, {}))
            except TwinlabError as error:
                return error

        with ThreadPoolExecutor(len(NAMES)) as pool:
            return dict(zip(NAMES, pool.map(work, NAMES), strict=True))


def test_every_party_has_the_pooled_answer_and_sessions_are_fresh(identities, rows):
    first, second = (run_all(identities, rows) for _ in range(2))
    expected = ask_jointly(QUESTION, list(rows.values()), add_plainly)
    for run in first.values():
        assert run.answer.values == pytest.approx(expected.values, abs=1e-9)
        assert all(map(np.array_equal, run.totals, first["north"].totals))
        assert replay_answer(QUESTION, run.totals).values == run.answer.values
        assert len(run.received) == 2 * (1 + 3 * len(run.totals))
        assert repr(run) == f"PartyRun({len(run.totals)} sums, {len(run.received)} messages received)"
    shares = [
        {each.content.tobytes() for each in run["north"].received if each.phase in ("agree", "share", "confirm")}
        for run in (first, second)
    ]
    assert shares[0].isdisjoint(shares[1])


def test_a_share_is_not_the_vector_that_it_is_of(identities, rows):
    """By chance it would be, with a probability of 2^-61."""
    found = run_all(identities, rows)["south"].received
    counts = {each.sender: each.content for each in found if (each.phase, each.round_number) == ("share", 1)}
    encode = TERMS.make_sharing_terms(1, bytes(16)).fixed_point.encode
    assert counts.keys() == {"north", "east"}
    assert all(counts[name] != encode(QUESTION.count(rows[name])) for name in counts)


@pytest.mark.parametrize(
    "changed",
    [
        replace(TERMS, question=replace(QUESTION, resolution=100.0)),
        replace(TERMS, most_rows=500),
        replace(TERMS, noise={"largest": 9.0}),
        replace(TERMS, names=("north", "east", "south")),
    ],
    ids=["question", "rows", "noise", "order"],
)
def test_other_terms_are_refused_before_anything_is_shared(identities, rows, changed):
    found = run_all(identities, rows, {**dict.fromkeys(NAMES, TERMS), "south": changed})
    for name in ("north", "east"):
        assert "agree: expected the same terms everywhere, got others from south" in str(found[name])
    assert "got others from north, east" in str(found["south"])


def test_who_is_missing_is_named_with_the_phase(identities, rows):
    def vanish(number, n_rounds, phase):
        if (number, phase) == (2, "share"):
            raise ProtocolError("the party ends itself")

    found = run_all(identities, rows, south={"report_phase": vanish})
    for name in ("north", "east"):
        assert "share, sum 2: expected a message from every party, got none from south (its connection" in str(
            found[name]
        )


def test_who_left_after_sharing_is_not_missed_in_that_sum(identities, rows):
    """The last sum is opened by the two that are left."""

    def vanish(number, n_rounds, phase):
        if (number, phase) == (n_rounds, "open"):
            raise ProtocolError("the party ends itself")

    found = run_all(identities, rows, south={"report_phase": vanish})
    expected = ask_jointly(QUESTION, list(rows.values()), add_plainly)
    assert found["north"].answer.values == pytest.approx(expected.values, abs=1e-9)
    assert str(found["south"]) == "the party ends itself"


def test_a_party_may_share_something_else_than_its_sums(identities, rows):
    """What noise needs: the total is that of what was shared."""
    question = HistogramQuestion(STEPS, (0.0, 10_000.0, 30_000.0))
    terms = dict.fromkeys(NAMES, RunTerms(NAMES, question, noise={"largest": 1000.0}))
    numbers = []

    def disturb(vector, number):
        numbers.append((number, vector.size))
        return vector + 7.0

    found = run_all(identities, rows, terms, south={"disturb": disturb})
    pooled = np.histogram(np.vstack(list(rows.values())), np.array(question.edges))[0]
    assert found["north"].answer.counts.tolist() == (pooled + 7).tolist()
    assert numbers == [(1, 1), (2, 2)]


def test_more_rows_than_agreed_are_refused_without_their_number(identities, rows):
    terms = dict.fromkeys(NAMES, RunTerms(NAMES, QUESTION, most_rows=60))
    found = run_all(identities, rows, terms)
    assert isinstance(found["east"], DataContractError)
    assert "rows: expected at most 60, as was agreed, got more" in str(found["east"])
    assert "90" not in str(found["east"])
    assert "agree: expected the terms of every party, got none from east" in str(found["north"])


def test_terms_come_back_from_plain_values_and_hide_somebody():
    terms = RunTerms(NAMES, MomentQuestion((STEPS,)), noise={"largest": 5, "how": "much"})
    assert RunTerms.read(terms.write()).digest == terms.digest
    with pytest.raises(SpecificationError, match="expected at least 3, got 2; two are not protected at all"):
        RunTerms(NAMES[:2], QUESTION)
    with pytest.raises(SpecificationError, match=r"noise.largest: expected a number, got str"):
        RunTerms(NAMES, QUESTION, noise={"largest": "5"})
