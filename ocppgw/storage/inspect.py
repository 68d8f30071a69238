"""A store looked through: is the file whole, and what is in it; repaired where that loses
nothing.

A commit of the ``file`` back end is one transaction, so documents that belong together
cannot come apart. What can go wrong is the file itself: an index that a failing disk has
damaged is made anew from the documents; a damaged document is not repaired but told.
"""
# ruff: noqa: S608 (the names are those that sqlite.table_of has checked)

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from ocppgw.storage import replacing
from ocppgw.storage.base import StorageError
from ocppgw.storage.copying import opened
from ocppgw.storage.failures import in_sentences
from ocppgw.storage.sqlite import FileLock, schema_version

_MOST_PROBLEMS = 20


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a store. ``size`` and ``free`` (pages that new documents will use) are
    bytes; ``counts`` is documents by collection; no ``problems`` is a whole file."""

    schema: int
    size: int
    free: int
    counts: dict[str, int]
    problems: tuple[str, ...]


def inspect(path: Path, *, repair: bool = False, compact: bool = False) -> Report:
    """Looks through the store at ``path``, which nobody may have open meanwhile.

    ``repair`` makes all indexes anew, ``compact`` gives free pages back to the disk (it
    needs as much room again). Raises StorageError: in use, not of ocppgw, unreadable.
    """
    with in_sentences(path):
        if not replacing.is_there(path):
            raise StorageError(f"{path}: there is no such file")
        with closing(FileLock(path)):
            replacing.finish(path)
            with opened(path, writable=repair or compact) as db:
                schema = schema_version(db, path)
                if not schema:
                    raise StorageError(f"{path}: this is no store of ocppgw, it is empty")
                if repair:
                    db.execute("REINDEX")
                if compact:
                    db.execute("VACUUM")
                return _report(db, schema)


def _report(db: sqlite3.Connection, schema: int) -> Report:
    problems = _problems(db)
    counts = {}
    for (name,) in db.execute("SELECT name FROM collection ORDER BY name").fetchall():
        try:
            counts[name], bad = db.execute(
                f'SELECT count(*), sum(NOT json_valid(doc)) FROM "doc:{name}"'
            ).fetchone()
        except sqlite3.DatabaseError as error:
            problems.append(f"{name}: {error}")
            continue
        if bad:
            problems.append(f"{name}: documents that cannot be read: {bad}")
    (size,) = db.execute("PRAGMA page_size").fetchone()
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    return Report(
        schema=schema,
        size=size * pages,
        free=size * free,
        counts=counts,
        problems=tuple(problems),
    )


def _problems(db: sqlite3.Connection) -> list[str]:
    try:
        found = db.execute(f"PRAGMA integrity_check({_MOST_PROBLEMS})").fetchall()
    except sqlite3.DatabaseError as error:  # it gives up where a table's first page is none
        return [str(error)]
    return [str(problem) for (problem,) in found if problem != "ok"]
