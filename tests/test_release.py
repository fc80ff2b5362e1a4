import pytest

from twinlab.budget import NeighboringRelation, PrivacyBudget, PrivacyUnit
from twinlab.errors import SpecificationError
from twinlab.release import DifferentialPrivacy, Encrypted, Message, NoGuarantee, Release, SecretShared, Transcript


def make_message(**fields):
    given = {
        "sender": "device",
        "receiver": "trainer",
        "kind": "readings",
        "n_bytes": 100,
        "seconds": 0.5,
        "payload": [13579.0],
        "guarantee": NoGuarantee("the trainer sees them"),
    }
    return Message(**{**given, **fields})


def test_a_transcript_keeps_order_and_answers_who_saw_what():
    transcript = Transcript()
    transcript.record(make_message())
    transcript.record(make_message(sender="trainer", receiver="device", kind="weights", n_bytes=7))
    assert [message.kind for message in transcript] == ["readings", "weights"]
    assert [message.kind for message in transcript.seen_by("trainer")] == ["readings"]
    assert [row["bytes"] for row in transcript.rows()] == [100, 7]
    assert "2 records, 107 bytes" in repr(transcript)


def record_rounds(rounds):
    """A transcript of readings, then a model and an update each round, then the finished model."""
    transcript = Transcript()
    transcript.record(make_message())
    for number in rounds:
        for sender, receiver, kind in (("server", "device", "model"), ("device", "server", "update")):
            kind = f"{kind}, round {number}"
            transcript.record(make_message(sender=sender, receiver=receiver, kind=kind, n_bytes=number, n_messages=4))
    transcript.record(make_message(sender="server", receiver="device", kind="model, finished", seconds=0.000123456))
    return transcript


def test_alike_messages_fold_into_one_at_the_place_of_the_first():
    folded = record_rounds([1, 2, 3, 5]).fold()
    assert [message.kind for message in folded] == [
        *("readings", "model, rounds 1 to 3, 5", "update, rounds 1 to 3, 5", "model, finished")
    ]
    assert [message.n_bytes for message in folded] == [100, 11, 11, 100]
    assert [message.n_messages for message in folded] == [1, 16, 16, 1]
    assert [message.seconds for message in folded] == [0.5, 2.0, 2.0, 0.000123456]
    assert {message.payload for message in folded} == {None}


def test_what_differs_in_way_or_guarantee_stays_apart():
    transcript = Transcript()
    ways = [{}, {"receiver": "public"}, {"sender": "person"}, {"guarantee": NoGuarantee("another reason")}, {}]
    for way in ways:
        transcript.record(make_message(**way))
    assert [message.n_messages for message in transcript.fold()] == [2, 1, 1, 1]
    assert len(transcript) == 5


def test_a_summary_tells_receiver_by_receiver_and_no_short_time_as_none():
    rows = record_rounds(range(1, 21)).summarize()
    assert [(row["receiver"], row["what"]) for row in rows] == [
        *[("trainer", "readings"), ("device", "model, rounds 1 to 20"), ("device", "model, finished")],
        ("server", "update, rounds 1 to 20"),
    ]
    assert rows[1]["bytes"] == sum(range(1, 21))
    assert rows[2]["seconds"] == 0.000123
    assert all(row["guarantee"].startswith("no guarantee") for row in rows)


def test_a_long_transcript_is_shown_folded_and_a_short_one_whole():
    short, long = record_rounds([1, 2])._repr_html_(), record_rounds(range(1, 21))._repr_html_()
    assert short.count("<tr>") == 1 + 6
    assert "model, round 2" in short
    assert long.count("<tr>") == 1 + 4
    assert "42 records" in long
    assert "rounds 1 to 20" in long


def test_no_repr_and_no_row_shows_a_payload():
    transcript = Transcript()
    transcript.record(make_message())
    release = Release("table", [13579.0], NoGuarantee("open"), "f" * 16)
    shown = f"{transcript!r} {transcript.rows()} {transcript.summarize()} {[*transcript]!r} {release!r}"
    shown += f"{transcript.fold()!r} {transcript._repr_html_()}"
    assert "13579" not in shown


@pytest.mark.parametrize(
    ("guarantee", "words"),
    [
        (
            DifferentialPrivacy(None, 1.0, 1e-5, NeighboringRelation.ADD_OR_REMOVE_ONE, PrivacyUnit.PERSON),
            "epsilon 1, delta 1e-05 per person (add or remove one)",
        ),
        (Encrypted("CKKS", 128, "the person"), "against everyone but the person"),
        (SecretShared(("a", "b", "c"), 2, "semi_honest"), "fewer than 2 of them together, semi-honest"),
        (NoGuarantee("updates are visible to the server"), "updates are visible to the server"),
    ],
)
def test_a_guarantee_says_against_whom(guarantee, words):
    assert words in str(guarantee)


def test_a_release_records_the_libraries_that_made_it():
    assert Release("number", 1, NoGuarantee("open"), "f").libraries["twinlab"]


@pytest.mark.parametrize(("epsilon", "delta"), [(0, 1e-5), (-1, 1e-5), (float("nan"), 1e-5), (1, 0.5), (1, -1e-9)])
def test_a_budget_must_make_sense(epsilon, delta):
    with pytest.raises(SpecificationError, match="expected"):
        PrivacyBudget(epsilon, delta)
