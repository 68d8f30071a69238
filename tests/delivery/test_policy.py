"""Pace: back-off, jitter, and the bell."""

from __future__ import annotations

import asyncio

from ocppgw.delivery.policy import Backoff, Bell, RetryPolicy, spread
from ocppgw.testing.clock import FakeClock, settle


def test_delays_double_up_to_the_longest():
    backoff = Backoff(lambda: RetryPolicy(first_delay=1, longest_delay=10), lambda: 1.0)
    assert [backoff.next() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    backoff.reset()
    assert backoff.next() == 1


def test_jitter_spreads_the_delays():
    backoff = Backoff(lambda: RetryPolicy(first_delay=10), lambda: 0.8)
    assert backoff.next() == 8
    factors = {spread() for _ in range(1000)}
    assert len(factors) > 900
    assert 0.8 <= min(factors) < 0.9 < 1.1 < max(factors) <= 1.2


async def test_a_bell_rung_beforehand_wakes_at_once():
    bell = Bell(FakeClock())
    bell.ring()
    await bell.wait()
    await bell.wait(1000)
    bell.hush()
    waiting = asyncio.ensure_future(bell.wait())
    await settle()
    assert not waiting.done()
    bell.ring()
    await waiting


async def test_a_bell_may_be_waited_for_a_while():
    clock = FakeClock()
    bell = Bell(clock)
    for rung in (False, True):
        waiting = asyncio.ensure_future(bell.wait(10))
        await clock.advance(9)
        assert not waiting.done()
        if rung:
            bell.ring()
            await settle()
        else:
            await clock.advance(1)
        assert waiting.done()
        assert clock.sleeping == []


async def test_a_cancelled_wait_leaves_nothing():
    clock = FakeClock()
    bell = Bell(clock)
    waiting = asyncio.ensure_future(bell.wait(10))
    await settle()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert clock.sleeping == []


async def test_the_fake_clock_wakes_sleepers_at_their_time():
    clock = FakeClock()
    start, woken = clock.now(), []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.monotonic()))

    tasks = [asyncio.ensure_future(sleeper(*plan)) for plan in (("a", 3, 3), ("b", 0, 4, -1, 9))]
    await clock.advance(6)
    assert woken == [("b", 0), ("a", 3), ("b", 4), ("b", 4), ("a", 6)]
    assert clock.sleeping == [7]
    clock.set_time(start)
    await clock.advance(7)
    assert (clock.now() - start).total_seconds() == 7
    assert all(task.done() for task in tasks)
