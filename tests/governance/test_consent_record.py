import json
from datetime import UTC, datetime, timedelta

import pytest

from twinlab.errors import SpecificationError
from twinlab.governance.consent import Consent, ConsentBook
from twinlab.governance.consent_record import Controller, write_consent_record

START = datetime(2030, 1, 1, tzinfo=UTC)
LAB = Controller("The lab", "https://example.org/consent", "NO")

#: What the profile asks of a record and of each process in it.
ROOT_FIELDS = {
    *("dct:conformsTo", "dpv:hasIdentifier", "dpv:hasDataSubject", "dct:created", "dct:creator", "dct:language"),
    *("dpv:hasProcess", "dpv:hasEntity", "dpv:hasNotice"),
}
PROCESS_FIELDS = {
    *("dpv:hasPurpose", "dpv:hasPersonalData", "dpv:hasProcessing", "dpv:hasDataController", "dpv:hasDataSource"),
    *("dpv:hasStorageCondition", "dpv:hasRecipient", "dpv:hasLegalBasis", "dpv:hasConsentStatus"),
}


@pytest.fixture
def clock():
    return [START]


@pytest.fixture
def book(tmp_path, clock):
    return ConsentBook(tmp_path / "consents.sqlite", clock=lambda: clock[0])


def allow(signals=("steps", "sleep_min")):
    return Consent("ada", "scientific_research", signals, "hospital", START + timedelta(days=30), "The words.")


def write(book, consent):
    record = write_consent_record(book.list_decisions("ada"), consent, LAB)
    return json.loads(json.dumps(record))


def list_statuses(process):
    return [status["@type"][0] for status in process["dpv:hasConsentStatus"]]


def test_a_record_has_the_fields_of_the_profile(book):
    (consent,) = book.give(allow())
    record = write(book, consent)
    assert set(record) >= ROOT_FIELDS
    (process,) = record["dpv:hasProcess"]
    assert set(process) >= PROCESS_FIELDS
    assert record["dpv:hasIdentifier"] == consent
    assert record["dpv:hasDataSubject"]["dpv:hasIdentifier"] == "ada"
    assert record["dct:created"] == "2030-01-01T00:00:00.000Z"
    assert process["dpv:hasPurpose"][0]["skos:broader"] == "dpv:ScientificResearch"
    assert [data["dct:identifier"] for data in process["dpv:hasPersonalData"]] == ["sleep_min", "steps"]
    assert record["dpv:hasEntity"][process["dpv:hasRecipient"][0]]["dpv:hasName"] == "hospital"
    entities = {record["dct:creator"], *process["dpv:hasRecipient"], *process["dpv:hasDataController"]}
    assert entities <= set(record["dpv:hasEntity"])
    (status,) = process["dpv:hasConsentStatus"]
    assert status["@type"] == ["dpv:ConsentGiven", "dpv:ExplicitlyExpressedConsent"]
    assert status["dpv:hasDuration"]["rdf:value"] == "2030-01-31T00:00:00.000Z"
    assert "The words." not in json.dumps(record)


def test_every_prefix_of_a_record_is_declared(book):
    (consent,) = book.give(allow())
    record = write(book, consent)

    def list_terms(value):
        if isinstance(value, dict):
            for name, inner in value.items():
                yield name
                yield from list_terms(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from list_terms(inner)
        elif isinstance(value, str) and value.startswith(("dpv", "eu-gdpr", "loc:", "pd:")):
            yield value

    used = {
        term.split(":")[0] for term in list_terms({k: v for k, v in record.items() if k != "@context"}) if ":" in term
    }
    assert used <= set(record["@context"])
    assert used >= {"dct", "dpv", "skos", "rdf", "loc", "pd", "eu-gdpr", "dpv-27560"}


def test_signals_that_part_ways_are_processes_of_their_own(book, clock):
    (consent,) = book.give(allow(("steps", "sleep_min", "intensity")))
    clock[0] += timedelta(days=1)
    book.withdraw("ada", signals=["steps"])
    clock[0] += timedelta(days=40)
    book.expire()
    by_signal = {
        tuple(data["dct:identifier"] for data in process["dpv:hasPersonalData"]): list_statuses(process)
        for process in write(book, consent)["dpv:hasProcess"]
    }
    assert by_signal == {
        ("steps",): ["dpv:ConsentGiven", "dpv:ConsentWithdrawn"],
        ("intensity", "sleep_min"): ["dpv:ConsentGiven", "dpv:ConsentExpired"],
    }


def test_a_record_names_what_replaced_it(book):
    (first,) = book.give(allow())
    (second,) = book.give(allow(("steps",)))
    assert write(book, first)["dct:isReplacedBy"] == [second]
    assert "dct:isReplacedBy" not in write(book, second)
    book.withdraw("ada")
    book.give(allow(("steps",)))
    assert "dct:isReplacedBy" not in write(book, second)


def test_a_foreign_consent_and_an_empty_controller_are_refused(book):
    (consent,) = book.give(allow())
    with pytest.raises(SpecificationError, match="expected the id of a consent of this person"):
        write_consent_record((), consent, LAB)
    with pytest.raises(SpecificationError, match="contact: expected a text"):
        Controller("The lab", " ", "NO")
