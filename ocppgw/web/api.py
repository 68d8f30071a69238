"""The control API: what an operator can see and do, as JSON over HTTP.

Every error is ``{"error": "…"}``, a sentence, with a fitting status. Times are RFC 3339
in UTC; field names are those of the specification and of the stored documents. The
commands of the ``ocppgw`` program speak it over the control socket.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, cast

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.web.http import Request as WebRequest

from ocppgw.bridge import later
from ocppgw.central.settings import UserSettings
from ocppgw.central.station import Registration
from ocppgw.errors import UserError
from ocppgw.link.base import PeerError, PeerFault, PeerTimeout
from ocppgw.ocpp.operations import OPERATIONS, Direction, Operation, by_name
from ocppgw.storage.base import StorageError
from ocppgw.tree import from_plain, near_miss
from ocppgw.typed import read
from ocppgw.web.messages import as_json, request_of

if TYPE_CHECKING:
    from ocppgw.central.service import CentralSystem

log = logging.getLogger(__name__)

EXPLANATION_WAIT = 3.0  # seconds that a station has to say why it refused
MOST = 1000  # entries of a list
DONE = frozenset({"Accepted", "Scheduled", "RebootRequired", "Unlocked"})

P = ParamSpec("P")


class ApiError(Exception):
    """An answer that is an error: the HTTP status and the sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def answering(
    route: Callable[Concatenate[Api, WebRequest, P], Coroutine[Any, Any, Any]],
) -> Callable[Concatenate[Api, WebRequest, P], Deferred[bytes]]:
    """A route as klein wants it: what the coroutine gives, or raises, as JSON."""

    @wraps(route)
    def answer(
        self: Api, request: WebRequest, *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[bytes]:
        async def run() -> bytes:
            request.setHeader("Content-Type", "application/json")
            try:
                value = await route(self, request, *args, **kwargs)
            except Exception as error:  # noqa: BLE001  each becomes an answer
                status, sentence = _explained(error)
                request.setResponseCode(status)
                value = {"error": sentence}
            body = json.dumps(as_json(value)).encode() + b"\n"
            request.setHeader("Content-Length", str(len(body)))
            return body

        return self.begin(run())

    return cast("Callable[Concatenate[Api, WebRequest, P], Deferred[bytes]]", answer)


def _explained(error: Exception) -> tuple[int, str]:
    """The HTTP status and the sentence of an error."""
    if isinstance(error, ApiError):
        return error.status, str(error)
    if isinstance(error, UserError):
        return 400, str(error)
    if isinstance(error, PeerTimeout):
        return 504, str(error)
    if isinstance(error, PeerError):
        return 502, str(error)
    if isinstance(error, StorageError):
        return 503, str(error)
    log.error("a request of the control API failed", exc_info=error)
    return 500, f"unexpected {type(error).__name__}; the gateway's log says more"


class Api:
    """The routes. Until :meth:`open`, everything is answered 503."""

    app = Klein()

    def __init__(self) -> None:
        self._opened = False
        self._system: CentralSystem | None = None
        self._under_way: set[asyncio.Task[bytes]] = set()

    def open(self, central: CentralSystem | None) -> None:
        """Answers from now on; ``None`` if this gateway is no central system."""
        self._system = central
        self._opened = True

    async def close(self, grace: float) -> None:
        """Lets answers in the making be finished for that many seconds, then cancels them."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def begin(self, answer: Coroutine[Any, Any, bytes]) -> Deferred[bytes]:
        """Makes an answer, and keeps account of it."""
        task = asyncio.ensure_future(answer)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return later(task)

    @property
    def _central(self) -> CentralSystem:
        if not self._opened:
            raise ApiError(503, "the gateway is still starting; try again in a moment")
        if self._system is None:
            raise ApiError(409, "this gateway is no central system, so it has no stations")
        return self._system

    # Stations

    @app.route("/api/stations", methods=["GET"])
    @answering
    async def stations(self, request: WebRequest) -> Any:
        """All, or those with ``?registration=pending`` and the like."""
        wanted = _query(request, "registration")
        names = [registration.value for registration in Registration]
        if wanted is not None and wanted not in names:
            raise ApiError(400, f"registration: expected one of {', '.join(names)}, got {wanted}")
        registration = None if wanted is None else Registration(wanted)
        return await self._central.views.stations(registration)

    @app.route("/api/stations/<path:identity>", methods=["GET"])
    @answering
    async def station(self, request: WebRequest, identity: str) -> Any:
        found = await self._central.views.station(identity)
        if found is None:
            raise ApiError(404, f"no station {identity} is known here")
        return found

    @app.route("/api/stations/<path:identity>/accept", methods=["POST"])
    @answering
    async def accept(self, request: WebRequest, identity: str) -> Any:
        await self._central.accept_station(identity)
        return {}

    @app.route("/api/stations/<path:identity>/refuse", methods=["POST"])
    @answering
    async def refuse(self, request: WebRequest, identity: str) -> Any:
        await self._central.refuse_station(identity)
        return {}

    @app.route("/api/stations/<path:identity>/operations/<name>", methods=["POST"])
    @answering
    async def operation(self, request: WebRequest, identity: str, name: str) -> Any:
        """Sends a command; gives the response, whether it was done, and if not, why."""
        central = self._central
        operation = _operation(name)
        message = request_of(operation, _body(request))
        since = central.context.clock.now()
        try:
            response = await central.call(identity, message)
        except PeerFault as error:
            raise ApiError(502, f"{operation.name}: {error}") from error
        answer = as_json(response)
        done = answer.get("status", "Accepted") in DONE
        told = {"operation": operation.name, "done": done, "response": answer}
        if not done:
            told["explanation"] = await central.explanation(identity, since, EXPLANATION_WAIT)
        return told

    # Transactions, notifications

    @app.route("/api/transactions", methods=["GET"])
    @answering
    async def transactions(self, request: WebRequest) -> Any:
        """The newest first; ``?station=``, ``?running=true``, ``?limit=``."""
        return await self._central.views.transactions(
            _query(request, "station"), running=_flag(request, "running"), limit=_limit(request)
        )

    @app.route("/api/transactions/<int:number>", methods=["GET"])
    @answering
    async def transaction(self, request: WebRequest, number: int) -> Any:
        """One transaction with its meter values."""
        views = self._central.views
        found = await views.transaction(number)
        if found is None:
            raise ApiError(404, f"there is no transaction {number}")
        return {**found, "meterValues": await views.meter_values(number)}

    @app.route("/api/notifications", methods=["GET"])
    @answering
    async def notifications(self, request: WebRequest) -> Any:
        """The newest first; ``?unread=true``, ``?station=``, ``?limit=``."""
        return await self._central.views.notifications(
            unread=_flag(request, "unread"),
            identity=_query(request, "station"),
            limit=_limit(request),
        )

    @app.route("/api/notifications/<path:notification>/read", methods=["POST"])
    @answering
    async def mark_read(self, request: WebRequest, notification: str) -> Any:
        await self._central.views.mark_read(notification)
        return {}

    # Users

    @app.route("/api/users", methods=["GET"])
    @answering
    async def users(self, request: WebRequest) -> Any:
        return await self._central.users.all()

    @app.route("/api/users/<path:id_tag>", methods=["PUT"])
    @answering
    async def put_user(self, request: WebRequest, id_tag: str) -> Any:
        """Adds the user with that tag, or changes it."""
        body = _body(request)
        if not isinstance(body, dict):
            raise ApiError(400, "expected a JSON object that describes the user")
        fields = {**body, "idTag": id_tag}
        await self._central.users.put(
            read(from_plain(fields), UserSettings, source="user", lax=True)
        )
        return {}

    @app.route("/api/users/<path:id_tag>", methods=["DELETE"])
    @answering
    async def remove_user(self, request: WebRequest, id_tag: str) -> Any:
        await self._central.users.remove(id_tag)
        return {}

    @app.route("/", branch=True)
    @answering
    async def nothing(self, request: WebRequest) -> Any:
        raise ApiError(404, f"there is nothing at {request.method.decode()} {_path(request)}")


def _operation(name: str) -> Operation:
    """The operation of that name; an ApiError names a near miss."""
    operation = by_name(Direction.TO_CHARGE_POINT, name)
    if operation is None:
        known = [o.name for o in OPERATIONS if o.direction is Direction.TO_CHARGE_POINT]
        hint = near_miss(name, known) or f"; there are {', '.join(known)}"
        raise ApiError(404, f"there is no operation {name}{hint}")
    return operation


def _body(request: WebRequest) -> Any:
    """The decoded JSON body; an absent one is an empty object."""
    assert request.content is not None
    text = request.content.read()
    try:
        return json.loads(text) if text else {}
    except ValueError as error:
        raise ApiError(400, f"the body is not valid JSON: {error}") from error


def _path(request: WebRequest) -> str:
    return request.path.decode("utf-8", "replace")


def _query(request: WebRequest, name: str) -> str | None:
    values = request.args.get(name.encode())
    return values[-1].decode("utf-8", "replace") if values else None


def _flag(request: WebRequest, name: str) -> bool:
    return _query(request, name) in ("1", "true", "yes")


def _limit(request: WebRequest) -> int:
    text = _query(request, "limit") or "100"
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise ApiError(400, f"limit: expected a whole number from 1 to {MOST}, got {text}")
    return int(text)
