"""The one writer of a charge box's state: durable first, then memory, then the bells."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from ocppgw.storage.base import Change, Storage

log = logging.getLogger(__name__)

# Numbers of one life of the process start above all those of the lives before.
NUMBERS_A_LIFE = 1 << 24


class Plan:
    """One commit in the making.

    ``done`` are run once it is durable (memory, bells, narration), ``undo`` if it could
    not be made so. All are plain calls that do not fail.
    """

    def __init__(self, *changes: Change) -> None:
        self.changes: list[Change] = list(changes)
        self.done: list[Callable[[], object]] = []
        self.undo: list[Callable[[], object]] = []


Prepare: TypeAlias = Callable[[], Awaitable[Plan | None]]


class Ledger:
    """Commits plans one at a time, so that each is made from what the last one left.

    A commit that was begun is finished even if its caller is cancelled: memory never
    lags behind the disk.
    """

    def __init__(self, box: str, storage: Storage) -> None:
        self.box = box
        self.storage = storage
        self._lock = asyncio.Lock()
        self._under_way: set[asyncio.Task[None]] = set()
        self._number = 0
        self._riders: list[Callable[[Plan], None]] = []

    async def load(self) -> None:
        """Begins a new life; before anything else."""
        life = await self.storage.next_number(f"box.{self.box}")
        self._number = life * NUMBERS_A_LIFE

    def number(self) -> int:
        """A number higher than every one before, also over restarts and clock jumps."""
        self._number += 1
        return self._number

    def when_writing(self, add: Callable[[Plan], None]) -> None:
        """``add`` may add to every commit what need not be durable soon."""
        self._riders.append(add)

    async def write(self, prepare: Prepare) -> None:
        """Makes a plan and commits it; ``None`` as plan means there is nothing to do.

        Raises what ``prepare`` raises, and ``StorageError`` when nothing was stored.
        """
        task = asyncio.ensure_future(self._write(prepare))
        self._under_way.add(task)
        task.add_done_callback(self._finished)
        await asyncio.shield(task)

    async def settle(self) -> None:
        """Waits for what is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _write(self, prepare: Prepare) -> None:
        async with self._lock:
            plan = await prepare()
            if plan is None:
                return
            try:
                if plan.changes:
                    for add in self._riders:
                        add(plan)
                    await self.storage.commit(*plan.changes)
            except BaseException:
                for call in plan.undo:
                    call()
                raise
            for call in plan.done:
                call()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("%s: a commit failed: %s", self.box, task.exception())
