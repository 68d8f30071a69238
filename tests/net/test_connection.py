"""One client's connection: order, keep-alive, time-outs, back-pressure, on a wire in memory."""

from __future__ import annotations

import asyncio
import gzip
import logging
import zlib

import pytest

from ocppgw.net.base import HttpRequest, HttpResponse
from ocppgw.net.connection import ServerConnection
from ocppgw.net.settings import HttpLimits
from ocppgw.net.site import Site
from ocppgw.testing.http import MemoryWire, memory_connection

GET = b"GET / HTTP/1.1\r\n\r\n"
KEEP = b"Connection: keep-alive"
DATE = b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


def post(body: bytes, *headers: bytes, version: bytes = b"1.1") -> bytes:
    lines = [b"POST /x HTTP/" + version, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def reply(body: bytes, *, connection: bytes = b"") -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + DATE
        + b"Content-Length: %d\r\n" % len(body) + connection + b"\r\n" + body
    )  # fmt: skip


async def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(content_type=b"text/plain", body=request.body)


class Gate:
    """A handler that answers when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[HttpRequest, asyncio.Future[HttpResponse]]] = []
        self.cancelled = 0

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        future: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
        self.waiting.append((request, future))
        try:
            return await future
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def answer(self) -> None:
        request, future = self.waiting.pop(0)
        future.set_result(HttpResponse(content_type=b"text/plain", body=request.body))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def gated(limits: HttpLimits | None = None) -> tuple[Site, ServerConnection, MemoryWire, Gate]:
    gate = Gate()
    return *memory_connection(gate, limits), gate


async def test_a_request_is_answered_and_the_connection_kept() -> None:
    _, connection, wire = memory_connection(echo)
    for body in (b"one", b"two"):
        connection.feed(post(body))
        await settle()
        assert wire.take() == reply(body)
    assert not wire.ended()


async def test_pipelined_requests_are_answered_in_order_one_at_a_time() -> None:
    _, connection, wire, gate = gated()
    connection.feed(post(b"one") + post(b"two") + post(b"three"))
    for body in (b"one", b"two", b"three"):
        await settle()
        assert len(gate.waiting) == 1
        gate.answer()
        await settle()
        assert wire.take() == reply(body)


async def test_reading_stops_while_a_request_waits_and_goes_on_after() -> None:
    _, connection, wire, gate = gated()
    connection.feed(post(b"one"))
    assert wire.reading()
    await settle()
    connection.feed(post(b"two"))
    assert not wire.reading()
    gate.answer()
    await settle()
    assert not wire.ended()
    gate.answer()
    await settle()
    assert wire.reading()


async def test_a_full_wire_holds_the_next_request_back() -> None:
    _, connection, wire, gate = gated()
    connection.feed(post(b"one") + post(b"two"))
    await settle()
    connection.full()
    gate.answer()
    await settle()
    assert wire.take() == reply(b"one")
    assert gate.waiting == []
    connection.drained()
    await settle()
    assert len(gate.waiting) == 1
    gate.answer()
    await settle()


async def test_a_wire_that_was_full_for_a_moment_changes_nothing() -> None:
    _, connection, wire = memory_connection(echo)
    connection.full()
    connection.drained()
    connection.feed(post(b"one"))
    await settle()
    assert wire.take() == reply(b"one")


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    site, connection, wire = memory_connection(echo, HttpLimits(send_timeout=10))
    connection.full()
    connection.feed(post(b"one"))
    await settle()
    site.sweep(9)
    assert not wire.aborted()
    site.sweep(11)
    assert wire.aborted()


@pytest.mark.parametrize(
    ("request_bytes", "connection_header", "closed"),
    [
        (post(b"hi"), b"", False),
        (post(b"hi", b"Connection: close"), b"Connection: close\r\n", True),
        (post(b"hi", version=b"1.0"), b"Connection: close\r\n", True),
        (post(b"hi", KEEP, version=b"1.0"), KEEP + b"\r\n", False),
    ],
)
async def test_keep_alive(request_bytes: bytes, connection_header: bytes, closed: bool) -> None:
    _, connection, wire = memory_connection(echo)
    connection.feed(request_bytes)
    await settle()
    assert wire.take() == reply(b"hi", connection=connection_header)
    assert wire.closed() is closed


async def test_head_and_empty_statuses_have_no_body() -> None:
    async def handler(request: HttpRequest) -> HttpResponse:
        status = 204 if request.path == "/204" else 299
        return HttpResponse(status=status, content_type=b"text/plain", body=b"hello")

    _, connection, wire = memory_connection(handler)
    connection.feed(b"HEAD / HTTP/1.1\r\n\r\n")
    await settle()
    assert wire.take() == (
        b"HTTP/1.1 299 Status\r\nContent-Type: text/plain\r\n" + DATE + b"Content-Length: 5\r\n\r\n"
    )
    connection.feed(b"GET /204 HTTP/1.1\r\n\r\n")
    await settle()
    assert wire.take().endswith(DATE + b"\r\n")


async def test_a_handler_that_fails_is_a_500_and_a_log_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(request: HttpRequest) -> HttpResponse:
        raise RuntimeError("secret")

    _, connection, wire = memory_connection(handler)
    connection.feed(GET)
    await settle()
    answer = wire.take()
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain")
    assert b"secret" not in answer
    assert not wire.ended()
    assert "GET / failed" in caplog.text


async def test_a_header_with_a_line_break_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: HttpRequest) -> HttpResponse:
        return HttpResponse(headers=((b"X-A", b"1\r\nX-B: 2"),), body=b"x")

    _, connection, wire = memory_connection(handler)
    connection.feed(GET)
    await settle()
    answer = wire.take()
    assert answer.startswith(b"HTTP/1.1 500")
    assert b"X-B" not in answer
    assert "cannot be sent" in caplog.text


async def test_extra_headers_are_sent() -> None:
    async def handler(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=405, headers=((b"Allow", b"POST"),))

    _, connection, wire = memory_connection(handler)
    connection.feed(GET)
    await settle()
    assert wire.take() == (
        b"HTTP/1.1 405 Method Not Allowed\r\n" + DATE + b"Allow: POST\r\nContent-Length: 0\r\n\r\n"
    )


LARGE = b"<a/>" * 1000


@pytest.mark.parametrize(
    ("headers", "coding"),
    [
        ((), None),
        ((b"Accept-Encoding: gzip",), b"gzip"),
        ((b"Accept-Encoding: deflate",), b"deflate"),
        ((b"Content-Encoding: deflate",), b"deflate"),
        ((b"Content-Encoding: gzip", b"Accept-Encoding: identity"), None),
    ],
)
async def test_large_replies_are_compressed_for_who_can_read_it(
    headers: tuple[bytes, ...], coding: bytes | None
) -> None:
    body = b"hi"
    for header in headers:
        name, _, value = header.partition(b": ")
        if name == b"Content-Encoding":
            body = gzip.compress(body) if value == b"gzip" else zlib.compress(body)

    async def handler(request: HttpRequest) -> HttpResponse:
        assert request.body == b"hi"
        return HttpResponse(body=LARGE)

    _, connection, wire = memory_connection(handler)
    connection.feed(post(body, *headers))
    await settle()
    head, _, received = wire.take().partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(received) in head
    if coding is None:
        assert b"Content-Encoding" not in head
        assert received == LARGE
    else:
        assert b"Content-Encoding: %b\r\nVary: Accept-Encoding" % coding in head
        unpack = gzip.decompress if coding == b"gzip" else zlib.decompress
        assert unpack(received) == LARGE


async def test_small_or_already_encoded_replies_are_left_alone() -> None:
    async def handler(request: HttpRequest) -> HttpResponse:
        if request.path == "/small":
            return HttpResponse(body=b"<a/>")
        return HttpResponse(body=LARGE, headers=((b"content-encoding", b"br"),))

    _, connection, wire = memory_connection(handler)
    for path in (b"/small", b"/br"):
        connection.feed(b"GET %b HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n" % path)
        await settle()
        assert b"gzip" not in wire.take()


async def test_a_continue_is_sent_in_its_turn() -> None:
    _, connection, wire, gate = gated()
    expecting = b"POST /x HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    connection.feed(post(b"one") + expecting)
    await settle()
    assert wire.take() == b""
    gate.answer()
    await settle()
    assert wire.take() == reply(b"one") + b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.feed(b"two")
    await settle()
    gate.answer()
    await settle()
    assert wire.take() == reply(b"two")


async def test_no_continue_for_who_did_not_wait_for_it() -> None:
    _, connection, wire = memory_connection(echo)
    connection.feed(post(b"one", b"Expect: 100-continue"))
    await settle()
    assert wire.take() == reply(b"one")


async def test_a_refusal_ends_our_side_and_lets_the_client_read_it() -> None:
    site, connection, wire = memory_connection(echo, HttpLimits(send_timeout=5))
    connection.feed(GET + b"nonsense\r\n\r\n")
    await settle()
    sent = wire.take()
    assert sent.startswith(b"HTTP/1.1 200 OK")
    assert b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n" in sent
    assert b"Connection: close" in sent
    assert wire.finished()
    assert not wire.closed()
    connection.feed(GET)
    connection.end()
    await settle()
    assert wire.closed()
    assert wire.take() == b""
    site.sweep(6)
    assert wire.aborted()


async def test_a_refusal_while_reading_was_paused_reads_again() -> None:
    _, connection, wire, gate = gated()
    connection.feed(post(b"one"))
    await settle()
    connection.feed(post(b"two") + b"nonsense\r\n\r\n")
    assert not wire.reading()
    for _ in range(2):
        gate.answer()
        await settle()
    assert wire.finished()
    assert wire.reading()


async def test_a_station_on_the_wrong_protocol_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, connection, wire = memory_connection(echo)
    connection.feed(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert wire.take().startswith(b"HTTP/1.1 400")
    assert "192.0.2.1" in caplog.text
    assert "OCPP-J" in caplog.text


async def test_ordinary_nonsense_is_not_worth_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    _, connection, _ = memory_connection(echo)
    connection.feed(b"nonsense\r\n\r\n")
    assert caplog.text == ""


async def test_a_client_that_only_closed_its_side_gets_all_its_replies() -> None:
    _, connection, wire, gate = gated()
    connection.feed(post(b"one") + post(b"two"))
    connection.end()
    for body in (b"one", b"two"):
        await settle()
        assert not wire.closed()
        gate.answer()
        await settle()
        assert wire.take() == reply(body)
    assert wire.closed()


@pytest.mark.parametrize("data", [b"", b"POST / HT", post(b"hello")[:-1]])
async def test_the_end_of_input_without_a_whole_request_closes(data: bytes) -> None:
    _, connection, wire = memory_connection(echo)
    if data:
        connection.feed(data)
    connection.end()
    assert wire.closed()
    assert wire.take() == b""


async def test_nonsense_and_the_end_of_input_in_one_go() -> None:
    _, connection, wire, gate = gated()
    connection.feed(GET + b"nonsense\r\n\r\n")
    connection.end()
    await settle()
    gate.answer()
    await settle()
    assert b"HTTP/1.1 400" in wire.take()
    assert wire.closed()


async def test_a_client_that_left_does_not_stop_its_handler() -> None:
    site, connection, wire, gate = gated()
    connection.feed(post(b"one"))
    await settle()
    connection.lost()
    assert site.connections == set()
    gate.answer()
    await settle()
    assert gate.cancelled == 0
    assert wire.take() == b""
    assert site.tasks == set()


TIMEOUTS = HttpLimits(
    idle_timeout=100, header_timeout=10, body_timeout=20, handler_timeout=50, send_timeout=5
)


@pytest.mark.parametrize(
    ("data", "after", "status"),
    [
        (b"POST / HT", 10, b"408 Request Timeout"),
        (post(b"hello")[:-1], 20, b"408 Request Timeout"),
        (post(b"hello"), 50, b"503 Service Unavailable"),
    ],
)
async def test_overdue(data: bytes, after: float, status: bytes) -> None:
    site, connection, wire, gate = gated(TIMEOUTS)
    connection.feed(data[:4])
    connection.feed(data[4:])
    await settle()
    site.sweep(after)
    assert wire.take() == b""
    site.sweep(after + 1)
    assert wire.take().startswith(b"HTTP/1.1 " + status)
    assert wire.finished()
    site.sweep(after + 7)
    assert wire.aborted()
    await settle()
    assert site.tasks == set()
    assert gate.cancelled == len(gate.waiting)


async def test_bytes_that_trickle_do_not_extend_the_time() -> None:
    site, connection, wire = memory_connection(echo, TIMEOUTS)
    for second, byte in enumerate(b"GET / HTTP/1.1\r\n"):
        site.sweep(second)
        if not wire.ended():
            connection.feed(bytes([byte]))
    assert wire.take().startswith(b"HTTP/1.1 408")


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    site, connection, wire = memory_connection(echo, TIMEOUTS)
    site.sweep(90)
    connection.feed(GET)
    await settle()
    wire.take()
    site.sweep(180)
    assert not wire.closed()
    site.sweep(191)
    assert wire.closed()
    assert wire.take() == b""


async def test_an_idle_connection_holds_no_parser() -> None:
    site, connection, wire = memory_connection(echo)
    connection.feed(GET)
    await settle()
    site.sweep(1)
    assert connection._parser is None
    connection.feed(GET)
    await settle()
    assert wire.take().count(b"200 OK") == 2


async def test_the_second_request_has_its_own_time() -> None:
    site, connection, wire, gate = gated(TIMEOUTS)
    connection.feed(post(b"one") + b"POST / HT")
    await settle()
    site.sweep(45)
    gate.answer()
    await settle()
    site.sweep(54)
    assert wire.take() == reply(b"one")
    site.sweep(56)
    assert wire.take().startswith(b"HTTP/1.1 408")


async def test_bodies_of_all_connections_together_are_bounded() -> None:
    limits = HttpLimits(pending_body_bytes=2000)
    site, first, first_wire = memory_connection(echo, limits)
    second_wire = MemoryWire()
    second = ServerConnection(site, second_wire, "192.0.2.2")
    first.feed(post(bytes(1900))[:-1])
    second.feed(post(bytes(500))[:-1])
    assert second_wire.take().startswith(b"HTTP/1.1 503")
    second.lost()
    first.feed(b"\0")
    await settle()
    assert first_wire.take().startswith(b"HTTP/1.1 200")
    assert site.held == 0


async def test_shutting_down_closes_what_idles_and_answers_what_is_under_way() -> None:
    site, idle, idle_wire, gate = gated()
    idle.feed(b"\r\n")
    busy_wire = MemoryWire()
    busy = ServerConnection(site, busy_wire, "192.0.2.2")
    busy.feed(post(b"one") + post(b"two"))
    await settle()
    site.draining = True
    for connection in tuple(site.connections):
        connection.shut_down()
    assert idle_wire.closed()
    assert not busy_wire.closed()
    gate.answer()
    await settle()
    assert busy_wire.take() == reply(b"one", connection=b"Connection: close\r\n")
    assert busy_wire.closed()
    assert gate.waiting == []


async def test_shutting_down_while_a_reply_waits_to_be_read() -> None:
    site, connection, wire = memory_connection(echo)
    connection.full()
    connection.feed(post(b"one"))
    await settle()
    site.draining = True
    connection.shut_down()
    assert not wire.closed()
    connection.drained()
    assert wire.closed()


async def test_aborting_cancels_the_handler() -> None:
    site, connection, wire, gate = gated()
    connection.feed(post(b"one"))
    await settle()
    connection.abort()
    await settle()
    assert wire.aborted()
    assert gate.cancelled == 1
    assert site.tasks == set()
