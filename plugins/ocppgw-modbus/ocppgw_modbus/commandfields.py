"""Which section of a map does a command, and the value of each of its fields."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ocppgw.plc import (
    AnswerBoot,
    AnswerStart,
    AnswerStop,
    AnswerTag,
    CancelReserve,
    Command,
    Configure,
    LimitCurrent,
    RemoteStart,
    RemoteStop,
    Reserve,
    ResetPlc,
    SetAvailability,
    SetTime,
    Unlock,
)
from ocppgw_modbus.bound import BoundCommand, FieldTarget, Point
from ocppgw_modbus.eventshake import EventId
from ocppgw_modbus.keys import write_of
from ocppgw_modbus.spec import CommandField as F
from ocppgw_modbus.spec import CommandKind as K

KINDS: dict[type[Command], tuple[K, ...]] = {
    AnswerTag: (K.ANSWER_TAG,),
    AnswerStart: (K.ANSWER_START,),
    AnswerStop: (K.ANSWER_STOP,),
    AnswerBoot: (K.ANSWER_BOOT,),
    SetTime: (K.TIME,),
    SetAvailability: (K.AVAILABILITY,),
    Unlock: (K.UNLOCK,),
    RemoteStart: (K.REMOTE_START,),
    RemoteStop: (K.REMOTE_STOP,),
    Reserve: (K.RESERVE,),
    CancelReserve: (K.CANCEL_RESERVATION,),
    LimitCurrent: (K.LIMIT_CURRENT,),
    ResetPlc: (K.RESET, K.RESET_SOFT, K.RESET_HARD),
    Configure: (K.CONFIGURE,),
}

# A command's attribute for each field; the other fields need more than a look.
ATTRIBUTES = {
    F.ID_TAG: "id_tag",
    F.ACCEPTED: "accepted",
    F.TRANSACTION: "transaction_id",
    F.TIME: "time",
    F.AVAILABLE: "available",
    F.RESERVATION: "reservation_id",
    F.EXPIRES: "expires_at",
    F.AMPERES: "amperes",
    F.HARD: "hard",
    F.CONNECTOR: "connector_id",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def kinds_of(command: Command) -> tuple[K, ...]:
    """The sections that may do this very command, the best first."""
    if isinstance(command, ResetPlc):
        return (K.RESET_HARD if command.hard else K.RESET_SOFT, K.RESET)
    return KINDS.get(type(command), ())


def words_of(command: Command) -> str:
    """The sections that may do it, for people, as a map spells them."""
    return " or ".join(f"`{kind.value}`" for kind in kinds_of(command)) or type(command).__name__


def connector_of(command: Command) -> int:
    """The connector a command is for; 0 for the station's own."""
    connector: int = getattr(command, "connector_id", 0)
    return connector


def mistakable(command: Command, bound: BoundCommand) -> bool:
    """Whether the PLC would take a late answer to a start for that of the session that
    runs by now, since no number says which start it means."""
    if not isinstance(command, AnswerStart) or command.current:
        return False
    return F.SEQUENCE not in bound.fields or _sequence(command.event_id) == 0


def writes_of(command: Command, bound: BoundCommand) -> list[tuple[Point, float | str]]:
    """What has to be written, field by field, less the request of a hand-shake.

    Raises :class:`PlcRefused` for a configuration key that its register cannot say.
    """
    writes: list[tuple[Point, float | str]] = []
    if isinstance(command, Configure):
        writes.append(write_of(command, bound))
    for field, target in bound.fields.items():
        writes.append((target.register, _value(command, field, target)))
    writes.extend(bound.fixed)  # the last ones, as they are what the PLC looks at
    return writes


def _value(command: Command, field: F, target: FieldTarget) -> float | str:
    if field is F.SEQUENCE:
        assert isinstance(command, (AnswerTag, AnswerStart, AnswerStop))
        return _sequence(command.event_id)
    value = getattr(command, ATTRIBUTES[field])
    if isinstance(value, bool):
        return target.true_value if value else target.false_value
    if isinstance(value, datetime):
        unit = timedelta(milliseconds=1) if target.register.unit == "ms" else timedelta(seconds=1)
        return (value - EPOCH) // unit
    assert isinstance(value, (int, float, str))
    return value


def _sequence(event_id: str) -> int:
    """The sequence number of the event that is answered; 0 if it had none."""
    try:
        return EventId.parse(event_id).sequence or 0
    except ValueError:
        return 0
