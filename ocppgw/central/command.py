"""A command to a station that may wait for it, as it is stored and shown."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import msgspec

from ocppgw.ocpp.model import Request, Response
from ocppgw.ocpp.operations import Direction, by_name
from ocppgw.storage.base import Document


class CommandState(Enum):
    """What has become of a command.

    ``failed``: the station answered with a fault or nonsense, or its version cannot say it.
    ``unknown``: it was sent and no answer came.
    """

    WAITING = "waiting"
    SENDING = "sending"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class PendingCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command as stored. ``reason`` says why it waits, failed, or was refused, or why
    nothing is known of it."""

    number: int
    charge_box_identity: str
    operation: str
    request: Request
    state: CommandState
    accepted_at: datetime
    until: datetime
    by: str | None = None
    attempts: int = 0
    tried_at: datetime | None = None
    ended_at: datetime | None = None
    response: Response | None = None
    reason: str | None = None

    @classmethod
    def of(cls, document: Document) -> PendingCommand:
        """The command of a stored document."""
        operation = by_name(Direction.TO_CHARGE_POINT, document["operation"])
        assert operation is not None
        response = document.get("response")
        return cls(
            number=document["number"],
            charge_box_identity=document["chargeBoxIdentity"],
            operation=operation.name,
            request=msgspec.json.decode(document["request"], type=operation.request),
            state=CommandState(document["state"]),
            accepted_at=document["acceptedAt"],
            until=document["until"],
            by=document.get("by"),
            attempts=document["attempts"],
            tried_at=document.get("triedAt"),
            ended_at=document.get("endedAt"),
            response=response and msgspec.json.decode(response, type=operation.response),
            reason=document.get("reason"),
        )
