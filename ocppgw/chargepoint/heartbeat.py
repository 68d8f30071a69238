"""Heartbeats (O-34): the line is alive, and the PLC gets the time."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ocppgw.clock import Clock
from ocppgw.delivery.policy import Bell
from ocppgw.link.base import Peer, PeerError
from ocppgw.ocpp.model import HeartbeatRequest, HeartbeatResponse
from ocppgw.plc.base import Driver, PlcError, SetTime

log = logging.getLogger(__name__)


class Heartbeat:
    """Beats every so many seconds while the box is accepted.

    It is not skipped when other messages went: the PLC's clock hangs on it.
    """

    def __init__(
        self,
        box: str,
        driver: Driver,
        central: Peer,
        clock: Clock,
        *,
        interval: Callable[[], float],
        deadline: float,
        plc_deadline: float,
    ) -> None:
        self._box = box
        self._driver = driver
        self._central = central
        self._clock = clock
        self._interval = interval
        self._deadline = deadline
        self._plc_deadline = plc_deadline
        self._accepted = False
        self._last = clock.monotonic()
        self._bell = Bell(clock)

    def start(self) -> None:
        """The box was accepted; the boot answer brought the time for now."""
        self._accepted = True
        self._last = self._clock.monotonic()
        self._bell.ring()

    def stop(self) -> None:
        self._accepted = False
        self._bell.ring()

    def nudge(self) -> None:
        """The interval changed."""
        self._bell.ring()

    async def run(self) -> None:
        while True:
            self._bell.hush()
            if not self._accepted:
                await self._bell.wait()
                continue
            left = self._last + self._interval() - self._clock.monotonic()
            if left > 0:
                await self._bell.wait(left)
                continue
            self._last = self._clock.monotonic()
            await self._beat()

    async def _beat(self) -> None:
        try:
            response = await self._central.call(HeartbeatRequest(), self._deadline)
        except PeerError as error:
            log.info("%s: heartbeat: %s", self._box, error)
            return
        assert isinstance(response, HeartbeatResponse)
        if not self._driver.supports(SetTime):
            return
        try:
            await self._driver.execute(SetTime(time=response.current_time), self._plc_deadline)
        except PlcError as error:
            log.info("%s: the PLC did not take the time: %s", self._box, error)
