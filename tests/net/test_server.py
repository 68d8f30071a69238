"""The listener on real sockets, with clients that behave badly."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import address
from twisted.internet.task import Clock

from ocppgw.errors import UserError
from ocppgw.net.base import HttpRequest, HttpResponse
from ocppgw.net.server import HttpServer, listen, remote_address
from ocppgw.net.settings import HttpLimits
from ocppgw.testing.sockets import echo, listening, raw_client, until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"


def post(body: bytes, *headers: bytes) -> bytes:
    lines = [POST + b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def reset(client: Any) -> None:
    """Closes with a RST."""
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


async def test_requests_on_one_connection(reactor: Any) -> None:
    async with listening(reactor) as listener, raw_client(listener.port) as client:
        for body in (b"one", b"two" * 1000, b"three"):
            client.send(post(body))
            head, received = await client.reply()
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert received == body


async def test_byte_by_byte(reactor: Any) -> None:
    async with listening(reactor) as listener, raw_client(listener.port) as client:
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in post(b"slow"):
            client.send(bytes([byte]))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.reply())[1] == b"slow"


async def test_pipelined_and_then_only_our_side_closed(reactor: Any) -> None:
    async def slow(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0.01)
        return await echo(request)

    bodies = [b"%d" % n for n in range(20)]
    async with listening(reactor, slow) as listener, raw_client(listener.port) as client:
        client.send(b"".join(post(body) for body in bodies))
        client.writer.write_eof()
        assert [(await client.reply())[1] for _ in bodies] == bodies
        assert await client.rest() == b""


async def test_a_client_that_pipelines_but_does_not_read_is_held_back(reactor: Any) -> None:
    answered = 0

    async def handler(request: HttpRequest) -> HttpResponse:
        nonlocal answered
        answered += 1
        return HttpResponse(body=bytes(100_000))

    requests = 1000  # 100 MB of replies
    async with listening(reactor, handler) as listener, raw_client(listener.port) as client:
        transport: Any = client.writer.transport
        transport.pause_reading()
        client.send(GET * requests)
        seen = -1
        while answered != seen:
            seen = answered
            await asyncio.sleep(0.1)
        assert answered < requests / 2
        transport.resume_reading()
        for _ in range(requests):
            assert len((await client.reply())[1]) == 100_000


async def test_expect_as_curl_sends_it(reactor: Any) -> None:
    async with listening(reactor) as listener, raw_client(listener.port) as client:
        client.send(POST + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.reply())[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"body")
        assert (await client.reply())[1] == b"body"


async def test_a_refused_body_is_told_before_it_was_sent(reactor: Any) -> None:
    async with listening(reactor) as listener, raw_client(listener.port) as client:
        client.send(POST + b"Content-Length: 999999999\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.reply())[0].startswith(b"HTTP/1.1 413 ")


async def test_a_refusal_reaches_a_client_that_keeps_sending(reactor: Any) -> None:
    async with listening(reactor) as listener, raw_client(listener.port) as client:
        client.send(POST + b"Content-Length: 5000000\r\n\r\n" + bytes(5_000_000))
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"Connection: close" in answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x00\xff garbage\r\n\r\n", b"400"),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
        (post(gzip.compress(bytes(50_000_000)), b"Content-Encoding: gzip"), b"413"),
        (post(b"x", b"Content-Encoding: br"), b"415"),
    ],
)
async def test_turned_away(reactor: Any, data: bytes, status: bytes) -> None:
    async with listening(reactor) as listener:
        async with raw_client(listener.port) as client:
            client.send(data)
            answer = await client.rest()
            assert answer.split(b" ")[1] == status
            assert answer.count(b"HTTP/1.1") == 1
        async with raw_client(listener.port) as client:
            client.send(GET)
            assert (await client.reply())[1] == b"127.0.0.1"


async def test_a_reset_in_the_middle_of_a_request_or_a_reply_harms_nobody(reactor: Any) -> None:
    begun = asyncio.Event()
    finish = asyncio.Event()
    finished: list[str] = []

    async def handler(request: HttpRequest) -> HttpResponse:
        begun.set()
        await finish.wait()
        finished.append(request.path)
        return HttpResponse(body=b"x")

    async with listening(reactor, handler) as listener:
        async with raw_client(listener.port) as client:
            client.send(post(b"hello")[:-1])
            await asyncio.sleep(0.01)
            reset(client)
        async with raw_client(listener.port) as client:
            client.send(post(b"hello"))
            await begun.wait()
            reset(client)
        await until(lambda: not listener._server._protocols)
        finish.set()
        await until(lambda: finished == ["/x"])


async def test_overdue_connections_are_ended(reactor: Any) -> None:
    limits = HttpLimits(idle_timeout=0.1, header_timeout=0.1)
    async with (
        listening(reactor, limits=limits) as listener,
        raw_client(listener.port) as idle,
        raw_client(listener.port) as slow,
    ):
        slow.send(b"POST / HT")
        assert await idle.rest() == b""
        assert (await slow.rest()).startswith(b"HTTP/1.1 408 ")


async def test_no_request_is_taken_before_it_is_open(reactor: Any) -> None:
    listener = await listen(reactor, "tcp:0:interface=127.0.0.1", echo)
    try:
        async with raw_client(listener.port) as client:
            client.send(GET)
            reading = asyncio.ensure_future(client.reply())
            await until(lambda: len(listener._server._protocols) == 1)
            await asyncio.sleep(0.05)
            assert not reading.done()
            listener.open()
            assert (await reading)[1] == b"127.0.0.1"
    finally:
        await listener.stop()


async def test_stopping_answers_what_is_under_way(reactor: Any) -> None:
    begun = asyncio.Event()
    finish = asyncio.Event()

    async def handler(request: HttpRequest) -> HttpResponse:
        begun.set()
        await finish.wait()
        return await echo(request)

    listener = await listen(reactor, "tcp:0:interface=127.0.0.1", handler)
    port = listener.port
    listener.open()
    async with raw_client(port) as busy, raw_client(port) as idle:
        busy.send(post(b"one"))
        await begun.wait()
        stopping = asyncio.ensure_future(listener.stop(grace=10))
        assert await idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        finish.set()
        head, body = await busy.reply()
        assert body == b"one"
        assert b"Connection: close" in head
        assert await busy.rest() == b""
        await stopping


async def test_stopping_does_not_wait_for_ever(reactor: Any) -> None:
    cancelled = []

    async def handler(request: HttpRequest) -> HttpResponse:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(request.path)
            raise
        raise AssertionError

    listener = await listen(reactor, "tcp:0:interface=127.0.0.1", handler)
    listener.open()
    async with raw_client(listener.port) as gone:
        gone.send(post(b"x"))
        await until(lambda: len(listener._server.site.tasks) == 1)
        reset(gone)
    async with raw_client(listener.port) as client:
        client.send(post(b"x"))
        await until(lambda: len(listener._server.site.tasks) == 2)
        await listener.stop(grace=0.05)
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await client.reply()
    assert cancelled == ["/x", "/x"]


async def test_too_many_connections(reactor: Any, caplog: pytest.LogCaptureFixture) -> None:
    limits = HttpLimits(connections=3, connections_per_address=2)
    async with listening(reactor, limits=limits) as listener:
        async with raw_client(listener.port) as first, raw_client(listener.port) as second:
            for client in (first, second):
                client.send(GET)
                await client.reply()
            for _ in range(2):
                async with raw_client(listener.port) as third:
                    assert (await third.rest()).startswith(b"HTTP/1.1 503 ")
            first.send(GET)
            assert (await first.reply())[1] == b"127.0.0.1"
        assert caplog.text.count("turned away") == 1
        await until(lambda: not listener._server._by_address)
        async with raw_client(listener.port) as client:
            client.send(GET)
            assert (await client.reply())[1] == b"127.0.0.1"


def test_too_many_connections_in_all() -> None:
    clock: Any = Clock()
    server: Any = HttpServer(clock, echo, HttpLimits(connections=1, connections_per_address=0))
    first: Any = server.buildProtocol(address.IPv4Address("TCP", "192.0.2.1", 1))
    server._protocols.add(first)
    second: Any = server.buildProtocol(address.IPv4Address("TCP", "192.0.2.2", 1))
    assert b"503" in second._word


async def test_a_unix_socket(reactor: Any, tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with listening(reactor, description=f"unix:{path}") as listener:
        assert (listener.address, listener.port) == (str(path), 0)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(GET)
        assert (await reader.readuntil(b"unix")).startswith(b"HTTP/1.1 200 OK")
        writer.close()
        await writer.wait_closed()


async def test_ipv4_clients_of_an_ipv6_listener_have_their_ipv4_address(reactor: Any) -> None:
    try:
        listener = await listen(reactor, "tcp6:0:interface=\\:\\:", echo)
    except UserError as problem:
        pytest.skip(f"no IPv6 here: {problem}")
    listener.open()
    async with raw_client(listener.port) as client:
        client.send(GET)
        assert (await client.reply())[1] == b"127.0.0.1"
    await listener.stop()


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (address.IPv4Address("TCP", "192.0.2.1", 1), "192.0.2.1"),
        (address.IPv6Address("TCP", "::FFFF:192.0.2.1", 1), "192.0.2.1"),
        (address.IPv6Address("TCP", "2001:db8::1", 1), "2001:db8::1"),
        (address.IPv6Address("TCP", "::ffff:1", 1), "::ffff:1"),
        (address.UNIXAddress(b"/x"), "unix"),
        (None, "unix"),
    ],
)
def test_remote_addresses(peer: Any, expected: str) -> None:
    assert remote_address(peer) == expected


async def test_no_log_line_for_a_request(reactor: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with listening(reactor) as listener, raw_client(listener.port) as client:
        client.send(GET)
        await client.reply()
    assert [each for each in caplog.records if each.name.startswith("ocppgw")] == []
