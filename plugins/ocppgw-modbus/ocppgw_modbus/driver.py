"""The driver that ``plc.driver: modbus`` opens: one device, or several that are one station."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence

import msgspec

from ocppgw.plc import (
    AnswerStart,
    AnswerStop,
    AnswerTag,
    Command,
    Configure,
    Driver,
    DriverContext,
    PlcError,
    PlcOffline,
    PlcRefused,
    PlcUnsupported,
    SetAvailability,
    Station,
)
from ocppgw_modbus.bound import BoundMap
from ocppgw_modbus.commandfields import connector_of, kinds_of, words_of
from ocppgw_modbus.device import Backoff, Device
from ocppgw_modbus.energies import Energies
from ocppgw_modbus.lines import Member, Tap, shared_line
from ocppgw_modbus.mapfile import load_map
from ocppgw_modbus.options import DeviceOptions, ModbusOptions
from ocppgw_modbus.partrules import EVERYBODYS, check_map, check_parts
from ocppgw_modbus.parts import Numbering, Part, PartStation, Whole, doers_of
from ocppgw_modbus.spec import CommandKind

log = logging.getLogger(__name__)

KEY_DEADLINE = 10.0  # seconds for each key that a device is told when it is back


class ModbusDriver(Driver):
    """A station that is one or more Modbus devices."""

    def __init__(self, parts: Sequence[Part], connectors: int) -> None:
        self._parts = parts
        self._connectors = connectors
        # By connector, whose answer to which tag is not with every device yet, and with whom.
        self._taken: dict[int, tuple[str, set[Part]]] = {}
        # The newest of each configuration key that a device has which may be missing.
        self._keys: dict[Part, dict[str, Configure]] = {}

    async def run(self, station: Station) -> None:
        async with asyncio.TaskGroup() as group:
            whole = Whole(
                self._parts, station, lambda part: group.create_task(self._tell_keys(part))
            )
            for part in self._parts:
                group.create_task(part.device.run(PartStation(part, whole, station)))

    async def execute(self, command: Command, deadline: float) -> None:
        doers = self._doers(command)
        if isinstance(command, AnswerTag):
            await self._answer_tag(command, doers, deadline)
        elif isinstance(command, Configure):
            await self._configure(command, doers, deadline)
        else:
            for why in (await _have_done(command, doers, deadline, set())).values():
                raise why

    async def _configure(
        self, command: Configure, doers: Sequence[tuple[Part, int]], deadline: float
    ) -> None:
        """A device that may be missing, and is, is told when it is there."""
        later = [one for one in doers if not one[0].required and _has_key(*one, command.key)]
        before = {part: self._keys.setdefault(part, {}).get(command.key) for part, _ in later}
        for part in before:
            self._keys[part][command.key] = command
        failures = await _have_done(command, doers, deadline, set())
        for part, last in before.items():
            if isinstance(failures.get(part), PlcOffline):
                del failures[part]
            elif isinstance(failures.get(part), PlcRefused):
                del self._keys[part][command.key]
                if last is not None:
                    self._keys[part][command.key] = last
        for why in failures.values():
            raise why

    async def _tell_keys(self, part: Part) -> None:
        """A device is there that the station was online without."""
        for command in list(self._keys.get(part, {}).values()):
            try:
                await part.device.execute(command, KEY_DEADLINE)
            except PlcError as error:
                text = "%s: the device %s was not told %s: %s"
                log.warning(text, part.station, part.label, command.key, error)

    async def _answer_tag(
        self, command: AnswerTag, doers: Sequence[tuple[Part, int]], deadline: float
    ) -> None:
        """Each device is told until it has taken it, and then no more: without a sequence
        number it would take the same answer for another one."""
        event_id, taken = self._taken.get(command.connector_id, ("", set()))
        if event_id != command.event_id:
            taken = set()
        self._taken[command.connector_id] = command.event_id, taken
        left = [doer for doer in doers if doer[0] not in taken]
        failures = await _have_done(command, left, deadline, taken)
        # One that the station goes on without is not waited for, if there are others.
        away = [p for p, why in failures.items() if not p.required and isinstance(why, PlcOffline)]
        due = [why for part, why in failures.items() if part not in away]
        if not due and not taken:
            due = list(failures.values())
        # A refusal comes last, since it ends the repeating.
        for why in sorted(due, key=lambda why: isinstance(why, PlcRefused)):
            raise why
        del self._taken[command.connector_id]

    def supports(self, command: type[Command]) -> bool:
        return any(part.device.supports(command) for part in self._parts)

    def _doers(self, command: Command) -> list[tuple[Part, int]]:
        """The devices that do the command, and the number each map has for the connector.

        What is for everybody goes to all who want it (:data:`EVERYBODYS`). The whole
        station's availability is, where no device has it as such, that of the connectors
        of each; the tag of a station with one connector is that connector's.
        """
        connector = connector_of(command)
        for kind in kinds_of(command):
            found = doers_of(self._parts, kind, connector, self._connectors)
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
            f"the map {maps} has no way to do {words_of(command)}{where}"
            if len(self._parts) == 1
            else f"none of the maps {maps} has a way to do {words_of(command)}{where}"
        )


async def _have_done(
    command: Command, doers: Sequence[tuple[Part, int]], deadline: float, done: set[Part]
) -> dict[Part, PlcError]:
    """Has all of them do it, none waiting for another; gives the failures, and adds who
    did it to ``done``."""
    failures: dict[Part, PlcError] = {}

    async def do(part: Part, number: int) -> None:
        try:
            await part.device.execute(_for_device(command, part, number), deadline)
            done.add(part)
        except PlcError as error:
            failures[part] = error

    async with asyncio.TaskGroup() as group:
        for doer in doers:
            group.create_task(do(*doer))
    return failures


def _for_device(command: Command, part: Part, number: int) -> Command:
    """The command in a device's own words: its number of the connector, its own events."""
    if isinstance(command, (AnswerTag, AnswerStart, AnswerStop)):
        own = part.event_of(command.event_id)
        return msgspec.structs.replace(command, connector_id=number, event_id=own)
    if hasattr(command, "connector_id"):
        return msgspec.structs.replace(command, connector_id=number)
    return command


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
    return ModbusDriver(parts, context.connectors)


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
