"""The load generator: a process of its own, 32 kept-alive connections, one station each.

It is told on standard input what to do and answers on standard output, a JSON line each.
While it measures it never sleeps: to wake it would be work of the server's, the more the
slower the server is.
"""

from __future__ import annotations

import asyncio
import re
import selectors
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from typing import IO, cast

import msgspec

from benchmarks.messages import METER, Template, first_start, template
from benchmarks.processes import ROOT

CONNECTIONS = 32
IDENTITIES = [f"BENCH-{number:02}" for number in range(CONNECTIONS)]

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_TRANSACTION = re.compile(rb"transactionId>(\d+)<")


class WideAwake(selectors.DefaultSelector):
    """A selector that can be told not to sleep."""

    awake = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(0 if self.awake else timeout)


class Order(msgspec.Struct):
    """Send this kind of request to that port for so long."""

    port: int
    kind: str
    seconds: float


class Done(msgspec.Struct):
    """So many were answered as they should be, in so many seconds; ``bad`` were not."""

    answered: int
    bad: int
    seconds: float


class Station(asyncio.Protocol):
    """One connection that sends its next request when the last is answered."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.transaction_id = 0
        self.answered = self.bad = 0
        self._counter = 0
        self._received = b""
        self._template: Template | None = None
        self._until = 0.0
        self._finished: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def ask(self, request: bytes) -> bytes:
        """Sends one request; gives its whole response."""
        self._template = None
        self._finished = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._finished

    async def slice(self, kind: str, until: float) -> None:
        """Sends one request after the other until then."""
        self._template = template(kind, self.identity, self.transaction_id)
        self._until = until
        self.answered = self.bad = 0
        self._finished = asyncio.get_running_loop().create_future()
        self._next(self._template)
        await self._finished

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        head = received.find(b"\r\n\r\n")
        length = _LENGTH.search(received, 0, head) if head >= 0 else None
        if length is None or len(received) < head + 4 + int(length[1]):
            self._received = received
            return
        self._received = b""
        one = self._template
        if one is None:
            self._finished.set_result(received)
            return
        if received.startswith(b"HTTP/1.1 200") and one.expected in received:
            self.answered += 1
        else:
            self.bad += 1
        if time.monotonic() < self._until:
            self._next(one)
        else:
            self._finished.set_result(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._finished.done():
            self._finished.set_exception(exc or ConnectionError("the server closed"))

    def _next(self, one: Template) -> None:
        self._counter += 1
        self._transport.write(one.filled(self._counter))


class Generator:
    """All connections to all servers."""

    def __init__(self, selector: WideAwake) -> None:
        self._selector = selector
        self._stations: dict[int, list[Station]] = {}

    async def run(self, order: Order) -> Done:
        """One slice."""
        stations = self._stations.get(order.port)
        if stations is None:
            stations = self._stations[order.port] = await self._connect(order.port)
        if order.kind == METER and not stations[0].transaction_id:
            await asyncio.gather(*(self._started(each) for each in stations))
        began = time.monotonic()
        until = began + order.seconds
        self._selector.awake = True
        try:
            await asyncio.gather(*(each.slice(order.kind, until) for each in stations))
        finally:
            self._selector.awake = False
        return Done(
            answered=sum(each.answered for each in stations),
            bad=sum(each.bad for each in stations),
            seconds=time.monotonic() - began,
        )

    async def _connect(self, port: int) -> list[Station]:
        loop = asyncio.get_running_loop()
        stations = [Station(identity) for identity in IDENTITIES]
        for station in stations:
            await loop.create_connection(partial(_given, station), "127.0.0.1", port)
        return stations

    async def _started(self, station: Station) -> None:
        answer = await station.ask(first_start(station.identity, datetime.now(UTC)))
        found = _TRANSACTION.search(answer)
        station.transaction_id = int(found[1]) if found else 1


def _given(station: Station) -> Station:
    return station


class Load:
    """The load generator seen from outside."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )

    def run(self, order: Order) -> Done:
        """One slice."""
        orders = cast("IO[bytes]", self._process.stdin)
        orders.write(msgspec.json.encode(order) + b"\n")
        orders.flush()
        answer = cast("IO[bytes]", self._process.stdout).readline()
        if not answer:
            raise RuntimeError("the load generator ended; what it wrote above says why")
        return msgspec.json.decode(answer, type=Done)

    def stop(self) -> None:
        """Ends it."""
        cast("IO[bytes]", self._process.stdin).close()
        self._process.wait(10)
        cast("IO[bytes]", self._process.stdout).close()


async def main(selector: WideAwake) -> None:
    generator = Generator(selector)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        done = await generator.run(msgspec.json.decode(line, type=Order))
        sys.stdout.buffer.write(msgspec.json.encode(done) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    chosen = WideAwake()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(chosen)) as runner:
        runner.run(main(chosen))
