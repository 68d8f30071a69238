"""Changes that a station need not wait for: gathered, merged, stored together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from ocppgw.clock import Clock
from ocppgw.storage.base import Delete, Ensure, Key, Projection, Put, Storage, StorageError

LOG = logging.getLogger(__name__)

INTERVAL = 1.0
BATCH = 500
MOST = 50_000


class Later:
    """Stores projections about a second after they were given.

    Newer puts of one part of a document replace older ones field by field. While the
    store is away everything waits, up to ``MOST`` changes; then new ones are dropped,
    which is said once.
    """

    def __init__(
        self, storage: Storage, clock: Clock, gather: Callable[[], Sequence[Projection]]
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._gather = gather
        self._waiting: dict[tuple[str, Key, str], Projection] = {}
        self._failing = False
        self._full = False
        self._task: asyncio.Task[None] | None = None

    def add(self, change: Projection) -> None:
        """Takes a change; returns at once."""
        key = _place(change)
        before = self._waiting.get(key)
        if before is None and len(self._waiting) >= MOST:
            if not self._full:
                LOG.error("more than %d changes wait for the store; newer ones are lost", MOST)
            self._full = True
            return
        self._waiting[key] = _merged(before, change)

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Stores what there is, and ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.flush()

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL)
            await self.flush()

    async def flush(self) -> None:
        """Stores what there is, now; what the store does not take is kept."""
        for change in self._gather():
            self.add(change)
        while self._waiting:
            batch = dict(list(self._waiting.items())[:BATCH])
            for key in batch:
                del self._waiting[key]
            try:
                await self._store(list(batch.values()))
            except StorageError as e:
                self._back(batch)
                if not self._failing:
                    LOG.warning("not stored yet, trying again every %.0f s: %s", INTERVAL, e)
                self._failing = True
                return
        self._failing = self._full = False

    async def _store(self, changes: list[Projection]) -> None:
        try:
            await self._storage.commit(*changes)
        except ValueError as e:
            if len(changes) == 1:
                LOG.error("a change of %s is lost: %s", changes[0].collection.name, e)
                return
            for change in changes:  # what is wrong with one is not wrong with the others
                await self._store([change])

    def _back(self, batch: dict[tuple[str, Key, str], Projection]) -> None:
        newer, self._waiting = self._waiting, batch
        for key, change in newer.items():
            self._waiting[key] = _merged(self._waiting.get(key), change)


def _place(change: Projection) -> tuple[str, Key, str]:
    match change:
        case Put():
            return change.collection.name, change.key, f"put {change.part}"
        case Ensure():
            return change.collection.name, change.collection.key(change.document), "ensure"
        case Delete():
            return change.collection.name, change.key, "delete"


def _merged(before: Projection | None, change: Projection) -> Projection:
    if isinstance(before, Put) and isinstance(change, Put):
        in_order = before.version <= change.version
        older, newer = (before, change) if in_order else (change, before)
        return Put(
            newer.collection, newer.key, older.fields | newer.fields, newer.version, newer.part
        )
    if isinstance(before, Ensure):
        return before  # the first one counts
    return change
