"""Fixtures of the Modbus tests, and a line without a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ocppgw_modbus.bound import BoundMap
from ocppgw_modbus.bus import Turns, Urgency
from ocppgw_modbus.failures import DeviceSaysNo, Lost
from ocppgw_modbus.mapfile import load_map
from ocppgw_modbus.simulate.registers import Registers, SimValue
from ocppgw_modbus.spec import Read, Write

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "config" / "maps" / "demo-plc.yaml"

TABLE = {
    Write.COIL: Read.COILS,
    Write.COILS: Read.COILS,
    Write.REGISTER: Read.HOLDING,
    Write.REGISTERS: Read.HOLDING,
    Write.MASK: Read.HOLDING,
}


class FakeLine:
    """Registers that are read and written in memory; a log of both; faults on demand.

    ``before`` is called before every request, with its description, and may raise.
    """

    def __init__(self, bound: BoundMap) -> None:
        self.bound = bound
        self.registers = Registers(bound.points)
        self.log: list[str] = []
        self.before: Callable[[str], None] = lambda _: None
        self.missing: set[int] = set()
        self.connects = True
        self.open = False
        self.turns = Turns()

    def turn(self, urgency: Urgency, unit: int) -> AbstractAsyncContextManager[None]:
        return self.turns.turn(urgency)

    async def connect(self) -> None:
        if not self.connects:
            raise Lost("nobody is there")
        self.open = True

    def close(self) -> None:
        self.open = False

    async def read(self, unit: int, fc: Read, address: int, count: int) -> list[int]:
        await self._request(f"read {fc.value} {address} {count}")
        if self.missing & set(range(address, address + count)):
            raise DeviceSaysNo(2)
        return [self.registers.word((unit, fc, address + i)) for i in range(count)]

    async def write(
        self, unit: int, fc: Write, address: int, values: list[int], mask: int | None = None
    ) -> None:
        await self._request(f"write {fc.value} {address} {values}")
        for index, value in enumerate(values):
            place = (unit, TABLE[fc], address + index)
            kept = 0 if mask is None else self.registers.word(place) & ~mask
            self.registers.write(place, kept | value)

    async def _request(self, what: str) -> None:
        await asyncio.sleep(0)
        self.log.append(what)
        self.before(what)

    @property
    def writes(self) -> list[str]:
        return [one for one in self.log if one.startswith("write")]

    def put(self, name: str, value: SimValue, connector: int = 0) -> None:
        self.registers.put(self.bound.point(name, connector), value)

    def get(self, name: str, connector: int = 0) -> SimValue:
        return self.registers.get(self.bound.point(name, connector))


@asynccontextmanager
async def _hostile(reply: Callable[[bytes], bytes | None]) -> AsyncIterator[int]:
    """A raw TCP server that answers what ``reply`` says; ``None`` closes the connection."""
    connections: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        try:
            while request := await reader.read(260):
                answer = reply(request)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except ConnectionError:
            pass  # the client went away, as some tests want
        finally:
            connections.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in connections:
            writer.close()
        await server.wait_closed()


@pytest.fixture
def hostile() -> Any:
    """``hostile(reply)``: a server that is up to no good; gives its port."""
    return _hostile


@pytest.fixture(scope="session")
def demo() -> BoundMap:
    """The demo station's map."""
    return load_map(DEMO)


@pytest.fixture(scope="session")
def demo_path() -> Path:
    return DEMO


@pytest.fixture
def line(demo: BoundMap) -> FakeLine:
    """A demo PLC in memory, running and idle."""
    fake = FakeLine(demo)
    fake.put("running", 1)
    return fake
