"""Every stage records what each receiver saw, under which guarantee, with bytes and seconds that were measured."""

import time
from functools import cache

import numpy as np
import pytest

import twinlab as tl
from twinlab.pipeline import federated_book
from twinlab.pipeline.account import find_account
from twinlab.pipeline.federated_book import MODEL, UPDATE, Book
from twinlab.pipeline.sensing import record_readings, sense
from twinlab.release import DifferentialPrivacy, Encrypted, NoGuarantee, SecretShared, Transcript
from twinlab.roles import report_nothing

TINY = tl.Experiment().with_(
    {
        "cohort.n_people": 12, "cohort.n_days": 6, "twin.max_horizon_hours": 2, "twin.hidden_width": 8,
        "twin.n_features": 4, "learn.n_epochs": 2,
    }
)  # fmt: skip
FEDERATED = {"learn": {"kind": "federated", "n_rounds": 2, "start": "constant"}}
CHANGES = {
    "open": {},
    "noisy": {"sense.kind": "noisy_readings"},
    "private": {"learn": {"kind": "central", "privacy": {"kind": "person", "start": "constant", "n_steps": 5}}},
    "asked and shared": {"ask": {"kind": "encrypted", "n_people": 2}, "share.kind": "private_answers"},
    "federated": FEDERATED,
    "federated and shared": {**FEDERATED, "share.kind": "private_answers"},
    "secure": {**FEDERATED, "learn.aggregation": "secure"},
    "encrypted": {**FEDERATED, "learn.aggregation": "encrypted"},
    "key on devices": {**FEDERATED, "learn.aggregation": {"kind": "encrypted", "key_holder": "devices"}},
    "trustees": {**FEDERATED, "learn.aggregation": {"kind": "encrypted", "threshold": True, "n_trustees": 2}},
}
OPEN, NOISY, HIDDEN, SHARED = NoGuarantee, DifferentialPrivacy, Encrypted, SecretShared
READINGS, WEIGHTS = ("device", "trainer", "readings", OPEN), ("trainer", "device", "weights", OPEN)
MODELS = [("server", "device", "model, rounds 1, 2", OPEN)]
FINISHED = [("server", "device", "model, finished", OPEN)]
ENCRYPTED_UPDATE = ("device", "server", "encrypted update, rounds 1, 2", HIDDEN)
SUM, OPENED = "encrypted sum, rounds 1, 2", "sum, rounds 1, 2"
EXPECTED = {
    "open": [READINGS, WEIGHTS],
    "noisy": [("device", "trainer", "noisy readings", NOISY), ("trainer", "device", "weights", NOISY)],
    "private": [READINGS, ("trainer", "device", "weights", NOISY)],
    "federated": [*MODELS, ("device", "server", "update, rounds 1, 2", OPEN), *FINISHED],
    "encrypted": [
        ("key holder", "device", "public key", OPEN), *MODELS, ENCRYPTED_UPDATE,
        ("server", "key holder", SUM, HIDDEN), ("key holder", "server", OPENED, OPEN), *FINISHED,
    ],
    "key on devices": [
        ("key maker", "device", "key that every device holds", OPEN), ("key maker", "device", "public key", OPEN),
        *MODELS, ENCRYPTED_UPDATE, ("server", "device", SUM, HIDDEN), ("device", "server", OPENED, OPEN), *FINISHED,
    ],
}  # fmt: skip


@cache
def run(name):
    """A run's result, and how long all of it took."""
    begin = time.perf_counter()
    result = tl.run(TINY.with_(CHANGES[name]))
    return result, time.perf_counter() - begin


@pytest.mark.parametrize("name", CHANGES)
def test_bytes_and_seconds_are_measured(name):
    result, seconds = run(name)
    for message in result.transcript:
        assert message.n_bytes > 0, message
        assert message.seconds > 0, message
    assert sum(message.seconds for message in result.transcript) < seconds  # nothing is counted twice
    assert all(row["seconds"] > 0 for row in result.transcript.summarize())


@pytest.mark.parametrize("name", EXPECTED)
def test_every_way_is_recorded_with_its_guarantee(name):
    transcript = run(name)[0].transcript
    found = [(each.sender, each.receiver, each.kind, type(each.guarantee)) for each in transcript.fold()]
    assert sorted(found, key=str) == sorted(EXPECTED[name], key=str)


def test_questions_and_answers_are_recorded_after_readings_and_weights():
    transcript = run("asked and shared")[0].transcript
    ways = [(each.sender, each.receiver, type(each.guarantee)) for each in transcript]
    n_answers = len(run("asked and shared")[0].answers)
    assert n_answers > 3
    assert [message.kind for message in transcript][:2] == ["readings", "weights"]
    assert ways[2:] == [("trainer", "public", NOISY)] * n_answers + [
        *[("person", "provider", HIDDEN)] * 2, ("provider", "person", HIDDEN)
    ]  # fmt: skip
    for message in transcript.seen_by("public"):
        assert message.n_bytes == 8 * len(message.payload)


def test_a_dashboard_needs_a_trainer_who_sees_readings_even_where_devices_learn():
    transcript = run("federated and shared")[0].transcript
    (message,) = transcript.seen_by("trainer")
    assert message.kind == "readings"
    assert isinstance(message.guarantee, NoGuarantee)
    assert not run("federated")[0].transcript.seen_by("trainer")


def test_masked_updates_and_parts_of_a_key_are_recorded():
    masked = [message for message in run("secure")[0].transcript.fold() if isinstance(message.guarantee, SecretShared)]
    assert [message.kind for message in masked] == ["masked update, rounds 1, 2"]
    parts = [message for message in run("trustees")[0].transcript if message.kind == "part of the public key"]
    assert len(parts) == 2
    assert parts[1].seconds > parts[0].seconds / 1000  # each took the time of its own part
    seen = {message.sender for message in run("trustees")[0].transcript.seen_by("server")}
    assert seen == {"device", "trustee 1", "trustee 2"}
    assert {message.kind for message in run("trustees")[0].transcript.seen_by("trustee 2")} == {
        "encrypted sum, round 1", "encrypted sum, round 2"
    }  # fmt: skip


def test_the_trainer_is_not_told_who_people_are():
    result = run("open")[0]
    (message,) = result.transcript.seen_by("trainer")
    assert len(result.cohort.attributes.columns) > 0
    assert message.payload.attributes.empty
    assert message.n_bytes == message.payload.mask.sum() * 4


def test_the_finished_model_is_what_devices_end_with():
    result = run("federated")[0]
    (message,) = [each for each in result.transcript.seen_by("device") if each.kind == "model, finished"]
    assert message.n_messages == result.cohort.n_people
    (payload,) = message.payload
    for name, value in result.federation.state.items():
        assert np.array_equal(payload["arrays"][name], value.numpy())
    assert message.n_bytes == message.n_messages * sum(value.nbytes for value in payload["arrays"].values())


def test_noise_that_a_seed_repeats_is_still_called_noise():
    chosen = TINY.with_({"sense": {"kind": "noisy_readings", "rehearsal": True}})
    cohort, transcript = tl.load_cohort(chosen), Transcript()
    sensed = sense(chosen, cohort, find_account(chosen, cohort, None), report_nothing)
    record_readings(transcript, sensed, 0.5)
    (message,) = transcript
    assert message.kind == "noisy readings"
    assert isinstance(message.guarantee, NoGuarantee)
    assert message.seconds == 0.5


def test_a_message_takes_the_time_since_the_one_before(monkeypatch):
    ticks = iter([0.0, 5.0, 5.5, 6.0, 6.0, 16.0, 16.25, 20.0, 20.0])  # made; then before and after each message
    monkeypatch.setattr(federated_book.time, "perf_counter", lambda: next(ticks))
    book, transcript = Book({MODEL: NoGuarantee("a"), UPDATE: NoGuarantee("b")}), Transcript()
    for node in (1, 2):
        book.note("server", "device", "train", 10, {"node": node, "config": {"server-round": 1}})
    book.note("device", "server", "train", 7, {"node": 1})
    book.finish({"weight": np.zeros(2)}, 1)
    book.write(transcript)
    assert [(message.kind, message.seconds) for message in transcript] == [
        ("model, round 1", 5.5), ("update, round 1", 10.0), ("model, finished", 3.75)
    ]  # fmt: skip
    assert [message.n_bytes for message in transcript] == [20, 7, 16]
