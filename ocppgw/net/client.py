"""The HTTP client: whole requests, whole replies, kept-alive connections, one deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from twisted.internet.base import ReactorBase

from ocppgw.net.base import ConnectFailed, ConnectionBroken, DeadlineExceeded, HttpReply
from ocppgw.net.coding import ACCEPTED
from ocppgw.net.headers import line
from ocppgw.net.pool import CLOSED, ClientConnection, Lost, NotConnected, Origin, Pool
from ocppgw.net.settings import ClientLimits, ClientTls
from ocppgw.net.tls import TlsContexts
from ocppgw.net.urls import Target, target_of

_OURS = b"User-Agent: ocppgw\r\nAccept-Encoding: %b\r\n" % ACCEPTED


class HttpClient:
    """Posts to http and https URLs over pooled connections.

    https certificates are verified. Redirects are not followed: OCPP has none, and a
    station's body is not to be sent to wherever somebody points. Made with ClientTls
    whose files cannot be used, it raises UserError.
    """

    def __init__(
        self,
        reactor: ReactorBase,
        limits: ClientLimits | None = None,
        tls: ClientTls | None = None,
    ) -> None:
        self._reactor = reactor
        self._limits = limits or ClientLimits()
        self._tls = TlsContexts(tls or ClientTls())
        self._pools: dict[Origin, Pool] = {}
        self._sweeping: Any = None
        self._closed = False

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        content_type: bytes,
        deadline: float,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> HttpReply:
        """Sends a body and gives the whole reply, whatever its status.

        ``deadline``, in seconds, is for all of it: a free connection, name look-up,
        connecting, sending, the reply. The request goes out once, with one exception:
        when a connection that was kept alive turns out to have been closed, before
        anything of a reply came, it is sent again on a new one, for in all likelihood
        the server had closed it before the request arrived (RFC 9112 9.3.1). A server
        that died in between may have seen it, so a request must bear being sent twice,
        as OCPP's do.

        Raises ConnectFailed, ConnectionBroken, DeadlineExceeded; ValueError for a line
        break in a header.
        """
        target = target_of(url)
        extra = b"".join([line(name, value) for name, value in headers])
        kind = line(b"Content-Type", content_type)
        request = b"%b%bContent-Length: %d\r\n%b%b\r\n%b" % (
            target.request_line, kind, len(body), _OURS, extra, body,
        )  # fmt: skip
        call = _Call(target, request)
        try:
            async with asyncio.timeout(deadline):
                return await self._answer(call)
        except TimeoutError:
            what = "no reply came" if call.sent else "there was no connection"
            raise DeadlineExceeded(
                f"{target.shown}: {what} within {deadline:g} s", sent=call.sent
            ) from None

    async def close(self) -> None:
        """Ends all connections; calls in progress fail with ConnectionBroken."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for pool in tuple(self._pools.values()):
            await pool.close()

    async def _answer(self, call: _Call) -> HttpReply:
        fresh = False
        while True:
            pool = self._pool(call.target)
            connection, reused = await self._connection(pool, call, fresh=fresh)
            try:
                return await self._exchange(pool, connection, call)
            except Lost as lost:
                if lost.started or not reused or self._closed:
                    raise ConnectionBroken(f"{call.target.shown}: {lost}") from lost
                fresh = True

    async def _connection(
        self, pool: Pool, call: _Call, *, fresh: bool
    ) -> tuple[ClientConnection, bool]:
        shown = call.target.shown
        if self._closed:
            raise ConnectFailed(f"{shown}: {CLOSED}")
        try:
            return await pool.take(fresh=fresh)
        except NotConnected as problem:
            raise ConnectFailed(f"{shown}: {problem}") from problem

    async def _exchange(self, pool: Pool, connection: ClientConnection, call: _Call) -> HttpReply:
        try:
            call.sent = True
            reply = await connection.exchange(call.request)
        except BaseException:
            connection.abort()
            raise
        pool.give_back(connection)
        if self._sweeping is None and not self._closed:
            self._sweep()
        return reply

    def _pool(self, target: Target) -> Pool:
        try:
            return self._pools[target.origin]
        except KeyError:
            pool = Pool(self._reactor, target.origin, self._limits, self._tls.for_host)
            return self._pools.setdefault(target.origin, pool)

    def _sweep(self) -> None:
        """Closes what has idled too long, as long as there is any."""
        self._sweeping = None
        timeout = self._limits.idle_timeout
        for origin, pool in tuple(self._pools.items()):
            pool.close_idle(self._reactor.seconds() - timeout)
            if pool.unused:
                del self._pools[origin]
        if self._pools:
            self._sweeping = self._reactor.callLater(timeout / 2, self._sweep)


class _Call:
    """One post under way."""

    __slots__ = ("request", "sent", "target")

    def __init__(self, target: Target, request: bytes) -> None:
        self.target = target
        self.request = request
        self.sent = False
