"""The HTTP server on Twisted: protocol, factory, and the listener the gateway holds."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import Any, cast

from twisted.internet import address, protocol
from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocolNegotiationFactory,
    IPushProducer,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from ocppgw.bridge import result_of
from ocppgw.net import binding, rendering, straight
from ocppgw.net.base import HttpHandler
from ocppgw.net.connection import ServerConnection
from ocppgw.net.parsing import Problem
from ocppgw.net.settings import HttpLimits
from ocppgw.net.site import Site

logger = logging.getLogger(__name__)

UNIX = "unix"  # the remote address of whoever comes by a Unix socket
_SWEEP = 1.0  # seconds between looks at the time-outs
_WARN_EVERY = 60.0  # seconds between log lines about connections turned away


@implementer(IHalfCloseableProtocol, IPushProducer)
class HttpProtocol(protocol.Protocol):
    """The wire of a :class:`ServerConnection`: a Twisted transport."""

    def __init__(self, server: HttpServer, remote_address: str) -> None:
        self._server = server
        self._straight = False
        self.remote_address = remote_address

    def connectionMade(self) -> None:  # noqa: N802
        transport = cast("Any", self.transport)
        self._straight = straight.is_bare(transport)
        if self.remote_address != UNIX:
            transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        self.connection = ServerConnection(self._server.site, self, self.remote_address)
        self._server.joined(self)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.connection.feed(data)

    def readConnectionLost(self) -> None:  # noqa: N802
        self.connection.end()

    def writeConnectionLost(self) -> None:  # noqa: N802
        """Our side is closed, as we wanted; the client's end comes by itself."""

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:  # noqa: N802
        self.connection.lost()
        self._server.left(self)

    # IPushProducer: how full the transport is

    def pauseProducing(self) -> None:  # noqa: N802
        self.connection.full()

    def resumeProducing(self) -> None:  # noqa: N802
        self.connection.drained()

    def stopProducing(self) -> None:  # noqa: N802
        """The transport is gone; connectionLost follows."""

    # Wire

    def send(self, data: bytes) -> None:
        if self._straight:
            straight.write(self.transport, data)
        else:
            cast("Any", self.transport).write(data)

    def close(self) -> None:
        transport = cast("Any", self.transport)
        transport.unregisterProducer()  # a TLS transport would wait for it for ever
        transport.loseConnection()

    def finish(self) -> None:
        if self._straight:
            cast("Any", self.transport).loseWriteConnection()
        else:
            self.close()

    def abort(self) -> None:
        cast("Any", self.transport).abortConnection()

    def pause_reading(self) -> None:
        cast("Any", self.transport).pauseProducing()

    def resume_reading(self) -> None:
        cast("Any", self.transport).resumeProducing()


class _TurnedAway(protocol.Protocol):
    """A connection too many: a word why, and closed."""

    def __init__(self, word: bytes) -> None:
        self._word = word

    def connectionMade(self) -> None:  # noqa: N802
        transport = cast("Any", self.transport)
        transport.write(self._word)
        transport.loseConnection()


@implementer(IProtocolNegotiationFactory)
class HttpServer(protocol.ServerFactory):
    """Makes the protocols of one listener, counts them, and watches their time-outs."""

    noisy = False

    def __init__(self, reactor: ReactorBase, handler: HttpHandler, limits: HttpLimits) -> None:
        self._reactor = reactor
        self._limits = limits
        self._opened = False
        self._protocols: set[HttpProtocol] = set()
        self._by_address: dict[str, int] = {}
        self._sweeping: Any = None
        self._next_warning = 0.0
        self._empty: asyncio.Future[None] | None = None
        self.site = Site(handler, limits, wall=time.time, spawn=asyncio.create_task)

    def acceptableProtocols(self) -> list[bytes]:  # noqa: N802
        """What TLS may negotiate; without it clients that offer ALPN are cut off."""
        return [b"http/1.1"]

    def buildProtocol(self, addr: IAddress | None) -> protocol.Protocol:  # noqa: N802
        remote = remote_address(addr)
        here = self._by_address.get(remote, 0)
        most = self._limits.connections_per_address
        if len(self._protocols) >= self._limits.connections or (most and here >= most):
            self._warn(remote, here)
            problem = Problem(503, "Too many connections.", ((b"Retry-After", b"10"),))
            return _TurnedAway(rendering.refusal(problem, date=self.site.date()))
        return HttpProtocol(self, remote)

    def joined(self, one: HttpProtocol) -> None:
        """A connection was made."""
        self._protocols.add(one)
        self._by_address[one.remote_address] = self._by_address.get(one.remote_address, 0) + 1
        if self._sweeping is None:
            self._sweep()
            one.connection.opened()
        if not self._opened:
            one.pause_reading()

    def left(self, one: HttpProtocol) -> None:
        """A connection is gone."""
        self._protocols.discard(one)
        left = self._by_address[one.remote_address] - 1
        if left:
            self._by_address[one.remote_address] = left
        else:
            del self._by_address[one.remote_address]
        if not self._protocols:
            if self._sweeping is not None:
                self._sweeping.cancel()
                self._sweeping = None
            if self._empty is not None and not self._empty.done():
                self._empty.set_result(None)

    def open(self) -> None:
        """Takes requests from now on, also of connections made before."""
        self._opened = True
        self.site.now = self._reactor.seconds()
        for each in self._protocols:
            each.connection.opened()
            each.resume_reading()

    async def drain(self, grace: float) -> None:
        """Answers what is under way within ``grace`` seconds, then ends all connections."""
        self.site.draining = True
        for each in tuple(self._protocols):
            each.connection.shut_down()
        await self._until_empty(grace)
        for each in tuple(self._protocols):
            each.connection.abort()
        await self._until_empty(None)
        for task in self.site.tasks:
            task.cancel()
        await asyncio.gather(*self.site.tasks, return_exceptions=True)
        self.site.tasks.clear()  # also of those that were cancelled before they began

    async def _until_empty(self, seconds: float | None) -> None:
        if self._protocols:
            self._empty = asyncio.get_running_loop().create_future()
            await asyncio.wait({self._empty}, timeout=seconds)

    def _sweep(self) -> None:
        self._sweeping = self._reactor.callLater(_SWEEP, self._sweep)
        if self._opened:
            self.site.sweep(self._reactor.seconds())

    def _warn(self, remote: str, here: int) -> None:
        now = self._reactor.seconds()
        if now >= self._next_warning:
            self._next_warning = now + _WARN_EVERY
            logger.warning("connection from %s turned away: %d are open, %d of that address",
                           remote, len(self._protocols), here)  # fmt: skip


class Listener:
    """A bound address. It serves between :meth:`open` and :meth:`stop`.

    ``address`` is the IP address, or the path of a Unix socket; ``port`` the TCP port, 0 for
    a Unix socket. Both stay when it has stopped: a peer may still be told them.
    """

    def __init__(self, description: str, port: Any, server: HttpServer) -> None:
        self.description = description
        self._port = port
        self._server = server
        self._bound = True
        host = port.getHost()
        self.address = str(host.host) if hasattr(host, "host") else os.fsdecode(host.name)
        self.port = int(getattr(host, "port", 0))

    def open(self) -> None:
        """Requests are taken from now on; connections made before had to wait."""
        self._server.open()

    async def stop(self, grace: float = 10.0) -> None:
        """Stops listening, answers what is under way for up to ``grace`` seconds, closes.

        Handlers that are not done by then are cancelled. When it returns, no socket,
        task or timer is left.
        """
        await self.unbind()
        await self._server.drain(grace)

    async def unbind(self) -> None:
        """Gives the address up; connections that there are go on until :meth:`stop`."""
        if self._bound:
            self._bound = False
            stopped = self._port.stopListening()
            if stopped is not None:
                await result_of(stopped)


async def listen(
    reactor: ReactorBase,
    description: str,
    handler: HttpHandler,
    limits: HttpLimits | None = None,
) -> Listener:
    """Binds a Twisted endpoint string (``tcp:9220:interface=127.0.0.1``, ``ssl:…``, …).

    The address is bound when this returns, but no request is read before
    :meth:`Listener.open`. Raises UserError when the string is wrong or the address
    cannot be had.
    """
    server = HttpServer(reactor, handler, limits or HttpLimits())
    port = await binding.bind(reactor, description, server)
    return Listener(description, port, server)


def remote_address(peer: IAddress | None) -> str:
    """The peer's address as text: an IP address, IPv4-mapped ones unmapped, or "unix"."""
    if isinstance(peer, (address.IPv4Address, address.IPv6Address)):
        host = str(peer.host)
        mapped = host.lower().startswith("::ffff:") and "." in host
        return host[7:] if mapped else host
    return UNIX
