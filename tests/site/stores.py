"""A look into a store of the file back end while its process runs."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def documents(store: Path, collection: str) -> list[dict[str, Any]]:
    """What is stored in a collection."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        rows = db.execute(f'SELECT doc FROM "doc:{collection}"').fetchall()
    return [json.loads(row[0]) for row in rows]
