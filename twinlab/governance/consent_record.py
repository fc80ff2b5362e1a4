"""A consent as a record after ISO/IEC TS 27560, in JSON with the terms of the W3C Data Privacy Vocabulary.

Keys and shapes are those of the vocabulary's profile for consent records, the same in JSON and JSON-LD. A record is the
person's own paper: it says who they are. Each group of signals that shares its fate is a process of its own, with all
that happened to it.

Sources: ISO/IEC TS 27560:2023; W3C DPV community group, "Consent Record Specification" and the guide
https://w3id.org/dpv/guides/consent-27560. The fields that the profile leaves open are left out.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from twinlab.errors import SpecificationError
from twinlab.governance.consent import PURPOSES, Decision
from twinlab.signals import get_signal

_CONTEXT = {
    "dct": "http://purl.org/dc/terms/",
    "dpv": "https://w3id.org/dpv#",
    "dpv-27560": "https://w3id.org/dpv/schema/dpv-27560#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "loc": "https://w3id.org/dpv/loc#",
    "pd": "https://w3id.org/dpv/pd#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
}
_STATUS = {"given": "dpv:ConsentGiven", "withdrawn": "dpv:ConsentWithdrawn", "expired": "dpv:ConsentExpired"}


@dataclass(frozen=True)
class Controller:
    """Who answers for the processing; public.

    Attributes:
      name: of the organisation.
      contact: where a person reaches it, and takes consent back.
      location: where data is stored, a code of ISO 3166 such as "NO", or "EU".
    """

    name: str
    contact: str
    location: str

    def __post_init__(self) -> None:
        for field in ("name", "contact", "location"):
            if not getattr(self, field).strip():
                raise SpecificationError(f"{field}: expected a text, got none; a record must say who answers for it")


def write_consent_record(decisions: Sequence[Decision], consent: str, controller: Controller) -> dict[str, Any]:
    """The record of one consent, as what JSON can hold; private to the person.

    Args:
      decisions: of the person, as by `ConsentBook.list_decisions`; private.
      consent: id of the consent, as by `ConsentBook.give`.
      controller: who answers for it; public.

    Raises:
      SpecificationError: if there is no such consent.
    """
    own = [decision for decision in decisions if decision.consent == consent]
    if not own:
        raise SpecificationError(
            "consent: expected the id of a consent of this person, got another; list_decisions has the ids"
        )
    given = own[0]
    fates: dict[str, list[Decision]] = defaultdict(list)
    for decision in own:
        fates[decision.signal].append(decision)
    groups: dict[tuple, list[str]] = defaultdict(list)
    for signal, fate in fates.items():
        groups[tuple((decision.kind, decision.at) for decision in fate)].append(signal)
    later = {
        one.consent
        for one in decisions[decisions.index(given) + 1 :]
        if one.kind == "given" and (one.purpose, one.recipient) == (given.purpose, given.recipient)
        # a consent that had ended is not replaced by the next one
        if one.consent != consent and one.signal in fates and len(fates[one.signal]) == 1
    }
    return {
        "@context": _CONTEXT,
        "@type": ["dpv:ConsentRecord"],
        "dct:conformsTo": "dpv-27560:record",
        "dpv:hasIdentifier": consent,
        "dpv:hasDataSubject": {"@type": ["dpv:DataSubject"], "dpv:hasIdentifier": given.person_id},
        "dct:created": _spell(given.at),
        **({"dct:isReplacedBy": sorted(later)} if later else {}),
        "dct:creator": "controller",
        "dct:language": "en",
        "dpv:hasNotice": [{"@type": ["dpv:ConsentNotice"], "dpv:hasIdentifier": f"sha256:{given.notice}"}],
        "dpv:hasJurisdiction": [f"loc:{controller.location}"],
        "dpv:hasEntity": _write_entities(given, controller),
        "dpv:hasProcess": [_write_process(given, signals, fate, controller) for fate, signals in groups.items()],
    }


def _write_entities(given: Decision, controller: Controller) -> dict[str, Any]:
    return {
        "controller": {
            "@type": ["dpv:DataController"],
            "dpv:hasName": controller.name,
            "dpv:hasContact": controller.contact,
        },
        "data_subject": {"@type": ["dpv:DataSubject"], "dpv:hasIdentifier": given.person_id},
        "recipient": {"@type": ["dpv:Recipient"], "dpv:hasName": given.recipient},
    }


def _write_process(
    given: Decision, signals: list[str], fate: tuple[tuple[str, datetime], ...], controller: Controller
) -> dict[str, Any]:
    """What is done with some signals, and what was decided about it."""
    purpose = PURPOSES[given.purpose]
    ends = {"@type": ["dpv:UntilTimeDuration"], "rdf:value": _spell(given.expires_at)}
    return {
        "@type": ["dpv:Process"],
        "dpv:hasPurpose": [
            {"@type": ["dpv:Purpose"], "skos:broader": purpose.dpv, "skos:prefLabel": purpose.label},
        ],
        "dpv:hasPersonalData": [
            {
                "@type": ["dpv:SpecialCategoryPersonalData"],
                "skos:broader": ["pd:MedicalHealth"],
                "skos:prefLabel": get_signal(signal).label,
                "dct:identifier": signal,
            }
            for signal in sorted(signals)
        ],
        "dpv:hasProcessing": ["dpv:Collect", "dpv:Store", "dpv:Use"],
        "dpv:hasDataController": ["controller"],
        "dpv:hasDataSource": ["dpv:DataSubjectDataSource"],
        "dpv:hasRecipient": ["recipient"],
        "dpv:hasStorageCondition": [
            {"@type": ["dpv:StorageLocation"], "dpv:hasLocation": f"loc:{controller.location}"},
            {"@type": ["dpv:StorageDuration"], "dpv:hasDuration": ends},
        ],
        "dpv:hasLegalBasis": ["dpv:ExplicitlyExpressedConsent", "eu-gdpr:A9-2-a"],
        "dpv:hasConsentControl": [{"@type": ["dpv:WithdrawConsent"], "dpv:isExercisedAt": controller.contact}],
        "dpv:hasConsentStatus": [
            {
                "@type": [_STATUS[kind], *(["dpv:ExplicitlyExpressedConsent"] if kind == "given" else [])],
                "dpv:isIndicatedAtTime": _spell(at),
                "dpv:isExercisedAt": controller.contact,
                # nobody decides that a consent is over: it says so itself
                **({"dpv:isIndicatedBy": "data_subject"} if kind != "expired" else {}),
                **({"dpv:hasDuration": ends} if kind == "given" else {}),
            }
            for kind, at in fate
        ],
    }


def _spell(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
