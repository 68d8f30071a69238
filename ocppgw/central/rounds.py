"""What the central system does again and again, beside answering."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ocppgw.clock import Clock
from ocppgw.storage.base import StorageError

LOG = logging.getLogger(__name__)


class Rounds:
    """Runs jobs, each in a task of its own, until :meth:`stop`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    def begin(
        self, job: Callable[[], Awaitable[object]], interval: float, failing: str, *, first: float
    ) -> None:
        """Runs a job ``first`` seconds from now and then every ``interval`` seconds.

        While the store is away it says so with the words ``failing``, once, and goes on.
        """
        self._tasks.append(asyncio.ensure_future(self._run(job, interval, failing, first)))

    async def stop(self) -> None:
        """Ends all of them, wherever they are."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _run(
        self, job: Callable[[], Awaitable[object]], interval: float, failing: str, pause: float
    ) -> None:
        told = False
        while True:
            await self._clock.sleep(pause)
            pause = interval
            try:
                await job()
            except StorageError as e:
                if not told:
                    LOG.warning("%s: %s", failing, e)
                told = True
            except Exception:
                LOG.exception("%s", failing)
            else:
                told = False
