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


def test_no_repr_and_no_row_shows_a_payload():
    transcript = Transcript()
    transcript.record(make_message())
    release = Release("table", [13579.0], NoGuarantee("open"), "f" * 16)
    shown = f"{transcript!r} {transcript.rows()} {[*transcript]!r} {release!r}"
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
