"""A central system that answers nonsense: the charge box keeps everything, says what came,
and sends it all, in order, when the central system is itself again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.site.plc import until
from tests.site.proxies import SoapProxy
from tests.site.site import TAG, Site

QUEUED = (b"startTransactionRequest", b"meterValuesRequest", b"stopTransactionRequest")

# Often and at once: the central system is bad for a moment only.
PATIENCE = {"TransactionMessageAttempts": 40, "TransactionMessageRetryInterval": 0.05}


def http(status: str, kind: str, body: bytes, *, cut: int = 0) -> bytes:
    """A whole reply, or one that ends ``cut`` bytes too early."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body[: len(body) - cut]


SOAP = "application/soap+xml; charset=utf-8"
ENVELOPE = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>{}</s:Body></s:Envelope>'
)
HEARTBEAT = ENVELOPE.format(
    '<heartbeatResponse xmlns="urn://Ocpp/Cs/2012/06/">'
    "<currentTime>2026-01-01T00:00:00Z</currentTime></heartbeatResponse>"
).encode()
FAULT = ENVELOPE.format(
    "<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code>"
    '<s:Reason><s:Text xml:lang="en">come back tomorrow</s:Text></s:Reason></s:Fault>'
).encode()
LOGIN = b"<!DOCTYPE html><html><head><title>Please log in</title></head></html>"

# What comes instead of the answer, and what the operator reads of it.
MISCHIEF = {
    "a login page": (http("200 OK", "text/html", LOGIN), "an HTML page titled “Please log in”"),
    "garbage": (b"\0\1\2 this is no HTTP\r\n\r\n", "messages? wait"),
    "another operation's answer": (
        http("200 OK", SOAP, HEARTBEAT),
        "expected startTransactionResponse, got .*heartbeatRespon",
    ),
    "half a body": (http("200 OK", SOAP, HEARTBEAT, cut=40), "messages? wait"),
    "a fault": (http("500 Internal Server Error", SOAP, FAULT), "come back tomorrow"),
    "an empty body": (http("200 OK", SOAP, b""), "an empty body"),
    "a redirection": (
        b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n",
        "empty body|redirection",
    ),
    "a proxy's word": (http("503 Service Unavailable", "text/plain", b"later"), "HTTP 503"),
    "nothing in time": (None, "messages? wait.*within 2 s"),
}


class BadCentral(SoapProxy):
    """Answers what is queued in the central system's place, while it is told to."""

    def __init__(self, upstream_port: int) -> None:
        super().__init__(upstream_port)
        self.healthy = True
        self.reply: bytes | None = b""
        self.met = 0

    async def answered(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        if self.healthy or not any(name in request for name in QUEUED):
            return False
        self.met += 1
        if self.reply is None:
            await until(lambda: self.healthy or writer.is_closing())
            return True
        writer.write(self.reply)
        await writer.drain()
        return True


@pytest.mark.slow
async def test_what_a_bad_central_system_does_not_take_it_gets_when_it_is_well(
    tmp_path: Path,
) -> None:
    async with Site(tmp_path, proxies=True, soap=BadCentral, configuration=PATIENCE) as site:
        central = site.soap
        assert isinstance(central, BadCentral)
        for number, (what, (reply, told)) in enumerate(MISCHIEF.items(), 1):
            await session(site, central, reply, told)
            booked = await site.stopped(number)
            begin, end = (site.plc.told("raised", event)[-1] for event in ("start", "stop"))
            meters = (begin["details"]["meter"], end["details"]["meter"])
            assert (booked[-1]["meterStart"], booked[-1]["meterStop"]) == meters, what
        console = site.console("box")

        assert "Traceback" not in console
        assert "parked" not in console
        given = [
            told["details"]["transaction"] for told in site.plc.told("accepted", "answer_start")
        ]
        assert given == [one["transactionId"] for one in await site.transactions()]


async def session(site: Site, central: BadCentral, reply: bytes | None, told: str) -> None:
    """A session of which the central system takes nothing before it has ended."""
    begin, console = len(site.plc.log), len(site.console("box"))
    central.reply, central.healthy, central.met = reply, False, 0
    seen = len(central.seen)
    site.plc.do("arrive")
    site.plc.do("tag", id_tag=TAG)
    await site.plc.saw("charging", since=begin)
    await site.programs["box"].says(told, console)
    await site.plc.charge(2)
    site.plc.do("tag", id_tag=TAG)
    await site.plc.saw("accepted", "answer_stop", begin)
    await until(lambda: central.met >= (1 if reply is None else 3))
    assert not [frame for frame in central.seen[seen:] if is_any(QUEUED)(frame.data)]
    central.healthy = True
    site.plc.do("leave")
    await site.plc.saw("accepted", "answer_start", begin)
    await until(lambda: any(is_any(QUEUED[2:])(frame.data) for frame in central.seen[seen:]))
    sent = [
        name
        for frame in central.seen[seen:]
        for name in (QUEUED[0], QUEUED[2])
        if name in frame.data
    ]
    assert sent == [QUEUED[0], QUEUED[2]]


def is_any(names: tuple[bytes, ...]) -> Callable[[bytes], bool]:
    """Whether one of these messages is in a frame."""
    return lambda data: any(name in data for name in names)
