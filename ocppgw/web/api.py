"""The control API: what an operator can see and do, as JSON over HTTP.

Every error is ``{"error": "…"}``, a sentence, with a fitting status. Times are RFC 3339
in UTC; field names are those of the specification and of the stored documents. The
commands of the ``ocppgw`` program speak it over the control socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.web.http import Request as WebRequest

from ocppgw.bridge import later
from ocppgw.central.settings import UserSettings
from ocppgw.central.station import Registration
from ocppgw.tree import from_plain
from ocppgw.typed import read
from ocppgw.web.answering import ApiError, answering, body_of
from ocppgw.web.commanding import add_commanding, station_of
from ocppgw.web.keeping import Keeping
from ocppgw.web.keeping_routes import add_keeping
from ocppgw.web.queries import flag_of, limit_of, text_of

if TYPE_CHECKING:
    from ocppgw.central.service import CentralSystem

STARTING = "the gateway is still starting; try again in a moment"


class Api:
    """The routes. Until :meth:`open`, everything is answered 503."""

    app = Klein()

    def __init__(self) -> None:
        self._opened = False
        self._system: Callable[[], CentralSystem | None] = lambda: None
        self._keeping: Keeping | None = None
        self._under_way: set[asyncio.Task[bytes]] = set()

    def open(self, central: Callable[[], CentralSystem | None], keeping: Keeping) -> None:
        """Answers from now on. ``central`` gives the central system, or ``None`` if this
        gateway is none, and raises :class:`ocppgw.net.gate.Away` while it is restarted."""
        self._system = central
        self._keeping = keeping
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
    def keeping(self) -> Keeping:
        """What may be done to the gateway itself."""
        if self._keeping is None:
            raise ApiError(503, STARTING)
        return self._keeping

    @property
    def central(self) -> CentralSystem:
        """The central system; an ApiError says why there is none."""
        if not self._opened:
            raise ApiError(503, STARTING)
        system = self._system()
        if system is None:
            raise ApiError(409, "this gateway is no central system, so it has no stations")
        return system

    add_keeping(app)
    add_commanding(app)

    # Stations

    @app.route("/api/stations", methods=["GET"])
    @answering
    async def stations(self, request: WebRequest) -> Any:
        """All, or those with ``?registration=pending`` and the like."""
        wanted = text_of(request, "registration")
        names = [registration.value for registration in Registration]
        if wanted is not None and wanted not in names:
            raise ApiError(400, f"registration: expected one of {', '.join(names)}, got {wanted}")
        registration = None if wanted is None else Registration(wanted)
        return await self.central.views.stations(registration)

    @app.route("/api/stations/<path:identity>", methods=["GET"])
    @answering
    async def station(self, request: WebRequest, identity: str) -> Any:
        return await station_of(self.central, identity)

    @app.route("/api/stations/<path:identity>/accept", methods=["POST"])
    @answering
    async def accept(self, request: WebRequest, identity: str) -> Any:
        await self.central.accept_station(identity)
        return {}

    @app.route("/api/stations/<path:identity>/refuse", methods=["POST"])
    @answering
    async def refuse(self, request: WebRequest, identity: str) -> Any:
        await self.central.refuse_station(identity)
        return {}

    # Transactions, notifications

    @app.route("/api/transactions", methods=["GET"])
    @answering
    async def transactions(self, request: WebRequest) -> Any:
        """The newest first; ``?station=``, ``?running=true``, ``?limit=``."""
        return await self.central.views.transactions(
            text_of(request, "station"),
            running=flag_of(request, "running"),
            limit=limit_of(request),
        )

    @app.route("/api/transactions/<int:number>", methods=["GET"])
    @answering
    async def transaction(self, request: WebRequest, number: int) -> Any:
        """One transaction with its meter values."""
        views = self.central.views
        found = await views.transaction(number)
        if found is None:
            raise ApiError(404, f"there is no transaction {number}")
        return {**found, "meterValues": await views.meter_values(number)}

    @app.route("/api/notifications", methods=["GET"])
    @answering
    async def notifications(self, request: WebRequest) -> Any:
        """The newest first; ``?unread=true``, ``?station=``, ``?limit=``."""
        return await self.central.views.notifications(
            unread=flag_of(request, "unread"),
            identity=text_of(request, "station"),
            limit=limit_of(request),
        )

    @app.route("/api/notifications/<path:notification>/read", methods=["POST"])
    @answering
    async def mark_read(self, request: WebRequest, notification: str) -> Any:
        await self.central.views.mark_read(notification)
        return {}

    # Users

    @app.route("/api/users", methods=["GET"])
    @answering
    async def users(self, request: WebRequest) -> Any:
        return await self.central.users.all()

    @app.route("/api/users/<path:id_tag>", methods=["PUT"])
    @answering
    async def put_user(self, request: WebRequest, id_tag: str) -> Any:
        """Adds the user with that tag, or changes it."""
        body = body_of(request)
        if not isinstance(body, dict):
            raise ApiError(400, "expected a JSON object that describes the user")
        fields = {**body, "idTag": id_tag}
        await self.central.users.put(
            read(from_plain(fields), UserSettings, source="user", lax=True)
        )
        return {}

    @app.route("/api/users/<path:id_tag>", methods=["DELETE"])
    @answering
    async def remove_user(self, request: WebRequest, id_tag: str) -> Any:
        await self.central.users.remove(id_tag)
        return {}

    @app.route("/", branch=True)
    @answering
    async def nothing(self, request: WebRequest) -> Any:
        raise ApiError(404, f"there is nothing at {request.method.decode()} {_path(request)}")


def _path(request: WebRequest) -> str:
    return request.path.decode("utf-8", "replace")
