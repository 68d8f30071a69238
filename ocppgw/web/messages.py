"""Messages as JSON: the names of the specification, in any case on the way in."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import Any

import msgspec

from ocppgw.ocpp.enums import Unknown
from ocppgw.ocpp.model import Request
from ocppgw.ocpp.operations import Operation
from ocppgw.tree import camel, from_plain
from ocppgw.typed import read


def request_of(operation: Operation, body: object) -> Request:
    """The request that a JSON body describes; ``UserError`` says all that is wrong with it."""
    return read(from_plain(body), operation.request, source=operation.name, lax=True)


def as_json(value: object) -> Any:
    """A message, or a document of the store, as JSON values; what is absent is left out."""
    if isinstance(value, Unknown):
        return value.raw
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, msgspec.Struct):
        value = {camel(name): v for name, v in msgspec.structs.asdict(value).items()}
    if isinstance(value, dict):
        return {str(k): as_json(v) for k, v in value.items() if v is not None and v != ()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return value
