"""The transaction lane's queue in the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

from ocppgw.delivery.entry import PARKED, WAITING, Entry, entry_document, entry_of
from ocppgw.storage.base import (
    Collection,
    Delete,
    Document,
    Ensure,
    Projection,
    Put,
    Storage,
    Update,
)

PAGE = 200
ENTRIES = Collection("box_queue", ("box", "sequence"), indexes=("state",))
# The highest sequence that was ever removed: a sequence must not come again.
MARK = Collection("box_queue_mark", ("box",))


class Queue:
    """One charge box's entries: reading them, and the changes that alter them."""

    COLLECTIONS: ClassVar[tuple[Collection, ...]] = (ENTRIES, MARK)

    def __init__(self, box: str, storage: Storage) -> None:
        self._box = box
        self._storage = storage

    # Reading

    async def removed(self) -> int:
        """The highest sequence removed so far; 0 if none."""
        mark = await self._storage.get(MARK, (self._box,))
        return int(mark["last"]) if mark else 0

    async def all(self) -> AsyncIterator[Entry]:
        """Every entry, waiting or parked, in order."""
        after: Document | None = None
        while page := await self._storage.find(
            ENTRIES, {"box": self._box}, limit=PAGE, after=after
        ):
            for document in page:
                yield entry_of(document)
            after = page[-1]

    async def waiting(self, limit: int | None = None) -> list[Entry]:
        return await self._in_state(WAITING, limit)

    async def parked(self, limit: int | None = None) -> list[Entry]:
        return await self._in_state(PARKED, limit)

    async def parked_one(self, sequence: int) -> Entry:
        """The parked entry of that sequence; KeyError if there is none."""
        document = await self._storage.get(ENTRIES, (self._box, sequence))
        if document is None or document["state"] != PARKED:
            raise KeyError(f"no parked message {sequence} of {self._box}")
        return entry_of(document)

    async def _in_state(self, state: str, limit: int | None) -> list[Entry]:
        where = {"box": self._box, "state": state}
        return [entry_of(d) for d in await self._storage.find(ENTRIES, where, limit=limit)]

    # Changes

    def addition(self, entry: Entry) -> Projection:
        return Ensure(ENTRIES, entry_document(entry))

    def attempt(self, entry: Entry, attempts: int) -> Update:
        return self._update(entry, {"attempts": attempts})

    def parking(self, entry: Entry, attempts: int, why: str) -> Update:
        fields = {"state": PARKED, "attempts": attempts, "parked_because": why}
        return self._update(entry, fields)

    def return_of(self, entry: Entry) -> Update:
        """A parked entry waits again in its old place, with all its attempts before it."""
        return self._update(entry, {"state": WAITING, "attempts": 0}, ("parked_because",))

    def removal(self, *entries: Entry) -> tuple[Projection, ...]:
        """The mark goes first: killed in between, the entries are removed once more."""
        if not entries:
            return ()
        last = max(entry.sequence for entry in entries)
        mark = Put(MARK, (self._box,), {"last": last}, version=last)
        return mark, *(Delete(ENTRIES, (self._box, entry.sequence)) for entry in entries)

    def _update(self, entry: Entry, fields: Document, remove: tuple[str, ...] = ()) -> Update:
        """A change of the entry as it was read: whoever changed it first wins."""
        revision = entry.revision + 1
        return Update(
            ENTRIES,
            (entry.box, entry.sequence),
            {**fields, "revision": revision},
            expect={"revision": entry.revision},
            commit_id=f"{entry.box}/{entry.sequence}/{revision}",
            remove=remove,
        )
