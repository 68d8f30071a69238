"""A thread that is fed in groups, so that the hand-over costs little for each job.

The loop gathers what arrives while a group is being worked on, hands it over at once,
and is called back once for all of it. One group at a time: under load they grow, and
whatever a group costs as a whole (a flush of the disk) is shared.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from ocppgw.storage.base import StorageError

log = logging.getLogger(__name__)

JobT = TypeVar("JobT", contravariant=True)
_Group: TypeAlias = "list[tuple[Any, asyncio.Future[Any]]]"


class Session(Protocol[JobT]):
    """What the thread works with; made, used and closed on the thread."""

    def run(self, jobs: Sequence[JobT]) -> list[Any]:
        """One result for each job, an exception as a result is raised to its caller."""

    def close(self) -> None:
        """Lets go of everything."""


class GroupThread(Generic[JobT]):
    """One session on one thread, used from one event loop."""

    def __init__(self, name: str, open_session: Callable[[], Session[JobT]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._open_session = open_session
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self._gathered: _Group = []
        self._handed: SimpleQueue[_Group | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    async def start(self) -> None:
        """Opens the session; what that raises is raised here, and the thread has ended."""
        self._thread.start()
        try:
            await asyncio.shield(self._opened)
        except BaseException:
            await self.close()
            raise

    async def do(self, job: JobT) -> Any:
        """The job's result. A cancelled caller's job is still done, as part of its group."""
        if self._closing:
            raise StorageError("the store is closed")
        result: asyncio.Future[Any] = self._loop.create_future()
        self._gathered.append((job, result))
        if self._idle.is_set():
            self._idle.clear()
            self._loop.call_soon(self._hand_over)
        return await result

    async def close(self) -> None:
        """Finishes what was begun, then ends the thread. May be called twice."""
        self._closing = True
        await self._idle.wait()
        self._handed.put(None)
        await self._ended.wait()
        self._thread.join()

    # On the loop

    def _hand_over(self) -> None:
        group, self._gathered = self._gathered, []
        self._handed.put(group)

    def _came_back(self, group: _Group, results: list[Any]) -> None:
        for (_, future), result in zip(group, results, strict=True):
            if future.done():  # its caller was cancelled
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
        if self._gathered:
            # Not now: the callers just woken may have more for the same group.
            self._loop.call_soon(self._hand_over)
        else:
            self._idle.set()

    # On the thread

    def _main(self) -> None:
        call = self._loop.call_soon_threadsafe
        try:
            session = self._open_session()
        except BaseException as error:  # noqa: BLE001 (raised to whoever opens)
            call(self._opened.set_exception, error)
        else:
            call(self._opened.set_result, None)
            while (group := self._handed.get()) is not None:
                jobs = [job for job, _ in group]
                try:
                    results = session.run(jobs)
                except BaseException as error:  # noqa: BLE001 (raised to every caller)
                    results = [error] * len(jobs)
                call(self._came_back, group, results)
            self._close(session)
        call(self._ended.set)

    def _close(self, session: Session[JobT]) -> None:
        """Whoever waits for the end is not to wait for ever because it was not a clean one."""
        try:
            session.close()
        except Exception:
            log.exception("%s: did not close in order", self._thread.name)
