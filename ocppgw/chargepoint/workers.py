"""The tasks of a charge box, each kept alive on its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ocppgw.clock import Clock

log = logging.getLogger(__name__)

RESTART_DELAY = 5.0
HEED = 1.0  # seconds until a worker that does not heed being cancelled is cancelled again


class Workers:
    """Runs coroutine functions for ever; one that breaks is logged and started again."""

    def __init__(self, box: str, clock: Clock) -> None:
        self._box = box
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks[name] = asyncio.ensure_future(self._keep(name, work))

    async def stop(self) -> None:
        """Cancels all, in the order they were started, each before the next.

        More than once where it takes that: libraries are known to lose a cancellation.
        """
        for task in self._tasks.values():
            while not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=HEED)
        self._tasks.clear()

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
                log.error("%s: %s ended by itself and is started again", self._box, name)
            except Exception:
                log.exception("%s: %s broke and is started again", self._box, name)
            await self._clock.sleep(RESTART_DELAY)
