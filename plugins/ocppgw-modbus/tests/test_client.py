"""The one connection, against a server that is up to no good."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ocppgw.clock import SystemClock
from ocppgw.errors import UserError
from ocppgw.plc import ConnectorStatus, DriverContext, Offline, Online
from ocppgw.testing.plc import RecordingStation, running
from ocppgw_modbus.bus import Turns, Urgency
from ocppgw_modbus.client import Client
from ocppgw_modbus.driver import open_driver
from ocppgw_modbus.failures import DeviceSaysNo, Lost
from ocppgw_modbus.options import ModbusOptions
from ocppgw_modbus.simulate import Simulation
from ocppgw_modbus.spec import Read, Write
from ocppgw_modbus.wires import TcpWire

Reply = Callable[[bytes], bytes | None]


def framed(request: bytes, pdu: bytes, *, tid: int = 0, unit: int | None = None) -> bytes:
    """A reply to a request; ``tid`` is added to its transaction number."""
    number = int.from_bytes(request[:2], "big") + tid
    return struct.pack(
        ">HHHB", number, 0, len(pdu) + 1, request[6] if unit is None else unit
    ) + pdu  # fmt: skip


@asynccontextmanager
async def connected(port: int, timeout: float = 0.2) -> AsyncIterator[Client]:
    client = Client(TcpWire(host="127.0.0.1", port=port), timeout=timeout, connect_timeout=5)
    await client.connect()
    try:
        yield client
    finally:
        client.close()
        await asyncio.sleep(0)


TWO = b"\x03\x04\x12\x34\x56\x78"  # the right answer to reading two holding registers


async def test_the_right_answer(hostile: Any) -> None:
    async with hostile(lambda r: framed(r, TWO)) as port, connected(port) as client:
        assert await client.read(1, Read.HOLDING, 0, 2) == [0x1234, 0x5678]


async def test_an_answer_in_single_bytes_is_the_same_answer() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.read(260)
        for byte in framed(request, TWO):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.001)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, connected(server.sockets[0].getsockname()[1], 5) as client:
        assert await client.read(1, Read.HOLDING, 0, 2) == [0x1234, 0x5678]


HOSTILE: list[tuple[str, Reply, str]] = [
    ("closes", lambda r: None, "it closed the connection"),
    ("is silent", lambda r: b"", "no answer within 0.2 s"),
    ("stops in the middle", lambda r: framed(r, TWO)[:9], "no answer within 0.2 s"),
    ("wrong number", lambda r: framed(r, TWO, tid=1), "a wrong transaction number"),
    ("wrong unit", lambda r: framed(r, TWO, unit=9), "unit 9 answers instead"),
    ("other function", lambda r: framed(r, b"\x04\x04\0\0\0\0"), "function 4 where 3 was asked"),
    ("unknown function", lambda r: framed(r, b"\x63\x00"), "function 99 where 3 was asked"),
    ("too short", lambda r: framed(r, b"\x03\x02\x12\x34"), "4 bytes where 6 belong"),
    ("lying count", lambda r: framed(r, b"\x03\x06\x12\x34\x56\x78"), "6 bytes where 6 belong"),
    ("too long", lambda r: framed(r, TWO + b"\0\0"), "8 bytes where 6 belong"),
    ("no modbus", lambda r: b"HTTP/1.1 400 Bad Request\r\n\r\n", "protocol 5450 in the header"),
    ("huge frame", lambda r: r[:4] + b"\xff\xff\x01\x03", "a frame of 65535 bytes"),
]


@pytest.mark.parametrize(("name", "reply", "said"), HOSTILE, ids=[name for name, *_ in HOSTILE])
async def test_nonsense_ends_the_connection_with_a_reason(
    name: str, reply: Reply, said: str, hostile: Any
) -> None:
    async with hostile(reply) as port, connected(port) as client:
        with pytest.raises(Lost) as caught:
            await client.read(1, Read.HOLDING, 0, 2)
        assert said in str(caught.value)
        with pytest.raises(Lost):
            await client.read(1, Read.HOLDING, 0, 2)


async def test_exceptions_leave_the_connection(hostile: Any) -> None:
    codes = iter([2, 77])

    def reply(request: bytes) -> bytes:
        return framed(request, bytes([0x83, next(codes)]))

    async with hostile(reply) as port, connected(port) as client:
        with pytest.raises(DeviceSaysNo, match=r"exception 2 \(illegal data address\)"):
            await client.read(1, Read.HOLDING, 0, 2)
        with pytest.raises(DeviceSaysNo, match=r"exception 77 \(unknown\)"):
            await client.read(1, Read.HOLDING, 0, 2)


async def test_what_nobody_asked_for_is_not_taken_for_an_answer(hostile: Any) -> None:
    def twice(request: bytes) -> bytes:
        return framed(request, TWO) + framed(request, b"\x03\x04\0\0\0\0")

    async with hostile(twice) as port, connected(port) as client:
        assert await client.read(1, Read.HOLDING, 0, 2) == [0x1234, 0x5678]
        await asyncio.sleep(0.05)
        assert await client.read(1, Read.HOLDING, 0, 2) == [0x1234, 0x5678]


async def test_a_request_that_is_cancelled_closes_the_connection(hostile: Any) -> None:
    async with hostile(lambda r: b"") as port, connected(port, 5) as client:
        asking = asyncio.ensure_future(client.read(1, Read.HOLDING, 0, 2))
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.wait([asking])
        with pytest.raises(Lost):
            await client.read(1, Read.HOLDING, 0, 2)


async def test_a_request_that_is_cancelled_just_as_its_answer_comes(hostile: Any) -> None:
    """Python 3.11's ``wait_for``, which pymodbus uses, forgets to be cancelled then."""
    asking: asyncio.Task[list[int]]

    two = b"\x03\x04\0\1\0\2"
    async with hostile(lambda r: framed(r, two)) as port, connected(port, 5) as client:
        modbus = client._pymodbus.ctx
        packet = modbus.trace_packet

        def cancelling(sending: bool, data: bytes) -> bytes:
            if not sending:
                asking.cancel()
            return packet(sending, data)

        modbus.trace_packet = cancelling
        asking = asyncio.ensure_future(client.read(1, Read.HOLDING, 0, 2))
        await asyncio.wait([asking])
        assert asking.cancelled()


async def test_nobody_there(hostile: Any) -> None:
    async with hostile(lambda r: b"") as port:
        pass
    client = Client(TcpWire(host="127.0.0.1", port=port), timeout=1, connect_timeout=5)
    with pytest.raises(Lost, match=rf"cannot connect to 127.0.0.1:{port}: .*(refused|failed)"):
        await client.connect()


async def test_connecting_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(TcpWire(host="127.0.0.1", port=1), timeout=1, connect_timeout=0.05)

    async def for_ever() -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(client, "_create", for_ever)
    with pytest.raises(Lost, match=r"no connection within 0.05 s"):
        await client.connect()


async def test_connecting_that_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(TcpWire(host="127.0.0.1", port=1), timeout=1, connect_timeout=60)

    async def for_ever() -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(client, "_create", for_ever)
    connecting = asyncio.ensure_future(client.connect())
    await asyncio.sleep(0.01)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting


async def test_every_function_against_a_real_server(tmp_path: Path) -> None:
    everything = tmp_path / "all.yaml"
    everything.write_text(
        "device: all\nregisters:\n"
        "  coils: {addr: 3, type: bool, fc: 1, write: 5}\n"
        "  more: {addr: 20, type: bool, fc: 1, write: 15}\n"
        "  discrete: {addr: 17, type: bool, fc: 2}\n"
        "  holding: {addr: 5, type: u32, write: 16}\n"
        "  bit: {addr: 9, type: bool, bit: 4, write: 22}\n"
        "  input: {addr: 2, type: u16, fc: 4}\n"
    )
    async with Simulation(everything) as plc, connected(plc.port, 5) as client:
        plc.put("discrete", 1)
        plc.put("input", 77)
        await client.write(1, Write.COIL, 3, [1])
        await client.write(1, Write.COILS, 20, [1])
        await client.write(1, Write.REGISTERS, 5, [1, 2])
        await client.write(1, Write.REGISTER, 9, [0x0101])
        await client.write(1, Write.MASK, 9, [0x10], mask=0x10)
        assert await client.read(1, Read.COILS, 3, 1) == [1]
        assert (plc.value("coils"), plc.value("more")) == (1, 1)
        assert await client.read(1, Read.DISCRETE, 17, 1) == [1]
        assert await client.read(1, Read.INPUT, 2, 1) == [77]
        assert plc.value("holding") == 65538
        assert await client.read(1, Read.HOLDING, 9, 1) == [0x0111]
        with pytest.raises(DeviceSaysNo) as caught:
            await client.read(1, Read.HOLDING, 6, 2)
        assert caught.value.code == 2
        plc.faults.exception = 4
        with pytest.raises(DeviceSaysNo, match="exception 4"):
            await client.read(1, Read.HOLDING, 5, 1)


def context(path: Path, connectors: int = 2) -> DriverContext:
    return DriverContext("DEMO-1", connectors, path.parent, SystemClock())


def options(path: Path, port: int) -> ModbusOptions:
    return ModbusOptions(
        host="127.0.0.1", port=port, map=Path(path.name), timeout=0.3, reconnect_first=0.05
    )


async def test_the_driver_survives_what_a_plc_does_to_it(demo_path: Path) -> None:
    station = RecordingStation()
    async with Simulation(demo_path, speed=10) as plc:
        driver = open_driver(options(demo_path, plc.port), context(demo_path))
        async with running(driver, station):
            plc.faults.cut_replies = 1
            await station.until(lambda: len(station.seen(Offline)) == 1)
            await station.until(lambda: len(station.seen(Online)) == 2)
            plc.faults.silent = True
            await station.until(lambda: len(station.seen(Offline)) == 2)
            plc.faults.silent = False
            await station.until(lambda: len(station.seen(Online)) == 3)
            plc.faults.exception = 4
            await station.until(lambda: len(station.seen(Offline)) == 3)
            plc.faults.exception = None
            await station.until(lambda: len(station.seen(Online)) == 4)
            known = len(station.seen(ConnectorStatus))
            await plc.restart()
            await station.until(lambda: len(station.seen(Online)) == 5)
            await station.until(lambda: len(station.seen(ConnectorStatus)) > known)
    reasons = [one.reason for one in station.seen(Offline)]
    assert reasons[0] == "it closed the connection"
    assert reasons[1] == "no answer within 0.3 s"
    assert reasons[2].startswith("it answers exception 4 (device failure) to reading")


@pytest.mark.parametrize("word", ["nan", "junk"])
async def test_the_driver_survives_a_server_that_is_none(
    demo_path: Path, word: str, hostile: Any
) -> None:
    station = RecordingStation()
    async with hostile(lambda r: word.encode() * 20) as port:
        driver = open_driver(options(demo_path, port), context(demo_path))
        task = asyncio.ensure_future(driver.run(station))
        await station.until(lambda: station.seen(Offline))
        task.cancel()
        await asyncio.wait([task])
    assert "it answers nonsense: protocol" in station.seen(Offline)[0].reason
    assert not station.seen(Online)


def test_too_few_connectors_in_the_map(demo_path: Path) -> None:
    with pytest.raises(UserError, match=r"it has 3 connectors, the register map demo-plc.yaml has"):
        open_driver(options(demo_path, 1), context(demo_path, connectors=3))


async def test_the_most_urgent_goes_next() -> None:
    turns, order = Turns(), []

    async def take(urgency: Urgency, name: str) -> None:
        async with turns.turn(urgency):
            order.append(name)
            await asyncio.sleep(0)

    async with turns.turn(Urgency.POLL):
        waiting = [
            asyncio.ensure_future(take(urgency, name))
            for name, urgency in (
                ("poll", Urgency.POLL),
                ("command", Urgency.COMMAND),
                ("second command", Urgency.COMMAND),
                ("watchdog", Urgency.WATCHDOG),
            )
        ]
        await asyncio.sleep(0)
    await asyncio.wait(waiting)
    assert order == ["watchdog", "command", "second command", "poll"]


async def test_a_turn_that_nobody_wants_any_more_is_passed_on() -> None:
    turns = Turns()

    async def take() -> None:
        async with turns.turn(Urgency.POLL):
            pass

    async with turns.turn(Urgency.POLL):
        waiting = [asyncio.ensure_future(take()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    waiting[1].cancel()  # it has just been given the turn
    await asyncio.wait(waiting)
    assert [one.cancelled() for one in waiting] == [True, True, False]
