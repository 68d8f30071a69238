"""Runs observers beside the work: each at its own pace, none in anybody's way.

A plain function is called in a thread of its own, an ``async def`` one in a task on the
loop. Each has a bounded queue; one that cannot keep up loses the oldest.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, cast

from ocppgw.observe import Observed, Observer

log = logging.getLogger(__name__)

QUEUE = 1000
GATHER = 0.02  # seconds for which a thread that has caught up lets more come, see _ThreadPump
GRACE = 2.0  # seconds that an observer has at the end to take what is left


class Pump(Protocol):
    """An observer with its queue."""

    lost: int

    def put(self, observed: Observed) -> None: ...

    async def stop(self) -> None: ...


class Observers:
    """All observers of a gateway. Calling it tells each; it never waits, never raises."""

    def __init__(self, observers: Sequence[tuple[str, Observer]], *, limit: int = QUEUE) -> None:
        self._pumps: list[Pump] = [_pump(name, observer, limit) for name, observer in observers]

    def __bool__(self) -> bool:
        """Whether anybody looks."""
        return bool(self._pumps)

    def __call__(self, observed: Observed) -> None:
        for pump in self._pumps:
            pump.put(observed)

    @property
    def lost(self) -> int:
        """How much observers did not get to see, over all of them."""
        return sum(pump.lost for pump in self._pumps)

    async def stop(self) -> None:
        """Lets each take what is left, for a moment, and ends them."""
        await asyncio.gather(*(pump.stop() for pump in self._pumps))


def _pump(name: str, observer: Observer, limit: int) -> Pump:
    called = getattr(observer, "__call__", observer)  # noqa: B004  its kind is asked, not whether
    if inspect.iscoroutinefunction(observer) or inspect.iscoroutinefunction(called):
        return _TaskPump(name, cast("Callable[[Observed], Awaitable[None]]", observer), limit)
    return _ThreadPump(name, observer, limit)


class _Queue:
    """What both kinds share: the queue, and the word about what got lost."""

    def __init__(self, name: str, limit: int) -> None:
        self.lost = 0
        self._name = name
        self._queue: deque[Observed] = deque()
        self._limit = limit
        self._told = 0

    def _add(self, observed: Observed) -> None:
        self._queue.append(observed)
        if len(self._queue) > self._limit:
            self._queue.popleft()
            self.lost += 1

    def _tell_losses(self) -> None:
        """Once for each time the observer catches up, not for each loss."""
        if self.lost > self._told:
            lost, self._told = self.lost - self._told, self.lost
            log.warning("observer %s is slow: it missed %d of what happened", self._name, lost)

    def _failed(self, error: Exception) -> None:
        log.error("observer %s failed", self._name, exc_info=error)


class _ThreadPump(_Queue):
    """A thread's. To wake it for each exchange would cost more than to tell it of one, and
    would take the interpreter from the loop each time: so it is woken only from a sleep, and
    does not fall asleep at once."""

    def __init__(self, name: str, observer: Callable[[Observed], Any], limit: int) -> None:
        super().__init__(name, limit)
        self._observer = observer
        self._ended = False
        self._idle = False  # whether the thread sleeps until something happens
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"observer-{name}", daemon=True)
        self._thread.start()

    def put(self, observed: Observed) -> None:
        with self._wake:
            self._add(observed)
            if self._idle:
                self._idle = False
                self._wake.notify()

    def _next(self) -> Observed | None:
        with self._wake:
            if not self._queue and not self._ended:
                self._tell_losses()
                self._wake.wait(GATHER)  # only the end cuts this short
                while not self._queue and not self._ended:
                    self._idle = True
                    self._wake.wait()
            return self._queue.popleft() if self._queue else None

    def _run(self) -> None:
        while (observed := self._next()) is not None:
            try:
                self._observer(observed)
            except Exception as error:  # noqa: BLE001  an observer may raise anything
                self._failed(error)
        self._tell_losses()

    async def stop(self) -> None:
        with self._wake:
            self._ended = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join, GRACE)
        if self._thread.is_alive():
            log.warning("observer %s did not end in %g s", self._name, GRACE)


class _TaskPump(_Queue):
    def __init__(
        self, name: str, observer: Callable[[Observed], Awaitable[None]], limit: int
    ) -> None:
        super().__init__(name, limit)
        self._observer = observer
        self._ended = False
        self._wake = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())

    def put(self, observed: Observed) -> None:
        self._add(observed)
        self._wake.set()

    async def _run(self) -> None:
        while self._queue or not self._ended:
            if not self._queue:
                self._tell_losses()
                self._wake.clear()
                await self._wake.wait()
                continue
            try:
                await self._observer(self._queue.popleft())
            except Exception as error:  # noqa: BLE001  an observer may raise anything
                self._failed(error)
        self._tell_losses()

    async def stop(self) -> None:
        self._ended = True
        self._wake.set()
        _, left = await asyncio.wait([self._task], timeout=GRACE)
        if left:
            log.warning("observer %s did not end in %g s", self._name, GRACE)
            self._task.cancel()
            await asyncio.wait([self._task])
