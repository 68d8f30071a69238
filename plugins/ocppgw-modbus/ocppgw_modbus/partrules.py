"""What must be true of the devices of a station, told before anything runs."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from ocppgw.errors import UserError
from ocppgw.ocpp.enums import Measurand
from ocppgw.plc import DriverContext
from ocppgw.settings import near_miss
from ocppgw_modbus.bound import BoundEvent, BoundMap
from ocppgw_modbus.framing import Framing
from ocppgw_modbus.options import DeviceOptions
from ocppgw_modbus.parts import Part, doers_of
from ocppgw_modbus.spec import CommandKind, EventField, EventKind

# Commands that every device gets that has them.
EVERYBODYS = frozenset({CommandKind.TIME, CommandKind.CONFIGURE, CommandKind.ANSWER_TAG})


def check_map(name: str, bound: BoundMap, options: DeviceOptions, context: DriverContext) -> None:
    """What one device's map must have; :class:`UserError` says what it has not."""
    where = f"device {name}: " if name else ""
    if not name and context.connectors > bound.connectors:
        raise UserError(
            f"{where}it has {context.connectors} connectors, the register map {bound.name} has"
            f" {bound.connectors}; correct `connectors` in one of them"
        )
    if options.connector is not None and bound.connectors > 1:
        raise UserError(
            f"{where}`connector: {options.connector}` is for a map of one connector,"
            f" {bound.name} has {bound.connectors}; leave the key out"
        )
    if options.connector is not None and options.connector > context.connectors:
        raise UserError(
            f"{where}there is no connector {options.connector}, the charge box has"
            f" {context.connectors}; correct `connector` or `connectors`"
        )
    for command in bound.commands.values():
        for key in command.keys:
            if context.keys and key not in context.keys:
                known = f"; its keys are {', '.join(sorted(context.keys))}"
                raise UserError(
                    f"{where}`configure.keys` of the register map {bound.name} has {key}, which is"
                    f" no key of a charge box{near_miss(key, context.keys) or known}"
                )
    if options.wire().framing is Framing.RTU:
        for point in bound.points:
            if point.unit_id == 0:
                raise UserError(
                    f"{where}{point} of {bound.name} is of unit 0, which on RTU means all devices"
                    " and is never answered; give the device's own `unit_id`, 1 to 247"
                )


def check_parts(parts: Sequence[Part], context: DriverContext) -> None:
    """What the devices must be together; :class:`UserError` says what they are not."""
    seen: dict[Hashable, Part] = {}
    for part in parts:
        for what, key in _claims(part, context.connectors):
            other = seen.setdefault((what, key), part)
            if other is not part:
                raise UserError(
                    f"the devices {other.label} and {part.label} both have {what};"
                    " take it out of one map, or put one device on another connector"
                )
    for connector in range(1, context.connectors + 1):
        if not any(part.numbering.inward(connector) for part in parts):
            raise UserError(
                f"no device has a connector {connector}; correct `connectors`, or the"
                " `connector` of a device"
            )
    for part in parts:
        for event in part.bound.events:
            _check_event(part, event, parts)
            if len(parts) > 1 and event.kind is EventKind.TAG:
                _check_told(part, event, parts, context.connectors)


def _claims(part: Part, connectors: int) -> Iterator[tuple[str, Hashable]]:
    """What only one device may say or do, in words, and to be told apart."""
    yield from _sayings(part)
    for event in part.bound.events:
        if event.kind is not EventKind.TAG:
            for connector in _connectors_of(part, event):
                yield f"a {event.kind.value} of {_shown(connector)}", None
    for kind in CommandKind:
        for connector in range(connectors + 1):
            numbers = part.numbering.inward(connector)
            if kind not in EVERYBODYS and any(part.device.does(kind, n) for n in numbers):
                yield f"the command {kind.value} of {_shown(connector)}", None


def _sayings(part: Part) -> Iterator[tuple[str, Hashable]]:
    """The statuses and quantities that a device tells."""
    number = part.numbering
    for status in part.bound.statuses:
        if status.connector <= number.count:
            yield f"a status of {_shown(number.outward(status.connector))}", None
    for meter in part.bound.meters:
        if meter.connector <= number.count:
            where = _shown(number.outward(meter.connector))
            for phase in meter.phases:
                yield f"{meter.measurand.value} of {where}", phase


def _check_event(part: Part, event: BoundEvent, parts: Sequence[Part]) -> None:
    """A start or stop must have a connector, and its energy must come from somewhere."""
    if event.kind is EventKind.TAG:
        return
    for connector in _connectors_of(part, event):
        if connector == 0:
            raise UserError(
                f"{part.label} has a {event.kind.value}, which is of a connector, but the"
                " device is put on the station; correct its `connector`"
            )
        if EventField.METER not in event.fields and not _measured(connector, parts):
            raise UserError(
                f"the {event.kind.value} in {part.label} has no field `meter`, and no"
                f" device measures Energy.Active.Import.Register of connector {connector}; add"
                " the field, or a device with a meter"
            )


def _check_told(part: Part, event: BoundEvent, parts: Sequence[Part], connectors: int) -> None:
    """Somebody must be told what became of a tag."""
    for connector in _connectors_of(part, event):
        if not doers_of(parts, CommandKind.ANSWER_TAG, connector, connectors):
            raise UserError(
                f"{part.label} reads tags of {_shown(connector)}, and no device is told what became"
                f" of them; add the command `answer_tag` of {_shown(connector)} to a map, or put"
                " the reader on another connector"
            )


def _connectors_of(part: Part, event: BoundEvent) -> list[int]:
    """The connectors, in the station's numbers, that an event may be of."""
    number = part.numbering
    if EventField.CONNECTOR in event.fields:
        return [number.outward(connector) for connector in range(1, number.count + 1)]
    return [number.outward(event.connector)] if event.connector <= number.count else []


def _measured(connector: int, parts: Sequence[Part]) -> bool:
    return any(
        meter.measurand is Measurand.ENERGY_ACTIVE_IMPORT_REGISTER
        and None in meter.phases
        and meter.connector <= part.numbering.count
        and part.numbering.outward(meter.connector) == connector
        for part in parts
        for meter in part.bound.meters
    )


def _shown(connector: int) -> str:
    return f"connector {connector}" if connector else "the station"
