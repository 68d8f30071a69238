"""The register map as it is written in YAML: one Struct for each kind of section.

What stands here is the format; what it means once names are looked up and addresses
worked out for each connector is in :mod:`ocppgw_modbus.bound`. Physical quantities are
said by ``unit``, the Modbus unit (slave) identifier by ``unit_id``.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import msgspec
from msgspec import Meta

from ocppgw.ocpp.enums import (
    ChargePointErrorCode,
    ChargePointStatus,
    Measurand,
    Phase,
    Reason,
)


class Type(Enum):
    """How the words of a register are read."""

    BOOL = "bool"
    U16 = "u16"
    I16 = "i16"
    U32 = "u32"
    I32 = "i32"
    U64 = "u64"
    I64 = "i64"
    F32 = "f32"
    F64 = "f64"
    ASCII = "ascii"
    BYTES = "bytes"
    BITS = "bits"


class WordOrder(Enum):
    HI = "hi"
    LO = "lo"


class ByteOrder(Enum):
    BIG = "big"
    LITTLE = "little"


class Read(Enum):
    """The function codes that read: each has a table of addresses of its own."""

    COILS = 1
    DISCRETE = 2
    HOLDING = 3
    INPUT = 4


class Write(Enum):
    """The function codes that write."""

    COIL = 5
    REGISTER = 6
    COILS = 15
    REGISTERS = 16
    MASK = 22


Address = Annotated[int, Meta(ge=0, le=65535, description="0-based address, as it is sent.")]
UnitId = Annotated[int, Meta(ge=0, le=255, description="Modbus unit (slave) identifier.")]
Seconds = Annotated[float, Meta(gt=0)]
Number = int | float


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class RegisterSpec(_Section, frozen=True, kw_only=True):
    """One value: where it lies and how it is read."""

    addr: Address
    type: Annotated[Type, Meta(description="How its words are read.")]
    fc: Annotated[Read | None, Meta(description="Function code that reads: 1, 2, 3 or 4.")] = None
    write: Annotated[
        Write | None, Meta(description="Function code that writes: 5, 6, 15, 16, or 22 for bits.")
    ] = None
    count: (
        Annotated[int, Meta(ge=1, le=2000, description="Registers it spans (ascii, bytes, bits).")]
        | None
    ) = None
    order: Annotated[WordOrder | None, Meta(description="Which word comes first.")] = None
    bytes: Annotated[ByteOrder | None, Meta(description="Byte order within a word.")] = None
    scale: Annotated[Number, Meta(description="What the number is multiplied with.")] = 1
    offset: Annotated[Number, Meta(description="What is added after the scale.")] = 0
    unit: Annotated[str | None, Meta(description="Physical unit after scale and offset.")] = None
    bit: Annotated[int, Meta(ge=0, le=63, description="The one bit that counts.")] | None = None
    mask: Annotated[int, Meta(ge=1, description="The bits that count.")] | None = None
    shift: Annotated[int, Meta(ge=0, le=63, description="Shift right after the mask.")] = 0
    values: Annotated[
        dict[int, str] | None,
        Meta(description="Names of the values it can have (type bits: of the bits)."),
    ] = None
    min: Annotated[Number | None, Meta(description="The least that makes sense.")] = None
    max: Annotated[Number | None, Meta(description="The most that makes sense.")] = None
    no_value: Annotated[
        list[int | str] | None, Meta(description="Raw values that mean: there is none.")
    ] = None
    phases: (
        Annotated[int, Meta(ge=1, le=3, description="So many values in a row: L1, L2, L3.")] | None
    ) = None
    poll: Annotated[str | None, Meta(description="Poll group, if not the default one.")] = None
    unit_id: UnitId | None = None
    alone: Annotated[
        bool, Meta(description="Read in a request of its own, never together with others.")
    ] = False
    overlay: Annotated[
        bool, Meta(description="Says that it lies upon another register on purpose.")
    ] = False
    meaning: Annotated[str, Meta(description="A remark for people.")] = ""


class StatusSpec(_Section, frozen=True, kw_only=True):
    """Which register says the status, and what its values mean in OCPP."""

    register: str
    values: Annotated[
        dict[str | int, ChargePointStatus],
        Meta(min_length=1, description="Value name, number or text: OCPP status."),
    ]
    error: Annotated[str | None, Meta(description="Register of the error.")] = None
    errors: Annotated[
        dict[str | int, ChargePointErrorCode],
        Meta(description="Value name, number, text or bit name: OCPP error code."),
    ] = {}
    other_error: Annotated[
        ChargePointErrorCode, Meta(description="For an error that is not in the table.")
    ] = ChargePointErrorCode.OTHER_ERROR
    vendor_error: Annotated[
        str | None, Meta(description="Register whose value is passed on as vendorErrorCode.")
    ] = None


class MeterSpec(_Section, frozen=True, kw_only=True):
    """One measured quantity."""

    register: str
    measurand: Measurand
    phase: Phase | None = None


class IdentitySpec(_Section, frozen=True, kw_only=True):
    """Registers that say who the station is."""

    running: Annotated[str | None, Meta(description="Not 0 while the program runs.")] = None
    vendor: str | None = None
    model: str | None = None
    serial_number: str | None = None
    software_version: str | None = None
    meter_type: str | None = None
    meter_serial_number: str | None = None


class EventKind(Enum):
    TAG = "tag"
    START = "start"
    STOP = "stop"


class EventField(Enum):
    ID_TAG = "id_tag"
    METER = "meter"
    TRANSACTION = "transaction"
    REASON = "reason"
    CONNECTOR = "connector"


class EventSpec(_Section, frozen=True, kw_only=True):
    """A four-phase hand-shake that the PLC begins."""

    request: Annotated[str, Meta(description="Register that the PLC raises and lowers.")]
    acknowledge: Annotated[str, Meta(description="Register that we raise and lower.")]
    fields: Annotated[dict[EventField, str], Meta(description="What it tells: field: register.")]
    sequence: Annotated[
        str | None, Meta(description="Register with a number that is new for each event.")
    ] = None
    reasons: Annotated[
        dict[str | int, Reason], Meta(description="Values of the field reason: OCPP reason.")
    ] = {}
    up: int = 1
    down: int = 0


class CommandKind(Enum):
    ANSWER_TAG = "answer_tag"
    ANSWER_START = "answer_start"
    ANSWER_STOP = "answer_stop"
    ANSWER_BOOT = "answer_boot"
    TIME = "time"
    AVAILABILITY = "availability"
    UNLOCK = "unlock"
    REMOTE_START = "remote_start"
    REMOTE_STOP = "remote_stop"
    RESERVE = "reserve"
    CANCEL_RESERVATION = "cancel_reservation"
    LIMIT_CURRENT = "limit_current"
    RESET = "reset"
    RESET_SOFT = "reset_soft"
    RESET_HARD = "reset_hard"
    CONFIGURE = "configure"


class CommandField(Enum):
    CONNECTOR = "connector"
    ID_TAG = "id_tag"
    ACCEPTED = "accepted"
    TRANSACTION = "transaction"
    SEQUENCE = "sequence"
    TIME = "time"
    AVAILABLE = "available"
    RESERVATION = "reservation"
    EXPIRES = "expires"
    AMPERES = "amperes"
    HARD = "hard"


class FieldSpec(_Section, frozen=True, kw_only=True):
    """A yes-or-no field written as two values of a register."""

    register: str
    true_value: int = 1
    false_value: int = 0


class CommandSpec(_Section, frozen=True, kw_only=True):
    """What is written for a command, and how the PLC answers (if it does)."""

    fields: Annotated[
        dict[CommandField, str | FieldSpec], Meta(description="Field: register it is written to.")
    ] = {}
    keys: Annotated[
        dict[str, str], Meta(description="Of `configure`: OCPP key: register it is written to.")
    ] = {}
    set: Annotated[
        dict[str, int | float | str], Meta(description="Register: fixed value (or its name).")
    ] = {}
    request: Annotated[str | None, Meta(description="Register raised once all is there.")] = None
    answer: Annotated[str | None, Meta(description="Register with the PLC's answer.")] = None
    up: int = 1
    down: int = 0
    idle: int = 0
    accepted: int = 1
    refused: int = 2
    on_change: Annotated[
        bool, Meta(description="Do not write a value that stands there already (EEPROM).")
    ] = False


class CyclicSpec(_Section, frozen=True, kw_only=True):
    """A write that keeps a watchdog content; these go before everything else."""

    register: str
    every: Annotated[Seconds, Meta(description="Seconds between two writes.")]
    values: Annotated[
        list[int], Meta(min_length=1, description="Written in turn, over and over.")
    ] = msgspec.field(default_factory=lambda: [1])
    unless: Annotated[int | None, Meta(description="Not written while it reads this.")] = None


class BoundSections(_Section, frozen=True, kw_only=True):
    """What a station as a whole and each connector have alike."""

    registers: dict[str, RegisterSpec] = {}
    status: StatusSpec | None = None
    meter: list[MeterSpec] = []
    events: dict[EventKind, EventSpec] = {}
    commands: dict[CommandKind, CommandSpec] = {}


class Stride(_Section, frozen=True, kw_only=True):
    """How far the addresses of two connectors lie apart."""

    registers: int = 0
    bits: int = 0
    unit_id: int = 0


class ConnectorsSpec(BoundSections, frozen=True, kw_only=True):
    """The sections of one connector, and where the next one lies."""

    count: Annotated[int, Meta(ge=1, le=255, description="Connectors the device has.")]
    offset: Annotated[int, Meta(description="Added to every address of connector 1.")] = 0
    stride: Annotated[
        int | Stride, Meta(description="Added to every address for each further connector.")
    ] = 0


class Hole(_Section, frozen=True, kw_only=True):
    """Addresses that must not be read, not even in passing (both ends included)."""

    fc: Read
    first: Address
    last: Address


class LimitsSpec(_Section, frozen=True, kw_only=True):
    """What one read may span."""

    registers_per_read: Annotated[int, Meta(ge=1, le=125)] = 125
    bits_per_read: Annotated[int, Meta(ge=1, le=2000)] = 2000
    gap: Annotated[
        int, Meta(ge=0, le=124, description="Unused addresses that a read may run across.")
    ] = 0
    never_read: list[Hole] = []


class DefaultsSpec(_Section, frozen=True, kw_only=True):
    """What registers have that do not say otherwise."""

    fc: Read = Read.HOLDING
    order: WordOrder = WordOrder.HI
    bytes: ByteOrder = ByteOrder.BIG
    write: Annotated[
        Write | None, Meta(description="How holding registers are written: 6 or 16.")
    ] = None
    write_coil: Annotated[Write | None, Meta(description="How coils are written: 5 or 15.")] = None
    poll: Annotated[str, Meta(description="Poll group.")] = "normal"


class MapSpec(BoundSections, frozen=True, kw_only=True):
    """A whole register map."""

    device: Annotated[str, Meta(min_length=1, description="Name of the device.")]
    description: str = ""
    unit_id: UnitId = 1
    defaults: DefaultsSpec = DefaultsSpec()
    limits: LimitsSpec = LimitsSpec()
    polls: Annotated[
        dict[str, Seconds], Meta(description="Poll groups: seconds from one poll to the next.")
    ] = msgspec.field(default_factory=lambda: {"normal": 1.0})
    identity: IdentitySpec = IdentitySpec()
    cyclic: list[CyclicSpec] = []
    connectors: ConnectorsSpec | None = None
