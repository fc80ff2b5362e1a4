"""An append-only file of sealed entries, for records that must survive a crash and show when they were changed.

Entries are JSON in one SQLite file. Each carries a keyed hash (HMAC-SHA256) over its number, its content and the hash
before it. A second small file, the seal, holds the key, which file it belongs to (its inode) and the newest entry that
is known. Noticed on every use:

- an entry changed, dropped, inserted or reordered by whoever does not hold the seal;
- entries missing at the end, the file deleted or replaced by an older one, as long as its seal was not put back too;
- a copy: it has another inode than the one the seal names, and without its seal it does not open at all.

Not noticed from the inside: whoever holds the seal can write a new history; and whoever puts back an older file in
place, together with its older seal, turns back time. The loss of the very last entry goes unnoticed if the process was
killed between writing the entry and the seal. Against all three, keep `Chain.digest` with somebody else.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twinlab.errors import PrivacyError, ProtocolError

#: How long to wait for another process that is writing.
WAIT_SECONDS = 60.0

_TABLES = (
    "CREATE TABLE entry (number INTEGER PRIMARY KEY, body TEXT NOT NULL, mac BLOB NOT NULL)",
    "CREATE TRIGGER entries_stay BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'entries stay'); END",
    "CREATE TRIGGER entries_do_not_change BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'entries stay'); END",
)


class Chain:
    """The entries of one file while its write lock is held. Made by `open_chain`."""

    def __init__(self, connection: sqlite3.Connection, seal: Mapping[str, Any]) -> None:
        """Take the entries as they are; `open_chain` has them checked."""
        self._connection = connection
        self._key = bytes.fromhex(seal["key"])
        self._rows = list(connection.execute("SELECT number, body, mac FROM entry ORDER BY number"))
        self.n_appended = 0
        self.entries: list[dict[str, Any]] = []
        self.macs: list[bytes] = []

    def check(self, path: Path, seal: Mapping[str, Any]) -> None:
        """Check every entry against the one before it, and all against the seal.

        Raises:
          PrivacyError: if they do not fit.
        """
        for expected, (number, body, mac) in enumerate(self._rows, start=1):
            if number != expected or not isinstance(body, str) or not isinstance(mac, bytes):
                raise _refuse(path, f"entry {expected} is missing or malformed")
            if not hmac.compare_digest(mac, self._seal(number, body)):
                raise _refuse(path, f"entry {number} was changed, or comes from another ledger")
            self.entries.append({**json.loads(body), "number": number})
            self.macs.append(mac)
        known = seal["number"]
        if known > len(self.macs):
            raise _refuse(path, f"it has {len(self.macs)} entries and its seal remembers {known}")
        if known and self.macs[known - 1].hex() != seal["mac"]:
            raise _refuse(path, f"its entry {known} is not the one that its seal remembers")

    def append(self, body: Mapping[str, Any]) -> None:
        """Add an entry; it is on disk once the chain is closed without an error."""
        stamped = {**body, "time": datetime.now(UTC).isoformat(timespec="milliseconds")}
        text = json.dumps(stamped, sort_keys=True, separators=(",", ":"), allow_nan=False)
        number = len(self.macs) + 1
        mac = self._seal(number, text)
        self._connection.execute("INSERT INTO entry VALUES (?, ?, ?)", (number, text, mac))
        self.entries.append({**json.loads(text), "number": number})
        self.macs.append(mac)
        self.n_appended += 1

    @property
    def digest(self) -> str:
        """A fingerprint of the whole history up to now."""
        return self.macs[-1].hex() if self.macs else ""

    def _seal(self, number: int, body: str) -> bytes:
        before = self.macs[-1] if self.macs else b"\0" * 32
        return hmac.new(self._key, before + number.to_bytes(8, "big") + body.encode(), hashlib.sha256).digest()


@contextlib.contextmanager
def open_chain(path: Path, seal_path: Path, *, create: bool = False, adopt: bool = False) -> Iterator[Chain]:
    """Hold the write lock of a chain, with all its entries checked; what was appended is on disk on leaving.

    An exception inside leaves the file as it was.

    Args:
      path: the file.
      seal_path: its seal.
      create: make both if neither is there.
      adopt: accept a file that was copied or restored on purpose.

    Raises:
      PrivacyError: if the file is missing, or was changed, cut, replaced or copied.
      ProtocolError: if another process held the lock for longer than a minute.
    """
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.is_file():
        raise _refuse(path, "it is not there")
    try:
        with contextlib.closing(_connect(path)) as connection:
            seal = _prepare(connection, path, seal_path, create)
            if seal["inode"] != _find_inode(path) and not adopt:
                raise _refuse(path, "it is not the file that its seal was made for, but a copy or a restored backup")
            chain = Chain(connection, seal)
            chain.check(path, seal)
            yield chain
            connection.execute("COMMIT" if chain.n_appended or connection.total_changes else "ROLLBACK")
            if chain.n_appended or adopt:
                _renew_seal(connection, path, seal_path, seal)
    except sqlite3.OperationalError as error:
        raise ProtocolError(f"{path.name}: expected to write within {WAIT_SECONDS:.0f} s, got: {error}") from None
    except sqlite3.DatabaseError as error:
        raise _refuse(path, f"it cannot be read ({error})") from None


def adopt_chain(path: str | Path, reason: str, seal_path: str | Path | None = None) -> None:
    """Accept a chain that was copied or restored on purpose. Its entries are checked; the reason becomes an entry.

    Whatever was spent through the other copy is not known to this one: the person who adopts answers for that.

    Args:
      path: the file.
      reason: why, in words; public.
      seal_path: its seal; beside it when left open.
    """
    path = Path(path).absolute()
    with open_chain(path, find_seal(path, seal_path), adopt=True) as chain:
        chain.append({"kind": "adopted", "reason": reason})


def find_seal(path: Path, seal_path: str | Path | None) -> Path:
    """Where the seal of a file lies."""
    return Path(seal_path) if seal_path else path.with_name(path.name + ".seal")


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that holds the write lock."""
    # a short wait inside SQLite and patience outside: two processes that make the file may block each other
    connection = sqlite3.connect(path, timeout=0.05, isolation_level=None)
    try:
        _persist(connection, "PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        _persist(connection, "BEGIN IMMEDIATE")
    except BaseException:
        connection.close()
        raise
    return connection


def _persist(connection: sqlite3.Connection, statement: str) -> None:
    """Execute a statement as soon as no other process stands in the way."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if not ("locked" in str(error) or "busy" in str(error)) or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def _prepare(connection: sqlite3.Connection, path: Path, seal_path: Path, create: bool) -> dict[str, Any]:
    """The seal; a new file gets its tables and, if it has none, a seal."""
    has_tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'entry'").fetchone() is not None
    if not seal_path.is_file():
        if has_tables or not create:
            raise _refuse(path, f"its seal {seal_path.name} is not there")
        _write_seal(seal_path, {"key": secrets.token_hex(32), "inode": _find_inode(path), "number": 0, "mac": ""})
    seal = _read_seal(path, seal_path)
    if not has_tables:
        if seal["number"] or not create:
            raise _refuse(path, f"it is empty, and its seal remembers {seal['number']} entries")
        for statement in _TABLES:
            connection.execute(statement)
        seal["inode"] = _find_inode(path)
    return seal


def _renew_seal(connection: sqlite3.Connection, path: Path, seal_path: Path, seal: Mapping[str, Any]) -> None:
    """Note the newest entry in the seal, under the lock, so that the seal never goes back."""
    _persist(connection, "BEGIN IMMEDIATE")
    number, mac = connection.execute("SELECT number, mac FROM entry ORDER BY number DESC LIMIT 1").fetchone()
    _write_seal(seal_path, {"key": seal["key"], "inode": _find_inode(path), "number": number, "mac": mac.hex()})
    connection.execute("ROLLBACK")


def _read_seal(path: Path, seal_path: Path) -> dict[str, Any]:
    try:
        seal = json.loads(seal_path.read_text(encoding="utf-8"))
        bytes.fromhex(seal["key"])
        return {"key": seal["key"], "inode": int(seal["inode"]), "number": int(seal["number"]), "mac": str(seal["mac"])}
    except (OSError, ValueError, TypeError, KeyError):
        raise _refuse(path, f"its seal {seal_path.name} cannot be read") from None


def _write_seal(seal_path: Path, seal: Mapping[str, Any]) -> None:
    """Replace the seal in one step; readable by its owner alone."""
    seal_path.parent.mkdir(parents=True, exist_ok=True)
    draft = seal_path.with_name(f"{seal_path.name}.{os.getpid()}.draft")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(dict(seal), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, seal_path)


def _find_inode(path: Path) -> int:
    return path.stat().st_ino


def _refuse(path: Path, what: str) -> PrivacyError:
    return PrivacyError(
        f"ledger {path.name}: expected an unbroken history, but {what}. Nothing was spent. Put the right file back; "
        "if it was copied or restored on purpose, accept it with twinlab.chain.adopt_chain(path, reason=...)"
    )
