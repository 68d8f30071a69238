"""The client on real sockets, with servers that behave badly."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ocppgw.net.base import (
    ConnectFailed,
    ConnectionBroken,
    DeadlineExceeded,
    HttpError,
    HttpReply,
    HttpRequest,
    HttpResponse,
)
from ocppgw.net.client import HttpClient
from ocppgw.net.pool import Pool
from ocppgw.net.settings import ClientLimits
from ocppgw.net.urls import target_of
from ocppgw.testing.sockets import echo, listening, raw_server, read_request, until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def client_for(reactor: Any, limits: ClientLimits | None = None) -> AsyncIterator[HttpClient]:
    client = HttpClient(reactor, limits)
    try:
        yield client
    finally:
        await client.close()


async def post(
    client: HttpClient, port: int, body: bytes = b"hello", *, path: str = "/x", deadline: float = 10
) -> HttpReply:
    return await client.post(
        f"http://127.0.0.1:{port}{path}", body, content_type=b"text/plain", deadline=deadline
    )


async def test_what_is_on_the_wire(reactor: Any) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(OK)

    async with raw_server(script) as port, client_for(reactor) as client:
        reply = await client.post(
            f"http://us%40er:pass@127.0.0.1:{port}/Ocpp/Ä b?token=1",
            b"<body/>",
            content_type=b'application/soap+xml; charset=utf-8; action="/Heartbeat"',
            deadline=10,
            headers=[(b"X-Extra", b"1")],
        )
        assert (reply.status, reply.body) == (200, b"ok")
    head, body = seen[0]
    assert body == b"<body/>"
    assert head == (
        b"POST /Ocpp/%%C3%%84%%20b?token=1 HTTP/1.1\r\n"
        b"Host: 127.0.0.1:%d\r\n"
        b"Authorization: Basic dXNAZXI6cGFzcw==\r\n"
        b'Content-Type: application/soap+xml; charset=utf-8; action="/Heartbeat"\r\n'
        b"Content-Length: 7\r\n"
        b"User-Agent: ocppgw\r\n"
        b"Accept-Encoding: gzip, deflate\r\n"
        b"X-Extra: 1\r\n\r\n" % port
    )


async def test_our_own_server_and_back(reactor: Any) -> None:
    async with listening(reactor) as listener, client_for(reactor) as client:
        for body in (b"", b"one", b"two" * 100_000):
            assert (await post(client, listener.port, body)).body == (body or b"127.0.0.1")
        url = f"http://localhost:{listener.port}/"
        reply = await client.post(url, b"by name", content_type=b"text/plain", deadline=10)
        assert reply.body == b"by name"


async def test_calls_share_few_connections_and_none_is_left_waiting(reactor: Any) -> None:
    most = 0
    under_way = 0

    async def handler(request: HttpRequest) -> HttpResponse:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        return await echo(request)

    limits = ClientLimits(connections_per_host=3)
    async with listening(reactor, handler) as listener, client_for(reactor, limits) as client:
        bodies = [b"%d" % n for n in range(50)]
        replies = await asyncio.gather(*[post(client, listener.port, body) for body in bodies])
        assert [reply.body for reply in replies] == bodies
        assert most == 3
        assert len(listener._server._protocols) == 3


async def test_a_call_that_gives_up_waiting_takes_nobody_elses_turn(reactor: Any) -> None:
    gate = asyncio.Event()

    async def handler(request: HttpRequest) -> HttpResponse:
        await gate.wait()
        return await echo(request)

    limits = ClientLimits(connections_per_host=1)
    async with listening(reactor, handler) as listener, client_for(reactor, limits) as client:
        first = asyncio.ensure_future(post(client, listener.port, b"first"))
        await asyncio.sleep(0.01)
        with pytest.raises(DeadlineExceeded, match="there was no connection") as refused:
            await post(client, listener.port, b"second", deadline=0.02)
        assert refused.value.sent is False
        third = asyncio.ensure_future(post(client, listener.port, b"third"))
        fourth = asyncio.ensure_future(post(client, listener.port, b"fourth"))
        await asyncio.sleep(0.01)
        gate.set()
        await first
        third.cancel()  # just when its turn comes
        assert (await fourth).body == b"fourth"
        await asyncio.gather(third, return_exceptions=True)


async def test_a_turn_comes_just_when_its_owner_gave_up(reactor: Any) -> None:
    pool = Pool(reactor, ("http", "127.0.0.1", 1), ClientLimits(), lambda host: None)
    first, second = (asyncio.ensure_future(pool._turn()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    pool._wake()
    with pytest.raises(asyncio.CancelledError):
        await first
    await second
    assert pool.unused


async def test_a_turn_that_its_owner_no_longer_wants_goes_to_the_next(reactor: Any) -> None:
    pool = Pool(reactor, ("http", "127.0.0.1", 1), ClientLimits(), lambda host: None)
    first, second = (asyncio.ensure_future(pool._turn()) for _ in range(2))
    await asyncio.sleep(0)
    pool._wake()
    first.cancel()
    async with asyncio.timeout(10):
        await second
    assert first.cancelled()
    assert pool.unused


async def test_ipv6(reactor: Any) -> None:
    description = "tcp6:0:interface=\\:\\:1"
    async with (
        listening(reactor, description=description) as listener,
        client_for(reactor) as client,
    ):
        url = f"http://[::1]:{listener.port}/"
        assert (await client.post(url, b"", content_type=b"a/b", deadline=10)).body == b"::1"


@pytest.mark.parametrize("farewell", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
async def test_a_kept_connection_that_the_server_closed_is_replaced(
    reactor: Any, farewell: bytes
) -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(OK)
        await asyncio.sleep(0.01)
        writer.write(farewell)

    async with raw_server(script) as port, client_for(reactor) as client:
        for _ in range(2):
            assert (await post(client, port)).body == b"ok"
            await until(lambda: next(iter(client._pools.values())).unused)
        assert connections == 2


async def test_a_request_that_met_a_closing_connection_is_sent_once_more(reactor: Any) -> None:
    requests: list[int] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here = len(requests)
        while True:
            await read_request(reader)
            requests.append(here)
            if len(requests) == 2:
                return  # closes without a word, as a server whose time-out has just run out
            writer.write(OK)

    async with raw_server(script) as port, client_for(reactor) as client:
        assert (await post(client, port)).body == b"ok"
        assert (await post(client, port)).body == b"ok"
    assert requests == [0, 0, 2]


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 20", OK[:-1]])
async def test_a_request_is_not_sent_again_otherwise(reactor: Any, beginning: bytes) -> None:
    requests = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        while True:
            await read_request(reader)
            requests += 1
            if requests == 2 or not beginning:
                writer.write(beginning)
                return
            writer.write(OK)

    async with raw_server(script) as port, client_for(reactor) as client:
        if beginning:
            await post(client, port)
        with pytest.raises(ConnectionBroken, match="closed the connection before the reply"):
            await post(client, port)
    assert requests == (2 if beginning else 1)


async def test_a_second_broken_connection_is_not_replaced_again(reactor: Any) -> None:
    requests = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        while True:
            await read_request(reader)
            requests += 1
            if requests > 1:
                return
            writer.write(OK)

    async with raw_server(script) as port, client_for(reactor) as client:
        await post(client, port)
        with pytest.raises(ConnectionBroken):
            await post(client, port)
    assert requests == 3


async def test_a_reset(reactor: Any) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    async with raw_server(script) as port, client_for(reactor) as client:
        with pytest.raises(ConnectionBroken, match=rf"^http://127.0.0.1:{port}/x: .* was cut"):
            await post(client, port)


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b"
         b"\r\n0\r\n\r\n" % (len(gzip.compress(b"ok")), gzip.compress(b"ok")), 200, b"ok"),
        (b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n", 302, b""),
        (OK + b"HTTP/1.1 200 OK\r\n", 200, b"ok"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("slowly", [False, True])
async def test_replies(reactor: Any, answer: bytes, status: int, body: bytes, slowly: bool) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for byte in answer if slowly else ():
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        if not slowly:
            writer.write(answer)

    async with raw_server(script) as port, client_for(reactor) as client:
        reply = await post(client, port)
    assert (reply.status, reply.body) == (status, body)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "not a reply in HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nX: " + bytes(40_000), "not a reply|headers are more"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + bytes(9_999_999), "larger than"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(99_000_000)),
         "larger than"),
    ],
)  # fmt: skip
async def test_replies_that_cannot_be_taken(reactor: Any, answer: bytes, match: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)

    async with raw_server(script) as port, client_for(reactor) as client:
        with pytest.raises(ConnectionBroken, match=match):
            await post(client, port)


async def test_no_reply_before_the_deadline(reactor: Any) -> None:
    closed = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        try:
            await reader.read()
        finally:
            closed.set()

    async with raw_server(script) as port, client_for(reactor) as client:
        with pytest.raises(
            DeadlineExceeded, match=rf"^http://127.0.0.1:{port}/x: no reply"
        ) as late:
            await post(client, port, deadline=0.1)
        assert late.value.sent is True
        async with asyncio.timeout(10):
            await closed.wait()


async def test_a_reply_that_trickles_does_not_extend_the_deadline(reactor: Any) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await asyncio.sleep(0.01)

    async with raw_server(script) as port, client_for(reactor) as client:
        with pytest.raises(DeadlineExceeded):
            await post(client, port, deadline=0.1)


async def test_a_server_that_does_not_accept(reactor: Any) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as full:
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        async with client_for(reactor) as client:
            with pytest.raises(DeadlineExceeded, match="there was no connection") as late:
                await post(client, port, deadline=0.2)
            assert late.value.sent is False
        for filler in fillers:
            filler.close()


async def test_nobody_listens(reactor: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    async with client_for(reactor) as client:
        with pytest.raises(ConnectFailed, match=rf"^http://127.0.0.1:{port}/x: .* was refused$"):
            await post(client, port)


async def test_an_unknown_host(reactor: Any) -> None:
    async with client_for(reactor) as client:
        with pytest.raises(ConnectFailed, match=r"^http://nowhere.invalid/: .*not known"):
            await client.post(
                "http://user:secret@nowhere.invalid", b"", content_type=b"a/b", deadline=10
            )


@pytest.mark.parametrize(
    "url",
    ["", "foo", "/path", "ftp://host/", "http://", "http:///x", "http://h:99999/", "http://h:x/",
     "http://[::1/", "http://a b/", "http://" + "a" * 64 + ".example/"],
)  # fmt: skip
async def test_what_is_no_url(reactor: Any, url: str) -> None:
    async with client_for(reactor) as client:
        with pytest.raises(ConnectFailed, match="no URL that can be called"):
            await client.post(url, b"", content_type=b"a/b", deadline=10)


def test_no_password_is_shown() -> None:
    assert "secret" not in target_of("http://user:secret@host:1/x?token=secret").shown
    for url in ("http://user:secret@host:99999/", "ftp://user:secret@host/"):
        with pytest.raises(ConnectFailed) as refused:
            target_of(url)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "request_line", "where"),
    [
        ("http://h", b"POST / HTTP/1.1\r\nHost: h\r\n", ("http", "h", 80)),
        ("https://h:443/a", b"POST /a HTTP/1.1\r\nHost: h\r\n", ("https", "h", 443)),
        (" HTTP://H:81/A?b=c#d\n", b"POST /A?b=c HTTP/1.1\r\nHost: h:81\r\n", ("http", "h", 81)),
        ("http://[::1]:81/", b"POST / HTTP/1.1\r\nHost: [::1]:81\r\n", ("http", "::1", 81)),
        ("http://bücher.example/", b"POST / HTTP/1.1\r\nHost: xn--bcher-kva.example\r\n",
         ("http", "xn--bcher-kva.example", 80)),
        ("http://h/a\r\nX: 1", b"POST /aX:%201 HTTP/1.1\r\nHost: h\r\n", ("http", "h", 80)),
    ],
)  # fmt: skip
def test_urls(url: str, request_line: bytes, where: tuple[str, str, int]) -> None:
    target = target_of(url)
    assert target.request_line == request_line
    assert target.origin == where


async def test_a_line_break_in_a_header_is_refused(reactor: Any) -> None:
    async with client_for(reactor) as client:
        for headers, content_type in (
            ([(b"X", b"1\r\nY: 2")], b"a/b"),
            ([], b"a/b\nY: 2"),
        ):
            with pytest.raises(ValueError, match="line break"):
                await client.post(
                    "http://h/", b"", content_type=content_type, deadline=1, headers=headers
                )


async def test_unused_connections_are_closed_after_a_while(reactor: Any) -> None:
    limits = ClientLimits(idle_timeout=0.05)
    async with listening(reactor) as listener, client_for(reactor, limits) as client:
        await post(client, listener.port)
        await until(lambda: not listener._server._protocols)
        await until(lambda: not client._pools)
        assert (await post(client, listener.port)).body == b"hello"


async def test_closing_ends_calls_in_progress_and_waiting(reactor: Any) -> None:
    async def handler(request: HttpRequest) -> HttpResponse:
        await asyncio.Event().wait()
        raise AssertionError

    client = HttpClient(reactor, ClientLimits(connections_per_host=1))
    async with listening(reactor, handler) as listener:
        calls = [asyncio.ensure_future(post(client, listener.port)) for _ in range(2)]
        await until(lambda: len(listener._server.site.tasks) == 1)
        await client.close()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [ConnectionBroken, ConnectFailed]
        with pytest.raises(ConnectFailed, match="the client is closed"):
            await post(client, listener.port)
        await client.close()


async def test_closing_ends_what_is_being_connected(reactor: Any) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as full:
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        client = HttpClient(reactor)
        call = asyncio.ensure_future(post(client, port))
        await asyncio.sleep(0.02)
        await client.close()
        with pytest.raises(HttpError, match="the client is closed"):
            await call
        for filler in fillers:
            filler.close()


async def test_a_cancelled_call_leaves_no_connection(reactor: Any) -> None:
    async def handler(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0.05)
        return await echo(request)

    async with listening(reactor, handler) as listener, client_for(reactor) as client:
        call = asyncio.ensure_future(post(client, listener.port))
        await until(lambda: len(listener._server.site.tasks) == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: not listener._server._protocols)
        assert (await post(client, listener.port)).body == b"hello"
