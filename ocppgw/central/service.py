"""The Central System: HTTP requests of stations in, answers out; commands the other way."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from ocppgw.central.admission import Admission
from ocppgw.central.calls import HookContext, Options, StationCall
from ocppgw.central.chain import Chain
from ocppgw.central.command import PendingCommand
from ocppgw.central.commands import Commands
from ocppgw.central.context import AnyCentralHandler
from ocppgw.central.core import Authorizer, Core
from ocppgw.central.ids import installation_secret
from ocppgw.central.pending import Pending
from ocppgw.central.rounds import Rounds
from ocppgw.central.schema import COLLECTIONS
from ocppgw.central.settings import CentralSettings
from ocppgw.central.station import Registration
from ocppgw.central.turns import TooManyWaitingError
from ocppgw.central.users import Users
from ocppgw.central.views import Views
from ocppgw.central.visitors import not_a_call, plain
from ocppgw.clock import Clock
from ocppgw.link import trace
from ocppgw.link.soap import Poster
from ocppgw.net.base import HttpRequest, HttpResponse
from ocppgw.observe import Exchange, Observed
from ocppgw.ocpp.faults import Fault
from ocppgw.ocpp.model import Request, Response
from ocppgw.ocpp.operations import Direction
from ocppgw.ocpp.soap import Call, content_type, decode_call, encode_fault, encode_reply
from ocppgw.storage.base import Document, Storage, StorageError

LOG = logging.getLogger(__name__)

INTERNAL_ERROR = "InternalError"
PRUNE_INTERVAL = 3600.0
SWEEP = 60.0  # seconds between looks for transactions without a stop
LOOK = 10.0  # seconds between looks at the commands that wait
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
        self._core = Core(settings, storage, clock, random, observe)
        self._commands = Commands(self._core, http, observe, new_message_id)
        self._admission = Admission(self._core)
        self._chain = Chain({}, settings.handler_deadline, self._core.seldom)
        self._path = _folded(settings.path)
        self._rounds = Rounds(clock)
        self.pending = Pending(self._core, self._commands)
        self.context = HookContext(self._core, options, self.call, self.call_later)
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
        core.secret(
            self._secret
            or await installation_secret(core.storage, core.random, core.new_commit_id())
        )
        await core.take_up()
        core.later.start()
        rounds = self._rounds
        rounds.begin(self._prune, PRUNE_INTERVAL, "old documents stay for now", first=0)
        sweep, look = core.zombies.sweep, self.pending.look
        rounds.begin(sweep, SWEEP, "transactions without a stop stay for now", first=SWEEP)
        rounds.begin(look, LOOK, "commands wait on", first=0)

    async def stop(self) -> None:
        """Stores what waits to be stored. The listener has been drained before."""
        await self._rounds.stop()
        await self.pending.stop()
        await self._core.later.stop()

    async def _prune(self) -> None:
        """Removes what is older than its collection keeps."""
        await self._core.storage.prune(self._clock.now())

    async def flush(self) -> None:
        """Stores now what would be stored within the next second."""
        await self._core.later.flush()

    # Stations call

    async def answer(self, http: HttpRequest) -> HttpResponse:
        """One request of a station, or of a person with a browser. Never raises."""
        if http.path != self.settings.path and _folded(http.path) != self._path:
            return plain(404, f"The central system's address here is {self.settings.path}")
        if http.method != "POST" or not http.body:
            return not_a_call(http, self.settings, self._core.seldom)
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
            reply = plain(503, "Come back later: " + error, (b"retry-after", b"10"))
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
            self.pending.heard(station.identity)

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

    # Operators command

    async def call(
        self, identity: str, request: Request, deadline: float | None = None
    ) -> Response:
        """Sends a command to a station; raises ``ocppgw.link.PeerError`` if it fails."""
        return await self._commands.call(
            identity, request, deadline or self.settings.command_deadline
        )

    async def call_later(
        self,
        identity: str,
        request: Request,
        keep: timedelta,
        *,
        by: str | None = None,
        now: bool = True,
    ) -> PendingCommand:
        """Sends a command, ``now`` or, until ``keep`` is over, after the station's next message.

        Gives what has become of it so far; :attr:`pending` has the rest. ``by`` is who asked
        for it. Raises ``ocppgw.link.NoEndpoint`` for a station that is not known or not
        accepted, and ``UserError`` if it cannot be kept.
        """
        return await self.pending.call(identity, request, keep, by=by, now=now)

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


def _faulty(fault: Fault, call: Call) -> HttpResponse:
    fault.wire, fault.identity = call.wire, call.identity
    return _fault_reply(fault)


def _fault_reply(fault: Fault) -> HttpResponse:
    return HttpResponse(
        status=fault.http_status,
        content_type=content_type("/fault", fault.wire).replace(b'; action="/fault"', b""),
        body=encode_fault(fault, _TO_US),
    )
