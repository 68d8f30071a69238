"""HTTP as the rest of ocppgw sees it: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import msgspec

SOAP_CONTENT_TYPE = b"application/soap+xml; charset=utf-8"


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A whole request. Header names are lower case; ``body`` is already decompressed.

    ``target`` is the request target as received, ``path`` its decoded path part,
    ``remote_address`` the peer's IP address as text (IPv4-mapped ones unmapped).
    """

    method: str
    target: str
    path: str
    query: str = ""
    headers: Mapping[bytes, bytes]
    body: bytes
    remote_address: str


class HttpResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A whole response; Content-Length, Date and Connection are the server's affair."""

    status: int = 200
    content_type: bytes = SOAP_CONTENT_TYPE
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


HttpHandler: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponse]]


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """What a client call got back; ``body`` is already decompressed."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class HttpError(Exception):
    """An HTTP call failed; the message is one sentence with the URL."""


class ConnectFailed(HttpError):
    """No connection could be made: the request was not sent."""


class ConnectionBroken(HttpError):
    """The connection broke, or what came was not HTTP, before the reply was whole."""


class DeadlineExceeded(HttpError):
    """The deadline passed. ``sent`` says whether the request had been written."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent
