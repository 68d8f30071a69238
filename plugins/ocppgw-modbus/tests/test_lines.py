"""The connection that devices share: made once, closed by the last one, opened anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ocppgw.clock import SystemClock
from ocppgw_modbus.bus import Urgency
from ocppgw_modbus.failures import Lost, NoAnswer
from ocppgw_modbus.framing import Framing, crc16
from ocppgw_modbus.lines import SILENT, Member, SharedLine
from ocppgw_modbus.spec import Read
from ocppgw_modbus.wires import TcpWire

Reply = Callable[[bytes], bytes | None]


def member(timeout: float = 0.05, shortest: float | None = None) -> Member:
    return Member(name="BOX", timeout=timeout, connect_timeout=5, shortest=shortest)


@asynccontextmanager
async def line_to(hostile: Any, reply: Reply) -> AsyncIterator[SharedLine]:
    async with hostile(reply) as port:
        wire = TcpWire(host="127.0.0.1", port=port, framing=Framing.RTU)
        yield SharedLine(wire, "BOX", SystemClock())


def one(request: bytes) -> bytes:
    frame = request[:1] + b"\x03\x02\0\x07"
    return frame + crc16(frame)


async def test_two_devices_have_one_connection_until_the_last_lets_go(hostile: Any) -> None:
    async with line_to(hostile, one) as line:
        first, second = line.tap(member(5)), line.tap(member(5))
        await asyncio.gather(first.connect(), second.connect())
        assert first._client is second._client
        first.close()
        with pytest.raises(Lost):
            await first.read(1, Read.HOLDING, 0, 1)
        assert await second.read(2, Read.HOLDING, 0, 1) == [7]
        client = second._client
        assert client is not None
        second.close()
        assert not client.connected


async def test_who_gives_up_connecting_does_not_end_it_for_others(hostile: Any) -> None:
    async with line_to(hostile, one) as line:
        first, second = line.tap(member(5)), line.tap(member(5))
        connecting = [asyncio.ensure_future(tap.connect()) for tap in (first, second)]
        await asyncio.sleep(0)
        connecting[0].cancel()
        await asyncio.wait(connecting)
        first.close()
        assert await second.read(1, Read.HOLDING, 0, 1) == [7]
        second.close()


async def test_who_comes_as_the_last_one_leaves_gets_an_attempt_of_its_own(
    hostile: Any,
) -> None:
    async with line_to(hostile, one) as line:
        first, second = line.tap(member(5)), line.tap(member(5))
        leaving = asyncio.ensure_future(first.connect())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        coming = asyncio.ensure_future(second.connect())
        await asyncio.wait([leaving])
        first.close()
        await coming
        assert await second.read(1, Read.HOLDING, 0, 1) == [7]
        second.close()


async def test_nobody_is_there_for_all_who_wait(hostile: Any) -> None:
    async with hostile(one) as port:
        pass
    line = SharedLine(TcpWire(host="127.0.0.1", port=port), "BOX", SystemClock())
    taps = [line.tap(member()) for _ in range(2)]
    found = await asyncio.gather(*(tap.connect() for tap in taps), return_exceptions=True)
    assert [type(one) for one in found] == [Lost, Lost]
    for tap in taps:
        tap.close()


async def test_a_line_on_which_nobody_answers_is_opened_anew(hostile: Any) -> None:
    async with line_to(hostile, lambda _: b"") as line:
        tap, other = line.tap(member(0.01)), line.tap(member(0.01))
        await tap.connect()
        await other.connect()
        for _ in range(SILENT - 1):
            with pytest.raises(NoAnswer):
                await tap.read(1, Read.HOLDING, 0, 1)
        with pytest.raises(Lost, match="nobody on the line answers"):
            await tap.read(2, Read.HOLDING, 0, 1)
        with pytest.raises(Lost, match="nobody on the line answers"):
            await other.read(1, Read.HOLDING, 0, 1)
        await other.connect()
        with pytest.raises(NoAnswer):
            await other.read(1, Read.HOLDING, 0, 1)
        tap.close()
        other.close()


async def test_no_request_outlasts_half_of_anybodys_life_bit(hostile: Any) -> None:
    async with line_to(hostile, one) as line:
        slow, alive = line.tap(member(10)), line.tap(member(1, shortest=0.8))
        await slow.connect()
        assert line.timeout(slow.member) == 10
        await alive.connect()
        assert line.timeout(slow.member) == line.timeout(alive.member) == 0.4
        alive.close()
        assert line.timeout(slow.member) == 10
        slow.close()


async def test_a_silent_unit_rests_and_the_others_do_not_wait_for_it(hostile: Any) -> None:
    order: list[int] = []
    replies = iter([b""])

    async with line_to(hostile, lambda request: next(replies, one(request))) as line:
        tap = line.tap(member(0.2))
        await tap.connect()
        with pytest.raises(NoAnswer):
            await tap.read(1, Read.HOLDING, 0, 1)

        async def ask(unit: int) -> None:
            async with tap.turn(Urgency.POLL, unit):
                await tap.read(unit, Read.HOLDING, 0, 1)
                order.append(unit)

        await asyncio.gather(ask(1), ask(2), ask(3))
        assert order == [2, 3, 1]
        tap.close()


async def test_who_waited_for_a_rest_waits_for_the_next_one_too(hostile: Any) -> None:
    """Both want the unit when its rest is over; the first one gets no answer either."""
    asked: list[float] = []

    def reply(request: bytes) -> bytes:
        asked.append(time.monotonic())
        return b"" if len(asked) < 3 else one(request)

    async with line_to(hostile, reply) as line:
        tap = line.tap(member(0.2))
        await tap.connect()

        async def ask() -> None:
            async with tap.turn(Urgency.POLL, 1):
                await tap.read(1, Read.HOLDING, 0, 1)

        with pytest.raises(NoAnswer):
            await ask()
        ends = await asyncio.gather(ask(), ask(), return_exceptions=True)
        assert sorted(type(one).__name__ for one in ends) == ["NoAnswer", "NoneType"]
        assert asked[2] - asked[1] > 0.39  # its time-out, and the rest after it
        tap.close()
