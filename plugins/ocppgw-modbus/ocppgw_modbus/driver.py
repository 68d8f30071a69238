"""The driver that ``plc.driver: modbus`` opens: one device, or several that are one station."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

import msgspec

from ocppgw.clock import Clock
from ocppgw.plc import (
    Command,
    Configure,
    Driver,
    DriverContext,
    PlcError,
    PlcUnsupported,
    SetAvailability,
    Station,
)
from ocppgw_modbus.bound import BoundMap
from ocppgw_modbus.commandfields import connector_of, kinds_of
from ocppgw_modbus.device import Backoff, Device
from ocppgw_modbus.energies import Energies
from ocppgw_modbus.lines import Member, Tap, shared_line
from ocppgw_modbus.mapfile import load_map
from ocppgw_modbus.options import DeviceOptions, ModbusOptions
from ocppgw_modbus.partrules import EVERYBODYS, check_map, check_parts
from ocppgw_modbus.parts import Numbering, Part, PartStation, Whole
from ocppgw_modbus.spec import CommandKind


class ModbusDriver(Driver):
    """A station that is one or more Modbus devices."""

    def __init__(self, parts: Sequence[Part], clock: Clock) -> None:
        self._parts = parts
        self._clock = clock

    async def run(self, station: Station) -> None:
        whole = Whole(self._parts, station)
        async with asyncio.TaskGroup() as group:
            for part in self._parts:
                group.create_task(part.device.run(PartStation(part, whole, station)))

    async def execute(self, command: Command, deadline: float) -> None:
        ends = self._clock.monotonic() + deadline
        failures: list[PlcError] = []
        for part, number in self._doers(command):
            if hasattr(command, "connector_id"):
                command = msgspec.structs.replace(command, connector_id=number)
            try:
                await part.device.execute(command, ends - self._clock.monotonic())
            except PlcError as error:
                failures.append(error)  # a device that cannot does not stand before the next
        for failure in failures:
            raise failure

    def supports(self, command: type[Command]) -> bool:
        return any(part.device.supports(command) for part in self._parts)

    def _doers(self, command: Command) -> list[tuple[Part, int]]:
        """The device that does the command, and the number its map has for the connector.

        The time and configuration keys are for everybody who wants them; the whole
        station's availability is, where no device has it as such, that of the connectors
        of each.
        """
        connector = connector_of(command)
        for kind in kinds_of(command):
            found = [
                (part, number)
                for part in self._parts
                for number in part.numbering.inward(connector)
                if part.device.does(kind, number)
            ]
            if isinstance(command, Configure):
                found = [one for one in found if _has_key(*one, command.key)] or found[:1]
            if found:
                return found if kind in EVERYBODYS else found[:1]
        if connector == 0 and isinstance(command, SetAvailability):
            found = [(part, 0) for part in self._parts if part.device.supports(SetAvailability)]
            if found:
                return found
        where = f" for connector {connector}" if connector else ""
        maps = ", ".join(part.bound.name for part in self._parts)
        raise PlcUnsupported(
            f"the map {maps} has no way to do {type(command).__name__}{where}"
            if len(self._parts) == 1
            else f"none of the maps {maps} has a way to do {type(command).__name__}{where}"
        )


def _has_key(part: Part, number: int, key: str) -> bool:
    """Whether a device that can be configured has a register for that key."""
    bound = part.bound.command(CommandKind.CONFIGURE, number)
    return bound is not None and key in bound.keys


def open_driver(options: ModbusOptions, context: DriverContext) -> ModbusDriver:
    """A driver for the devices and maps of the options; no connection is made yet.

    Raises :class:`UserError` for a map that is wrong, devices that do not make up a
    station with that many connectors, or a line that others want with other settings.
    """
    energies = Energies(context.clock)
    parts = [_part(name, one, energies, context) for name, one in options.parts().items()]
    check_parts(parts, context)
    return ModbusDriver(parts, context.clock)


def _part(name: str, options: DeviceOptions, energies: Energies, context: DriverContext) -> Part:
    bound = load_map(context.base / options.map, options.unit_id)
    check_map(name, bound, options, context)
    count = bound.connectors if options.connector is not None else context.connectors
    numbering = Numbering(count=min(count, bound.connectors), at=options.connector)
    return Part(
        station=context.station,
        name=name,
        bound=bound,
        numbering=numbering,
        required=options.required,
        device=_device(name, bound, options, numbering, energies, context),
    )


def _device(
    name: str,
    bound: BoundMap,
    options: DeviceOptions,
    numbering: Numbering,
    energies: Energies,
    context: DriverContext,
) -> Device:
    full = f"{context.station}/{name}" if name else context.station
    line = shared_line(options.wire(), full, context.clock)
    member = Member(
        name=full,
        timeout=options.timeout,
        connect_timeout=options.connect_timeout,
        shortest=min((cyclic.every for cyclic in bound.cyclic), default=None),
    )

    def connection() -> Tap:
        return line.tap(member)

    return Device(
        bound,
        connection,
        Backoff(options.reconnect_first, options.reconnect_longest),
        name=full,
        connectors=numbering.count,
        clock=context.clock,
        fresh=lambda: uuid.uuid4().hex[:12],
        energies=energies.numbered(numbering.outward),
    )
