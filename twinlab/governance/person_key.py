"""A key a person, and the tags it makes: entries of a log that name nobody, and that its keeper can let go of.

A tag is HMAC-SHA256 under the person's key of a nonce that is new in each entry, and of the person's id. With the key,
a person's entries can be found and shown to be theirs. Without it, a tag is 32 bytes that fit nobody: not even two
entries of the same person can be told to belong together. So deleting the key takes the person out of a log that cannot
be changed.

What stays after that: the rest of the entry, and whatever others know of its time and facts.
"""

import hashlib
import hmac
import os
from collections.abc import Collection
from pathlib import Path

from twinlab.governance.database import open_database

#: Bytes of a key and of a nonce.
KEY_BYTES, NONCE_BYTES = 32, 16

_TABLES = ("CREATE TABLE IF NOT EXISTS person (id TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID",)
_LABEL = b"twinlab person tag 1\0"


class PersonKeys:
    """The keys of a log's people, in a file that can forget; private."""

    def __init__(self, path: str | Path) -> None:
        """Name the file; it is made on first use."""
        self.path = Path(path).absolute()

    def make(self, person_ids: Collection[str]) -> dict[str, bytes]:
        """The key of each person; who has none gets one. They are on disk when this returns."""
        with open_database(self.path, _TABLES) as database:
            drawn = [(person_id, os.urandom(KEY_BYTES)) for person_id in person_ids]
            database.executemany("INSERT OR IGNORE INTO person VALUES (?, ?)", drawn)
            find = "SELECT key FROM person WHERE id = ?"
            return {person_id: database.execute(find, (person_id,)).fetchone()[0] for person_id in person_ids}

    def find(self, person_id: str) -> bytes | None:
        """The key of a person, if there is one."""
        with open_database(self.path, _TABLES) as database:
            row = database.execute("SELECT key FROM person WHERE id = ?", (person_id,)).fetchone()
            return row[0] if row else None

    def knows_any(self, names: Collection[str]) -> bool:
        """Whether any of these texts is the id of a person with a key."""
        with open_database(self.path, _TABLES) as database:
            find = "SELECT 1 FROM person WHERE id = ?"
            return any(database.execute(find, (name,)).fetchone() for name in names)

    def delete(self, person_id: str) -> None:
        """Forget a person's key; it is overwritten in the file when this returns."""
        with open_database(self.path, _TABLES) as database:
            database.execute("DELETE FROM person WHERE id = ?", (person_id,))


def tag_person(key: bytes, nonce: bytes, person_id: str) -> bytes:
    """The tag of a person in the entry with that nonce, 32 bytes.

    Args:
      key: of the person; private.
      nonce: of the entry, 16 bytes; public.
      person_id: private.
    """
    return hmac.new(key, _LABEL + nonce + person_id.encode(), hashlib.sha256).digest()
