"""A store's file replaced by another, whole at every moment.

The new file is made ready as ``NAME.restoring`` and then renamed to ``NAME.restored``.
From that moment on it will take the store's place, whatever happens: who opens the store
finishes what a killed process began (:func:`finish`). The old file stays beside it as
``NAME.before-restore-TIME``. A WAL or journal of the old file must never lie beside the
new one: SQLite would take it for the new file's own.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from ocppgw.storage.copying import opened
from ocppgw.storage.failures import in_sentences
from ocppgw.storage.sqlite import flush

log = logging.getLogger(__name__)


def making(path: Path) -> Path:
    """Where the file that is to replace the store at that path is written."""
    return Path(f"{path}.restoring")


def is_there(path: Path) -> bool:
    """Whether there is a store at that path, or will be once a restore is finished.

    Raises StorageError if that cannot be told.
    """
    with in_sentences(path):
        return path.exists() or _ready(path).exists()


def replace(path: Path) -> Path | None:
    """Puts the flushed, closed file at ``making(path)`` in the place of the store; gives
    where the old one is now, if there was one.

    Needs the store's lock and the store closed. Raises OSError.
    """
    making(path).replace(_ready(path))
    flush(path.parent)
    return finish(path)


def finish(path: Path) -> Path | None:
    """Ends what a killed :func:`replace` left: the old file stands, or the new one does;
    gives where the old one is now, if it was replaced.

    Needs the store's lock and the store closed. Raises OSError.
    """
    if making(path).exists():
        making(path).unlink()
        log.warning("%s: a restore that was cut off has changed nothing", path)
    ready = _ready(path)
    if not ready.exists():
        return None
    # Of the file, not of now: to begin again is to go on with the same name.
    moment = datetime.fromtimestamp(ready.stat().st_mtime, UTC)
    old = Path(f"{path}.before-restore-{moment:%Y%m%dT%H%M%S.%f}Z")
    if path.exists():
        _take_in_wal(path)
        path.replace(old)
    # There is one only if the old file is damaged, or gone.
    for ending in ("-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{ending}").replace(f"{old}{ending}")
    flush(path.parent)  # the old names are gone for certain before the new one is there
    ready.replace(path)
    flush(path.parent)
    if not old.exists():
        log.info("%s: restored; there was none before", path)
        return None
    log.info("%s: restored; what was there before is %s", path, old)
    return old


def _ready(path: Path) -> Path:
    return Path(f"{path}.restored")


def _take_in_wal(path: Path) -> None:
    """Brings the old file's last commits, still in its WAL after a kill, into the file."""
    try:
        with opened(path, writable=True) as db:
            db.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        log.warning("%s: kept as it is, with its WAL, for it is damaged: %s", path, error)
