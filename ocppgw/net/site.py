"""What a server's connections share, and what each needs of its transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, Protocol

from ocppgw.net import parsing, rendering
from ocppgw.net.base import HttpHandler
from ocppgw.net.settings import HttpLimits

if TYPE_CHECKING:
    from ocppgw.net.connection import ServerConnection

# A connection's phases: the parser's stages (IDLE, HEAD, BODY) while nothing is answered, then
ANSWERING: Final = 3
SENDING: Final = 4
CLOSING: Final = 5


class Wire(Protocol):
    """What a connection needs of its transport."""

    def send(self, data: bytes) -> None:
        """Sends, at once or later."""

    def close(self) -> None:
        """Closes once everything has been sent."""

    def finish(self) -> None:
        """Ends our side once everything has been sent; the client may still send."""

    def abort(self) -> None:
        """Closes at once, whatever is unsent."""

    def pause_reading(self) -> None:
        """Reads no more for now."""

    def resume_reading(self) -> None:
        """Reads again."""


class Site:
    """What the connections of one listener share."""

    def __init__(
        self,
        handler: HttpHandler,
        limits: HttpLimits,
        *,
        wall: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.wall = wall
        self.spawn = spawn
        self.now = 0.0
        self.held = 0
        self.draining = False
        self.connections: set[ServerConnection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._allowed = {
            parsing.IDLE: limits.idle_timeout,
            parsing.HEAD: limits.header_timeout,
            parsing.BODY: limits.body_timeout,
            ANSWERING: limits.handler_timeout,
            SENDING: limits.send_timeout,
            CLOSING: limits.send_timeout,
        }

    def due(self, phase: int) -> float:
        """When a connection that enters this phase now has been in it for too long."""
        return self.now + self._allowed[phase]

    def sweep(self, now: float) -> None:
        """Ends what is overdue. ``now`` is in seconds of any clock; call about every second."""
        self.now = now
        for connection in tuple(self.connections):
            if connection.due < now:
                connection.overdue()
            else:
                connection.rest()

    def date(self) -> bytes:
        """The current Date header."""
        return rendering.http_date(int(self.wall()))
