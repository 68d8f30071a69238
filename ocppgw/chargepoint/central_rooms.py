"""The rooms that hold the line to the central system, made and wired to each other."""

from __future__ import annotations

from collections.abc import Callable

from ocppgw.chargepoint.boot import Boot
from ocppgw.chargepoint.heartbeat import Heartbeat
from ocppgw.chargepoint.keys import Keys
from ocppgw.chargepoint.line import CentralLine
from ocppgw.chargepoint.narrator import Narrator
from ocppgw.chargepoint.settings import ChargeBoxSettings
from ocppgw.clock import Clock
from ocppgw.link.base import Peer
from ocppgw.plc.base import Driver


class CentralRooms:
    """The line, the boot that opens it, and the heartbeats that go over it while it is open.

    ``opened`` is told of each acceptance, with the heartbeat interval that came with it (or
    ``None``), before a heart beats; ``shut`` of each boot that begins.
    """

    def __init__(
        self,
        settings: ChargeBoxSettings,
        driver: Driver,
        peer: Peer,
        clock: Clock,
        narrator: Narrator,
        *,
        keys: Callable[[], Keys],
        opened: Callable[[int | None], None],
        shut: Callable[[], None],
    ) -> None:
        self._on_opened = opened
        self._on_shut = shut
        self.line = CentralLine(peer, narrator)
        self.boot = Boot(
            settings,
            driver,
            self.line,
            clock,
            narrator,
            opened=self._opened,
            shut=self._shut,
        )
        self.heartbeat = Heartbeat(
            settings.identity,
            driver,
            self.line,
            clock,
            interval=lambda: keys().heartbeat_interval,
            deadline=settings.central_system.deadline,
            plc_deadline=settings.deadlines.answer,
        )

    def _opened(self, interval: int | None) -> None:
        self._on_opened(interval)
        self.heartbeat.start()

    def _shut(self) -> None:
        self.heartbeat.stop()
        self._on_shut()
