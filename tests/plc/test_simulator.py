"""The simulated PLC keeps the driver's contract as any other."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from ocppgw.ocpp.enums import ChargePointStatus, Reason
from ocppgw.plc import (
    AnswerStart,
    AnswerTag,
    CancelReserve,
    Configure,
    ConnectorStatus,
    DriverContext,
    Identity,
    LimitCurrent,
    Offline,
    Online,
    PlcOffline,
    PlcRefused,
    PlcTimeout,
    PlcUnsupported,
    Reading,
    RemoteStart,
    RemoteStop,
    Reserve,
    ResetPlc,
    SetAvailability,
    Unlock,
)
from ocppgw.plc.simulated import SimulatedPlc, SimulatorOptions
from ocppgw.plc.simulator import SimulatorDriver, ocppgw_plc_drivers
from ocppgw.storage import StorageUnavailable
from ocppgw.testing.clock import FakeClock


class Listener:
    """A station that keeps what it is handed."""

    def __init__(self):
        self.seen = []
        self.taken = []
        self.noted = {}
        self.failures = 0

    def saw(self, observation):
        self.seen.append(observation)

    async def take(self, event, *, remember=None):
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise StorageUnavailable("full")
        self.taken.append(event)
        self.noted.update(remember or {})

    async def remember(self, notes):
        for name, text in notes.items():
            assert text is None
            del self.noted[name]

    def notes(self):
        return self.noted

    def last(self, kind, connector_id=1):
        return next(
            o
            for o in reversed(self.seen)
            if isinstance(o, kind) and getattr(o, "connector_id", connector_id) == connector_id
        )


class Bench:
    def __init__(self, **options):
        self.clock = FakeClock()
        self.plc = SimulatedPlc(2, self.clock, SimulatorOptions(**options))
        self.driver = SimulatorDriver(self.plc)
        self.station = Listener()

    async def __aenter__(self):
        self._task = asyncio.ensure_future(self.driver.run(self.station))
        await self.clock.advance(0)
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.wait([self._task])
        assert self.plc._watchers == []

    def status(self):
        return self.station.last(ConnectorStatus).status


async def test_it_tells_who_it_is_and_how_its_connectors_are():
    async with Bench() as bench:
        assert isinstance(bench.station.seen[0], Online)
        assert bench.station.last(Identity).model == "simulator"
        seen = [bench.status()]
        bench.plc.arrive(1)
        await bench.clock.advance(0)
        seen.append(bench.status())
        bench.plc.start(1, "TAG")
        await bench.clock.advance(0)
        seen.append(bench.status())
        bench.plc.leave(1)
        await bench.clock.advance(0)
        seen.append(bench.status())
        bench.plc.break_down(1, "E1")
        await bench.clock.advance(0)
        seen.append(bench.status())
        bench.plc.break_down(1, None)
        await bench.driver.execute(SetAvailability(connector_id=1, available=False), 1)
        await bench.clock.advance(0)
        seen.append(bench.status())

    assert seen == [
        ChargePointStatus.AVAILABLE,
        ChargePointStatus.PREPARING,
        ChargePointStatus.CHARGING,
        ChargePointStatus.AVAILABLE,
        ChargePointStatus.FAULTED,
        ChargePointStatus.UNAVAILABLE,
    ]


async def test_a_charging_car_moves_the_meter_with_the_clock():
    async with Bench(power=3600.0) as bench:
        bench.plc.start(1, "TAG")
        await bench.clock.advance(100)
        reading = bench.station.last(Reading)
        bench.plc.leave(1)
        await bench.clock.advance(100)
        start, stop = bench.station.taken

    assert reading.energy_wh == 100
    assert (start.meter_start_wh, stop.meter_stop_wh, stop.reason) == (
        0,
        100,
        Reason.EV_DISCONNECTED,
    )


async def test_requests_stay_up_until_they_are_taken():
    async with Bench() as bench:
        bench.station.failures = 2
        event_id = bench.plc.present_tag(0, "TAG")
        await bench.clock.advance(0)
        assert len(bench.plc.requests) == 1
        await bench.clock.advance(5)

    assert [event.event_id for event in bench.station.taken] == [event_id]
    assert bench.plc.requests == []
    assert bench.station.noted == {}


async def test_answers_reach_the_memory_of_the_plc():
    async with Bench() as bench:
        plc, execute = bench.plc, bench.driver.execute
        plc.start(1, "TAG")
        answer = {"event_id": "1", "connector_id": 1, "accepted": False}
        await execute(AnswerTag(id_tag="TAG", **answer), 1)
        await execute(AnswerStart(transaction_id=9, **answer), 1)
        await execute(LimitCurrent(connector_id=2, amperes=16.0), 1)

    assert plc.connectors[1].tag_accepted is False
    assert (plc.connectors[1].transaction_id, plc.connectors[1].charging) == (9, False)
    assert plc.connectors[2].limit == 16.0


@pytest.mark.parametrize(
    "command",
    [RemoteStart(connector_id=1, id_tag="T"), RemoteStop(connector_id=2, transaction_id=1)],
)
async def test_what_makes_no_sense_is_refused(command):
    async with Bench() as bench:
        bench.plc.start(1, "TAG")
        with pytest.raises(PlcRefused):
            await bench.driver.execute(command, 1)
        with pytest.raises(PlcRefused, match="no connector 5"):
            await bench.driver.execute(Unlock(connector_id=5), 1)


async def test_commands_can_be_refused_muted_or_missing():
    async with Bench() as bench:
        plc, driver = bench.plc, bench.driver
        plc.refused.add(Unlock)
        plc.muted.add(ResetPlc)
        with pytest.raises(PlcRefused):
            await driver.execute(Unlock(connector_id=1), 1)
        late = asyncio.ensure_future(driver.execute(ResetPlc(hard=True), 7))
        await bench.clock.advance(6)
        assert not late.done()
        await bench.clock.advance(2)
        with pytest.raises(PlcTimeout, match="in 7 s"):
            await late
        plc.unsupported.add(CancelReserve)
        with pytest.raises(PlcUnsupported):
            await driver.execute(CancelReserve(connector_id=1, reservation_id=1), 1)


async def test_a_reservation_is_shown_until_it_is_cancelled_or_expires():
    async with Bench() as bench:
        plc, clock = bench.plc, bench.clock

        async def reserve(connector_id: int, minutes: int) -> None:
            expires_at = clock.now() + timedelta(minutes=minutes)
            command = Reserve(
                connector_id=connector_id, reservation_id=7, id_tag="T", expires_at=expires_at
            )
            await bench.driver.execute(command, 1)

        async def cancel(reservation_id: int) -> None:
            command = CancelReserve(connector_id=1, reservation_id=reservation_id)
            await bench.driver.execute(command, 1)

        def shown() -> list[ChargePointStatus]:
            return [plc.status(n).status for n in (1, 2)]

        await reserve(1, 60)
        await reserve(2, 10)
        both = shown()
        await clock.advance(600)
        await cancel(8)  # another's
        one = shown()
        await cancel(7)
        none = shown()
        plc.start(1, "T")
        with pytest.raises(PlcRefused, match="charging already"):
            await reserve(1, 10)

    free, kept = ChargePointStatus.AVAILABLE, ChargePointStatus.RESERVED
    assert (both, one, none) == ([kept, kept], [kept, free], [free, free])


async def test_it_learns_configuration_keys():
    async with Bench() as bench:
        await bench.driver.execute(Configure(key="ConnectionTimeOut", value="90"), 1)

    assert bench.plc.configuration == {"ConnectionTimeOut": "90"}


async def test_a_plc_out_of_reach_is_told_once_and_comes_back():
    async with Bench() as bench:
        bench.plc.go_offline()
        bench.plc.present_tag(1, "TAG")
        await bench.clock.advance(10)
        with pytest.raises(PlcOffline):
            await bench.driver.execute(Unlock(connector_id=1), 1)
        assert bench.station.taken == []
        bench.plc.come_online()
        await bench.clock.advance(0)
        offline = [o for o in bench.station.seen if isinstance(o, Offline)]
        online = [o for o in bench.station.seen if isinstance(o, Online)]

    assert (len(offline), len(online), len(bench.station.taken)) == (1, 2, 1)


def test_it_is_registered_as_any_driver():
    [driver] = ocppgw_plc_drivers()
    context = DriverContext(station="BOX", connectors=3, base=Path(), clock=FakeClock())
    opened = driver.open(driver.options_type(), context)

    assert driver.name == "simulator"
    assert sorted(opened.plc.connectors) == [1, 2, 3]
