"""Routes of the control API that command stations, at once or when they can be reached."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from klein import Klein
from twisted.web.http import Request as WebRequest

from ocppgw.central.command import CommandState, PendingCommand
from ocppgw.central.commands import EXPLANATION_WAIT, accepted
from ocppgw.link.base import PeerFault
from ocppgw.ocpp.model import Request, Response, SendLocalListRequest
from ocppgw.ocpp.operations import OPERATIONS, Direction, Operation, by_name
from ocppgw.storage.base import Document
from ocppgw.tree import near_miss
from ocppgw.web.answering import ApiError, Begins, answering, body_of
from ocppgw.web.messages import as_json, request_of
from ocppgw.web.queries import by_of, duration_of, flag_of, limit_of, text_of

if TYPE_CHECKING:
    from ocppgw.central.service import CentralSystem


class HasCentral(Begins, Protocol):
    """What has these routes."""

    @property
    def central(self) -> CentralSystem: ...


def add_commanding(app: Klein) -> None:
    """Adds the routes to an API."""

    @app.route("/api/stations/<path:identity>/operations/<name>", methods=["POST"])
    @answering
    async def operation(self: HasCentral, request: WebRequest, identity: str, name: str) -> Any:
        """Sends a command; gives the response, whether it was done, and if not, why.

        With ``?later=2h`` a command that did not get through is kept for that long, and the
        answer has it as ``pending``; ``?by=`` says who sends it. ``?users=true`` fills the
        list of a SendLocalList with the users who may charge.
        """
        operation = _operation(name)
        message = request_of(operation, body_of(request))
        if flag_of(request, "users"):
            message = await _with_users(self.central, operation, message)
        keep = duration_of(request, "later")
        if keep is None:
            return await _sent(self.central, identity, operation, message)
        return await _kept(self.central, identity, message, keep, by_of(request))

    @app.route("/api/pending", methods=["GET"])
    @answering
    async def pending(self: HasCentral, request: WebRequest) -> Any:
        """Commands sent with ``later``, the newest first; ``?station=``, ``?limit=``.

        A station without any has to be known, lest a slip of the pen reads as an answer.
        """
        identity = text_of(request, "station")
        commands = await self.central.pending.all(identity, limit_of(request))
        if identity is not None and not commands:
            await station_of(self.central, identity)
        return commands

    @app.route("/api/pending/<int:number>/cancel", methods=["POST"])
    @answering
    async def cancel(self: HasCentral, request: WebRequest, number: int) -> Any:
        """Takes back a command that waits."""
        await self.central.pending.cancel(number)
        return {}


async def station_of(central: CentralSystem, identity: str) -> Document:
    """The station as operators see it; an ApiError if it is not known."""
    found = await central.views.station(identity)
    if found is None:
        raise ApiError(404, f"no station {identity} is known here")
    return found


async def _sent(
    central: CentralSystem, identity: str, operation: Operation, message: Request
) -> Any:
    since = central.context.clock.now()
    try:
        response = await central.call(identity, message)
    except PeerFault as error:
        raise ApiError(502, f"{operation.name}: {error}") from error
    told = _told(operation.name, response)
    if not told["done"]:
        told["explanation"] = await central.explanation(identity, since, EXPLANATION_WAIT)
    return told


async def _kept(
    central: CentralSystem, identity: str, message: Request, keep: timedelta, by: str | None
) -> Any:
    """As :func:`_sent`, as far as the command is over; else the command."""
    command = await central.call_later(identity, message, keep, by=by)
    if command.response is not None:
        told = _told(command.operation, command.response)
        return told if told["done"] else {**told, "explanation": command.reason}
    if command.state in (CommandState.WAITING, CommandState.SENDING):
        return {"operation": command.operation, "done": False, "pending": command}
    raise ApiError(502, _sentence(command))


def _sentence(command: PendingCommand) -> str:
    why = f": {command.reason}" if command.reason else ""
    return f"command {command.number} ({command.operation}) is {command.state.value}{why}"


def _told(name: str, response: Response) -> dict[str, Any]:
    return {"operation": name, "done": accepted(response), "response": as_json(response)}


async def _with_users(central: CentralSystem, operation: Operation, message: Request) -> Request:
    if not isinstance(message, SendLocalListRequest):
        raise ApiError(400, f"users: {operation.name} has no list to fill; SendLocalList has one")
    if message.local_authorization_list:
        raise ApiError(400, "users: give either a list or this, not both")
    users = await central.users.local_list(central.context.clock.now())
    return msgspec.structs.replace(message, local_authorization_list=users)


def _operation(name: str) -> Operation:
    """The operation of that name; an ApiError names a near miss."""
    operation = by_name(Direction.TO_CHARGE_POINT, name)
    if operation is None:
        known = [o.name for o in OPERATIONS if o.direction is Direction.TO_CHARGE_POINT]
        hint = near_miss(name, known) or f"; there are {', '.join(known)}"
        raise ApiError(404, f"there is no operation {name}{hint}")
    return operation
