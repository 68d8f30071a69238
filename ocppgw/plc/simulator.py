"""The driver of the simulated PLC, for tests and for trying things out without a device."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ocppgw.hooks import hookimpl
from ocppgw.plc.base import (
    Command,
    Driver,
    DriverContext,
    Event,
    Identity,
    Offline,
    Online,
    PlcDriver,
    PlcOffline,
    PlcRefused,
    PlcTimeout,
    PlcUnsupported,
    Station,
)
from ocppgw.plc.simulated import SUPPORTED, SimulatedPlc, SimulatorOptions
from ocppgw.storage.base import StorageError

STORE_RETRY = 1.0


class SimulatorDriver(Driver):
    """Polls a :class:`SimulatedPlc`; between polls it is told of changes."""

    def __init__(self, plc: SimulatedPlc) -> None:
        self.plc = plc
        self._connected = False

    async def run(self, station: Station) -> None:
        changed = asyncio.Event()
        self.plc.watch(changed.set)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._poll(station))
                group.create_task(self._hand_over(station, changed))
        finally:
            self.plc.unwatch(changed.set)
            self._connected = False

    async def execute(self, command: Command, deadline: float) -> None:
        plc, kind = self.plc, type(command)
        if not plc.reachable or not self._connected:
            raise PlcOffline("there is no connection to the simulated PLC")
        if not self.supports(kind):
            raise PlcUnsupported(f"the simulated PLC has no {kind.__name__}")
        if kind in plc.muted:
            await plc.clock.sleep(deadline)
            raise PlcTimeout(
                f"the simulated PLC did not answer {kind.__name__} in {deadline:g} s",
                withdrawn=True,
            )
        if kind in plc.refused:
            raise PlcRefused(f"the simulated PLC refused {kind.__name__}")
        plc.obey(command)

    def supports(self, command: type[Command]) -> bool:
        return command in SUPPORTED - self.plc.unsupported

    async def _poll(self, station: Station) -> None:
        """Reads everything once a poll; waits for nobody."""
        while True:
            self._look(station)
            await self.plc.clock.sleep(self.plc.options.poll)

    def _look(self, station: Station) -> None:
        plc = self.plc
        if not plc.reachable:
            if self._connected:
                station.saw(Offline(reason="the simulated PLC does not answer"))
            self._connected = False
            return
        if not self._connected:
            self._connected = True
            station.saw(Online())
        station.saw(Identity(running=plc.running, model=plc.options.model, software_version="1.0"))
        plc.measure()
        for number in plc.connectors:
            station.saw(plc.status(number))
            station.saw(plc.reading(number))

    async def _hand_over(self, station: Station, changed: asyncio.Event) -> None:
        """Brings each request through its four phases."""
        while True:
            changed.clear()
            self._look(station)
            for event in tuple(self.plc.requests):
                if self.plc.reachable:
                    await self._shake_hands(station, event)
            if not (self.plc.requests and self.plc.reachable):
                await changed.wait()

    async def _shake_hands(self, station: Station, event: Event) -> None:
        phase = f"{type(event).__name__}.{event.connector_id}"
        try:
            await station.take(event, remember={phase: event.event_id})
            self.plc.acknowledge(event)
            await station.remember({phase: None})
        except StorageError:
            await self.plc.clock.sleep(STORE_RETRY)


def _open(options: SimulatorOptions, context: DriverContext) -> Driver:
    return SimulatorDriver(SimulatedPlc(context.connectors, context.clock, options))


@hookimpl
def ocppgw_plc_drivers() -> Sequence[PlcDriver]:
    """The driver ``simulator``."""
    return [
        PlcDriver(
            name="simulator",
            options_type=SimulatorOptions,
            open=_open,
            description="a PLC inside this process, for trying things out",
        )
    ]
