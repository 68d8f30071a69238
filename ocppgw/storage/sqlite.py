"""The SQLite file: who may use it, its schema, a table for each collection.

A table has a column for each key field, the document as JSON text, and beside it what
documents do not show: the commit ids that wrote it and the versions of its Put parts.
"""
# ruff: noqa: S608 (names are checked in table_of, values are bound)

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ocppgw.storage.base import Collection, StorageError

APPLICATION_ID = 0x4F435050  # "OCPP"
# Each step takes a file from the schema version that is its position to the next one.
UPGRADES: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE collection (name TEXT PRIMARY KEY, key_fields TEXT NOT NULL)",
        "CREATE TABLE sequence (name TEXT PRIMARY KEY, reserved INTEGER NOT NULL)",
    ),
)
BUSY_SECONDS = 5.0
_NAME = re.compile(r"[A-Za-z0-9_-]+")


class FileLock:
    """One process a file: a lock file beside it, which the kernel frees after any death.

    A file of its own, because where flock() is made of fcntl() locks (NFS), one on the
    database file would get in SQLite's way.
    """

    def __init__(self, path: Path) -> None:
        """Takes the lock, or raises StorageError with the process that has it."""
        self._fd = _open_or_create(Path(f"{path}.lock"), path)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._fd, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            if not isinstance(error, BlockingIOError):
                raise
            raise StorageError(
                f"{path}: the file is in use by process {holder}; "
                "end that process, or give this one a file of its own"
            ) from None
        with contextlib.suppress(OSError):  # on a full disk the lock holds without the number
            os.ftruncate(self._fd, 0)
            os.write(self._fd, f"{os.getpid()}\n".encode())

    def close(self) -> None:
        os.close(self._fd)


class Table(msgspec.Struct, frozen=True):
    """The statements of one collection's table."""

    collection: Collection
    insert: str
    select: str
    update: str
    delete: str
    prune: str | None
    source: str

    def column(self, path: str) -> str:
        """The SQL expression of a key field or an indexed path."""
        fields = self.collection.key_fields
        return f"k{fields.index(path)}" if path in fields else _expression(path)

    @property
    def key_columns(self) -> list[str]:
        return [f"k{n}" for n in range(len(self.collection.key_fields))]


def table_of(collection: Collection) -> Table:
    field = collection.retention_field
    for name in (collection.name, *collection.key_fields, *collection.indexes, field or "at"):
        if not all(_NAME.fullmatch(part) for part in name.split(".")):
            raise ValueError(f"{collection.name}: {name!r} cannot name a collection or a field")
    name = f'"doc:{collection.name}"'
    keys = [f"k{n}" for n in range(len(collection.key_fields))]
    matches = " AND ".join(f"{key} = ?" for key in keys)
    prune = None
    if collection.retention is not None and field is not None:
        old = f"{_expression(field)} >= '@' AND {_expression(field)} < ?"
        prune = f"DELETE FROM {name} WHERE rowid IN (SELECT rowid FROM {name} WHERE {old} LIMIT ?)"
    return Table(
        collection=collection,
        insert=(
            f"INSERT INTO {name} ({', '.join(keys)}, doc, inserted_by, versions)"
            f" VALUES ({'?, ' * len(keys)}?, ?, ?) ON CONFLICT DO NOTHING"
        ),
        select=f"SELECT doc, inserted_by, updated_by, versions FROM {name} WHERE {matches}",
        update=f"UPDATE {name} SET doc = ?, updated_by = ?, versions = ? WHERE {matches}",
        delete=f"DELETE FROM {name} WHERE {matches}",
        prune=prune,
        source=f"SELECT doc FROM {name}",
    )


def _expression(path: str) -> str:
    quoted = ".".join(f'"{part}"' for part in path.split("."))
    return f"json_extract(doc, '$.{quoted}')"


# Opening


def create_folders(path: Path) -> None:
    """Makes the folders of a file that are not there, for their owner alone."""
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)


def create_private(path: Path) -> None:
    """Makes the file if need be, for its owner alone, and its folders likewise."""
    create_folders(path)
    os.close(_open_or_create(path, path))
    flush(path.parent)  # or a power cut may take the file's name away


def create(path: Path, store: Path) -> int:
    """Makes a file beside a store, for its owner alone, and opens it; FileExistsError.

    Made by root it belongs to whom the store belongs to, or the folder if there is none:
    who restores by sudo must not leave what the gateway's own user cannot open.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    if os.geteuid() == 0:
        owner = (store if store.exists() else path.parent).stat()
        with contextlib.suppress(OSError):  # where there are no owners, as on a memory stick
            os.fchown(fd, owner.st_uid, owner.st_gid)
    return fd


def _open_or_create(path: Path, store: Path) -> int:
    try:
        return create(path, store)
    except FileExistsError:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def flush(path: Path) -> None:
    """Brings a file, or the names in a folder, to the disk.

    Never a database that is open: to close any descriptor of it frees SQLite's locks.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def connect(path: Path) -> sqlite3.Connection:
    """A connection whose commits are on the disk when they return."""
    db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS, cached_statements=512)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA journal_size_limit = 16777216")
    return db


def prepare(db: sqlite3.Connection, path: Path, tables: Iterable[Table]) -> None:
    """Brings the file to this schema, with all those tables and their indexes; raises
    StorageError, and leaves the file as it is, if it is not ours or too new."""
    version = schema_version(db, path)
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StorageError(f"{path}: the file system cannot hold a WAL; use a local disk")
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in UPGRADES[version:]:
            for statement in step:
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {len(UPGRADES)}")
        for table in tables:
            _prepare_table(db, path, table)
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def schema_version(db: sqlite3.Connection, path: Path) -> int:
    """The file's, 0 of an empty one; StorageError if it is not ours or too new."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (objects,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if objects and application != APPLICATION_ID:
        raise StorageError(f"{path}: this SQLite file is not of ocppgw; name another path")
    if version > len(UPGRADES):
        raise StorageError(
            f"{path}: a newer ocppgw wrote this file (schema {version}, this one knows "
            f"{len(UPGRADES)}); run the newer one, or restore a backup from before"
        )
    return int(version)


def _prepare_table(db: sqlite3.Connection, path: Path, table: Table) -> None:
    collection = table.collection
    fields = json.dumps(collection.key_fields)
    db.execute(
        "INSERT INTO collection (name, key_fields) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (collection.name, fields),
    )
    (stored,) = db.execute(
        "SELECT key_fields FROM collection WHERE name = ?", (collection.name,)
    ).fetchone()
    if stored != fields:
        raise StorageError(
            f"{path}: the collection {collection.name} is kept under the key {stored}, "
            f"but {fields} is wanted; name another path"
        )
    keys = ", ".join(table.key_columns)
    db.execute(
        f'CREATE TABLE IF NOT EXISTS "doc:{collection.name}" ({keys}, doc TEXT NOT NULL,'
        f" inserted_by TEXT, updated_by TEXT, versions TEXT, PRIMARY KEY ({keys}))"
    )
    paths = {*collection.indexes, *filter(None, [collection.retention_field])}
    wanted = {f"ix:{collection.name}:{path}": path for path in sorted(paths)}
    present = db.execute(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND name LIKE 'ix:%'",
        (f"doc:{collection.name}",),
    ).fetchall()
    for (name,) in present:
        if name not in wanted:
            db.execute(f'DROP INDEX "{name}"')
    for name, indexed in wanted.items():
        db.execute(
            f'CREATE INDEX IF NOT EXISTS "{name}" ON "doc:{collection.name}"'
            f" ({_expression(indexed)})"
        )
