"""A register map with its names looked up and its addresses worked out.

This is what the driver and the simulated PLC work with. Every connector has points of
its own (the map's connector registers, moved by offset and stride); connector 0 stands
for the station as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from ocppgw.ocpp.enums import (
    ChargePointErrorCode,
    ChargePointStatus,
    Measurand,
    Phase,
    Reason,
    UnitOfMeasure,
)
from ocppgw_modbus.spec import (
    ByteOrder,
    CommandField,
    CommandKind,
    EventField,
    EventKind,
    LimitsSpec,
    Read,
    Type,
    WordOrder,
    Write,
)

WORDS = {
    Type.BOOL: 1,
    Type.U16: 1,
    Type.I16: 1,
    Type.U32: 2,
    Type.I32: 2,
    Type.F32: 2,
    Type.U64: 4,
    Type.I64: 4,
    Type.F64: 4,
}
UNSIGNED = frozenset({Type.U16, Type.U32, Type.U64})
SIGNED = frozenset({Type.I16, Type.I32, Type.I64})
FLOATS = frozenset({Type.F32, Type.F64})
TEXTS = frozenset({Type.ASCII, Type.BYTES})
BIT_TABLES = frozenset({Read.COILS, Read.DISCRETE})


class Point(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One value at its place in the device.

    ``size`` is the number of registers (coils: of bits) it spans, all phases together.
    Two points are the same only if they are one object, so that they can be keys.
    """

    name: str
    connector: int
    unit_id: int
    fc: Read
    address: int
    size: int
    type: Type
    order: WordOrder
    byte_order: ByteOrder
    write: Write | None
    scale: Decimal
    offset: Decimal
    unit: str | None
    mask: int | None
    shift: int
    names: Mapping[int, str]
    minimum: float | None
    maximum: float | None
    no_value: tuple[int | str, ...] | None
    phases: int
    poll: str
    alone: bool = False

    def __hash__(self) -> int:
        return id(self)

    @property
    def is_bits(self) -> bool:
        """Whether it lies in a table of single bits."""
        return self.fc in BIT_TABLES

    @property
    def words_each(self) -> int:
        """Registers for each of its values."""
        return self.size // self.phases

    def __str__(self) -> str:
        where = f"connector {self.connector} " if self.connector else ""
        return f"{where}{self.name} ({self.fc.name.lower()} {self.address})"


class BoundIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """``texts`` maps fields of ``ocppgw.plc.Identity`` to points."""

    running: Point | None
    texts: Mapping[str, Point]


class BoundStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Tables go from the decoded value; those of a bits register from the single bit."""

    connector: int
    register: Point
    values: Mapping[int | str, ChargePointStatus]
    error: Point | None
    errors: Mapping[int | str, ChargePointErrorCode]
    other_error: ChargePointErrorCode
    vendor_error: Point | None


class BoundMeter(msgspec.Struct, frozen=True, kw_only=True):
    """``factor`` takes the register's unit to ``unit``; a phase for each value."""

    connector: int
    register: Point
    measurand: Measurand
    unit: UnitOfMeasure
    factor: Decimal
    phases: tuple[Phase | None, ...]


class BoundEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A hand-shake that the PLC begins; ``key`` names it within the station."""

    key: str
    kind: EventKind
    connector: int
    request: Point
    acknowledge: Point
    sequence: Point | None
    fields: Mapping[EventField, Point]
    meter_factor: Decimal
    reasons: Mapping[int | str, Reason]
    up: int
    down: int

    @property
    def points(self) -> tuple[Point, ...]:
        """What has to be read for the event to be known."""
        sequence = () if self.sequence is None else (self.sequence,)
        return (self.request, *sequence, *self.fields.values())


class FieldTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where a field is written; the two values are for yes-or-no fields."""

    register: Point
    true_value: int
    false_value: int


class BoundCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What is written for a command; without ``request`` there is no hand-shake.

    ``keys`` are the places of configuration keys, of which each command writes one.
    """

    key: str
    kind: CommandKind
    connector: int
    fields: Mapping[CommandField, FieldTarget]
    fixed: tuple[tuple[Point, int | float], ...]
    request: Point | None
    answer: Point | None
    up: int
    down: int
    idle: int
    accepted: int
    refused: int
    on_change: bool
    keys: Mapping[str, Point] = {}


class BoundCyclic(msgspec.Struct, frozen=True, kw_only=True):
    register: Point
    every: float
    values: tuple[int, ...]
    unless: int | None


class BoundMap(msgspec.Struct, frozen=True, kw_only=True):
    """A whole map, ready for use."""

    name: str
    device: str
    connectors: int
    limits: LimitsSpec
    polls: Mapping[str, float]
    points: tuple[Point, ...]
    identity: BoundIdentity
    statuses: tuple[BoundStatus, ...]
    meters: tuple[BoundMeter, ...]
    events: tuple[BoundEvent, ...]
    commands: Mapping[tuple[CommandKind, int], BoundCommand]
    cyclic: tuple[BoundCyclic, ...]

    def point(self, name: str, connector: int = 0) -> Point:
        """The point of that name; KeyError if there is none."""
        for point in self.points:
            if point.name == name and point.connector == connector:
                return point
        raise KeyError(f"{self.device} has no register {name!r} of connector {connector}")

    def command(self, kind: CommandKind, connector: int) -> BoundCommand | None:
        """The connector's own way to do a command, or the station's if that one says
        which connector it is for."""
        own = self.commands.get((kind, connector))
        if own is not None:
            return own
        shared = self.commands.get((kind, 0))
        if shared is not None and CommandField.CONNECTOR in shared.fields:
            return shared
        return None
