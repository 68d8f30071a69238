"""Consistent copies of a SQLite file, taken while others write to it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ocppgw.storage.base import StorageError
from ocppgw.storage.sqlite import BUSY_SECONDS, flush, schema_version


@contextlib.contextmanager
def opened(path: Path, *, writable: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection of our own to a file that must be there, whoever else uses it."""
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        timeout=BUSY_SECONDS,
    )
    with contextlib.closing(db):
        if not writable:
            db.execute("PRAGMA query_only = ON")
        yield db


def copy(source: sqlite3.Connection, target: Path) -> None:
    """Writes what the source holds now to a new file, which is flushed when this returns.

    Writers are not held up: the source is read as it was in one moment. The copy stands
    alone, it has no WAL beside it. FileExistsError if the target is there already.
    """
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")  # flushed as a whole, below
        source.backup(db)
        db.execute("PRAGMA journal_mode = DELETE")
    flush(target)


def checked(path: Path) -> int:
    """The schema version of a copy nobody uses; StorageError if it is damaged, not of
    ocppgw, or of a newer one."""
    with opened(path) as db:
        version = schema_version(db, path)
        if not version:
            raise StorageError(f"{path}: this is no store of ocppgw, it is empty")
        problems = [str(row[0]) for row in db.execute("PRAGMA quick_check(3)")]
    if problems != ["ok"]:
        raise StorageError(f"{path}: the file is damaged: {'; '.join(problems)}")
    return version
