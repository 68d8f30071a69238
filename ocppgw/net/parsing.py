"""Requests out of bytes, sans-I/O, on top of llhttp's strict parser."""

from __future__ import annotations

import functools
from collections import deque
from typing import Final
from urllib.parse import unquote

import httptools
import msgspec

from ocppgw.net import coding
from ocppgw.net.base import HttpRequest
from ocppgw.net.headers import merged
from ocppgw.net.settings import HttpLimits

IDLE: Final = 0
HEAD: Final = 1
BODY: Final = 2

_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
_HOP_BY_HOP = frozenset({b"connection", b"upgrade", b"http2-settings"})


class Problem(msgspec.Struct, frozen=True):
    """Why a request is turned away before any handler sees it; the connection ends."""

    status: int
    text: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    notable: bool = False  # worth a line in the log: most likely a wrong configuration


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """A whole request, and what its reply needs to know beside it."""

    request: HttpRequest
    keep_alive: bool
    http_10: bool
    coding: bytes | None


class RequestParser:
    """Feed it bytes; whole requests gather in ``ready``, in order.

    After ``problem`` is set, or once a request said that it is the last, further
    bytes are ignored. ``stage`` tells where in a request the bytes so far end,
    ``held`` how many bytes of an unfinished body are kept, and ``wants_continue``
    that the client waits for a 100 before it sends its body.

    No Host header is asked for (there is but one site, and stations with HTTP written
    by hand leave it out); everything else is as strict as RFC 9112 wants it.
    """

    __slots__ = (
        "_at_least",
        "_at_most",
        "_chunks",
        "_coding",
        "_headers",
        "_http_10",
        "_last",
        "_length",
        "_limits",
        "_merged",
        "_parser",
        "_remote",
        "_replay",
        "_url",
        "held",
        "problem",
        "ready",
        "stage",
        "wants_continue",
    )

    def __init__(self, limits: HttpLimits, remote_address: str) -> None:
        self.ready: deque[Incoming] = deque()
        self.problem: Problem | None = None
        self.stage = IDLE
        self.held = 0
        self.wants_continue = False
        self._limits = limits
        self._remote = remote_address
        self._last = False
        self._replay = False
        self._http_10 = False
        self._length = 0  # of what is being fed
        self._at_least = self._at_most = 0  # bytes of the head so far
        self._url = b""
        self._merged: dict[bytes, bytes] = {}
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks: list[bytes] = []
        self._coding: bytes | None = None
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the connection."""
        if self.problem is not None or self._last:
            return
        self._length = len(data)
        self._at_most += self._length
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as at:
            if self.problem is None:
                self._again_without_upgrade(data[at.args[0] :])
        except httptools.HttpParserError as error:
            if self.problem is None and not self._last:
                self.problem = self._not_http(error, data)
        else:
            if self.stage == HEAD:
                self._at_least += self._length
                if self._at_least > self._limits.header_bytes or self._too_long():
                    self.problem = self._headers_too_large()

    # llhttp's callbacks; what they raise stops the parser

    def on_message_begin(self) -> None:
        self.stage = HEAD
        self.held = 0
        # It begins somewhere in what is being fed, or at its start if nothing is ready yet.
        self._at_most = self._length
        self._at_least = -self._length if self.ready else 0
        self._url = b""
        self._headers = []
        self._chunks = []

    def on_url(self, part: bytes) -> None:
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.stage == HEAD:  # trailers of a chunked body are of no use to anyone
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.stage = BODY
        self._merged = merged(self._headers)
        self.problem = self._objection(self._merged)
        if self.problem is not None:
            raise _StopParsing

    def on_body(self, part: bytes) -> None:
        self.held += len(part)
        if self.held > self._limits.body_bytes:
            self.problem = self._body_too_large()
            raise _StopParsing
        self._chunks.append(part)

    def on_message_complete(self) -> None:
        if self._replay:
            return
        self.stage = IDLE
        self.held = 0
        self.wants_continue = False
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        if self._coding is not None and body:
            body = self._decompressed(body, self._coding)
        target, path, query = split_target(self._url)
        keep_alive = self._parser.should_keep_alive()
        headers = self._merged
        if self._http_10 and b"transfer-encoding" in headers:
            keep_alive = False  # RFC 9112 6.1: nobody knows what stood between us and the client
        self._last = not keep_alive
        request = HttpRequest(
            method=self._parser.get_method().decode("ascii"),
            target=target,
            path=path,
            query=query,
            headers=headers,
            body=body,
            remote_address=self._remote,
        )
        self.ready.append(Incoming(request, keep_alive, self._http_10, self._coding))

    # what the callbacks are made of

    def _objection(self, headers: dict[bytes, bytes]) -> Problem | None:
        """What speaks against a request once its headers are there."""
        limits = self._limits
        if self._too_long() or len(self._headers) > limits.header_count:
            return self._headers_too_large()
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            return Problem(505, f"HTTP/{version} is not spoken here, HTTP/1.1 is.")
        self._http_10 = version == "1.0"
        if self._parser.should_upgrade():
            return self._upgrade(headers.get(b"upgrade", b"").lower())
        return self._framing(headers) or self._expectation(headers)

    def _too_long(self) -> bool:
        """Whether target and headers are too long. Mostly there is no need to add up."""
        most = self._limits.header_bytes
        if self._at_most <= most:
            return False
        headers = sum(len(name) + len(value) + 4 for name, value in self._headers)
        return len(self._url) + headers > most

    def _framing(self, headers: dict[bytes, bytes]) -> Problem | None:
        transfer = headers.get(b"transfer-encoding")
        length = headers.get(b"content-length")
        if transfer is not None and transfer.strip().lower() != b"chunked":
            return Problem(501, "Of the transfer codings only chunked is understood.")
        if length is not None and int(length) > self._limits.body_bytes:
            return self._body_too_large()
        if length is None and transfer is None:
            method = self._parser.get_method().decode("ascii")
            if method not in _WITHOUT_BODY:
                return Problem(411, f"A {method} needs a Content-Length or a chunked body.")
        named = headers.get(b"content-encoding")
        self._coding = None
        if named is not None:
            try:
                self._coding = coding.coding_named(named)
            except coding.UnknownCoding:
                return Problem(
                    415,
                    "Of the content codings only gzip and deflate are understood.",
                    ((b"Accept-Encoding", coding.ACCEPTED),),
                )
        return None

    def _expectation(self, headers: dict[bytes, bytes]) -> Problem | None:
        expected = headers.get(b"expect")
        if expected is not None and not self._http_10:
            if expected.strip().lower() != b"100-continue":
                return Problem(417, "Of the expectations only 100-continue is understood.")
            self.wants_continue = True
        return None

    def _upgrade(self, protocol: bytes) -> Problem | None:
        if self._parser.get_method() == b"CONNECT":
            return Problem(501, "This is no proxy.")
        if b"websocket" in protocol:
            return Problem(
                400,
                "This address speaks OCPP over SOAP, not over WebSocket (OCPP-J):"
                " set the station to SOAP, or give it another address.",
                notable=True,
            )
        self._replay = True  # a server may ignore an Upgrade, such as the h2c that Java offers
        return None

    def _again_without_upgrade(self, rest: bytes) -> None:
        """Parses the request again as if no upgrade had been offered.

        llhttp would take what follows the headers for the other protocol.
        """
        version = self._parser.get_http_version().encode("ascii")
        head = [self._parser.get_method() + b" " + self._url + b" HTTP/" + version]
        head += [name + b": " + value for name, value in self._headers if name not in _HOP_BY_HOP]
        if not self._parser.should_keep_alive():
            head.append(b"connection: close")
        self._replay = False
        self._parser = httptools.HttpRequestParser(self)
        self.feed(b"\r\n".join(head) + b"\r\n\r\n")
        self.feed(rest)

    def _decompressed(self, body: bytes, name: bytes) -> bytes:
        try:
            return coding.decompress(body, name, self._limits.body_bytes)
        except coding.TooLarge:
            self.problem = self._body_too_large()
        except coding.BrokenCoding as error:
            self.problem = Problem(400, f"Bad request: {error}.")
        raise _StopParsing

    def _not_http(self, error: httptools.HttpParserError, data: bytes) -> Problem:
        if data.startswith(b"\x16\x03"):
            text = "This port speaks http, not https: the client began with a TLS handshake."
            return Problem(400, text, notable=True)
        unknown_method = isinstance(error, httptools.HttpParserInvalidMethodError)
        if unknown_method and data[:1].isupper() and not self.ready:
            return Problem(501, "Unknown method.")
        return Problem(400, f"Bad request: {error}.")

    def _headers_too_large(self) -> Problem:
        limits = self._limits
        return Problem(
            431,
            f"The headers are more than {limits.header_count} or {limits.header_bytes} bytes.",
        )

    def _body_too_large(self) -> Problem:
        return Problem(413, f"The body is larger than {self._limits.body_bytes} bytes.")


class _StopParsing(Exception):
    """Ends llhttp's work on a request that was turned away."""


@functools.lru_cache(maxsize=64)
def split_target(url: bytes) -> tuple[str, str, str]:
    """Target, decoded path and query of a request line's target, absolute ones too."""
    target = url.decode("latin-1")
    path, _, query = target.partition("?")
    if not path.startswith("/") and "://" in path:
        path = "/" + path.partition("://")[2].partition("/")[2]
    return target, unquote(path), query
