"""The client's connections: one protocol each, pooled by where they lead."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import endpoints, error, protocol
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.base import ReactorBase
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IHandshakeListener
from twisted.python.failure import Failure
from zope.interface import implementer

from ocppgw.bridge import result_of
from ocppgw.net import straight
from ocppgw.net.base import HttpReply
from ocppgw.net.replies import ReplyParser
from ocppgw.net.settings import ClientLimits

Origin = tuple[str, str, int]
CLOSED = "the client is closed"
_CONNECT_TIMEOUT = 30.0  # of one address of a host; a call's deadline is usually shorter


class Lost(Exception):
    """The connection was lost, or is of no use; the message is a clause in plain words.

    ``started`` says whether anything of the reply had come.
    """

    def __init__(self, why: str, *, started: bool) -> None:
        super().__init__(why)
        self.started = started


class NotConnected(Exception):
    """No connection could be made; the message is a clause in plain words."""


@implementer(IHandshakeListener)
class ClientConnection(protocol.Protocol):
    """A connection to a server, for one call at a time."""

    def __init__(self, limits: ClientLimits, on_lost: Callable[[ClientConnection], None]) -> None:
        self._parser = ReplyParser(limits)
        self._on_lost = on_lost
        self._straight = False
        self._waiting: asyncio.Future[HttpReply] | None = None
        self._why = "the connection was closed"
        self.made = False
        self.secured: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.idle_since = 0.0

    @property
    def reusable(self) -> bool:
        """Whether another call may use it."""
        return self._parser.reusable

    async def exchange(self, request: bytes) -> HttpReply:
        """Sends a request and gives its reply. Raises Lost."""
        self._parser.expect()
        self._waiting = asyncio.get_running_loop().create_future()
        if self._straight:
            straight.write(self.transport, request)
        else:
            cast("Any", self.transport).write(request)
        return await self._waiting

    def close(self) -> None:
        """Closes in order, without waiting for a peer that does not."""
        if self._straight:
            cast("Any", self.transport).loseConnection()
        else:
            self.abort()

    def abort(self) -> None:
        """Closes at once."""
        if self.transport is not None:
            cast("Any", self.transport).abortConnection()

    # Twisted's side

    def connectionMade(self) -> None:  # noqa: N802
        self.made = True
        self._straight = straight.is_bare(self.transport)
        cast("Any", self.transport).setTcpNoDelay(True)
        if self._straight:
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:  # noqa: N802
        if not self.secured.done():
            self.secured.set_result(None)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        parser = self._parser
        if self._waiting is None:
            self.abort()  # nobody asked: a server's farewell, or nonsense
            return
        parser.feed(data)
        if parser.reply is not None or parser.problem is not None:
            self._settle()

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:  # noqa: N802
        self._parser.end()
        self._why = explained(reason.value)
        self._settle()
        if not self.secured.done():
            self.secured.set_exception(NotConnected(self._why))
            self.secured.exception()  # whoever connects may have given up
        self._on_lost(self)

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            return
        parser = self._parser
        if parser.reply is not None:
            waiting.set_result(parser.reply)
        else:
            waiting.set_exception(Lost(parser.problem or self._why, started=parser.started))


class Pool:
    """The connections to one server."""

    def __init__(
        self, reactor: ReactorBase, origin: Origin, limits: ClientLimits, tls: Callable[[str], Any]
    ) -> None:
        self._reactor = reactor
        self._limits = limits
        self._origin = origin
        self._tls = tls
        self._idle: list[ClientConnection] = []
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._empty: asyncio.Future[None] | None = None
        self._connections: set[ClientConnection] = set()  # also those being made
        self._attempts: set[Deferred[Any]] = set()
        self._closed = False

    @property
    def unused(self) -> bool:
        """Whether there is no connection, and nobody waits for one."""
        return not self._connections and not self._waiters

    async def take(self, *, fresh: bool = False) -> tuple[ClientConnection, bool]:
        """A connection, and whether it carried a call before. Raises NotConnected.

        With ``fresh`` it is a new one, and those that idle are closed.
        """
        if fresh:
            self.close_idle(float("inf"))
        while True:
            if self._closed:
                raise NotConnected(CLOSED)
            if self._idle:
                return self._idle.pop(), True
            if len(self._connections) < self._limits.connections_per_host:
                return await self._connect(), False
            await self._turn()

    def give_back(self, connection: ClientConnection) -> None:
        """After a call."""
        if connection.reusable and connection in self._connections:
            connection.idle_since = self._reactor.seconds()
            self._idle.append(connection)
            self._wake()
        else:
            connection.close()

    def close_idle(self, since: float) -> None:
        """Closes the connections that have not been used since then."""
        for connection in [each for each in self._idle if each.idle_since <= since]:
            self._idle.remove(connection)
            connection.close()

    async def close(self) -> None:
        """Ends all connections; calls in progress fail."""
        self._closed = True
        for attempt in tuple(self._attempts):
            attempt.cancel()
        for connection in tuple(self._connections):
            connection.abort()
        if self._connections:
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty

    async def _connect(self) -> ClientConnection:
        connection = ClientConnection(self._limits, self._lost)
        self._connections.add(connection)
        try:
            await self._reach(connection)
        except NotConnected:
            raise
        except BaseException as problem:
            if connection.made:
                connection.abort()
            else:
                self._lost(connection)
            if isinstance(problem, Exception):
                raise NotConnected(explained(problem)) from problem
            raise
        return connection

    async def _reach(self, connection: ClientConnection) -> None:
        attempt: Deferred[Any] = self._endpoint().connect(_Once(connection))
        self._attempts.add(attempt)
        try:
            await result_of(attempt)
        finally:
            self._attempts.discard(attempt)
        await connection.secured

    def _endpoint(self) -> Any:
        scheme, host, port = self._origin
        reactor: Any = self._reactor
        kind: Any = endpoints.HostnameEndpoint
        if isIPAddress(host):
            kind = endpoints.TCP4ClientEndpoint
        elif isIPv6Address(host):
            kind = endpoints.TCP6ClientEndpoint
        plain = kind(reactor, host, port, _CONNECT_TIMEOUT)
        return plain if scheme == "http" else endpoints.wrapClientTLS(self._tls(host), plain)

    def _lost(self, connection: ClientConnection) -> None:
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake()
        if not self._connections and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    async def _turn(self) -> None:
        """Waits until a connection or the room for one may be there."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._wake()  # it was meant for somebody who will use it
            elif waiter in self._waiters:  # else a wake that passed over it took it out
                self._waiters.remove(waiter)
            raise

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class _Once(protocol.ClientFactory):
    """Gives the one protocol it was made for."""

    noisy = False

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: IAddress | None) -> protocol.Protocol:  # noqa: N802
        return self._connection


def explained(problem: BaseException | None) -> str:
    """Why a connection failed or was lost, as a clause in plain words."""
    for kind, words in _WORDS:
        if isinstance(problem, kind):
            return words
    arguments = getattr(problem, "args", ())
    if type(problem).__module__.startswith("OpenSSL") and arguments:
        reasons = [entry[2] for entry in arguments[0]] if isinstance(arguments[0], list) else []
        return f"the TLS handshake failed ({'; '.join(reasons) or 'the peer ended it'})"
    if type(problem).__module__.startswith("service_identity"):
        return "the TLS certificate is for another host name"
    return str(problem) or type(problem).__name__


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (CancelledError, CLOSED),
    (error.ConnectingCancelledError, CLOSED),
    (error.ConnectionRefusedError, "the connection was refused"),
    (error.DNSLookupError, "the host name is not known"),
    (error.UnknownHostError, "the host name is not known"),
    (error.NoRouteError, "there is no route to the host"),
    (error.TimeoutError, "nothing answers there"),
    (error.TCPTimedOutError, "nothing answers there"),
    (error.ConnectionDone, "the server closed the connection before the reply was whole"),
    (error.ConnectionLost, "the connection was cut"),
)
