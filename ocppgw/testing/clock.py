"""A clock that a test turns by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

SETTLING_TURNS = 50


async def settle(turns: int = SETTLING_TURNS) -> None:
    """Lets every task that can run, run: enough turns of the loop for a chain of awaits."""
    for _ in range(turns):
        await asyncio.sleep(0)


class FakeClock:
    """Stands still until :meth:`advance`; a :class:`ocppgw.clock.Clock`."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), waiter))
        await waiter

    async def advance(self, seconds: float) -> None:
        """Turns the clock on, waking sleepers one by one at their very time, and lets
        what they do settle; a sleep begun meanwhile ends within the same advance if due."""
        end = self._monotonic + seconds
        await settle()
        while self.wake_next(end):
            await settle()
        self._move_to(end)
        await settle()

    def wake_next(self, latest: float) -> bool:
        """Turns the clock on to the first sleeper that is due by ``latest``, in monotonic
        time, and wakes it; ``False`` if there is none."""
        while self._sleepers and self._sleepers[0][0] <= latest:
            due, _, waiter = heapq.heappop(self._sleepers)
            self._move_to(max(due, self._monotonic))
            if not waiter.done():
                waiter.set_result(None)
                return True
        return False

    def set_time(self, now: datetime) -> None:
        """Sets the wall clock as an operator or NTP would; monotonic time does not move."""
        self._now = now

    @property
    def sleeping(self) -> list[float]:
        """The seconds that each sleeper has still to wait, shortest first."""
        return sorted(
            due - self._monotonic for due, _, waiter in self._sleepers if not waiter.done()
        )

    def _move_to(self, monotonic: float) -> None:
        self._now += timedelta(seconds=monotonic - self._monotonic)
        self._monotonic = monotonic
