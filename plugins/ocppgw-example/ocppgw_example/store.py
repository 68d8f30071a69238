"""A storage back end: keeps documents in memory, for trials.

The contract stands in ``ocppgw.storage``, and its suite, ``ocppgw.testing.storage``,
checks it. A commit never waits half-way, so it is whole by itself.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ocppgw.storage import (
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
    StorageUnavailable,
    Update,
)
from ocppgw_example.values import at, cleaned, matches, rank


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys beside ``storage.backend: example-memory``."""

    capacity: Annotated[
        int, Meta(description="The most documents that are kept; more are refused.", ge=1)
    ] = 1_000_000


class Record(msgspec.Struct):
    """A document, which commits made and last changed it, and the version of each part."""

    document: Document
    inserted_by: str = ""
    updated_by: str = ""
    versions: dict[str, int] = msgspec.field(default_factory=dict)


class MemoryStorage(Storage):
    """Records by collection and key."""

    def __init__(self, options: Options, collections: Sequence[Collection]) -> None:
        self._capacity = options.capacity
        self._collections = collections
        self._records: dict[str, dict[Key, Record]] = {c.name: {} for c in collections}
        self._numbers: Counter[str] = Counter()

    async def get(self, collection: Collection, key: Key) -> Document | None:
        record = self._records[collection.name].get(key)
        return None if record is None else deepcopy(record.document)

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
        where = where or {}
        declared = {*collection.key_fields, *collection.indexes}
        if unknown := {*where, order_by or collection.key_fields[0]} - declared:
            raise ValueError(f"{collection.name} has no index on {', '.join(sorted(unknown))}")

        def place(document: Document) -> list[tuple[int, Any]]:
            paths = [order_by] if order_by else []
            return [rank(at(document, path)) for path in (*paths, *collection.key_fields)]

        found = [
            record.document
            for record in self._records[collection.name].values()
            if all(matches(at(record.document, path), where[path]) for path in where)
        ]
        found.sort(key=place, reverse=descending)
        if after is not None:
            last = place(after)
            found = [d for d in found if (place(d) < last if descending else place(d) > last)]
        return deepcopy(found[:limit])

    async def scan(self, collection: Collection) -> AsyncIterator[Document]:
        for document in await self.find(collection):
            yield document

    async def commit(self, *changes: Change) -> None:
        guards = [change for change in changes if isinstance(change, Insert | Update)]
        if len(guards) > 1:
            raise ValueError(f"a commit holds at most one guard, not {len(guards)}")
        clean = [_clean(change) for change in changes]  # what cannot be stored shows here
        if sum(map(len, self._records.values())) + len(clean) > self._capacity:
            raise StorageUnavailable(f"the memory store is full: {self._capacity} documents")
        for change in sorted(clean, key=lambda change: not isinstance(change, Insert | Update)):
            self._apply(change)

    def _apply(self, change: Change) -> None:
        records = self._records[change.collection.name]
        match change:
            case Insert():
                self._insert(records, change)
            case Update():
                self._update(records, change)
            case Ensure(collection, document):
                records.setdefault(collection.key(document), Record(document))
            case Put():
                self._put(records, change)
            case Delete(key=key):
                records.pop(key, None)

    def _insert(self, records: dict[Key, Record], change: Insert) -> None:
        key = change.collection.key(change.document)
        record = records.setdefault(key, Record(change.document, change.commit_id))
        if record.inserted_by != change.commit_id:
            taken = f"{change.collection.name} has a document {key} already"
            raise Conflict(taken, deepcopy(record.document))

    def _update(self, records: dict[Key, Record], change: Update) -> None:
        record = records.get(change.key)
        if record is None:
            raise Conflict(f"{change.collection.name} has no document {change.key}", None)
        if record.updated_by == change.commit_id:
            return  # our own write: its answer was lost and the caller came again
        for field, wanted in change.expect.items():
            if not matches(at(record.document, field), wanted):
                differs = f"{field} of {change.collection.name} {change.key} is not as expected"
                raise Conflict(differs, deepcopy(record.document))
        record.document.update(change.fields)
        record.updated_by = change.commit_id
        for field in change.remove:
            record.document.pop(field, None)

    def _put(self, records: dict[Key, Record], change: Put) -> None:
        new = dict(zip(change.collection.key_fields, change.key, strict=True))
        record = records.setdefault(change.key, Record(new))
        if record.versions.get(change.part, change.version - 1) < change.version:
            record.document.update(change.fields)
            record.versions[change.part] = change.version

    async def next_number(self, sequence: str) -> int:
        self._numbers[sequence] += 1
        return self._numbers[sequence]

    async def prune(self, now: datetime) -> int:
        removed = 0
        for collection in self._collections:
            if collection.retention is None or collection.retention_field is None:
                continue
            records = self._records[collection.name]
            for key, record in list(records.items()):
                since = record.document.get(collection.retention_field)
                if isinstance(since, datetime) and since + collection.retention < now:
                    del records[key]
                    removed += 1
        return removed

    async def close(self) -> None:
        """Nothing is held open; what was kept goes with the object."""


def _clean(change: Change) -> Change:
    """The change with values of its own, so that the caller's may change afterwards."""
    match change:
        case Insert() | Ensure():
            change.collection.key(change.document)
            return msgspec.structs.replace(change, document=cleaned(change.document))
        case Update() | Put():
            return msgspec.structs.replace(change, fields=cleaned(change.fields))
        case Delete():
            return change


async def open_memory(options: Options, collections: Sequence[Collection]) -> Storage:
    """What ocppgw calls for ``storage.backend: example-memory``."""
    return MemoryStorage(options, collections)


BACKEND = StorageBackend(
    name="example-memory",
    options_type=Options,
    open=open_memory,
    description="documents in memory, gone at the end of the process",
)
