"""Proxies that see each frame pass and can kill a process at an exact moment.

A proxy stands between the charge box and its PLC or its central system. A
:class:`KillPoint` names one passing frame and whether the process dies before the
frame is handed on or just after, so that a crash happens at a chosen phase of a
hand-shake rather than at a random time.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Frame:
    """One message that passes a proxy; ``to_server`` tells its direction."""

    to_server: bool
    data: bytes
    request: bytes | None = None  # of a reply: the request it answers


@dataclass
class KillPoint:
    """Where the process dies: at the first frame that matches."""

    name: str
    matches: Callable[[Frame], bool]
    before: bool
    kill: Callable[[], None] = lambda: None
    reached: asyncio.Event = field(default_factory=asyncio.Event)


class Proxy(ABC):
    """A TCP proxy that hands whole frames on and honours one kill point at a time."""

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.port = 0
        self.seen: list[Frame] = []
        self._point: KillPoint | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def arm(self, point: KillPoint) -> None:
        self._point = point

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        # Either side may go away at any moment: that is what these tests are about.
        gone = contextlib.suppress(OSError, asyncio.IncompleteReadError)
        try:
            with gone:
                await self._serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one reply, as both protocols here are spoken."""
        upstream_reader, upstream_writer = await asyncio.open_connection(
            "127.0.0.1", self.upstream_port
        )
        try:
            while True:
                request = await self.read_frame(reader)
                if await self.answered(request, writer):
                    return
                if not self._hand_on(Frame(True, request), upstream_writer):
                    return
                reply = await self.read_frame(upstream_reader)
                if not self._hand_on(Frame(False, reply, request), writer):
                    return
        finally:
            upstream_writer.close()
            with contextlib.suppress(OSError):
                await upstream_writer.wait_closed()

    def _hand_on(self, frame: Frame, writer: asyncio.StreamWriter) -> bool:
        """Writes the frame on, or kills; false when the connection is to end."""
        self.seen.append(frame)
        point = self._point
        if point is None or not point.matches(frame):
            writer.write(frame.data)
            return True
        self._point = None
        if not point.before:
            writer.write(frame.data)
        point.kill()
        point.reached.set()
        # A request handed on is carried out by the server all the same, and its reply
        # is read from it: the crash is the caller's, not the network's.
        return not point.before

    async def answered(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the proxy itself has answered, and the connection is to end."""
        return False

    @abstractmethod
    async def read_frame(self, reader: asyncio.StreamReader) -> bytes:
        """The next whole message."""


class ModbusProxy(Proxy):
    """Frames of Modbus TCP."""

    async def read_frame(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readexactly(6)
        return head + await reader.readexactly(int.from_bytes(head[4:6], "big"))


class SoapProxy(Proxy):
    """HTTP/1.1 messages with a Content-Length."""

    async def read_frame(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
        return head + await reader.readexactly(length)


def writes(address: int, value: int) -> Callable[[Frame], bool]:
    """Matches the Modbus request that puts ``value`` into holding register ``address``."""

    def matches(frame: Frame) -> bool:
        return frame.to_server and written(frame.data).get(address) == value

    return matches


def written(data: bytes) -> dict[int, int]:
    """The holding registers that a Modbus request writes."""
    function, start = data[7], int.from_bytes(data[8:10], "big")
    if function == 6:
        return {start: int.from_bytes(data[10:12], "big")}
    if function == 16:
        words = data[13:]
        return {
            start + i // 2: int.from_bytes(words[i : i + 2], "big") for i in range(0, len(words), 2)
        }
    return {}


def shows(function: int, address: int, value: int) -> Callable[[Frame], bool]:
    """Matches the Modbus reply in which register ``address`` reads as ``value``."""

    def matches(frame: Frame) -> bool:
        if frame.to_server or frame.request is None or frame.data[7] != function:
            return False
        if frame.request[7] != function:
            return False
        start = int.from_bytes(frame.request[8:10], "big")
        words = frame.data[9:]
        offset = 2 * (address - start)
        return 0 <= offset < len(words) and (
            int.from_bytes(words[offset : offset + 2], "big") == value
        )

    return matches


def asks(operation: bytes) -> Callable[[Frame], bool]:
    """Matches the SOAP request of an operation (``b"startTransaction"``)."""
    return lambda frame: frame.to_server and operation + b"Request" in frame.data


def answers(operation: bytes) -> Callable[[Frame], bool]:
    """Matches the SOAP reply of an operation."""
    return lambda frame: not frame.to_server and operation + b"Response" in frame.data
