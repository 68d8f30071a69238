"""The bridge between Deferreds and coroutines."""

from __future__ import annotations

import asyncio

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from ocppgw.bridge import at_once, later, result_of, when_running


async def test_a_coroutine_becomes_a_deferred_and_back() -> None:
    async def slow() -> int:
        await asyncio.sleep(0)
        return 7

    assert await result_of(later(slow())) == 7


async def test_a_deferred_that_fires_later_is_awaited() -> None:
    deferred: Deferred[str] = Deferred()
    when_running(lambda: deferred.callback("now"))

    assert await result_of(deferred) == "now"


async def test_cancelling_the_deferred_cancels_the_task() -> None:
    deferred = later(asyncio.sleep(3600))
    await asyncio.sleep(0)
    deferred.cancel()

    with pytest.raises(asyncio.CancelledError):
        await result_of(deferred)


def test_what_has_fired_needs_no_loop() -> None:
    assert at_once(result_of(succeed(3))) == 3
    with pytest.raises(ValueError, match="no"):
        at_once(result_of(fail(ValueError("no"))))


def test_what_has_to_wait_is_said_so() -> None:
    async def waits() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match=r"waits.* had to wait"):
        at_once(waits())
