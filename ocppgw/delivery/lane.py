"""What both lanes are: a gate, a pace, and a loop that never ends by itself."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable

from ocppgw.clock import Clock
from ocppgw.delivery.policy import Backoff, Bell, RetryPolicy
from ocppgw.storage.base import StorageError

log = logging.getLogger(__name__)


class Lane(ABC):
    """One charge box's way out for one kind of message.

    Life: ``load`` after the start, then :meth:`run` in a task, cancelled at the end. The
    ``policy`` is asked anew each time, since its rules change with the configuration;
    call :meth:`wake` then.
    """

    def __init__(
        self,
        *,
        box: str,
        clock: Clock,
        policy: Callable[[], RetryPolicy],
        changed: Callable[[str], None],
        jitter: Callable[[], float],
    ) -> None:
        self._box = box
        self._clock = clock
        self._policy_now = policy
        self._changed = changed
        self._backoff = Backoff(policy, jitter)
        self._bell = Bell(clock)
        self._open = False
        self._not_before = clock.monotonic()

    @property
    def _policy(self) -> RetryPolicy:
        return self._policy_now()

    def wake(self) -> None:
        """A message was committed, or the rules changed."""
        self._bell.ring()

    def open(self) -> None:
        """The central system accepted the box: messages may go."""
        self._open = True
        self.nudge()

    def shut(self) -> None:
        """No further message goes until :meth:`open`; one that is under way is finished."""
        self._open = False

    def nudge(self) -> None:
        """Something else got through to the central system: do not wait any longer."""
        self._backoff.reset()
        self._not_before = self._clock.monotonic()
        self._bell.ring()

    async def run(self) -> None:
        """Sends what there is until cancelled."""
        while True:
            self._bell.hush()
            try:
                await self._turn()
            except StorageError as error:
                self._tell(f"the store failed, the lane tries again: {error}")
                self._pause()
            except Exception:
                log.exception("%s: the lane stumbled over an error of ours", self._box)
                self._pause()

    async def _turn(self) -> None:
        delay = self._not_before - self._clock.monotonic()
        if not self._open:
            await self._bell.wait()
        elif delay > 0:
            await self._bell.wait(delay)
        else:
            await self._work()

    @abstractmethod
    async def _work(self) -> None:
        """One look at the store: sends what is due, or waits for the bell."""

    def _pause(self) -> None:
        """Nothing goes for a while, each time longer, or until :meth:`nudge`."""
        self._not_before = self._clock.monotonic() + self._backoff.next()

    def _tell(self, what: str) -> None:
        log.warning("%s: %s", self._box, what)
        try:
            self._changed(what)
        except Exception:
            log.exception("%s: nobody heard that", self._box)
