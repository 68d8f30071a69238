"""The Central System: HTTP requests of stations in, answers out; commands the other way."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import uuid4

from ocppgw.central.admission import Admission, own_url
from ocppgw.central.calls import HookContext, Options, StationCall
from ocppgw.central.chain import Chain
from ocppgw.central.commands import Commands
from ocppgw.central.context import AnyCentralHandler
from ocppgw.central.core import Authorizer, Core
from ocppgw.central.ids import installation_secret
from ocppgw.central.schema import COLLECTIONS
from ocppgw.central.settings import CentralSettings
from ocppgw.central.station import Registration
from ocppgw.central.turns import TooManyWaitingError
from ocppgw.central.users import Users
from ocppgw.central.views import Views
from ocppgw.clock import Clock
from ocppgw.link import trace
from ocppgw.link.soap import Poster
from ocppgw.net.base import HttpRequest, HttpResponse
from ocppgw.observe import Exchange, Observed
from ocppgw.ocpp import wsdl
from ocppgw.ocpp.faults import Fault
from ocppgw.ocpp.model import Request, Response
from ocppgw.ocpp.operations import Direction, Version
from ocppgw.ocpp.soap import Call, content_type, decode_call, encode_fault, encode_reply
from ocppgw.storage.base import Document, Storage, StorageError

LOG = logging.getLogger(__name__)

INTERNAL_ERROR = "InternalError"
PRUNE_INTERVAL = 3600.0
PLAIN = b"text/plain; charset=utf-8"
_TO_US = Direction.TO_CENTRAL_SYSTEM


class CentralSystem:
    """Answers stations and commands them. ``start`` before the first request.

    ``observe`` is ``None`` where nobody looks, which saves making what would be seen.
    ``secret`` is the configured one, or ``None`` for the one in the store.
    """

    COLLECTIONS = COLLECTIONS

    def __init__(
        self,
        settings: CentralSettings,
        *,
        storage: Storage,
        clock: Clock,
        http: Poster,
        observe: Callable[[Observed], None] | None,
        options: Options,
        secret: bytes | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
        new_message_id: Callable[[], str] = lambda: f"urn:uuid:{uuid4()}",
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._observe = observe
        self._secret = secret
        self._core = Core(settings, storage, clock, random)
        self._commands = Commands(self._core, http, observe, new_message_id)
        self._admission = Admission(self._core)
        self._chain = Chain({}, settings.handler_deadline, self._core.seldom)
        self._path = _folded(settings.path)
        self._pruning: asyncio.Task[None] | None = None
        self.context = HookContext(self._core, options, self.call)
        self.views = Views(self._core, self._commands)

    @property
    def users(self) -> Users:
        """The tags: ``all``, ``put``, ``remove``."""
        return self._core.users

    def use(
        self,
        handlers: Mapping[type[Request], Sequence[tuple[str, AnyCentralHandler]]],
        authorizers: Sequence[tuple[str, Authorizer]],
    ) -> None:
        """Takes the handlers and authorizers of all plugins, ours among them, in order.

        Hooks are given ``context``; each entry is (plugin's name, callable).
        """
        self._chain = Chain(handlers, self.settings.handler_deadline, self._core.seldom)
        self._core.authorizers = tuple(authorizers)

    async def start(self) -> None:
        """Takes up what the store holds; raises ``StorageError``."""
        core = self._core
        core.transactions.secret = self._secret or await installation_secret(
            core.storage, core.random, core.new_commit_id()
        )
        await core.transactions.load()
        core.later.start()
        self._pruning = asyncio.ensure_future(self._prune())

    async def stop(self) -> None:
        """Stores what waits to be stored. The listener has been drained before."""
        if self._pruning is not None:
            self._pruning.cancel()
            await asyncio.gather(self._pruning, return_exceptions=True)
            self._pruning = None
        await self._core.later.stop()

    async def _prune(self) -> None:
        """Removes, once an hour, what is older than its collection keeps."""
        while True:
            await self._clock.sleep(PRUNE_INTERVAL)
            try:
                await self._core.storage.prune(self._clock.now())
            except StorageError as e:
                LOG.warning("old documents stay for now, the store failed: %s", e)

    async def flush(self) -> None:
        """Stores now what would be stored within the next second."""
        await self._core.later.flush()

    # Stations call

    async def answer(self, http: HttpRequest) -> HttpResponse:
        """One request of a station, or of a person with a browser. Never raises."""
        if http.path != self.settings.path and _folded(http.path) != self._path:
            return _plain(404, f"The central system's address here is {self.settings.path}")
        if http.method != "POST" or not http.body:
            return self._not_a_call(http)
        if trace.wanted():
            trace.xml(f"from {http.remote_address}", http.body)
        try:
            call = decode_call(http.body, _TO_US)
        except Fault as fault:
            reply = self._refused(fault, fault.identity or http.remote_address)
        else:
            reply = await self._answer_call(call, http)
        if trace.wanted():
            trace.xml(f"to {http.remote_address}: HTTP {reply.status}", reply.body)
        return reply

    async def _answer_call(self, call: Call, http: HttpRequest) -> HttpResponse:
        began = self._clock.monotonic() if self._observe is not None else 0.0
        response, error = None, None
        try:
            response = await self._serve(call, http)
            reply = HttpResponse(
                content_type=content_type(f"/{call.operation.name}Response", call.wire),
                body=encode_reply(call, response),
            )
        except Fault as fault:
            error = str(fault)
            self._tell(fault, call)
            reply = _faulty(fault, call)
        except TooManyWaitingError:
            error = "too many calls of this station wait for their turn"
            reply = _plain(503, "Come back later: " + error, (b"retry-after", b"10"))
        except StorageError as e:
            error = f"the store failed: {e}"
            if self._core.seldom("storage"):
                LOG.error("stations are answered InternalError: %s", error)
            reply = _faulty(Fault.internal_error(error), call)
        except Exception as e:
            error = f"{type(e).__name__}: {e}"
            if self._core.seldom(f"bug {call.operation.name}"):
                LOG.exception("%s of %s failed", call.operation.name, call.identity)
            reply = _faulty(Fault.internal_error(error), call)
        if self._observe is not None:
            self._observe(self._exchange(call, response, error, began))
        return reply

    async def _serve(self, call: Call, http: HttpRequest) -> Response:
        now = self._clock.now()
        remote = self._admission.remote(http)
        station = await self._admission.admit(call, remote)
        if not station.accepted:
            return await self._admission.not_accepted(station, call, remote, now)
        turn = station.turn
        if turn.busy:
            await turn.wait(self.settings.queue_per_station)
        else:
            turn.busy = True
        try:
            self._admission.heard(station, call, http, remote)
            self._core.stations.touch(station, now)
            context = StationCall(self._core, station, call.version, now, remote)
            response = await self._chain.run(call.request, context)
            await context.finish()
            return response
        finally:
            turn.give()

    def _exchange(
        self, call: Call, response: Response | None, error: str | None, began: float
    ) -> Exchange:
        return Exchange(
            at=self._clock.now(),
            role="central",
            sent=False,
            identity=call.identity,
            version=call.version,
            direction=_TO_US,
            operation=call.operation.name,
            request=call.request,
            response=response if error is None else None,
            error=error,
            seconds=self._clock.monotonic() - began,
        )

    def _tell(self, fault: Fault, call: Call) -> None:
        """Logs what was wrong with a call; our own failures were logged where they happened."""
        told = fault.detail and fault.subcode != INTERNAL_ERROR
        if told and self._core.seldom(f"{call.identity} {fault.subcode} {fault.detail}"):
            LOG.warning("%s of %s: %s", call.operation.name, call.identity, fault)

    def _refused(self, fault: Fault, whose: str) -> HttpResponse:
        if self._core.seldom(f"{whose} {fault.subcode}"):
            LOG.warning("a request of %s could not be read: %s", whose, fault)
        return _fault_reply(fault)

    def _not_a_call(self, http: HttpRequest) -> HttpResponse:
        """A browser or a WSDL reader, or a station that is set up wrongly (Q26, Q27)."""
        upgrade = http.headers.get(b"upgrade", b"").lower() == b"websocket"
        if upgrade or http.method == "POST":
            what = "asks for a WebSocket" if upgrade else "posts nothing"
            if self._core.seldom(f"not SOAP {http.remote_address}"):
                LOG.warning(
                    "%s %s at %s, which speaks SOAP: a station set to OCPP-J? Set it to SOAP",
                    http.remote_address,
                    what,
                    self.settings.path,
                )
            return _plain(400, "This is OCPP over SOAP; set the station to SOAP.")
        if http.method == "GET" and http.query.lower().startswith("wsdl"):
            body = wsdl.render(
                Version.V15, _TO_US, own_url(self.settings, http) or self.settings.path
            )
            return HttpResponse(content_type=b"text/xml; charset=utf-8", body=body)
        return _plain(
            405, "Stations POST here; GET with ?wsdl gives the WSDL.", (b"allow", b"GET, POST")
        )

    # Operators command

    async def call(
        self, identity: str, request: Request, deadline: float | None = None
    ) -> Response:
        """Sends a command to a station; raises ``ocppgw.link.PeerError`` if it fails."""
        return await self._commands.call(
            identity, request, deadline or self.settings.command_deadline
        )

    async def explanation(self, identity: str, since: datetime, wait: float) -> str | None:
        """What the station reported of itself since then, waited for ``wait`` seconds."""
        return await self._commands.explanation(identity, since, wait)

    async def stations(self) -> list[Document]:
        """All stations, see :meth:`ocppgw.central.views.Views.stations`."""
        return await self.views.stations()

    async def accept_station(self, identity: str) -> None:
        """Lets a pending (or refused) station in; UserError if it never called."""
        await self._core.stations.decide(identity, Registration.ACCEPTED)

    async def refuse_station(self, identity: str) -> None:
        """Shuts a station out; UserError for one that the configuration lists."""
        await self._core.stations.decide(identity, Registration.REFUSED)


def _folded(path: str) -> str:
    return path.rstrip("/").lower()


def _plain(status: int, text: str, *headers: tuple[bytes, bytes]) -> HttpResponse:
    return HttpResponse(
        status=status, content_type=PLAIN, headers=headers, body=f"{text}\n".encode()
    )


def _faulty(fault: Fault, call: Call) -> HttpResponse:
    fault.wire, fault.identity = call.wire, call.identity
    return _fault_reply(fault)


def _fault_reply(fault: Fault) -> HttpResponse:
    return HttpResponse(
        status=fault.http_status,
        content_type=content_type("/fault", fault.wire).replace(b'; action="/fault"', b""),
        body=encode_fault(fault, _TO_US),
    )
