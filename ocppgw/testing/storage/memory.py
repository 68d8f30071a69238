"""A store in memory, for tests of what stands on storage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from ocppgw.storage.base import (
    ABSENT,
    Change,
    Collection,
    Conflict,
    Delete,
    Document,
    Ensure,
    Insert,
    Key,
    Put,
    Storage,
    StorageError,
    Update,
)
from ocppgw.storage.checks import (
    guard_first,
    key_document,
    key_of,
    merged_fields,
    value_at,
    whole_key,
)
from ocppgw.storage.selection import selected
from ocppgw.storage.values import checked


class _Row(msgspec.Struct):
    document: Document
    inserted_by: str = ""
    updated_by: str = ""
    versions: dict[str, int] = {}


class MemoryContents(msgspec.Struct):
    """What a :class:`MemoryStorage` holds; survives it if one keeps hold of it."""

    tables: dict[str, dict[Key, _Row]] = {}
    numbers: dict[str, int] = {}
    collections: dict[str, Collection] = {}


class MemoryStorage(Storage):
    """Keeps the storage contract as long as the process lives.

    Given ``collections`` it knows only those, as a real store; without, any. The
    ``contents`` of a closed one, handed to the next, are what a restart finds. While
    :attr:`failure` is set every call raises it and stores nothing.
    """

    def __init__(
        self, collections: Iterable[Collection] = (), *, contents: MemoryContents | None = None
    ) -> None:
        self.failure: StorageError | None = None
        self.contents = contents or MemoryContents()
        declared = {collection.name: collection for collection in collections}
        self._known = frozenset(declared)
        self.contents.collections |= declared
        self._closed = False

    async def get(self, collection: Collection, key: Key) -> Document | None:
        await self._turn()
        row = self._table(collection).get(whole_key(collection, key))
        return checked(row.document) if row else None

    async def find(
        self,
        collection: Collection,
        where: Mapping[str, Any] | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        after: Document | None = None,
    ) -> list[Document]:
        await self._turn()
        found = selected(
            collection,
            [row.document for row in self._table(collection).values()],
            where,
            order_by=order_by,
            descending=descending,
            limit=limit,
            after=after,
        )
        return [checked(document) for document in found]

    async def scan(self, collection: Collection) -> AsyncIterator[Document]:
        after: Document | None = None
        while page := await self.find(collection, limit=100, after=after):
            for document in page:
                yield document
            after = page[-1]

    async def commit(self, *changes: Change) -> None:
        steps = [self._prepared(change) for change in guard_first(changes)]
        await self._turn()
        for step in steps:
            step()

    async def next_number(self, sequence: str) -> int:
        await self._turn()
        numbers = self.contents.numbers
        numbers[sequence] = numbers.get(sequence, 0) + 1
        return numbers[sequence]

    async def prune(self, now: datetime) -> int:
        await self._turn()
        removed = 0
        for collection in self.contents.collections.values():
            if collection.retention is None or collection.retention_field is None:
                continue
            rows = self._table(collection)
            for key, row in tuple(rows.items()):
                at = value_at(row.document, collection.retention_field)
                if isinstance(at, datetime) and at < now - collection.retention:
                    del rows[key]
                    removed += 1
        return removed

    async def close(self) -> None:
        self._closed = True

    async def _turn(self) -> None:
        """Lets others run, as a real store would; then fails if it is to fail."""
        await asyncio.sleep(0)
        if self._closed:
            raise StorageError("the store is closed")
        if self.failure is not None:
            raise self.failure

    def _table(self, collection: Collection) -> dict[Key, _Row]:
        if self._known and collection.name not in self._known:
            raise ValueError(f"the collection {collection.name} was not opened")
        self.contents.collections.setdefault(collection.name, collection)
        return self.contents.tables.setdefault(collection.name, {})

    def _prepared(self, change: Change) -> Callable[[], object]:
        """The change with a copy of its values, as a call that applies it."""
        rows = self._table(change.collection)
        match change:
            case Insert(collection, document, commit_id):
                key = key_of(collection, document)
                row = _Row(checked(document), inserted_by=commit_id)
                return lambda: _insert(rows, key, row)
            case Ensure(collection, document):
                key, row = key_of(collection, document), _Row(checked(document))
                return lambda: rows.setdefault(key, row)
            case Update():
                expect = checked({k: v for k, v in change.expect.items() if v is not ABSENT})
                fields = checked(merged_fields(change))
                return lambda: _update(rows.get(change.key), change, fields, expect)
            case Put():
                fields = checked(merged_fields(change))
                return lambda: _put(rows, change, fields)
            case Delete(collection, key):
                whole_key(collection, key)
                return lambda: rows.pop(key, None)


def _insert(rows: dict[Key, _Row], key: Key, row: _Row) -> None:
    present = rows.setdefault(key, row)
    if present is not row and present.inserted_by != row.inserted_by:
        raise Conflict(f"the key {key} is taken", checked(present.document))


def _update(row: _Row | None, change: Update, fields: Document, expect: Document) -> None:
    if row is None:
        raise Conflict(f"{change.collection.name}: there is no {change.key}", None)
    if row.updated_by == change.commit_id:
        return
    for name, wanted in change.expect.items():
        if row.document.get(name, ABSENT) != expect.get(name, ABSENT):
            raise Conflict(f"{name} is not {wanted!r}", checked(row.document))
    kept = {k: v for k, v in row.document.items() if k not in change.remove}
    row.document = {**kept, **fields}
    row.updated_by = change.commit_id


def _put(rows: dict[Key, _Row], change: Put, fields: Document) -> None:
    row = rows.setdefault(change.key, _Row(key_document(change.collection, change.key)))
    if change.part not in row.versions or change.version > row.versions[change.part]:
        row.document = {**row.document, **fields}
        row.versions = {**row.versions, change.part: change.version}
