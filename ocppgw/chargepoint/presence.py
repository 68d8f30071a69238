"""Whether the PLC is there, as far as an operator needs to know."""

from __future__ import annotations

from collections.abc import Callable

from ocppgw.chargepoint.narrator import Narrator
from ocppgw.clock import Clock
from ocppgw.delivery.policy import Bell


class Presence:
    """Tells ``lost`` when the PLC has been away for ``grace`` seconds, ``found`` when it
    is back after that, or there for the first time.

    A line that breaks for a moment, or a first attempt to connect that fails, is not told:
    every loss makes all connectors Faulted.
    """

    def __init__(
        self,
        clock: Clock,
        narrator: Narrator,
        *,
        grace: float,
        lost: Callable[[str], None],
        found: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._narrator = narrator
        self._grace = grace
        self._lost = lost
        self._found = found
        self._told: bool | None = None
        self._away_since: float | None = None
        self._reason = ""
        self._bell = Bell(clock)

    def online(self) -> None:
        """The driver reads the PLC."""
        self._away_since = None
        if self._told is not True:
            self._told = True
            self._narrator.say("plc", "online")
            self._found()

    def offline(self, reason: str) -> None:
        """The driver does not; the newest reason is the one that is told."""
        self._reason = reason
        if self._away_since is None:
            self._away_since = self._clock.monotonic()
            self._bell.ring()

    async def run(self) -> None:
        """Tells losses that last, until cancelled."""
        while True:
            self._bell.hush()
            left = self._left()
            if left is not None and left <= 0:
                self._told = False
                self._narrator.say("plc", f"offline: {self._reason}")
                self._lost(self._reason)
                left = None
            await self._bell.wait(left)

    def _left(self) -> float | None:
        """Seconds until the loss is to be told; ``None`` if there is none to tell."""
        if self._away_since is None or self._told is False:
            return None
        return self._away_since + self._grace - self._clock.monotonic()
