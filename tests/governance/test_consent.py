import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import SpecificationError, TwinlabError
from twinlab.governance.audit_log import AuditLog, find_entries, read_leaf
from twinlab.governance.consent import PURPOSES, Consent, ConsentBook

START = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class Clock:
    """A clock that tests turn."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


def allow(person_id="secret-id-42", **changes):
    fields = {
        "purpose": "population_model",
        "signals": ("steps", "sleep_min"),
        "recipient": "trainer",
        "expires_at": START + 100 * DAY,
        "notice": "We will train a model.",
    }
    return Consent(person_id, **(fields | changes))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def book(tmp_path, clock):
    return ConsentBook(tmp_path / "consents.sqlite", clock=clock)


def ask(book, *signals, **changes):
    fields = {"purpose": "population_model", "recipient": "trainer", "at": None}
    return book.list_consenting(signals=signals or ("steps",), **(fields | changes))


def test_consent_holds_for_what_it_says_and_nothing_else(book):
    book.give(allow("ada"), allow("bob", signals=("steps",)))
    assert ask(book, "steps") == ("ada", "bob")
    assert ask(book, "steps", "sleep_min") == ("ada",)
    assert (
        ask(book, "heart_rate_bpm") == ask(book, purpose="commercial_research") == ask(book, recipient="insurer") == ()
    )
    assert ConsentBook(book.path, clock=lambda: START).list_consenting("population_model", ("steps",), "trainer")


def test_consent_ends_by_itself(book, clock):
    book.give(allow("ada"))
    assert ask(book, at=START + 100 * DAY - timedelta(microseconds=1)) == ("ada",)
    assert ask(book, at=START + 100 * DAY) == ()
    clock.now = START + 101 * DAY
    assert ask(book) == ()
    assert book.expire() == 2
    assert book.expire() == 0
    assert ask(book, at=START + 50 * DAY) == ("ada",)
    assert [decision.kind for decision in book.list_decisions("ada")] == ["given"] * 2 + ["expired"] * 2


def test_consent_is_taken_back_at_once_in_part_or_whole_and_the_past_stays(book, clock):
    book.give(allow("ada"), allow("ada", recipient="insurer"), allow("bob"))
    clock.now += DAY
    assert book.withdraw("ada", signals=["steps"], recipient="trainer") == 1
    assert ask(book) == ("bob",)
    assert ask(book, "sleep_min") == ("ada", "bob")
    assert ask(book, recipient="insurer") == ("ada",)
    assert book.withdraw("ada") == 3
    assert book.withdraw("ada") == book.withdraw("nobody") == 0
    assert ask(book, "sleep_min") == ("bob",)
    assert ask(book, at=START) == ("ada", "bob")


def test_a_name_that_does_not_exist_withdraws_nothing_silently(book):
    book.give(allow("ada"))
    for changes in ({"purpose": "population"}, {"signals": ["step"]}, {"signals": "steps"}, {"signals": []}):
        with pytest.raises(SpecificationError):
            book.withdraw("ada", **changes)


def test_the_latest_decision_counts(book, clock):
    book.give(allow("ada"))
    clock.now += DAY
    book.give(allow("ada", signals=("steps",), expires_at=START + 2 * DAY))
    clock.now += 2 * DAY
    assert ask(book) == ()  # shortened
    assert ask(book, "sleep_min") == ("ada",)
    book.withdraw("ada")
    book.give(allow("ada"))
    assert ask(book, "steps", "sleep_min") == ("ada",)


def test_a_clock_that_runs_back_revives_nothing(book, clock):
    book.give(allow("ada"))
    clock.now += 2 * DAY
    book.withdraw("ada")
    clock.now = START + DAY
    assert ask(book) == ()
    book.give(allow("bob"))
    assert ask(book) == ("bob",)
    assert book.withdraw("bob") == 2
    assert ask(book) == ask(book, at=START + 50 * DAY) == ()
    clock.now = datetime(2030, 1, 1)
    with pytest.raises(SpecificationError, match="clock: expected a datetime with a time zone"):
        ask(book)


def test_times_of_other_zones_mean_the_same(book):
    zone = timezone(timedelta(hours=9))
    book.give(allow("ada", expires_at=(START + DAY).astimezone(zone)))
    assert ask(book, at=(START + DAY - timedelta(seconds=1)).astimezone(zone)) == ("ada",)
    assert ask(book, at=(START + DAY).astimezone(zone)) == ()


def test_erasing_forgets_all(book):
    book.give(allow("secret-id-42"), allow("bob"))
    assert b"secret-id-42" in book.path.read_bytes()
    assert book.erase("secret-id-42") == 2
    assert book.list_decisions("secret-id-42") == ()
    assert b"secret-id-42" not in book.path.read_bytes()
    assert ask(book) == ("bob",)


BROKEN = {
    "purpose": ["research", ""],
    "signals": [(), "steps", ("steps", "steps"), ("mood",)],
    "recipient": ["", " ", "x" * 61, None],
    "expires_at": [None, "2031-01-01", datetime(2031, 1, 1)],
    "notice": ["", None],
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_out_of_bounds_is_refused_by_name_and_without_the_person(name):
    for value in BROKEN[name]:
        with pytest.raises(SpecificationError) as caught:
            allow(**{name: value})
        assert "expected" in str(caught.value)
        assert name.rstrip("s") in str(caught.value)
        assert "secret" not in str(caught.value)


def test_no_error_and_no_repr_names_a_person(book, clock):
    with pytest.raises(SpecificationError, match="person_id: expected a text of 1 to 200 characters, got 201"):
        allow("s" * 201)
    for days in (0, -1, 5 * 366 + 1):
        with pytest.raises(SpecificationError, match="expires_at: expected a time within 1830 days") as caught:
            book.give(allow("ada"), allow(expires_at=START + days * DAY))
        assert "secret" not in str(caught.value)
    assert ask(book) == ()  # all or none
    book.give(allow())
    for shown in (repr(allow()), repr(book), repr(book.list_decisions("secret-id-42"))):
        assert "secret" not in shown


def test_decisions_are_entered_into_the_log_without_names(tmp_path, clock):
    log = AuditLog(tmp_path / "audit.sqlite")
    book = ConsentBook(tmp_path / "consents.sqlite", record=log.append, clock=clock)
    book.give(*(allow(f"person-{i}") for i in range(3)), allow("person-3", signals=("steps",)))
    book.withdraw("person-1")
    clock.now += 200 * DAY
    book.expire()
    leaves = log.read_leaves()
    own = [read_leaf(leaves[place]) for place in find_entries(leaves, "person-1", log.find_key("person-1"))]
    assert [entry["kind"] for entry in own] == ["consent_given", "consent_withdrawn"]
    assert own[0]["facts"]["signals"] == ["sleep_min", "steps"]
    assert own[0]["facts"]["expires_on"] == "2030-04-11"
    kinds = [read_leaf(leaf)["kind"] for leaf in leaves]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "log": 1, "consent_given": 4, "consent_withdrawn": 1, "consent_expired": 3,
    }  # fmt: skip
    assert b"person-" not in b"".join(leaves)


def test_no_consent_counts_that_could_not_be_entered_and_every_withdrawal_does(tmp_path, clock):
    fails = [True]

    def record(*_):
        if fails[0]:
            raise TwinlabError("the log is full")

    book = ConsentBook(tmp_path / "consents.sqlite", record=record, clock=clock)
    with pytest.raises(TwinlabError):
        book.give(allow("ada"))
    assert ask(book) == ()
    fails[0] = False
    book.give(allow("ada"))
    fails[0] = True
    with pytest.raises(TwinlabError):
        book.withdraw("ada")
    assert ask(book) == ()


steps_of_a_history = st.lists(
    st.tuples(
        st.sampled_from(["give", "withdraw", "expire", "wait"]),
        st.sampled_from(["ada", "bob"]),
        st.sets(st.sampled_from(["steps", "sleep_min"]), min_size=1),
        st.integers(1, 4),
    ),
    max_size=8,
)


@settings(max_examples=15, deadline=None)
@given(history=steps_of_a_history)
def test_the_book_agrees_with_a_table_of_ends(history, tmp_path_factory):
    """The plain version: when the permission of each person and signal ends, as it stands at each moment."""
    clock = Clock()
    book = ConsentBook(tmp_path_factory.mktemp("book") / "consents.sqlite", clock=clock)
    ends, moments = {}, []
    for what, person_id, signals, days in history:
        if what == "give":
            book.give(allow(person_id, signals=tuple(signals), expires_at=clock.now + days * DAY))
            ends |= {(person_id, signal): clock.now + days * DAY for signal in signals}
        elif what == "withdraw":
            book.withdraw(person_id, signals=signals)
            ends |= {(person_id, signal): clock.now for signal in signals}
        elif what == "expire":
            book.expire()
        clock.now += timedelta(hours=days)
        moments.append((clock.now, dict(ends)))
        clock.now += timedelta(hours=17)
    for at, then in moments:
        for signals in (("steps",), ("sleep_min",), ("steps", "sleep_min")):
            expected = tuple(p for p in ("ada", "bob") if all(then.get((p, s), START) > at for s in signals))
            assert ask(book, *signals, at=at) == expected


def test_every_purpose_has_words_and_a_term():
    assert all(purpose.label and purpose.dpv.startswith("dpv:") for purpose in PURPOSES.values())
    with pytest.raises(dataclasses.FrozenInstanceError):
        allow().purpose = "personal_twin"
