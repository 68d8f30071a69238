"""The writing side of the file back end: commits, grouped into SQLite transactions."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from ocppgw.storage.base import (
    ABSENT,
    Change,
    Conflict,
    Delete,
    Ensure,
    Insert,
    Put,
    Update,
)
from ocppgw.storage.checks import guard_first, key_document, key_of, merged_fields, whole_key
from ocppgw.storage.sqlite import Table
from ocppgw.storage.values import document_of, encoded, packed

Step: TypeAlias = Callable[[sqlite3.Cursor], Any]
Failure: TypeAlias = Callable[[Exception], Exception]

# A stored document's top level, its values left as the JSON they are.
_Fields: TypeAlias = "dict[str, msgspec.Raw]"
_fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value_of = msgspec.json.Decoder().decode
_versions_of = msgspec.json.Decoder(dict[str, int]).decode


class WriteSession:
    """The connection that writes; a :class:`~ocppgw.storage.group.Session` of steps."""

    def __init__(self, db: sqlite3.Connection, failure: Failure, close: Callable[[], None]) -> None:
        self._db = db
        self._cursor = db.cursor()
        self._failure = failure
        self.close = close

    def run(self, jobs: Sequence[Step]) -> list[Any]:
        """Does all jobs in one transaction. When SQLite refuses that, each on its own, so
        that one that cannot be done takes no other with it."""
        try:
            self._begin()
        except sqlite3.Error as error:
            # No job's fault: the file is locked, say, and each would wait as long again.
            return [self._failure(error) for _ in jobs]
        try:
            return self._together(jobs)
        except Exception as error:  # noqa: BLE001 (becomes its caller's error)
            self._roll_back()
            if len(jobs) == 1:
                return [self._failure(error)]
        return [result for job in jobs for result in self.run([job])]

    def _begin(self) -> None:
        if self._db.in_transaction:  # one that could not be rolled back when it failed
            self._cursor.execute("ROLLBACK")
        self._cursor.execute("BEGIN IMMEDIATE")

    def _together(self, jobs: Sequence[Step]) -> list[Any]:
        results = []
        for job in jobs:
            # No savepoint for each job: whatever can fail for one caller alone, its
            # guard, fails before anything of it is written.
            try:
                results.append(job(self._cursor))
            except Conflict as conflict:
                results.append(conflict)
        self._cursor.execute("COMMIT")
        return results

    def _roll_back(self) -> None:
        # SQLite rolls back by itself on some errors, a full disk among them.
        with contextlib.suppress(sqlite3.Error):  # else the next group tries it again
            if self._db.in_transaction:
                self._cursor.execute("ROLLBACK")


def commit_step(tables: Mapping[str, Table], changes: Sequence[Change]) -> Step:
    """A caller's changes, checked and encoded here and now, applied by the step."""
    steps = [_step(tables, change) for change in guard_first(changes)]

    def step(cursor: sqlite3.Cursor) -> None:
        for apply in steps:
            apply(cursor)

    return step


def reserve_numbers(sequence: str, count: int) -> Step:
    """A step that takes the next ``count`` numbers and gives the last of them."""

    def step(cursor: sqlite3.Cursor) -> int:
        cursor.execute(
            "INSERT INTO sequence (name, reserved) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET reserved = reserved + excluded.reserved",
            (sequence, count),
        )
        cursor.execute("SELECT reserved FROM sequence WHERE name = ?", (sequence,))
        return int(cursor.fetchone()[0])

    return step


def prune_some(statement: str, before: str, count: int) -> Step:
    """A step that removes at most ``count`` old documents and says how many."""
    return lambda cursor: cursor.execute(statement, (before, count)).rowcount


# One kind of change each


def _step(tables: Mapping[str, Table], change: Change) -> Step:
    table = tables.get(change.collection.name)
    if table is None:
        raise ValueError(f"the collection {change.collection.name} was not opened")
    return _STEPS[type(change)](table, change)


def _insert(table: Table, change: Insert) -> Step:
    key, commit_id = key_of(change.collection, change.document), change.commit_id
    arguments = (*key, _text(packed(change.document)), commit_id, None)

    def step(cursor: sqlite3.Cursor) -> None:
        if cursor.execute(table.insert, arguments).rowcount:
            return
        text, inserted_by, _, _ = cursor.execute(table.select, key).fetchone()
        if inserted_by != commit_id:
            name = table.collection.name
            raise Conflict(f"{name}: the key {key} is taken", document_of(text))

    return step


def _ensure(table: Table, change: Ensure) -> Step:
    key = key_of(change.collection, change.document)
    arguments = (*key, _text(packed(change.document)), None, None)
    return lambda cursor: cursor.execute(table.insert, arguments)


def _delete(table: Table, change: Delete) -> Step:
    key = whole_key(change.collection, change.key)
    return lambda cursor: cursor.execute(table.delete, key)


def _update(table: Table, change: Update) -> Step:
    fields = packed(merged_fields(change))
    present = {name: value for name, value in change.expect.items() if value is not ABSENT}
    expect = packed(present)
    absent = [name for name in change.expect if name not in expect]

    def step(cursor: sqlite3.Cursor) -> None:
        row = cursor.execute(table.select, change.key).fetchone()
        if row is None:
            raise Conflict(f"{table.collection.name}: there is no {change.key}", None)
        text, _, updated_by, versions = row
        if updated_by == change.commit_id:
            return
        stored = _fields_of(text)
        if not _as_expected(stored, expect, absent):
            name = table.collection.name
            raise Conflict(f"{name}: {change.key} is not as expected", document_of(text))
        kept = {name: value for name, value in stored.items() if name not in change.remove}
        merged = _text({**kept, **fields})
        cursor.execute(table.update, (merged, change.commit_id, versions, *change.key))

    return step


def _as_expected(stored: _Fields, expect: Mapping[str, Any], absent: Iterable[str]) -> bool:
    return all(name not in stored for name in absent) and all(
        name in stored and _value_of(stored[name]) == value for name, value in expect.items()
    )


def _put(table: Table, change: Put) -> Step:
    fields = packed(merged_fields(change))
    key, part, version = change.key, change.part, change.version

    def step(cursor: sqlite3.Cursor) -> None:
        row = cursor.execute(table.select, key).fetchone()
        if row is None:
            first = _text({**packed(key_document(table.collection, key)), **fields})
            cursor.execute(table.insert, (*key, first, None, _text({part: version})))
            return
        text, _, updated_by, kept = row
        versions = _versions_of(kept) if kept else {}
        if part in versions and versions[part] >= version:
            return
        versions[part] = version
        merged = _text({**_fields_of(text), **fields})
        cursor.execute(table.update, (merged, updated_by, _text(versions), *key))

    return step


_STEPS: dict[type, Callable[[Table, Any], Step]] = {
    Insert: _insert,
    Update: _update,
    Ensure: _ensure,
    Put: _put,
    Delete: _delete,
}


def _text(form: Any) -> str:
    return encoded(form).decode()
