"""Messages that were answered, and whose removal waits for a commit that is made anyway."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ocppgw.delivery.entry import Entry
from ocppgw.delivery.queue import Queue
from ocppgw.storage.base import Projection

# A crash sends them once more; more than so many are not left to one.
MOST = 16


class Removal(msgspec.Struct, frozen=True):
    """``changes`` for a commit, of anybody's, and what to call once it is durable."""

    changes: Sequence[Projection]
    written: Callable[[], None]


class Leftovers:
    """What the store still holds although it is done with.

    Only messages whose answer changes nothing and which may come twice are left: they
    cost no flush of their own.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._entries: dict[int, Entry] = {}

    @property
    def sequences(self) -> frozenset[int]:
        """Who wants to pass them over takes this before it reads the store: they may be
        removed while it reads, and be seen all the same."""
        return frozenset(self._entries)

    @property
    def too_many(self) -> bool:
        return len(self._entries) >= MOST

    def add(self, entry: Entry) -> None:
        self._entries[entry.sequence] = entry

    def removal(self) -> Removal:
        """Of all that are left now."""
        entries = tuple(self._entries.values())

        def written() -> None:
            for entry in entries:
                self._entries.pop(entry.sequence, None)

        return Removal(self._queue.removal(*entries), written)
