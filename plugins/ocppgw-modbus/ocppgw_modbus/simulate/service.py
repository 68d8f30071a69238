"""A simulated PLC inside the gateway's process, for the demo: still a real Modbus port."""

from __future__ import annotations

import asyncio
import logging

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from ocppgw.bridge import later, when_running
from ocppgw.clock import Clock
from ocppgw.errors import UserError
from ocppgw.observe import tell
from ocppgw_modbus.framing import Framing
from ocppgw_modbus.options import SimulateOptions
from ocppgw_modbus.simulate.day import DEFAULT_DAY, live, load_day
from ocppgw_modbus.simulate.handshakes import number_now
from ocppgw_modbus.simulate.happening import Happening
from ocppgw_modbus.simulate.lines import sentence
from ocppgw_modbus.simulate.simulation import Simulation

log = logging.getLogger(__name__)

ACTOR = "PLC"  # in the story that the console tells


class SimulatedPlc(Service):
    """Starts with the gateway and stops with it."""

    def __init__(self, options: SimulateOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._day = load_day(options.day or DEFAULT_DAY)
        self._simulation = Simulation(
            options.map,
            connectors=options.connectors,
            speed=options.speed,
            sequence=number_now(clock),
            clock=clock,
            observe=_show,
        )
        self._work: asyncio.Task[None] | None = None

    def startService(self) -> None:  # noqa: N802, Twisted's name
        super().startService()  # type: ignore[no-untyped-call]
        when_running(self._begin)

    def _begin(self) -> None:
        if self.running:
            self._work = asyncio.ensure_future(self._run())

    def stopService(self) -> Deferred[None] | None:  # noqa: N802, Twisted's name
        super().stopService()  # type: ignore[no-untyped-call]
        return None if self._work is None else later(self._end(self._work))

    async def _run(self) -> None:
        try:
            where = await self._start()
        except UserError as error:
            log.error("%s", error)
            return
        tell(ACTOR, f"is simulated; it {where}")
        await live(self._simulation, self._day, self._clock)

    async def _start(self) -> str:
        """Starts it and says where, for the story."""
        options = self._options
        wire = options.serial_wire()
        if wire is not None:
            await self._simulation.start_serial(wire)
            return f"answers on {wire}"
        framing = options.framing or Framing.TCP
        port = await self._simulation.start(options.listen, options.port, framing)
        return f"listens on {options.listen}:{port}"

    async def _end(self, work: asyncio.Task[None]) -> None:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await self._simulation.stop()


def _show(happening: Happening) -> None:
    """What people do and what becomes of it; the hand-shakes are for the curious."""
    level = logging.DEBUG if happening.about else logging.INFO
    tell(ACTOR, sentence(happening), level)
