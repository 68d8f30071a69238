"""What a bus makes of a device that does not answer, over a line in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ocppgw_modbus.bound import BoundMap, Point
from ocppgw_modbus.bus import Bus, Urgency
from ocppgw_modbus.failures import Lost, NoAnswer
from ocppgw_modbus.spec import LimitsSpec

SILENCE = NoAnswer("no answer within 1 s")
GARBLE = NoAnswer("garbled", garbled=True)


class Script:
    """What happens to each request in turn; ``None``: it is answered, as are all after."""

    def __init__(self, line: Any, *faults: Exception | None) -> None:
        self.faults: Iterator[Exception | None] = iter(faults)
        line.before = self

    def __call__(self, request: str) -> None:
        fault = next(self.faults, None)
        if fault is not None:
            raise fault


@pytest.fixture
def bus(line: Any) -> Bus:
    return Bus(line, LimitsSpec())


@pytest.fixture
def point(demo: BoundMap) -> Point:
    return demo.point("life")


async def answered(bus: Bus, point: Point) -> None:
    await bus.read([point], Urgency.POLL)


@pytest.mark.parametrize(
    ("urgency", "fault", "requests"),
    [
        (Urgency.POLL, GARBLE, 2),
        (Urgency.COMMAND, GARBLE, 2),
        (Urgency.COMMAND, SILENCE, 2),
        (Urgency.WATCHDOG, GARBLE, 2),
    ],
)
async def test_a_read_is_made_again(
    line: Any, bus: Bus, point: Point, urgency: Urgency, fault: Exception, requests: int
) -> None:
    await answered(bus, point)
    line.log.clear()
    Script(line, fault)
    assert await bus.read([point], urgency) == {point: [0]}
    assert len(line.log) == requests


async def test_a_poll_that_is_not_answered_waits_for_the_next(
    line: Any, bus: Bus, point: Point
) -> None:
    await answered(bus, point)
    line.log.clear()
    Script(line, SILENCE)
    with pytest.raises(NoAnswer):
        await bus.read([point], Urgency.POLL)
    assert len(line.log) == 1
    assert await bus.read([point], Urgency.POLL)


async def test_a_device_that_is_silent_too_often_is_lost(line: Any, bus: Bus, point: Point) -> None:
    await answered(bus, point)
    Script(line, SILENCE, SILENCE, None, SILENCE, SILENCE, SILENCE)
    for _ in range(2):
        with pytest.raises(NoAnswer):
            await bus.read([point], Urgency.POLL)
    await answered(bus, point)  # and it is forgiven
    for _ in range(2):
        with pytest.raises(NoAnswer):
            await bus.read([point], Urgency.POLL)
    with pytest.raises(Lost, match="unit 1: no answer within 1 s"):
        await bus.read([point], Urgency.POLL)


async def test_who_never_answered_is_lost_at_once(line: Any, bus: Bus, point: Point) -> None:
    Script(line, SILENCE)
    with pytest.raises(Lost):
        await bus.read([point], Urgency.POLL)


@pytest.mark.parametrize("fault", [SILENCE, GARBLE])
async def test_an_order_is_not_repeated_and_what_it_did_is_unclear(
    line: Any, bus: Bus, point: Point, fault: Exception
) -> None:
    """Everything after it fails as well, until the device is begun anew: only then is what
    was left up lowered."""
    await answered(bus, point)
    line.log.clear()
    Script(line, fault)
    with pytest.raises(Lost):
        await bus.write(point, 1, Urgency.COMMAND)
    assert line.log == ["write 6 60 [1]"]
    with pytest.raises(Lost):
        await bus.read([point], Urgency.POLL)
    assert len(line.log) == 1


async def test_a_life_bit_is_written_again(line: Any, bus: Bus, point: Point) -> None:
    await answered(bus, point)
    line.log.clear()
    Script(line, GARBLE)
    await bus.write(point, 1, Urgency.WATCHDOG)
    assert line.log == ["write 6 60 [1]", "write 6 60 [1]"]
    Script(line, SILENCE)
    with pytest.raises(NoAnswer):
        await bus.write(point, 0, Urgency.WATCHDOG)
    assert await bus.read([point], Urgency.POLL) == {point: [1]}
