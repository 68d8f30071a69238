"""The end of a gateway: one part after the other, and none keeps the next from its own."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

TOGETHER = 20.0  # seconds that all parts together have to stop
EACH = 7.0  # seconds that one of them may take of these
LEAST = 1.0  # seconds that each has, however long the others took
AT_LAST = 28.0  # seconds until a process that was told to end is gone

Stop = Callable[[], Awaitable[None]]


class Ending:
    """What has to be stopped in the end: last begun, first stopped."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, Stop]] = []
        self._ends: float | None = None

    def push(self, what: str, stop: Stop) -> None:
        """Remembers a part that has begun."""
        self._parts.append((what, stop))

    def take(self, other: Ending) -> None:
        """Has all that another one would have stopped, as begun after our own."""
        self._parts += other._parts
        other._parts = []

    async def run(self) -> None:
        """Stops every part. May be called again."""
        while self._parts:
            await self.stop(*self._parts.pop())
        self._ends = None

    async def stop(self, what: str, stop: Stop) -> None:
        """Stops one part now; what comes of it is logged, never raised.

        A part that is not done in time is cancelled, and left behind if it does not
        heed that either.
        """
        loop = asyncio.get_running_loop()
        if self._ends is None:
            self._ends = loop.time() + TOGETHER
        seconds = max(LEAST, min(EACH, self._ends - loop.time()))
        stopping = asyncio.ensure_future(stop())
        try:
            _, late = await asyncio.wait([stopping], timeout=seconds)
        except asyncio.CancelledError:
            self.push(what, lambda: stopping)  # the next run waits for it, before what is below
            raise
        if late:
            log.error("%s did not stop within %.0f s; going on without", what, seconds)
            stopping.cancel()
            await asyncio.wait([stopping], timeout=LEAST)
        elif not stopping.cancelled() and (error := stopping.exception()) is not None:
            log.error("%s did not stop in order: %s", what, error, exc_info=error)


def leave_at_last(seconds: float = AT_LAST) -> threading.Thread:
    """Ends the process then, with exit code 1, if it is still there.

    For what no coroutine can end: a plugin that blocks the loop, a thread that does not
    return. What was acknowledged is stored, so nothing is lost.
    """
    thread = threading.Timer(seconds, _leave)
    thread.daemon = True
    thread.name = "leave at last"
    thread.start()
    return thread


def _leave() -> None:
    own = {threading.current_thread(), threading.main_thread()}
    others = ", ".join(sorted(thread.name for thread in threading.enumerate() if thread not in own))
    why = f"threads still there: {others or 'only the main one, which is blocked'}"
    log.critical("the process did not end by itself and is cut short; %s", why)
    sys.stderr.flush()
    os._exit(1)
