"""Reservations and configuration keys over Modbus TCP, against the simulated demo PLC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ocppgw.clock import SystemClock
from ocppgw.ocpp.enums import ChargePointStatus
from ocppgw.plc import (
    AnswerBoot,
    CancelReserve,
    Configure,
    ConnectorStatus,
    Driver,
    DriverContext,
    Online,
    PlcRefused,
    PlcTimeout,
    PlcUnsupported,
    Reserve,
)
from ocppgw.testing.plc import RecordingStation, running
from ocppgw_modbus.driver import open_driver
from ocppgw_modbus.options import ModbusOptions
from ocppgw_modbus.simulate import Simulation
from ocppgw_modbus.spec import CommandKind

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def reserve(connector_id: int = 2, **fields: Any) -> Reserve:
    chosen = {
        "reservation_id": -7,
        "id_tag": "04A1B2",
        "expires_at": NOON + timedelta(minutes=10),
        **fields,
    }
    return Reserve(connector_id=connector_id, **chosen)


@asynccontextmanager
async def connected(
    path: Path, speed: float = 10.0
) -> AsyncIterator[tuple[Simulation, Driver, RecordingStation]]:
    """The PLC, its driver once that is online, and what the driver told; it is noon."""
    async with Simulation(path, speed=speed) as plc:
        options = ModbusOptions(map=path, host="127.0.0.1", port=plc.port, reconnect_first=0.05)
        driver = open_driver(options, DriverContext("DEMO-1", 2, path.parent, SystemClock()))
        station = RecordingStation()
        async with running(driver, station):
            await station.until(lambda: station.seen(Online))
            await station.until(lambda: plc.value("running") == 1)
            await driver.execute(AnswerBoot(accepted=True, time=NOON), 5)
            yield plc, driver, station


async def shows(station: RecordingStation, connector_id: int, status: ChargePointStatus) -> None:
    """Waits until that is the last word on a connector."""

    def newest() -> bool:
        told = station.seen(ConnectorStatus, connector_id)
        return bool(told) and told[-1].status is status

    await station.until(newest)


async def test_a_reservation_goes_into_registers_and_comes_back_as_a_state(demo_path: Path) -> None:
    async with connected(demo_path) as (plc, driver, station):
        await driver.execute(reserve(), 5)
        words = [plc.words(name, 2) for name in ("reserve_id", "reserve_expires")]
        tag = plc.value("reserve_tag", 2)
        await shows(station, 2, ChargePointStatus.RESERVED)
        await driver.execute(CancelReserve(connector_id=2, reservation_id=8), 5)  # another
        assert plc.program.connectors[2].reserved is not None
        await driver.execute(CancelReserve(connector_id=2, reservation_id=-7), 5)
        await shows(station, 2, ChargePointStatus.AVAILABLE)

    assert words == [[0xFFFF, 0xFFF9], [0x6956, 0x6418]]  # 12:10 is 1767269400
    assert tag == "04A1B2"
    assert all(driver.supports(kind) for kind in (Reserve, CancelReserve, Configure))


async def test_a_reservation_expires_and_is_used_at_the_plc_too(demo_path: Path) -> None:
    async with connected(demo_path, speed=100) as (plc, driver, _):
        await driver.execute(reserve(1, expires_at=NOON + timedelta(seconds=90)), 5)
        await plc.wait("not reserved", connector=1)
        await driver.execute(reserve(2, expires_at=NOON + timedelta(days=1)), 5)
        plc.program.connectors[2].remote_start("04A1B2", car_after=1)
        await plc.wait("not reserved", connector=2)
        used = plc.find("not reserved", connector=2)
        await plc.wait("starting", connector=2)

    assert used is not None
    assert used.text == "the reservation is used"


async def test_what_the_plc_refuses_or_never_answers(demo_path: Path) -> None:
    async with connected(demo_path) as (plc, driver, station):
        await plc.fail(1, connector=1)
        await shows(station, 1, ChargePointStatus.FAULTED)
        with pytest.raises(PlcRefused, match="reserve of connector 1: the PLC refused"):
            await driver.execute(reserve(1), 5)
        with pytest.raises(PlcRefused, match="longer than the 20 bytes"):
            await driver.execute(reserve(2, id_tag="X" * 21), 5)
        plc.behaviour.ignore.add(CommandKind.RESERVE)
        with pytest.raises(PlcTimeout) as timeout:
            await driver.execute(reserve(2), 0.5)

    assert timeout.value.withdrawn
    assert plc.program.connectors[2].reserved is None


async def test_a_key_acts_on_the_plc(demo_path: Path) -> None:
    """An accepted tag waits for a car as long as ConnectionTimeOut says."""
    async with connected(demo_path) as (plc, driver, _):
        await driver.execute(Configure(key="ConnectionTimeOut", value="5"), 5)
        written = plc.words("connection_timeout")
        await plc.wait("configured", about="ConnectionTimeOut")
        plc.program.connectors[1].remote_start("04A1", car_after=None)
        begun = plc.now
        ended = await plc.wait("gave up", connector=1)
        with pytest.raises(PlcRefused, match="70000 does not fit into u16"):
            await driver.execute(Configure(key="ConnectionTimeOut", value="70000"), 5)
        with pytest.raises(PlcUnsupported, match="no register for the key HeartBeatInterval"):
            await driver.execute(Configure(key="HeartBeatInterval", value="60"), 5)

    assert written == [5]
    assert ended.at - begun == pytest.approx(5, abs=0.5)  # a cycle; by itself it waits 60
