"""Consents: who allowed what to be done with which signal, for whom, and until when.

A consent is for one purpose, one recipient, some signals and a time. Each signal stands for itself: a later decision
about the same purpose, recipient and signal replaces the earlier one, and whatever was never allowed is not allowed.
Nothing has to happen for a consent to end at its expiry. Decisions are stamped with the book's own clock, which never
runs back, so that no consent can be dated before a withdrawal.

Whether a consent is valid before the law is not decided here: was it free, informed, for this person to give?
"""

import hashlib
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

from twinlab.errors import SpecificationError
from twinlab.governance.database import open_database
from twinlab.signals import get_signal

#: The longest that a consent lasts; then the person is asked again.
LONGEST_DAYS = 5 * 366

#: Enters what happened into a log, such as `AuditLog.append`: a kind, public facts, and whom it is about.
Record = Callable[[str, Mapping[str, Any], Collection[str]], None]

_TABLES = (
    "CREATE TABLE IF NOT EXISTS decision (number INTEGER PRIMARY KEY AUTOINCREMENT, consent TEXT NOT NULL, "
    "person TEXT NOT NULL, purpose TEXT NOT NULL, recipient TEXT NOT NULL, signal TEXT NOT NULL, kind TEXT NOT NULL, "
    "at TEXT NOT NULL, expires TEXT NOT NULL, notice TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS latest ON decision (purpose, recipient, signal, person, number)",
    "CREATE INDEX IF NOT EXISTS own ON decision (person, number)",
)
_COLUMNS = "consent, person, purpose, recipient, signal, kind, at, expires, notice"
#: Whether no later decision replaces this one.
_IS_LATEST = (
    "d.number = (SELECT max(e.number) FROM decision e WHERE e.purpose = d.purpose AND e.recipient = d.recipient "
    "AND e.signal = d.signal AND e.person = d.person AND e.at <= :at)"
)


class Purpose(NamedTuple):
    """What something is done for.

    Attributes:
      label: in words, for the person.
      dpv: the term of the W3C Data Privacy Vocabulary that it falls under.
    """

    label: str
    dpv: str


PURPOSES: dict[str, Purpose] = {
    "personal_twin": Purpose("A twin of my own, which only I ask", "dpv:ServicePersonalisation"),
    "population_model": Purpose("A model for everybody, learned from many people", "dpv:ResearchAndDevelopment"),
    "synthetic_people": Purpose("Synthetic people, made to be shared", "dpv:ResearchAndDevelopment"),
    "scientific_research": Purpose("Scientific research, its results published", "dpv:ScientificResearch"),
    "commercial_research": Purpose("Research for a company's products", "dpv:CommercialResearch"),
    "public_statistics": Purpose("Statistics for the public", "dpv:PublicBenefit"),
}


@dataclass(frozen=True, repr=False)
class Consent:
    """What a person allows. Private, as a whole.

    Attributes:
      person_id: who allows it.
      purpose: what for, a key of `PURPOSES`.
      signals: which, names from `twinlab.signals`.
      recipient: who may use them, a public name such as "trainer".
      expires_at: when it ends, with a time zone.
      notice: the words that the person agreed to. Only their hash is kept in the book.

    Raises:
      SpecificationError: if a field is out of its bounds. The message never says whose consent it was.
    """

    person_id: str
    purpose: str
    signals: tuple[str, ...]
    recipient: str
    expires_at: datetime
    notice: str

    def __post_init__(self) -> None:
        _check_text("person_id", self.person_id, 200)
        _check_question(self.purpose, self.signals, self.recipient)
        _check_time("expires_at", self.expires_at)
        _check_text("notice", self.notice, 100_000)

    def __repr__(self) -> str:
        return f"Consent(of a person: {self.purpose}, {', '.join(self.signals)}, for {self.recipient})"


@dataclass(frozen=True, repr=False)
class Decision:
    """One line of the book: what was decided about one signal. Private, as a whole.

    Attributes:
      consent: id of the consent that was given, or that ended.
      person_id, purpose, recipient, signal: what it is about.
      kind: how it was decided.
      at: when, in UTC.
      expires_at: when the consent ends, in UTC.
      notice: SHA-256 of the words that the person agreed to, as hex digits.
    """

    consent: str
    person_id: str
    purpose: str
    recipient: str
    signal: str
    kind: Literal["given", "withdrawn", "expired"]
    at: datetime
    expires_at: datetime
    notice: str

    def __repr__(self) -> str:
        return f"Decision(of a person: {self.kind}, {self.purpose}, {self.signal}, for {self.recipient})"


class ConsentBook:
    """The consents of many people, in a file that can forget; private."""

    def __init__(
        self,
        path: str | Path,
        *,
        record: Record | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Name the file; it is made on first use.

        Args:
          path: the file.
          record: enters each decision into a log, such as `AuditLog.append`.
          clock: tells the time, with a time zone.
        """
        self.path = Path(path).absolute()
        self._record = record
        self._clock = clock

    def give(self, *consents: Consent) -> tuple[str, ...]:
        """Write down what people allow. It is entered into the log first: no consent counts that was not entered.

        Returns:
          An id for each consent, for its record.

        Raises:
          SpecificationError: if one is over already or lasts too long; none was given.
        """
        ids = tuple(str(uuid.uuid4()) for _ in consents)
        with open_database(self.path, _TABLES) as database:
            now = self._find_now(database)
            latest = now + timedelta(days=LONGEST_DAYS)
            given = []
            for consent_id, consent in zip(ids, consents, strict=True):
                expires_at = consent.expires_at.astimezone(UTC)
                if not now < expires_at <= latest:
                    raise SpecificationError(
                        f"expires_at: expected a time within {LONGEST_DAYS} days from now, got one that is over or "
                        "later; choose a nearer end and ask the person again then"
                    )
                about = (consent_id, consent.person_id, consent.purpose, consent.recipient)
                notice = hashlib.sha256(consent.notice.encode()).hexdigest()
                given += [
                    Decision(*about, signal, "given", now, expires_at, notice) for signal in sorted(consent.signals)
                ]
            _insert(database, given)
            self._enter(given)
        return ids

    def withdraw(
        self,
        person_id: str,
        *,
        purpose: str | None = None,
        signals: Collection[str] | None = None,
        recipient: str | None = None,
    ) -> int:
        """Take consent back, from now on. It holds when this returns, and even if entering it into the log fails.

        Args:
          person_id: private.
          purpose: for this purpose alone; for all when left open.
          signals: for these signals alone; for all when left open.
          recipient: for this recipient alone; for all when left open.

        Returns:
          How many permissions ended, one a purpose, recipient and signal; 0 if none was in force.

        Raises:
          SpecificationError: if there is no such purpose or signal; nothing was withdrawn.
        """
        if purpose is not None:
            _check_purpose(purpose)
        if signals is not None:
            _check_signals(signals)
        return self._end(
            "withdrawn",
            person_id,
            lambda decision, now: (
                purpose in (None, decision.purpose)
                and recipient in (None, decision.recipient)
                and (signals is None or decision.signal in signals)
            ),
        )

    def expire(self) -> int:
        """Write down which consents are over by now, and enter it into the log. They had ended without it.

        Returns:
          How many permissions that were.
        """
        return self._end("expired", None, lambda decision, now: decision.expires_at <= now)

    def list_consenting(
        self, purpose: str, signals: Collection[str], recipient: str, at: datetime | None = None
    ) -> tuple[str, ...]:
        """Whose consent for all of these signals is in force; private.

        Args:
          purpose: what for, a key of `PURPOSES`.
          signals: which; all are needed.
          recipient: who wants to use them.
          at: when, with a time zone; now when left open.

        Raises:
          SpecificationError: if the question is out of its bounds.
        """
        _check_question(purpose, signals, recipient)
        if at is not None:
            _check_time("at", at)
        with open_database(self.path, _TABLES) as database:
            asked = {f"signal{i}": signal for i, signal in enumerate(sorted(signals))}
            rows = database.execute(
                f"SELECT d.person FROM decision d WHERE d.purpose = :purpose AND d.recipient = :recipient AND d.signal "
                f"IN ({', '.join(':' + name for name in asked)}) AND {_IS_LATEST} AND d.kind = 'given' "
                "AND d.expires > :at GROUP BY d.person HAVING count(*) = :n ORDER BY d.person",
                {
                    **asked,
                    "purpose": purpose,
                    "recipient": recipient,
                    "n": len(asked),
                    "at": _write_time(self._find_now(database) if at is None else at),
                },
            )
            return tuple(person_id for (person_id,) in rows)

    def list_decisions(self, person_id: str) -> tuple[Decision, ...]:
        """All that a person decided, oldest first; private."""
        with open_database(self.path, _TABLES) as database:
            rows = database.execute(f"SELECT {_COLUMNS} FROM decision WHERE person = ? ORDER BY number", (person_id,))
            return tuple(_read_decision(*row) for row in rows)

    def erase(self, person_id: str) -> int:
        """Forget all that a person decided; nothing of theirs is in force afterwards.

        Returns:
          How many lines were forgotten.
        """
        with open_database(self.path, _TABLES) as database:
            return database.execute("DELETE FROM decision WHERE person = ?", (person_id,)).rowcount

    def _end(
        self, kind: Literal["withdrawn", "expired"], person_id: str | None, ends: Callable[[Decision, datetime], bool]
    ) -> int:
        """End those permissions of a person, or of all, that are meant, then enter them into the log."""
        with open_database(self.path, _TABLES) as database:
            now = self._find_now(database)
            rows = database.execute(
                f"SELECT {_COLUMNS} FROM decision d WHERE d.kind = 'given' AND {_IS_LATEST} "
                "AND (:person IS NULL OR d.person = :person) ORDER BY d.number",
                {"at": _write_time(now), "person": person_id},
            )
            in_force = [_read_decision(*row) for row in rows]
            ended = [replace(decision, kind=kind, at=now) for decision in in_force if ends(decision, now)]
            _insert(database, ended)
        self._enter(ended)
        return len(ended)

    def _enter(self, decisions: Iterable[Decision]) -> None:
        """Enter decisions into the log: an entry a person for all signals that share their fate."""
        if self._record is None:
            return
        signals_of: dict[tuple, list[str]] = defaultdict(list)
        for one in decisions:
            # the day alone: an exact time would connect the entry of a consent with that of its withdrawal
            alike = (one.kind, one.purpose, one.recipient, one.expires_at.date().isoformat(), one.notice)
            signals_of[*alike, one.person_id].append(one.signal)
        # people who decided alike are entered in one go, which costs as much as one
        people_of: dict[tuple, set[str]] = defaultdict(set)
        for (*shared, person_id), signals in signals_of.items():
            people_of[*shared, tuple(sorted(set(signals)))].add(person_id)
        for (kind, purpose, recipient, day, notice, signals), person_ids in people_of.items():
            facts = {"purpose": purpose, "recipient": recipient, "signals": list(signals), "expires_on": day}
            self._record(f"consent_{kind}", {**facts, "notice": notice}, person_ids)

    def _find_now(self, database: sqlite3.Connection) -> datetime:
        """The time, never before that of a decision in the book."""
        now = self._clock()
        _check_time("clock", now)
        last = database.execute("SELECT max(at) FROM decision").fetchone()[0]
        return max(now.astimezone(UTC), _read_time(last)) if last else now.astimezone(UTC)

    def __repr__(self) -> str:
        return f"ConsentBook({self.path.name})"


def _insert(database: sqlite3.Connection, decisions: Iterable[Decision]) -> None:
    for one in decisions:
        who_and_what = (one.consent, one.person_id, one.purpose, one.recipient, one.signal, one.kind)
        when = (_write_time(one.at), _write_time(one.expires_at))
        database.execute(
            f"INSERT INTO decision ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*who_and_what, *when, one.notice)
        )


def _read_decision(
    consent: str,
    person_id: str,
    purpose: str,
    recipient: str,
    signal: str,
    kind: Any,
    at: str,
    expires: str,
    notice: str,
) -> Decision:
    times = _read_time(at), _read_time(expires)
    return Decision(consent, person_id, purpose, recipient, signal, kind, *times, notice)


def _check_question(purpose: str, signals: Collection[str], recipient: str) -> None:
    _check_purpose(purpose)
    _check_signals(signals)
    _check_text("recipient", recipient, 60)


def _check_purpose(purpose: str) -> None:
    if purpose not in PURPOSES:
        raise SpecificationError(
            f"purpose: expected one of {', '.join(PURPOSES)}, got another text; choose the one that the person was told"
        )


def _check_signals(signals: Collection[str]) -> None:
    if isinstance(signals, str) or not signals or len(set(signals)) != len(signals):
        raise SpecificationError(
            "signals: expected at least one, each once, got none or one twice; name them in a tuple"
        )
    for signal in signals:
        get_signal(signal)


def _check_text(name: str, value: object, longest: int) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        got = f"{len(value)}" if isinstance(value, str) else f"a {type(value).__name__}"
        raise SpecificationError(f"{name}: expected a text of 1 to {longest} characters, got {got}; write it out")


def _check_time(name: str, value: object) -> None:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise SpecificationError(
            f"{name}: expected a datetime with a time zone, got one without or another type; add tzinfo, such as "
            "datetime.UTC"
        )


def _write_time(time: datetime) -> str:
    """A time in UTC, always as long, so that texts sort as times do."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27)


def _read_time(text: str) -> datetime:
    return datetime.fromisoformat(text)
