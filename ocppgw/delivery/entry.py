"""What a lane keeps of a message, and how it looks in the store."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from ocppgw.ocpp.model import Request
from ocppgw.ocpp.operations import Direction, by_name, by_request
from ocppgw.storage.base import Document

WAITING = "waiting"
PARKED = "parked"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the transaction lane.

    ``session`` is the charge box's own name of the transaction it belongs to;
    ``request`` as it was made, before the transaction id was filled in. ``attempts``
    counts transmissions that the central system answered with a fault or nonsense;
    ``parked_because`` is the sentence for the operator once there were too many.
    """

    box: str
    sequence: int
    session: str
    request: Request
    queued_at: datetime
    attempts: int = 0
    parked_because: str | None = None
    revision: int = 0

    @property
    def operation(self) -> str:
        """The operation's name as the specification writes it."""
        return operation_name(self.request)


def operation_name(request: Request) -> str:
    return by_request(Direction.TO_CENTRAL_SYSTEM, type(request)).name


def message_fields(request: Request) -> Document:
    """A request as two storable fields, from which it comes back the same in every field."""
    return {
        "operation": operation_name(request),
        "message": msgspec.json.encode(request).decode(),
    }


def message_of(document: Document) -> Request:
    """The request that :func:`message_fields` stored."""
    operation = by_name(Direction.TO_CENTRAL_SYSTEM, document["operation"])
    if operation is None:
        raise ValueError(f"the queue holds an unknown operation, {document['operation']!r}")
    return msgspec.json.decode(document["message"], type=operation.request)


def entry_document(entry: Entry) -> Document:
    return {
        "box": entry.box,
        "sequence": entry.sequence,
        "session": entry.session,
        **message_fields(entry.request),
        "queued_at": entry.queued_at,
        "state": WAITING,
        "attempts": entry.attempts,
        "revision": entry.revision,
    }


def entry_of(document: Document) -> Entry:
    kept: dict[str, Any] = {
        name: document[name]
        for name in ("box", "sequence", "session", "queued_at", "attempts", "revision")
    }
    return Entry(
        request=message_of(document), parked_because=document.get("parked_because"), **kept
    )
