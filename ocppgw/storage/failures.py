"""What SQLite and the file system refuse, in a sentence for the person who runs it."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ocppgw.storage.base import StorageError, StorageUnavailable

_SENTENCES: dict[str, str] = {
    "SQLITE_FULL": "the disk is full; nothing of this was stored, free some space",
    "SQLITE_READONLY": "the file cannot be written; check its owner, its rights and the mount",
    "SQLITE_IOERR": "the disk failed while reading or writing; check it and the free space",
    "SQLITE_BUSY": "another program keeps the file locked; end that program",
    "SQLITE_LOCKED": "another program keeps the file locked; end that program",
    "SQLITE_CANTOPEN": "the file cannot be opened; check the folder, its rights and the space",
    "SQLITE_PERM": "the file may not be accessed; check its owner and its rights",
    "SQLITE_NOMEM": "there is no memory left",
}
_DAMAGED = {
    "SQLITE_CORRUPT": "the file is damaged; restore a backup, or try `sqlite3 FILE .recover`",
    "SQLITE_NOTADB": "the file is not a SQLite database; move it away or name another path",
}


def failure(path: Path, error: Exception) -> StorageError:
    """The error to raise: StorageUnavailable where the same call may succeed later."""
    if isinstance(error, OSError):
        return _os_failure(path, error)
    if not isinstance(error, sqlite3.Error):
        return StorageError(f"{path}: {type(error).__name__}: {error}")
    # SQLITE_IOERR_WRITE and the like are kinds of their first two words.
    name = "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])
    if name in _DAMAGED:
        return StorageError(f"{path}: {_DAMAGED[name]} ({error})")
    if name in _SENTENCES:
        return StorageUnavailable(f"{path}: {_SENTENCES[name]} ({error})")
    return StorageError(f"{path}: SQLite refused: {error}")


@contextlib.contextmanager
def in_sentences(path: Path) -> Iterator[None]:
    """What SQLite or the file system refuses within, raised as :func:`failure` has it."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise failure(path, error) from error


def _os_failure(path: Path, error: OSError) -> StorageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageUnavailable(f"{path}: the disk is full; free some space")
    return StorageUnavailable(f"{path}: {error.strerror or error}; check the path and its rights")
