"""The straight write leans on a private attribute of Twisted's: this pins it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.protocol import Protocol

from ocppgw.net import straight


class Recorder(Protocol):
    pass


def connected(reactor: Any) -> tuple[Any, socket.socket]:
    ours, theirs = socket.socketpair()
    protocol: Any = Recorder()
    transport: Any = tcp.Connection(ours, protocol, reactor)
    transport.connected = 1
    protocol.makeConnection(transport)
    return transport, theirs


async def test_it_is_on_the_socket_before_the_reactor_turns(reactor: Any) -> None:
    transport, theirs = connected(reactor)
    assert straight.is_bare(transport)
    straight.write(transport, b"hello")
    assert theirs.recv(100, socket.MSG_DONTWAIT) == b"hello"
    assert transport._tempDataBuffer == []
    assert transport.dataBuffer == b""
    theirs.close()
    transport.connectionLost(_reason())


async def test_it_queues_behind_what_waits_and_keeps_the_order(reactor: Any) -> None:
    transport, theirs = connected(reactor)
    theirs.setblocking(False)
    sent = bytes(range(256)) * 20_000
    transport.write(b"first")
    assert transport._tempDataBuffer == [b"first"], "what straight.write looks at"
    straight.write(transport, sent)
    straight.write(transport, b"last")
    received = b""
    loop = asyncio.get_running_loop()
    while len(received) < len(sent) + 9:
        received += await loop.sock_recv(theirs, 1_000_000)
    assert received == b"first" + sent + b"last"
    theirs.close()
    transport.connectionLost(_reason())


async def test_more_than_the_socket_takes(reactor: Any) -> None:
    transport, theirs = connected(reactor)
    theirs.setblocking(False)
    sent = bytes(range(256)) * 20_000
    straight.write(transport, sent)
    straight.write(transport, b"last")
    received = b""
    loop = asyncio.get_running_loop()
    while len(received) < len(sent) + 4:
        received += await loop.sock_recv(theirs, 1_000_000)
    assert received == sent + b"last"
    theirs.close()
    transport.connectionLost(_reason())


async def test_a_lost_connection_is_found_out_in_the_ordinary_way(reactor: Any) -> None:
    transport, theirs = connected(reactor)
    theirs.close()
    straight.write(transport, b"hello")
    assert transport._tempDataBuffer == [b"hello"]
    transport.connectionLost(_reason())


def _reason() -> Any:
    from twisted.internet import error
    from twisted.python.failure import Failure

    return Failure(error.ConnectionDone())
