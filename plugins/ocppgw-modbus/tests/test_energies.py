"""Starts and stops that do not tell their energy, with a clock turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ocppgw.plc import StartWanted, StopWanted
from ocppgw.testing.clock import FakeClock, settle
from ocppgw.testing.plc import RecordingStation
from ocppgw_modbus.device import Backoff, Device
from ocppgw_modbus.energies import Energies
from ocppgw_modbus.events import ENERGY_SOON, FRESH
from ocppgw_modbus.mapfile import parse_map

MAP = """\
device: slow-meter
polls: {normal: 0.5, slow: 5}
connectors:
  count: 1
  registers:
    start: {addr: 0, type: u16}
    start_taken: {addr: 1, type: u16, write: 6}
    tag: {addr: 2, type: ascii, count: 2}
    stop: {addr: 4, type: u16}
    stop_taken: {addr: 5, type: u16, write: 6}
    energy: {addr: 6, type: u32, unit: Wh, poll: slow}
  meter: [{register: energy, measurand: Energy.Active.Import.Register}]
  events:
    start: {request: start, acknowledge: start_taken, fields: {id_tag: tag}}
    stop: {request: stop, acknowledge: stop_taken, fields: {}}
"""


class Bench:
    """One device whose meter is polled every 5 s; nobody but the test moves the clock."""

    def __init__(self, line_of: Any) -> None:
        self.line = line_of(parse_map(MAP, "map.yaml"))
        self.clock = FakeClock()
        self.energies = Energies(self.clock)
        self.station = RecordingStation()
        self.line.put("tag", "04A1", 1)
        self.line.put("energy", 1000, 1)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        device = Device(
            self.line.bound,
            lambda: self.line,
            Backoff(1, 30),
            name="BOX",
            connectors=1,
            clock=self.clock,
            fresh=lambda: "id",
            energies=self.energies,
        )
        task = asyncio.ensure_future(device.run(self.station))
        try:
            await settle(500)
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.1)):
            await self.clock.advance(0.1)


@pytest.fixture
def bench(line: Any) -> Bench:
    return Bench(type(line))


async def test_a_start_takes_the_newest_reading(bench: Bench) -> None:
    async with bench.running():
        await bench.pass_time(2)
        bench.line.put("start", 1, 1)
        await bench.pass_time(1)
        (start,) = bench.station.events
    assert isinstance(start, StartWanted)
    assert start.meter_start_wh == 1000


async def test_a_stop_waits_for_a_reading_after_it(bench: Bench) -> None:
    async with bench.running():
        await bench.pass_time(1)
        bench.line.put("energy", 1700, 1)
        bench.line.put("stop", 1, 1)
        await bench.pass_time(2)
        assert not bench.station.events
        assert bench.line.get("stop_taken", 1) == 0
        await bench.pass_time(3)
        assert bench.line.get("stop_taken", 1) == 1
        (stop,) = bench.station.events
    assert isinstance(stop, StopWanted)
    assert stop.meter_stop_wh == 1700


async def test_an_old_reading_is_none(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    async with bench.running():
        await bench.pass_time(1)
        bench.line.put("energy", 0xFFFFFFFF, 1)  # what a meter says that has no value
        await bench.pass_time(FRESH + 1)
        bench.line.put("start", 1, 1)
        await bench.pass_time(ENERGY_SOON - 1)
        said = "BOX: hand-shake 1.start: it has no meter field, and no device reads the energy of"
        assert not [one for one in caplog.messages if one.startswith(said)]
        await bench.pass_time(11)
        assert not bench.station.handed_over
        assert len([one for one in caplog.messages if one.startswith(said)]) == 1
        bench.line.put("energy", 1200, 1)
        await bench.pass_time(6)
        (start,) = bench.station.events
    assert isinstance(start, StartWanted)
    assert start.meter_start_wh == 1200


def test_devices_see_the_same_energies_in_their_own_numbers() -> None:
    energies = Energies(FakeClock())
    meter = energies.numbered(lambda connector: connector + 2)
    meter.saw(1, 500)
    assert energies.newest(3, float("-inf")) == 500
    assert energies.newest(1, float("-inf")) is None
