"""HTTP without sockets: a wire in memory, and a client that calls handlers directly."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from ocppgw.net.base import (
    ConnectFailed,
    DeadlineExceeded,
    HttpError,
    HttpHandler,
    HttpReply,
    HttpRequest,
    HttpResponse,
)
from ocppgw.net.connection import ServerConnection
from ocppgw.net.settings import HttpLimits
from ocppgw.net.site import Site
from ocppgw.net.urls import target_of


class MemoryWire:
    """The wire of a :class:`~ocppgw.net.connection.ServerConnection`: it remembers."""

    def __init__(self) -> None:
        self._sent = b""
        self._closed = self._finished = self._aborted = False
        self._reading = True

    def send(self, data: bytes) -> None:
        assert not self.ended(), "sent after the end"
        self._sent += data

    def close(self) -> None:
        self._closed = True

    def finish(self) -> None:
        self._finished = True

    def abort(self) -> None:
        self._aborted = True

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True

    def closed(self) -> bool:
        """Whether it was closed in order."""
        return self._closed

    def finished(self) -> bool:
        """Whether our side was ended, and the client may still send."""
        return self._finished

    def aborted(self) -> bool:
        """Whether it was cut off."""
        return self._aborted

    def ended(self) -> bool:
        """Whether our side has said its last."""
        return self._closed or self._finished or self._aborted

    def reading(self) -> bool:
        """Whether the connection wants to be fed."""
        return self._reading

    def take(self) -> bytes:
        """What was sent since the last time."""
        sent, self._sent = self._sent, b""
        return sent


def memory_connection(
    handler: HttpHandler, limits: HttpLimits | None = None, *, remote_address: str = "192.0.2.1"
) -> tuple[Site, ServerConnection, MemoryWire]:
    """A server's connection on a wire in memory; its wall clock stands at 0."""
    site = Site(handler, limits or HttpLimits(), wall=lambda: 0.0, spawn=asyncio.ensure_future)
    wire = MemoryWire()
    return site, ServerConnection(site, wire, remote_address), wire


class Posted(msgspec.Struct, frozen=True):
    """A call made with :class:`LoopbackHttp`."""

    url: str
    body: bytes
    content_type: bytes
    headers: tuple[tuple[bytes, bytes], ...]


class LoopbackHttp:
    """Stands in for :class:`~ocppgw.net.client.HttpClient`: calls handlers, no sockets.

    ``sites`` maps ``http://host:port`` to the handler that answers there; anything else
    is a refused connection. Put an HttpError into ``failures`` and the next call ends
    with it: before the handler saw it, or after, as ``lose_replies`` says.
    """

    def __init__(self, sites: dict[str, HttpHandler], *, remote_address: str = "127.0.0.1") -> None:
        self.sites = sites
        self.remote_address = remote_address
        self.posted: list[Posted] = []
        self.failures: list[HttpError] = []
        self.lose_replies = False

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        content_type: bytes,
        deadline: float,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> HttpReply:
        """As HttpClient's; ``deadline`` is in real seconds."""
        self.posted.append(Posted(url, body, content_type, tuple(headers)))
        target = target_of(url)
        handler = self.sites.get(target.shown.removesuffix(_path(target.shown)))
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None and not self.lose_replies:
            raise failure
        if handler is None:
            raise ConnectFailed(f"{target.shown}: the connection was refused")
        request = HttpRequest(
            method="POST",
            target=_path(target.shown),
            path=_path(target.shown),
            headers={b"content-type": content_type, **dict(headers)},
            body=body,
            remote_address=self.remote_address,
        )
        try:
            async with asyncio.timeout(deadline):
                response: HttpResponse = await handler(request)
        except TimeoutError:
            raise DeadlineExceeded(
                f"{target.shown}: no reply came within {deadline:g} s", sent=True
            ) from None
        if failure is not None:
            raise failure
        return HttpReply(
            status=response.status,
            headers={b"content-type": response.content_type, **dict(response.headers)},
            body=response.body,
        )

    async def close(self) -> None:
        """Nothing is held."""


def _path(url: str) -> str:
    return "/" + url.partition("://")[2].partition("/")[2]
