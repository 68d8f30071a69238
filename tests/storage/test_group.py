"""The thread that is fed in groups."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from ocppgw.storage import StorageError
from ocppgw.storage.group import GroupThread


class Recorder:
    """A session that notes its groups and waits before each of them."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.go = threading.Semaphore(0)
        self.closed_by: threading.Thread | None = None

    def run(self, jobs: Sequence[int]) -> list[Any]:
        self.groups.append(list(jobs))
        self.go.acquire()
        if 13 in jobs:
            raise RuntimeError("the session is broken")
        return [KeyError(job) if job < 0 else job * 10 for job in jobs]

    async def begun(self, groups: int) -> None:
        """Returns when that many groups were begun."""
        for _ in range(10_000):
            if len(self.groups) >= groups:
                return
            await asyncio.sleep(0.001)
        raise AssertionError(f"only {len(self.groups)} groups were begun")

    def close(self) -> None:
        self.closed_by = threading.current_thread()


async def started(session: Recorder) -> GroupThread[int]:
    thread: GroupThread[int] = GroupThread("test", lambda: session)
    await thread.start()
    return thread


async def test_what_arrives_meanwhile_is_the_next_group() -> None:
    session = Recorder()
    thread = await started(session)
    first = [asyncio.ensure_future(thread.do(job)) for job in (1, 2)]
    await session.begun(1)
    second = [asyncio.ensure_future(thread.do(job)) for job in (3, -4, 5)]
    session.go.release(2)
    assert await asyncio.gather(*first) == [10, 20]
    outcomes = await asyncio.gather(*second, return_exceptions=True)
    assert outcomes[0] == 30
    assert isinstance(outcomes[1], KeyError)
    assert outcomes[2] == 50
    assert session.groups == [[1, 2], [3, -4, 5]]
    await thread.close()
    assert session.closed_by is not None
    assert session.closed_by is not threading.current_thread()
    assert not session.closed_by.is_alive()


async def test_a_broken_session_fails_its_group_and_goes_on() -> None:
    session = Recorder()
    thread = await started(session)
    session.go.release(2)
    outcomes = await asyncio.gather(thread.do(1), thread.do(13), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["the session is broken"] * 2
    assert await thread.do(2) == 20
    await thread.close()


async def test_a_cancelled_job_is_done_and_its_group_answered() -> None:
    session = Recorder()
    thread = await started(session)
    cancelled = asyncio.ensure_future(thread.do(1))
    other = asyncio.ensure_future(thread.do(2))
    await session.begun(1)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    session.go.release()
    assert await other == 20
    assert session.groups == [[1, 2]]
    await thread.close()


async def test_close_waits_for_what_was_begun_and_refuses_more() -> None:
    session = Recorder()
    thread = await started(session)
    begun = asyncio.ensure_future(thread.do(1))
    await asyncio.sleep(0)
    closing = [asyncio.ensure_future(thread.close()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(StorageError, match="closed"):
        await thread.do(2)
    assert not any(task.done() for task in closing)
    session.go.release()
    assert await begun == 10
    await asyncio.gather(*closing)


async def test_a_session_that_does_not_open_ends_its_thread() -> None:
    def broken() -> Recorder:
        raise StorageError("no such disk")

    threads = threading.active_count()
    thread = GroupThread("test", broken)
    with pytest.raises(StorageError, match="no such disk"):
        await thread.start()
    assert threading.active_count() == threads


async def test_a_start_that_is_cancelled_leaves_no_thread() -> None:
    session = Recorder()
    may_open = threading.Event()

    def slow() -> Recorder:
        may_open.wait(10)
        return session

    threads = threading.active_count()
    thread = GroupThread("test", slow)
    starting = asyncio.ensure_future(thread.start())
    await asyncio.sleep(0)
    starting.cancel()
    may_open.set()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert threading.active_count() == threads
    assert session.closed_by is not None


async def test_a_session_that_does_not_close_in_order_ends_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Unclosable(Recorder):
        def close(self) -> None:
            raise OSError("the disk is gone")

    thread = await started(Unclosable())
    await asyncio.wait_for(thread.close(), 30)

    assert "test: did not close in order" in caplog.text
    assert "the disk is gone" in caplog.text
