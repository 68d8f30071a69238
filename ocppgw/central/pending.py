"""Commands that wait for their station: behind NAT, or with a modem that sleeps (Q3).

Such a command is stored before it is sent for the first time. Where it certainly did not get
through, it waits, and is sent again after the station's next message has been answered: in
the order of acceptance, one at a time a station, until its time of life is over. It is sent
at most once for certain: a guard takes it from ``waiting`` to ``sending`` before it goes out.
What is found ``sending`` long after any answer could come was cut off, by a crash, say; it
becomes ``unknown`` and is never sent again by itself.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from ocppgw.central.command import CommandState, PendingCommand
from ocppgw.central.commands import EXPLANATION_WAIT, Commands, accepted
from ocppgw.central.commandstore import CommandStore
from ocppgw.central.core import Core
from ocppgw.errors import UserError
from ocppgw.link.base import PeerError, Unsayable
from ocppgw.ocpp.model import Request
from ocppgw.storage.base import Conflict, Document, StorageError

LOG = logging.getLogger(__name__)

LONGEST = timedelta(days=30)
"""The longest time of life of a command."""
AFTER_REPLY = 0.2  # seconds that a station has to take our answer before it is called
PAUSE = 5.0  # seconds between two tries of a station that sends much and cannot be reached
LEASE = 15.0  # seconds after its deadline that a command may still be `sending`
GRACE = 5.0  # seconds that commands which are being sent have at the end

_NOT_KNOWN = "whether the station has done it is not known"


class Pending:
    """Accepts, sends, expires and cancels commands that may wait."""

    def __init__(self, core: Core, commands: Commands) -> None:
        self._core = core
        self._store = CommandStore(core.storage, core.clock, core.seldom, core.new_commit_id)
        self._clock = core.clock
        self._commands = commands
        self._deadline = core.settings.command_deadline
        self._accepting = asyncio.Lock()
        self._waiting: set[str] = set()  # stations with commands, as far as this process knows
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()  # stations that sent something while a run was on
        self._tried: dict[str, float] = {}
        self._sending: set[str] = set()
        self._stopping = False

    # Accepting

    async def call(
        self, identity: str, request: Request, keep: timedelta, *, by: str | None, now: bool
    ) -> PendingCommand:
        """Stores a command, tries it at once if ``now``, and gives what has become of it so far.

        Raises :class:`~ocppgw.link.NoEndpoint` for a station that is not known or not
        accepted, ``UserError`` for a ``keep`` beyond ``LONGEST`` or too many commands.
        """
        if not timedelta(0) < keep <= LONGEST:
            longest = f"{LONGEST.days} days"
            raise UserError(f"a command can wait for longer than 0 s and up to {longest}")
        identity = (await self._commands.station(identity)).identity
        async with self._accepting:  # one is counted before the next one is
            before = await self._before(identity)
            document = await self._store.accept(identity, request, keep, by)
        self._waiting.add(identity)
        if now and not await self._in_vain(identity, before):
            current = await self._first_try(document)
        else:
            current = PendingCommand.of(document)
        if current.state is CommandState.WAITING:
            self._tell(document, f"waits for the station's next message, until {_at(document)}")
        return current

    async def _before(self, identity: str) -> list[Document]:
        """The commands that have not ended; UserError if there is no room for one more."""
        most = self._core.settings.max_pending
        before = await self._store.open(identity)
        if len(before) >= most:
            raise UserError(
                f"{most} commands wait for station {identity} already"
                " (central_system.max_pending); cancel some, or wait for the station"
            )
        return before

    async def _in_vain(self, identity: str, before: list[Document]) -> bool:
        """Whether a try would only repeat what has failed: one that goes out first was tried,
        and nothing has come from the station since."""
        if identity in self._runs:
            return False
        now, waiting = self._clock.now(), CommandState.WAITING.value
        tried = [
            document["triedAt"]
            for document in before
            if document["state"] == waiting and document["until"] > now and "triedAt" in document
        ]
        return bool(tried) and not await self._heard_since(identity, max(tried))

    async def _heard_since(self, identity: str, moment: datetime) -> bool:
        station = await self._core.stations.load(identity)
        seen = station.last_seen if station is not None else None
        return seen is not None and seen > moment

    async def _first_try(self, document: Document) -> PendingCommand:
        run = self._start(document["chargeBoxIdentity"], 0.0)
        patience = asyncio.ensure_future(self._clock.sleep(self._deadline + EXPLANATION_WAIT))
        try:
            await asyncio.wait((run, patience), return_when=asyncio.FIRST_COMPLETED)
        finally:
            patience.cancel()
            await asyncio.gather(patience, return_exceptions=True)
        return PendingCommand.of(await self._store.get(document["number"]) or document)

    async def cancel(self, number: int) -> None:
        """Takes a waiting command back; UserError if it does not wait (any more)."""
        document = await self._store.get(number)
        if document is None:
            raise UserError(f"there is no command {number}")
        if document["state"] == CommandState.WAITING.value:
            try:
                await self._store.end(document, CommandState.CANCELLED)
            except Conflict as conflict:
                document = conflict.current or document
            else:
                self._tell(document, "cancelled")
                return
        raise UserError(
            f"command {number} is {document['state']}; only a waiting one can be cancelled"
        )

    async def all(self, identity: str | None = None, limit: int = 100) -> list[PendingCommand]:
        """The newest commands first, of one station or all, with what has become of them."""
        if identity is not None:
            identity = self._core.stations.canonical(identity)
        return await self._store.newest(identity, limit)

    # Sending

    def heard(self, identity: str) -> None:
        """A station has been answered; costs next to nothing if nothing waits for it."""
        if identity not in self._waiting:
            return
        tried = self._tried.get(identity)
        if tried is None or self._clock.monotonic() - tried >= PAUSE:
            self._tried[identity] = self._clock.monotonic()
            self._start(identity, AFTER_REPLY)

    async def look(self) -> None:
        """Ends what is over, and sends what another process, or one before us, accepted for
        a station that has been heard here since. Raises ``StorageError``."""
        now = self._clock.now()
        for document in await self._store.open():
            identity = document["chargeBoxIdentity"]
            if document["state"] == CommandState.SENDING.value:
                if document["sendingUntil"] <= now and identity not in self._sending:
                    await self._lost(document)
            elif document["until"] <= now:
                await self._expire(document)
            else:
                self._waiting.add(identity)
                since = document.get("triedAt") or document["acceptedAt"]
                if await self._heard_since(identity, since):
                    self._start(identity, 0.0)

    async def stop(self) -> None:
        """Gives commands under way a moment; what is cut off then is told as unknown."""
        self._stopping = True
        under_way = [self._runs[identity] for identity in self._sending]
        if under_way:
            await asyncio.wait(under_way, timeout=GRACE)
        runs = list(self._runs.values())
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)

    def _start(self, identity: str, after: float) -> asyncio.Task[None]:
        """The run that sends a station's commands; one at a time a station."""
        run = self._runs.get(identity)
        if run is None:
            run = self._runs[identity] = asyncio.ensure_future(self._run(identity, after))
        else:
            self._again.add(identity)
        return run

    async def _run(self, identity: str, after: float) -> None:
        try:
            while True:
                self._again.discard(identity)
                await self._clock.sleep(after)
                while (document := await self._next(identity)) is not None:
                    if not await self._send(document):
                        break
                if identity not in self._again:
                    return
                after = AFTER_REPLY
        except StorageError as e:
            if self._core.seldom("pending"):
                LOG.warning("commands wait on, the store failed: %s", e)
        except Exception:
            LOG.exception("the commands that wait for station %s could not be sent", identity)
        finally:
            del self._runs[identity]

    async def _next(self, identity: str) -> Document | None:
        """The oldest command that waits; none while another one of the station is under way."""
        for document in [] if self._stopping else await self._store.open(identity):
            if document["state"] == CommandState.SENDING.value:
                return None
            if document["until"] > self._clock.now():
                return document
            await self._expire(document)
        self._waiting.discard(identity)
        return None

    async def _send(self, document: Document) -> bool:
        """Sends a command once; says whether it is worth to go on with the next one."""
        lease = timedelta(seconds=self._deadline + LEASE)
        self._sending.add(document["chargeBoxIdentity"])
        try:
            document = await self._store.claim(document, self._clock.now() + lease)
            if document["until"] > self._clock.now():
                return await self._sent(document)
            await self._expire(document)  # the store was slow
        except Conflict:
            return True  # cancelled, or another process was faster
        finally:
            self._sending.discard(document["chargeBoxIdentity"])
        return True

    async def _sent(self, document: Document) -> bool:
        identity, command = document["chargeBoxIdentity"], PendingCommand.of(document)
        since = self._clock.now()
        try:
            response = await self._commands.call(identity, command.request, self._deadline)
        except PeerError as e:
            return await self._not_answered(document, e)
        except StorageError as e:  # before it was sent
            await self._store.not_sent(document, str(e))
            return False
        state = CommandState.DONE if accepted(response) else CommandState.REFUSED
        await self._store.answered(document, state, response)
        self._tell(document, f"{state.value} by the station", echo=True)
        if state is CommandState.REFUSED:
            why = await self._commands.explanation(identity, since, EXPLANATION_WAIT)
            if why is not None:
                await self._store.explain(document, why)
        return True

    async def _not_answered(self, document: Document, error: PeerError) -> bool:
        if error.delivered is False and not isinstance(error, Unsayable):
            await self._store.not_sent(document, str(error))
            return False
        if error.delivered is None:
            state, reason = CommandState.UNKNOWN, f"{error}; {_NOT_KNOWN}"
        else:
            state, reason = CommandState.FAILED, str(error)
        await self._store.unanswered(document, state, reason)
        self._tell(document, f"{state.value}: {reason}")
        return state is CommandState.FAILED

    async def _expire(self, document: Document) -> None:
        try:
            await self._store.end(document, CommandState.EXPIRED)
        except Conflict:
            return  # cancelled, or sent at the last moment
        self._tell(document, "expired; it was not sent")

    async def _lost(self, document: Document) -> None:
        reason = f"the gateway ended or lost its store while it was being sent; {_NOT_KNOWN}"
        try:
            await self._store.end(document, CommandState.UNKNOWN, reason)
        except Conflict:
            return  # its outcome came at the last moment
        self._tell(document, f"unknown: {reason}")

    def _tell(self, document: Document, what: str, *, echo: bool = False) -> None:
        subject = f"command {document['number']} ({document['operation']})"
        self._core.tell(document["chargeBoxIdentity"], subject, what, echo=echo)


def _at(document: Document) -> str:
    return f"{document['until']:%Y-%m-%d %H:%M:%S} UTC"
