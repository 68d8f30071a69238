"""One client's connection to our server, sans-I/O: bytes in, replies out in order.

It knows no socket: a :class:`Wire` carries what it sends, and whoever owns the wire
tells it what came (:meth:`ServerConnection.feed`), that the client will send no more,
that the wire is full or empty again, and that it is gone.
"""

from __future__ import annotations

import asyncio
import logging

from ocppgw.net import parsing, rendering
from ocppgw.net.base import HttpResponse
from ocppgw.net.parsing import Incoming, Problem, RequestParser
from ocppgw.net.site import ANSWERING, CLOSING, SENDING, Site, Wire

logger = logging.getLogger(__name__)

_BROKEN = "The server failed to answer this request; its log says why."
_OVERDUE = "The request was not answered in time."
_FULL = "Too many bodies are arriving at once; try again."


class ServerConnection:
    """HTTP/1.1 with one client; requests go to the site's handler one after the other."""

    __slots__ = (
        "_blocked",
        "_ended",
        "_gone",
        "_held",
        "_incoming",
        "_parser",
        "_paused",
        "_phase",
        "_site",
        "_task",
        "_wire",
        "due",
        "remote_address",
    )

    def __init__(self, site: Site, wire: Wire, remote_address: str) -> None:
        self.remote_address = remote_address
        self._site = site
        self._wire = wire
        self._parser: RequestParser | None = None  # made at the first byte, dropped when idle
        self._incoming: Incoming | None = None
        self._task: asyncio.Task[None] | None = None
        self._phase: int = parsing.IDLE
        self._held = 0
        self._blocked = False  # the wire is full
        self._paused = False  # we read no more for now
        self._ended = False  # the client will send no more
        self._gone = False
        self.due = site.due(parsing.IDLE)
        site.connections.add(self)

    # what happens on the wire

    def feed(self, data: bytes) -> None:
        """Takes bytes from the client."""
        if self._phase == CLOSING:
            return
        parser = self._parser
        if parser is None:
            parser = self._parser = RequestParser(self._site.limits, self.remote_address)
        parser.feed(data)
        if parser.held or self._held:
            self._count(parser)
        if self._phase < ANSWERING:
            self._advance(parser)
        elif parser.ready and not self._paused:
            # What waits is never more than this read brought.
            self._paused = True
            self._wire.pause_reading()

    def end(self) -> None:
        """The client will send no more, but may still read."""
        self._ended = True
        if self._phase < ANSWERING or self._phase == CLOSING:
            self._close()

    def lost(self) -> None:
        """The wire is gone. What is being answered is answered to the end, unsent."""
        self._gone = True
        self._phase = CLOSING
        self._site.connections.discard(self)
        self._site.held -= self._held
        self._held = 0
        self._parser = None

    def full(self) -> None:
        """The wire can take no more for now: nothing further is answered."""
        self._blocked = True

    def drained(self) -> None:
        """The wire can take more."""
        self._blocked = False
        if self._phase == SENDING and self._parser is not None:
            self._phase = parsing.IDLE
            self._advance(self._parser)

    # what the site wants

    def opened(self) -> None:
        """The site takes requests from now on."""
        self.due = self._site.due(self._phase)

    def rest(self) -> None:
        """Lets go of what an idle connection does not need."""
        if self._phase == parsing.IDLE:
            self._parser = None

    def shut_down(self) -> None:
        """Closes now if nothing is under way, else with the next reply."""
        if self._phase == parsing.IDLE:
            self._close()

    def abort(self) -> None:
        """Ends at once; a request that is being answered is cancelled."""
        if self._task is not None:
            self._task.cancel()
        self._phase = CLOSING
        self._wire.abort()

    def overdue(self) -> None:
        """The time for the current phase is over."""
        phase = self._phase
        if phase == parsing.IDLE:
            self._close()
        elif phase in (parsing.HEAD, parsing.BODY):
            self._refuse(Problem(408, "The request did not arrive in time."))
        elif phase == ANSWERING and self._incoming is not None and self._task is not None:
            named = self._incoming.request.target[:200]
            logger.error("a request for %s from %s was not answered within %g s: it is cancelled",
                         named, self.remote_address, self._site.limits.handler_timeout)  # fmt: skip
            self._task.cancel()
            self._refuse(Problem(503, _OVERDUE))
        else:
            self._phase = CLOSING
            self._wire.abort()

    # requests and replies

    def _advance(self, parser: RequestParser) -> None:
        """Takes up the next thing to do; nothing is being answered."""
        if parser.ready:
            self._begin(parser.ready.popleft())
        elif parser.problem is not None:
            self._refuse(parser.problem)
        elif self._ended or (self._site.draining and parser.stage == parsing.IDLE):
            self._close()
        else:
            self._resume()
            if parser.wants_continue:
                parser.wants_continue = False
                self._wire.send(rendering.CONTINUE)
            if self._phase != parser.stage:
                self._enter(parser.stage)

    def _begin(self, incoming: Incoming) -> None:
        self._enter(ANSWERING)
        self._incoming = incoming
        self._task = self._site.spawn(self._answer(incoming))
        self._site.tasks.add(self._task)

    async def _answer(self, incoming: Incoming) -> None:
        task = self._task
        try:
            response = await self._site.handler(incoming.request)
        except Exception:
            logger.exception("%s %s failed", incoming.request.method, incoming.request.target[:200])
            response = rendering.plain(500, _BROKEN)
        finally:
            if task is not None:
                self._site.tasks.discard(task)
        self._incoming = self._task = None
        if self._phase == ANSWERING:
            self._reply(incoming, response)

    def _reply(self, incoming: Incoming, response: HttpResponse) -> None:
        site = self._site
        last = site.draining or not incoming.keep_alive
        self._wire.send(self._rendered(incoming, response, last=last))
        parser = self._parser
        if last or parser is None:
            self._close()
        elif self._blocked:
            self._enter(SENDING)
        else:
            self._phase = SENDING  # any but the parser's: its stage's time begins now
            self._advance(parser)

    def _rendered(self, incoming: Incoming, response: HttpResponse, *, last: bool) -> bytes:
        site = self._site
        threshold = site.limits.compress_bytes
        try:
            return rendering.answer(
                response, incoming, date=site.date(), last=last, compress_from=threshold
            )
        except ValueError:
            logger.exception("the response to %s cannot be sent", incoming.request.target[:200])
            return rendering.answer(
                rendering.plain(500, _BROKEN), incoming,
                date=site.date(), last=last, compress_from=threshold,
            )  # fmt: skip

    def _refuse(self, problem: Problem) -> None:
        """Answers without a handler, and ends the connection without cutting the answer off."""
        log = logger.warning if problem.notable else logger.debug
        log("request from %s refused (%d): %s", self.remote_address, problem.status, problem.text)
        self._wire.send(rendering.refusal(problem, date=self._site.date()))
        self._enter(CLOSING)
        self._parser = None
        if self._ended:
            self._wire.close()
        else:
            # Closed with input unread, the system would tell the client to forget the answer.
            self._resume()
            self._wire.finish()

    def _close(self) -> None:
        self._enter(CLOSING)
        self._parser = None
        self._wire.close()

    def _enter(self, phase: int) -> None:
        self._phase = phase
        self.due = self._site.due(phase)

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._wire.resume_reading()

    def _count(self, parser: RequestParser) -> None:
        """Keeps the account of unfinished bodies over all connections."""
        site = self._site
        site.held += parser.held - self._held
        self._held = parser.held
        if site.held > site.limits.pending_body_bytes and parser.problem is None:
            parser.problem = Problem(503, _FULL, ((b"Retry-After", b"5"),))
