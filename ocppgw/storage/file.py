"""The embedded back end, ``file``: one SQLite file, one process, nothing to install."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ocppgw.hooks import hookimpl
from ocppgw.storage import replacing, upgrade
from ocppgw.storage.base import (
    Change,
    Collection,
    Document,
    Key,
    Storage,
    StorageBackend,
)
from ocppgw.storage.checks import whole_key
from ocppgw.storage.failures import failure, in_sentences
from ocppgw.storage.group import GroupThread
from ocppgw.storage.reader import Find, ReadSession, by_key, matching
from ocppgw.storage.sqlite import (
    FileLock,
    Table,
    connect,
    create_folders,
    create_private,
    prepare,
    table_of,
)
from ocppgw.storage.values import packed_value
from ocppgw.storage.writer import Step, WriteSession, commit_step, prune_some, reserve_numbers

NUMBERS_AT_ONCE = 32
SCAN_PAGE = 200
PRUNE_AT_ONCE = 100  # 6 ms for documents of 5 KB; every commit may have to wait for one


class FileOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of the ``file`` back end."""

    path: Annotated[
        Path,
        msgspec.Meta(
            description="The SQLite file; made if it is not there, as are its folders. "
            "One process may use it at a time."
        ),
    ]


class FileStorage(Storage):
    """The storage contract on a SQLite file; made by :func:`open_file`.

    It promises more than the contract: a commit that raises has stored nothing.
    """

    def __init__(self, path: Path, collections: Iterable[Collection]) -> None:
        self._tables = {collection.name: table_of(collection) for collection in collections}
        self._writer: GroupThread[Step] = GroupThread(
            f"{path.name} writer", partial(open_writer, path, self._tables.values())
        )
        self._reader: GroupThread[Find] = GroupThread(
            f"{path.name} reader", partial(_open_reader, path)
        )
        self._numbers: dict[str, range] = {}
        self._reserving = asyncio.Lock()

    async def start(self) -> None:
        """Opens the file; StorageError if that cannot be, and nothing is left open."""
        await self._writer.start()
        try:
            await self._reader.start()
        except BaseException:
            await self._writer.close()
            raise

    async def get(self, collection: Collection, key: Key) -> Document | None:
        table = self._table(collection)
        found = await self._reader.do(by_key(table, whole_key(collection, key)))
        return found[0] if found else None

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
        query = matching(
            self._table(collection),
            where or {},
            order_by=order_by,
            descending=descending,
            limit=limit,
            after=after,
        )
        found: list[Document] = await self._reader.do(query)
        return found

    async def scan(self, collection: Collection) -> AsyncIterator[Document]:
        after: Document | None = None
        while page := await self.find(collection, limit=SCAN_PAGE, after=after):
            for document in page:
                yield document
            after = page[-1]

    async def commit(self, *changes: Change) -> None:
        if changes:
            await self._writer.do(commit_step(self._tables, changes))

    async def next_number(self, sequence: str) -> int:
        async with self._reserving:
            numbers = self._numbers.get(sequence)
            if not numbers:
                last = await self._writer.do(reserve_numbers(sequence, NUMBERS_AT_ONCE))
                numbers = range(last - NUMBERS_AT_ONCE + 1, last + 1)
            self._numbers[sequence] = numbers[1:]
            return numbers[0]

    async def prune(self, now: datetime) -> int:
        removed = 0
        for table in self._tables.values():
            retention = table.collection.retention
            if table.prune is None or retention is None:
                continue
            before = packed_value(now - retention)
            # In slices, so that no commit waits for all of it.
            while count := await self._writer.do(prune_some(table.prune, before, PRUNE_AT_ONCE)):
                removed += count
        return removed

    async def close(self) -> None:
        await self._reader.close()
        await self._writer.close()

    def _table(self, collection: Collection) -> Table:
        try:
            return self._tables[collection.name]
        except KeyError:
            raise ValueError(f"the collection {collection.name} was not opened") from None


async def open_file(options: FileOptions, collections: Sequence[Collection]) -> FileStorage:
    """Opens the file, making or upgrading it; StorageError says why it cannot be."""
    storage = FileStorage(options.path, collections)
    await storage.start()
    return storage


@hookimpl
def ocppgw_storage_backends() -> Sequence[StorageBackend]:
    description = "one SQLite file on a local disk; nothing to install"
    return [StorageBackend("file", FileOptions, open_file, description)]


# On the threads


def open_writer(path: Path, tables: Iterable[Table]) -> WriteSession:
    """Takes the file, ends what a killed restore began, upgrades it; StorageError."""
    with in_sentences(path), contextlib.ExitStack() as undo:
        create_folders(path)
        undo.callback(FileLock(path).close)
        replacing.finish(path)  # before a new file is made where an old one was moved away
        create_private(path)
        db = undo.enter_context(contextlib.closing(connect(path)))
        upgrade.keep_before(db, path)
        prepare(db, path, tables)
        return WriteSession(db, partial(failure, path), undo.pop_all().close)


def _open_reader(path: Path) -> ReadSession:
    with in_sentences(path), contextlib.ExitStack() as undo:
        db = undo.enter_context(contextlib.closing(connect(path)))
        db.execute("PRAGMA query_only = ON")
        undo.pop_all()
        return ReadSession(db, partial(failure, path))
