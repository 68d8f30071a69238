"""Replies out of bytes, sans-I/O, on top of llhttp's parser."""

from __future__ import annotations

import httptools

from ocppgw.net import coding
from ocppgw.net.base import HttpReply
from ocppgw.net.headers import merged
from ocppgw.net.settings import ClientLimits


class ReplyParser:
    """Reads one reply after the other from a connection.

    :meth:`expect`, then :meth:`feed` until ``reply`` or ``problem`` (a clause in plain
    words) is set. ``started`` says whether anything of the reply came, ``reusable``
    whether the connection may carry another call after it.
    """

    __slots__ = (
        "_body",
        "_fed",
        "_headers",
        "_in_body",
        "_limits",
        "_parser",
        "_size",
        "problem",
        "reply",
        "reusable",
        "started",
    )

    def __init__(self, limits: ClientLimits) -> None:
        self._limits = limits
        self._parser = httptools.HttpResponseParser(self)
        self.expect()

    def expect(self) -> None:
        """The next bytes are a new reply's."""
        self.reply: HttpReply | None = None
        self.problem: str | None = None
        self.started = False
        self.reusable = False
        self._clear()

    def feed(self, data: bytes) -> None:
        """Takes the next bytes."""
        self.started = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.reusable = False
            if self.reply is None and self.problem is None:
                self.problem = f"what came is not a reply in HTTP/1.1 ({error})"
            return
        if not self._in_body and self.reply is None and self.problem is None:
            self._fed += len(data)
            if self._fed > self._limits.header_bytes:
                self._give_up(f"its headers are more than {self._limits.header_bytes} bytes")

    def end(self) -> None:
        """The server closed: that is the end of a body without a length."""
        if self.reply is None and self.problem is None and self._in_body:
            until_close = b"content-length" not in (headers := merged(self._headers))
            if until_close and headers.get(b"transfer-encoding", b"").lower() != b"chunked":
                self._complete()
                self.reusable = False

    # llhttp's callbacks

    def on_message_begin(self) -> None:
        if self.reply is not None:
            self.reusable = False  # bytes that nobody asked for
            raise _StopParsing
        self._clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        size = sum(len(name) + len(value) + 4 for name, value in self._headers)
        if size > self._limits.header_bytes:
            self._stop(f"its headers are more than {self._limits.header_bytes} bytes")
        self._in_body = True

    def on_body(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limits.body_bytes:
            self._stop(self._too_large())
        self._body.append(part)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 101:
            self._stop("it wants to speak another protocol")
        if status < 200:
            self._clear()  # 100 Continue and the like: the reply is still to come
            return
        self._complete()
        self.reusable = self.problem is None and self._parser.should_keep_alive()

    # what they are made of

    def _clear(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = self._fed = 0
        self._in_body = False

    def _complete(self) -> None:
        headers = merged(self._headers)
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        named = headers.get(b"content-encoding")
        try:
            name = coding.coding_named(named) if named is not None else None
            if name is not None and body:
                body = coding.decompress(body, name, self._limits.body_bytes)
        except coding.UnknownCoding as error:
            self._give_up(f"its body is encoded as {error}, which nobody asked for")
        except coding.TooLarge:
            self._give_up(self._too_large())
        except coding.BrokenCoding as error:
            self._give_up(str(error))
        else:
            status = self._parser.get_status_code()
            self.reply = HttpReply(status=status, headers=headers, body=body)

    def _too_large(self) -> str:
        return f"its body is larger than {self._limits.body_bytes} bytes"

    def _give_up(self, why: str) -> None:
        self.problem = f"the reply cannot be taken: {why}"

    def _stop(self, why: str) -> None:
        self._give_up(why)
        raise _StopParsing


class _StopParsing(Exception):
    """Ends llhttp's work."""
