"""A SQLite file that one call at a time may change, whole or not at all, and that overwrites what it deletes."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from twinlab.errors import DataContractError, ProtocolError

#: How long to wait for another process that is writing.
WAIT_SECONDS = 60.0


@contextlib.contextmanager
def open_database(path: Path, tables: tuple[str, ...]) -> Iterator[sqlite3.Connection]:
    """Hold the write lock of a file; what was changed is on disk on leaving, and undone after an error.

    Deleted rows are overwritten with zeros in the file. What snapshots, backups and the disk itself keep of them is out
    of reach.

    Args:
      path: the file; made when it is not there, readable by its owner alone.
      tables: statements that make what is missing.

    Raises:
      ProtocolError: if another process held the lock for longer than a minute.
      DataContractError: if the file is no such database.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN IMMEDIATE")
            for statement in tables:
                connection.execute(statement)
            yield connection
            connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise ProtocolError(f"{path.name}: expected to write within {WAIT_SECONDS:.0f} s, got: {error}") from None
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:  # the refined ones are faults of a call, not of the file
            raise
        raise DataContractError(
            f"{path.name}: expected a database of twinlab, got another file; name the right one"
        ) from None
