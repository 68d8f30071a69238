"""The versions that have a wire, and their decoders and encoders, each made at first use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache

import msgspec

from ocppgw.ocpp import decode, encode, v15
from ocppgw.ocpp.model import Message
from ocppgw.ocpp.operations import OPERATIONS, Direction, Operation, Version
from ocppgw.ocpp.table import Service, Table, element_name

TABLES: Mapping[Version, Table] = {table.version: table for table in (v15.TABLE,)}


class Target(msgspec.Struct, frozen=True):
    """What the first element of a request's body stands for."""

    version: Version
    operation: Operation
    namespace: str


def service(version: Version, direction: Direction) -> Service:
    """The table of one service; KeyError for a version that has no wire yet."""
    return TABLES[version].services[direction]


def namespace(version: Version, direction: Direction) -> str:
    """The target namespace, of requests and responses alike."""
    return service(version, direction).namespace


@cache
def decoder(version: Version, direction: Direction, message: type[Message]) -> decode.Decode:
    """The decoder of a request or response of that service."""
    table = service(version, direction)
    return decode.decoder(table.messages[message], table.namespace)


@lru_cache(maxsize=1024)  # prefixes are the peer's choice, so their number is not ours
def encoder(
    version: Version, direction: Direction, message: type[Message], prefix: str
) -> encode.Encode:
    """The encoder of a request or response of that service."""
    table = service(version, direction)
    return encode.encoder(table.messages[message], element_name(message), prefix)


def _targets(direction: Direction) -> dict[str, Target]:
    return {
        f"{{{table.services[direction].namespace}}}{element_name(operation.request)}": Target(
            version, operation, table.services[direction].namespace
        )
        for version, table in TABLES.items()
        for operation in OPERATIONS
        if operation.direction is direction and version in operation.versions
    }


TARGETS: Mapping[Direction, Mapping[str, Target]] = {d: _targets(d) for d in Direction}
"""By direction and the QName of a request's body element."""

SIDES: Mapping[str, tuple[Version, Direction]] = {
    one.namespace: (version, direction)
    for version, table in TABLES.items()
    for direction, one in table.services.items()
}
"""Version and service that a namespace belongs to."""
