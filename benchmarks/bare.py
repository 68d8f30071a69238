"""Servers that read a request and answer 400 bytes, whatever it was: the yardsticks.

``python -m benchmarks.bare KIND PORT``: ``web`` is twisted.web, ``httptools`` a Twisted
protocol around llhttp's parser that writes through the transport's buffer, ``closing``
the same but with a new connection for each request, ``soap`` answers a heartbeat.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httptools
from twisted.internet import asyncioreactor, protocol

BODY = b"<" + b"x" * 398 + b">"
HEARTBEAT = b"""<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" \
xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>\
<a:Action>/HeartbeatResponse</a:Action></s:Header><s:Body>\
<heartbeatResponse xmlns="urn://Ocpp/Cs/2012/06/"><currentTime>2026-01-01T00:00:00Z</currentTime>\
</heartbeatResponse></s:Body></s:Envelope>"""


class Bare(protocol.Protocol):
    """One connection."""

    def __init__(self, answer: bytes, *, closing: bool) -> None:
        self._answer = answer
        self._closing = closing
        self._parser = httptools.HttpRequestParser(self)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        transport: Any = self.transport
        transport.write(self._answer)
        if self._closing:
            transport.loseConnection()


class BareFactory(protocol.ServerFactory):
    noisy = False

    def __init__(self, body: bytes, *, closing: bool = False) -> None:
        self._closing = closing
        self._answer = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml; charset=utf-8\r\n"
            b"Content-Length: %d\r\n%b\r\n%b"
            % (len(body), b"Connection: close\r\n" if closing else b"", body)
        )

    def buildProtocol(self, addr: Any) -> Bare:  # noqa: N802
        return Bare(self._answer, closing=self._closing)


def web_site() -> Any:
    """The same by twisted.web."""
    from twisted.web import resource, server

    class Page(resource.Resource):
        isLeaf = True  # noqa: N815

        def render(self, request: Any) -> bytes:
            request.content.read()
            request.setHeader(b"content-type", b"application/soap+xml; charset=utf-8")
            return BODY

    page: Any = Page
    site = server.Site(page(), parsePOSTFormSubmission=False)
    site.noisy = False
    return site


def main(kind: str, port: int) -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)
    from twisted.internet import reactor

    factories: dict[str, Any] = {
        "web": web_site,
        "httptools": lambda: BareFactory(BODY),
        "closing": lambda: BareFactory(HEARTBEAT, closing=True),
        "soap": lambda: BareFactory(HEARTBEAT),
    }
    running: Any = reactor
    running.listenTCP(port, factories[kind](), interface="127.0.0.1")
    running.run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
