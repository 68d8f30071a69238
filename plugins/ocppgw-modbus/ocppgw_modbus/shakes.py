"""The hand-shakes and plain writes of a section."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from ocppgw.ocpp.enums import Measurand
from ocppgw.settings import near_miss
from ocppgw_modbus import commandrules
from ocppgw_modbus.bound import TEXTS, BoundCommand, BoundEvent, FieldTarget, Point
from ocppgw_modbus.keys import registers_of
from ocppgw_modbus.section import Section
from ocppgw_modbus.spec import (
    CommandField,
    CommandKind,
    CommandSpec,
    EventField,
    EventKind,
    EventSpec,
    FieldSpec,
)
from ocppgw_modbus.units import UNITS, allowed_units

NEEDED = {
    EventKind.TAG: (EventField.ID_TAG,),
    EventKind.START: (EventField.ID_TAG,),
    EventKind.STOP: (),
}


def events(section: Section) -> Iterable[BoundEvent]:
    for kind, spec in section.spec.events.items():
        event = _event(section, kind, spec, ("events", kind.value))
        if event is not None:
            yield event


def _event(
    section: Section, kind: EventKind, spec: EventSpec, keys: tuple[str | int, ...]
) -> BoundEvent | None:
    request = section.whole(spec.request, (*keys, "request"))
    acknowledge = section.whole(spec.acknowledge, (*keys, "acknowledge"), written=True)
    sequence = section.whole(spec.sequence, (*keys, "sequence"))
    for key, value in (("up", spec.up), ("down", spec.down)):
        section.fits(acknowledge, value, (*keys, key))
    fields = _event_fields(section, kind, spec, (*keys, "fields"))
    reason, meter = fields.get(EventField.REASON), fields.get(EventField.METER)
    reasons = {} if reason is None else section.table(reason, spec.reasons, (*keys, "reasons"))
    factor = Decimal(1) if meter is None else _energy(section, meter, (*keys, "fields", "meter"))
    if request is None or acknowledge is None:
        return None
    return BoundEvent(
        key=f"{section.connector}.{kind.value}",
        kind=kind,
        connector=section.connector,
        request=request,
        acknowledge=acknowledge,
        sequence=sequence,
        fields=fields,
        meter_factor=factor,
        reasons=reasons,
        up=spec.up,
        down=spec.down,
    )


def _event_fields(
    section: Section, kind: EventKind, spec: EventSpec, keys: tuple[str | int, ...]
) -> dict[EventField, Point]:
    """The registers of an event's fields, by field; what it needs must be there."""
    fields = {}
    for field, register in spec.fields.items():
        whole = field in (EventField.TRANSACTION, EventField.CONNECTOR)
        look = section.whole if whole else section.point
        point = look(register, (*keys, field.value))
        if point is not None:
            fields[field] = point
    for needed in NEEDED[kind]:
        if needed not in spec.fields:
            section.problem(keys, f"a {kind.value} needs the field {needed.value!r}")
    if not section.connector and kind is not EventKind.TAG and EventField.CONNECTOR not in fields:
        section.problem(keys, f"a {kind.value} of the whole station needs the field 'connector'")
    return fields


def _energy(section: Section, point: Point, keys: tuple[str | int, ...]) -> Decimal:
    section.number(point, keys)
    unit, factor = UNITS.get(point.unit or "", (None, Decimal(1)))
    if unit not in allowed_units(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER):
        section.problem(
            keys, f"{point.name} is a meter and needs `unit: Wh` or kWh, got {point.unit!r}"
        )
    return factor


def commands(section: Section) -> Iterable[BoundCommand]:
    for kind, spec in section.spec.commands.items():
        yield _command(section, kind, spec, ("commands", kind.value))


def _command(
    section: Section, kind: CommandKind, spec: CommandSpec, keys: tuple[str | int, ...]
) -> BoundCommand:
    for where, text in commandrules.faults(kind, spec, section.connector):
        section.problem((*keys, *where), text)
    fields = _targets(section, spec, (*keys, "fields"))
    fixed = []
    for register, value in spec.set.items():
        point = section.point(register, (*keys, "set", register), written=True)
        if point is not None:
            number = _fixed(section, point, value, (*keys, "set", register))
            section.fits(point, number, (*keys, "set", register))
            fixed.append((point, number))
    request = section.whole(spec.request, (*keys, "request"), written=True)
    for key, number in (("up", spec.up), ("down", spec.down)):
        section.fits(request, number, (*keys, key))
    return BoundCommand(
        key=f"{section.connector}.{kind.value}",
        kind=kind,
        connector=section.connector,
        fields=fields,
        fixed=tuple(fixed),
        request=request,
        answer=section.whole(spec.answer, (*keys, "answer")),
        up=spec.up,
        down=spec.down,
        idle=spec.idle,
        accepted=spec.accepted,
        refused=spec.refused,
        on_change=spec.on_change,
        keys=registers_of(section, spec.keys, (*keys, "keys")),
    )


def _targets(
    section: Section, spec: CommandSpec, keys: tuple[str | int, ...]
) -> dict[CommandField, FieldTarget]:
    """Where each field of a command is written."""
    fields = {}
    for field, target in spec.fields.items():
        said = FieldSpec(register=target) if isinstance(target, str) else target
        point = section.point(said.register, (*keys, field.value), written=True)
        if point is not None and field is CommandField.ID_TAG and point.type not in TEXTS:
            text = f"a tag needs a register of type ascii or bytes, {point.name} is"
            section.problem((*keys, field.value), f"{text} {point.type.value}")
        if point is not None:
            fields[field] = FieldTarget(
                register=point, true_value=said.true_value, false_value=said.false_value
            )
    return fields


def _fixed(
    section: Section, point: Point, value: float | str, keys: tuple[str | int, ...]
) -> float:
    if not isinstance(value, str):
        return value
    numbers = {name: number for number, name in point.names.items()}
    if value not in numbers:
        hint = near_miss(value, numbers)
        section.problem(keys, f"{value!r} is no value of {point.name}{hint}")
    return numbers.get(value, 0)
