"""The register of operations: name, who is called, its two types, its versions.

An operation's key is its request type: handler tables map request types to
handlers, so that a misspelled name cannot exist. DataTransfer, which both sides
may start, is two entries that share their types.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from ocppgw.ocpp import model as m


class _Key(Enum):
    """An Enum whose members, being one of a kind, are hashed as such: Enum's own hash, a
    function in Python, would be called some ten times a request."""

    __hash__ = object.__hash__


class Version(_Key):
    """The OCPP versions that have a SOAP wire."""

    V12 = "1.2"
    V15 = "1.5"
    V16 = "1.6"


class Direction(_Key):
    """Which service is called."""

    TO_CENTRAL_SYSTEM = "CentralSystemService"
    TO_CHARGE_POINT = "ChargePointService"


ALL = frozenset(Version)
FROM_15 = frozenset({Version.V15, Version.V16})


class Operation(msgspec.Struct, frozen=True):
    """One operation; ``name`` as the specification writes it ("BootNotification")."""

    name: str
    direction: Direction
    request: type[m.Request]
    response: type[m.Response]
    versions: frozenset[Version]

    def __hash__(self) -> int:
        return hash((self.name, self.direction))


def _operation(name: str, direction: Direction, versions: frozenset[Version]) -> Operation:
    return Operation(
        name, direction, getattr(m, f"{name}Request"), getattr(m, f"{name}Response"), versions
    )


_TO_CENTRAL_SYSTEM = {
    "Authorize": ALL,
    "BootNotification": ALL,
    "DataTransfer": FROM_15,
    "DiagnosticsStatusNotification": ALL,
    "FirmwareStatusNotification": ALL,
    "Heartbeat": ALL,
    "MeterValues": ALL,
    "StartTransaction": ALL,
    "StatusNotification": ALL,
    "StopTransaction": ALL,
}
_TO_CHARGE_POINT = {
    "CancelReservation": FROM_15,
    "ChangeAvailability": ALL,
    "ChangeConfiguration": ALL,
    "ClearCache": ALL,
    "DataTransfer": FROM_15,
    "GetConfiguration": FROM_15,
    "GetDiagnostics": ALL,
    "GetLocalListVersion": FROM_15,
    "RemoteStartTransaction": ALL,
    "RemoteStopTransaction": ALL,
    "ReserveNow": FROM_15,
    "Reset": ALL,
    "SendLocalList": FROM_15,
    "UnlockConnector": ALL,
    "UpdateFirmware": ALL,
}

OPERATIONS: tuple[Operation, ...] = tuple(
    _operation(name, direction, versions)
    for direction, names in (
        (Direction.TO_CENTRAL_SYSTEM, _TO_CENTRAL_SYSTEM),
        (Direction.TO_CHARGE_POINT, _TO_CHARGE_POINT),
    )
    for name, versions in names.items()
)

_BY_NAME = {(o.direction, o.name.lower()): o for o in OPERATIONS}
_BY_REQUEST = {(o.direction, o.request): o for o in OPERATIONS}


def by_name(direction: Direction, name: str) -> Operation | None:
    """The operation of that name (any case), or ``None``."""
    return _BY_NAME.get((direction, name.lower()))


def by_request(direction: Direction, request: type[m.Request]) -> Operation:
    """The operation that a request type starts; KeyError if none in that direction."""
    return _BY_REQUEST[direction, request]
