"""A storage back end: keeps documents in memory, for trials.

The contract stands in ``ocppgw.storage``, and its suite, ``ocppgw.testing.storage``,
checks it. What may be stored is checked with ``ocppgw.storage.checks`` and ``.values``,
so that every back end refuses the same, and found with ``.selection``. A commit awaits
nothing, so it is whole by itself.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ocppgw.storage import (
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
    StorageBackend,
    StorageError,
    StorageUnavailable,
    Update,
)
from ocppgw.storage.checks import (
    guard_first,
    key_document,
    key_of,
    merged_fields,
    whole_key,
)
from ocppgw.storage.selection import selected
from ocppgw.storage.values import checked


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys beside ``storage.backend: example-memory``."""

    name: Annotated[
        str, Meta(description="What is opened again under its name still holds what it held.")
    ] = "memory"
    capacity: Annotated[
        int, Meta(description="The most documents that are kept; more are refused.", ge=1)
    ] = 1_000_000


class Record(msgspec.Struct):
    """A document, which commits made and last changed it, and the version of each part."""

    document: Document
    inserted_by: str = ""
    updated_by: str = ""
    versions: dict[str, int] = msgspec.field(default_factory=dict)


class Contents(msgspec.Struct):
    """All that one memory holds: records by collection and key, and the last numbers."""

    records: dict[str, dict[Key, Record]] = msgspec.field(default_factory=dict)
    numbers: Counter[str] = msgspec.field(default_factory=Counter)


MEMORIES: dict[str, Contents] = {}  # by name, as long as the process lives


class MemoryStorage(Storage):
    """An open store: the contract over some :class:`Contents`."""

    def __init__(
        self, contents: Contents, capacity: int, collections: Sequence[Collection]
    ) -> None:
        self._contents = contents
        self._capacity = capacity
        self._collections = {collection.name: collection for collection in collections}
        self._open = True

    async def get(self, collection: Collection, key: Key) -> Document | None:
        record = self._of(collection).get(whole_key(collection, key))
        return None if record is None else checked(record.document)

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
        found = selected(
            collection,
            [record.document for record in self._of(collection).values()],
            where,
            order_by=order_by,
            descending=descending,
            limit=limit,
            after=after,
        )
        return [checked(document) for document in found]

    async def scan(self, collection: Collection) -> AsyncIterator[Document]:
        for document in await self.find(collection):
            yield document

    async def commit(self, *changes: Change) -> None:
        clean = [_checked(change) for change in guard_first(changes)]
        if sum(map(len, self._contents.records.values())) + len(clean) > self._capacity:
            raise StorageUnavailable(f"the memory store is full: {self._capacity} documents")
        tables = [self._of(change.collection) for change in clean]
        for records, change in zip(tables, clean, strict=True):
            _apply(records, change)

    async def next_number(self, sequence: str) -> int:
        numbers = self._open_contents().numbers
        numbers[sequence] += 1
        return numbers[sequence]

    async def prune(self, now: datetime) -> int:
        self._open_contents()
        removed = 0
        for collection in self._collections.values():
            if collection.retention is None or collection.retention_field is None:
                continue
            records = self._of(collection)
            for key, record in list(records.items()):
                since = record.document.get(collection.retention_field)
                if isinstance(since, datetime) and since < now - collection.retention:
                    del records[key]
                    removed += 1
        return removed

    async def close(self) -> None:
        self._open = False

    def _open_contents(self) -> Contents:
        if not self._open:
            raise StorageError("the memory store is closed")
        return self._contents

    def _of(self, collection: Collection) -> dict[Key, Record]:
        if collection.name not in self._collections:
            raise ValueError(f"the collection {collection.name} was not opened")
        return self._open_contents().records.setdefault(collection.name, {})


def _checked(change: Change) -> Change:
    """The change with values of its own, so that the caller's may change afterwards."""
    match change:
        case Insert() | Ensure():
            key_of(change.collection, change.document)
            return msgspec.structs.replace(change, document=checked(change.document))
        case Put():
            return msgspec.structs.replace(change, fields=checked(merged_fields(change)))
        case Update():
            absent = {name: want for name, want in change.expect.items() if want is ABSENT}
            given = {name: want for name, want in change.expect.items() if want is not ABSENT}
            return msgspec.structs.replace(
                change, fields=checked(merged_fields(change)), expect={**absent, **checked(given)}
            )
        case Delete():
            whole_key(change.collection, change.key)
            return change


def _apply(records: dict[Key, Record], change: Change) -> None:
    match change:
        case Insert():
            _insert(records, change)
        case Update():
            _update(records, change)
        case Ensure():
            records.setdefault(change.collection.key(change.document), Record(change.document))
        case Put():
            _put(records, change)
        case Delete():
            records.pop(change.key, None)


def _insert(records: dict[Key, Record], change: Insert) -> None:
    key = change.collection.key(change.document)
    record = records.setdefault(key, Record(change.document, change.commit_id))
    if record.inserted_by != change.commit_id:
        taken = f"{change.collection.name} has a document {key} already"
        raise Conflict(taken, checked(record.document))


def _update(records: dict[Key, Record], change: Update) -> None:
    record = records.get(change.key)
    if record is None:
        raise Conflict(f"{change.collection.name} has no document {change.key}", None)
    if record.updated_by == change.commit_id:
        return  # our own write: its answer was lost and the caller came again
    for field, wanted in change.expect.items():
        if record.document.get(field, ABSENT) != wanted:
            differs = f"{field} of {change.collection.name} {change.key} is not as expected"
            raise Conflict(differs, checked(record.document))
    record.document.update(change.fields)
    record.updated_by = change.commit_id
    for field in change.remove:
        record.document.pop(field, None)


def _put(records: dict[Key, Record], change: Put) -> None:
    record = records.setdefault(change.key, Record(key_document(change.collection, change.key)))
    if record.versions.get(change.part, change.version - 1) < change.version:
        record.document.update(change.fields)
        record.versions[change.part] = change.version


async def open_memory(options: Options, collections: Sequence[Collection]) -> Storage:
    """What ocppgw calls for ``storage.backend: example-memory``."""
    contents = MEMORIES.setdefault(options.name, Contents())
    return MemoryStorage(contents, options.capacity, collections)


BACKEND = StorageBackend(
    name="example-memory",
    options_type=Options,
    open=open_memory,
    description="documents in memory, gone at the end of the process",
)
