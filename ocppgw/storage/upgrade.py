"""A store of an older schema: a copy of it is kept before it is upgraded.

The upgrade itself is one transaction (:func:`ocppgw.storage.sqlite.prepare`): a process
killed in it leaves the old schema. The copy is for those who want to go back to the older
ocppgw, which refuses the newer schema.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from ocppgw.storage import sqlite
from ocppgw.storage.copying import checked, copy

log = logging.getLogger(__name__)


def keep_before(db: sqlite3.Connection, path: Path) -> None:
    """Copies the store to ``NAME.before-schema-N`` if it is to be upgraded to schema N.

    A copy of that name is replaced: its upgrade did not come about, or was taken back.
    Raises StorageError (a damaged file is not upgraded), OSError or sqlite3.Error; then
    nothing has changed.
    """
    version, newest = sqlite.schema_version(db, path), len(sqlite.UPGRADES)
    making = Path(f"{path}.upgrading")
    making.unlink(missing_ok=True)  # of a process that was killed
    if not 0 < version < newest:
        return
    kept = Path(f"{path}.before-schema-{newest}")
    try:
        copy(db, making)
        checked(making)
        making.replace(kept)
    finally:
        making.unlink(missing_ok=True)
    sqlite.flush(path.parent)
    log.info("%s: schema %d becomes %d; a copy as it was is %s", path, version, newest, kept)
