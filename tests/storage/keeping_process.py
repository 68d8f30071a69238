"""A process that does one thing to a store and says when; it is killed meanwhile.

Arguments: what to do, the archive, the store's path.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ocppgw.storage import Collection, backup, sqlite
from ocppgw.storage.file import open_writer
from ocppgw.storage.writer import prune_some

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 22, 20, 15, tzinfo=UTC)
A_DAY_BEFORE = "@2026-11-21T20:15:00.000Z"
NOTES = Collection("notes", ("id",), retention_field="at", retention=DAY)
FURTHER = ('CREATE TABLE second AS SELECT * FROM "doc:notes"', "CREATE TABLE third (x)")


def upgrade(path: Path) -> None:
    """To a schema one step beyond the newest."""
    sqlite.UPGRADES = (*sqlite.UPGRADES, FURTHER)
    open_writer(path, [sqlite.table_of(NOTES)]).close()


def prune(path: Path, at_once: int = 10) -> None:
    """Removes the notes that are older than a day."""
    table = sqlite.table_of(NOTES)
    assert table.prune is not None
    session = open_writer(path, [table])
    while session.run([prune_some(table.prune, A_DAY_BEFORE, at_once)])[0]:
        pass
    session.close()


def main(what: str, archive: Path, path: Path) -> None:
    print("begins", flush=True)
    if what == "backup":
        backup.write([backup.StoreFile("x", path)], archive, NOW)
    elif what == "restore":
        backup.put_back(archive, "x", path)
    elif what == "upgrade":
        upgrade(path)
    else:
        prune(path)
    print("ended", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
