"""How often and how patiently a lane tries."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import msgspec

from ocppgw.clock import Clock


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Rules of a lane; all times in seconds.

    A fault or an unreadable reply counts: after ``attempts`` of them the message is
    given up, and before another one the lane waits ``interval`` times the number of
    transmissions so far (TransactionMessageAttempts, TransactionMessageRetryInterval).
    Whatever did not reach the central system for certain does not count; the lane
    tries again after ``first_delay``, doubled up to ``longest_delay``. ``deadline`` is
    how long one transmission may take.

    A transaction message that stays without any answer while others get theirs, at least
    ``attempts`` times and for ``patience``, is given up too: one message that the central
    system cannot swallow must not stop a box's billing for ever (OCPP-S errata: a message
    that is known to work, such as Heartbeat, tells its failure from the connection's).
    """

    attempts: int = 3
    interval: float = 60.0
    deadline: float = 30.0
    first_delay: float = 1.0
    longest_delay: float = 60.0
    patience: float = 24 * 3600.0


def spread() -> float:
    """A factor between 0.8 and 1.2, so that boxes cut off together do not return together."""
    return random.uniform(0.8, 1.2)  # noqa: S311 (nothing secret about it)


class Backoff:
    """Delays that double from ``first_delay`` to ``longest_delay`` until :meth:`reset`."""

    def __init__(self, policy: Callable[[], RetryPolicy], jitter: Callable[[], float]) -> None:
        self._policy = policy
        self._jitter = jitter
        self._delay = policy().first_delay

    def next(self) -> float:
        delay = self._delay
        self._delay = min(self._policy().longest_delay, 2 * delay)
        return delay * self._jitter()

    def reset(self) -> None:
        self._delay = self._policy().first_delay


class Held(msgspec.Struct, frozen=True):
    """A message that was answered with a fault so many times, the last time at ``since``."""

    sequence: int
    attempts: int
    since: float

    def until(self, policy: RetryPolicy) -> float:
        """When it may go again, in monotonic seconds."""
        return self.since + policy.interval * self.attempts


class Silence:
    """Whether patience has ended with a message that alone is never answered."""

    def __init__(self, policy: Callable[[], RetryPolicy], clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._sequence: int | None = None
        self._times = 0
        self._since = 0.0
        self._others_heard = False

    def others_heard(self) -> None:
        """Another message got its answer."""
        self._others_heard = True

    def ends_patience(self, sequence: int) -> bool:
        """Counts a transmission of that message without any answer, if others had theirs
        since the last one; whether that was one too many, for too long."""
        now = self._clock.monotonic()
        others_heard, self._others_heard = self._others_heard, False
        if self._sequence != sequence:
            self._sequence, self._times, self._since = sequence, 0, 0.0
        elif others_heard:
            if not self._times:
                self._since = now
            self._times += 1
        policy = self._policy()
        return self._times >= policy.attempts and now - self._since >= policy.patience


class Bell:
    """Wakes the one task that waits for it; rung beforehand it wakes at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    def hush(self) -> None:
        """Forgets earlier rings, before one looks for oneself."""
        self._rung.clear()

    async def wait(self, seconds: float | None = None) -> None:
        """Returns when rung or, if given, after that many seconds of the clock."""
        if seconds is None:
            await self._rung.wait()
            return
        tasks = [
            asyncio.ensure_future(self._rung.wait()),
            asyncio.ensure_future(self._clock.sleep(seconds)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
