"""The driver with real files: the suite that every driver passes, and what is its own.

What its sessions do in detail is in test_counter.py.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ocppgw.clock import SystemClock
from ocppgw.ocpp.enums import ChargePointStatus
from ocppgw.plc import (
    AnswerStart,
    AnswerStop,
    AnswerTag,
    Command,
    ConnectorStatus,
    DriverContext,
    Offline,
    PlcRefused,
    PlcTimeout,
    RemoteStart,
    RemoteStop,
    SetAvailability,
    StartWanted,
    StopWanted,
)
from ocppgw.testing.plc import DriverBench, PlcDriverContract, RecordingStation, running
from ocppgw_example.driver import CounterDriver, Options


class Bench(DriverBench):
    """The folder, in the hand of whoever owns it."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "plug"
        self._base = base
        self._blocked = self.folder / "connector-1.answer.new"
        self._presented = 0

    def new_driver(self) -> CounterDriver:
        context = DriverContext("DEMO-1", 2, self._base, SystemClock())
        return CounterDriver(Options(folder="plug", poll=0.01), context)

    async def present_tag(self, id_tag: str, connector_id: int) -> None:
        """A file of its own each time, as a card that is taken away and put there again."""
        self._presented += 1
        card = self.folder / f"connector-{connector_id}"
        card.write_text(f"{id_tag}\n")
        os.utime(card, ns=(self._presented, self._presented))

    async def take_away(self, connector_id: int) -> None:
        (self.folder / f"connector-{connector_id}").unlink()

    def acknowledged(self) -> int:
        """The events of connector 1 are numbered, and each is shown when it was heard."""
        return int(self._shown()[0].removeprefix("1-")) if self._shown() else 0

    def answers(self) -> list[bool]:
        return [word == "accepted" for word in self._shown()[1:] if word != "heard"]

    def _shown(self) -> list[str]:
        answer = self.folder / "connector-1.answer"
        return answer.read_text().split() if answer.exists() else []

    def refuse(self, command: type[Command]) -> None:
        """A folder stands where the answer should go."""
        (self.folder / "connector-1.answer").mkdir(parents=True)

    def ignore(self, command: type[Command]) -> None:
        """A pipe that nobody reads stands there: writing waits for ever."""
        self.folder.mkdir()
        os.mkfifo(self._blocked)

    def let_go(self) -> None:
        """Ends the thread that waits for the pipe."""
        if self._blocked.is_fifo():
            os.close(os.open(self._blocked, os.O_RDONLY | os.O_NONBLOCK))

    async def lose(self) -> None:
        self.folder.rename(self._base / "away")

    async def bring_back(self) -> None:
        (self._base / "away").rename(self.folder)


@asynccontextmanager
async def bench_in(folder: Path) -> AsyncIterator[Bench]:
    bench = Bench(folder)
    try:
        yield bench
    finally:
        bench.let_go()


class TestCounterDriver(PlcDriverContract):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.place = tmp_path

    @asynccontextmanager
    async def bench(self) -> AsyncIterator[DriverBench]:
        async with bench_in(self.place) as bench:
            yield bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def shows(station: RecordingStation, connector_id: int, status: ChargePointStatus) -> bool:
    """Whether that is what the last poll showed."""
    return station.seen(ConnectorStatus, connector_id)[-1].status is status


async def begin(driver: CounterDriver, station: RecordingStation) -> None:
    """Answers the start that is the newest event, with transaction 17."""
    start = station.events[-1]
    assert isinstance(start, StartWanted)
    answer = AnswerStart(event_id=start.event_id, connector_id=1, accepted=True, transaction_id=17)
    await driver.execute(answer, 10.0)
    await station.until(lambda: shows(station, 1, ChargePointStatus.CHARGING))


async def test_a_file_with_a_tag_is_a_session(bench: Bench) -> None:
    station, driver = RecordingStation(), bench.new_driver()
    async with running(driver, station):
        await bench.present_tag("GUEST-1", 1)
        await station.until(lambda: station.events)
        presented = station.events[0].event_id
        answer = AnswerTag(event_id=presented, connector_id=1, id_tag="GUEST-1", accepted=True)
        await driver.execute(answer, 10.0)
        await station.until(lambda: len(station.events) == 2)
        await begin(driver, station)
        await bench.take_away(1)
        await station.until(lambda: len(station.events) == 3)
        stop = station.events[2]
        assert isinstance(stop, StopWanted)
        assert (stop.id_tag, stop.transaction_id) == ("GUEST-1", 17)

        await driver.execute(AnswerStop(event_id=stop.event_id, connector_id=1), 10.0)
        await station.until(lambda: shows(station, 1, ChargePointStatus.AVAILABLE))
        assert shows(station, 2, ChargePointStatus.AVAILABLE)


async def test_remote_start_and_stop_write_the_file(bench: Bench) -> None:
    station, driver = RecordingStation(), bench.new_driver()
    async with running(driver, station):
        await driver.execute(RemoteStart(connector_id=1, id_tag="GUEST-2"), 10.0)
        await station.until(lambda: station.events)
        with pytest.raises(PlcRefused, match="connector 1 is not free"):
            await driver.execute(RemoteStart(connector_id=1, id_tag="GUEST-3"), 10.0)
        await begin(driver, station)
        await driver.execute(RemoteStop(connector_id=1, transaction_id=17), 10.0)
        await station.until(lambda: isinstance(station.events[-1], StopWanted))


async def test_a_remote_start_that_cannot_be_written_grants_nothing(bench: Bench) -> None:
    station, driver = RecordingStation(), bench.new_driver()
    async with running(driver, station):
        (bench.folder / "connector-1.new").mkdir()
        with pytest.raises(PlcRefused, match="the folder refused"):
            await driver.execute(RemoteStart(connector_id=1, id_tag="GUEST-2"), 10.0)
        await bench.present_tag("GUEST-2", 1)
        await station.until(lambda: station.events)
    assert not isinstance(station.events[0], StartWanted)


@pytest.mark.parametrize(("connector_id", "other"), [(0, "UNAVAILABLE"), (1, "AVAILABLE")])
async def test_availability_of_a_connector_and_of_the_station(
    bench: Bench, connector_id: int, other: str
) -> None:
    station, driver = RecordingStation(), bench.new_driver()
    async with running(driver, station):
        await driver.execute(SetAvailability(connector_id=connector_id, available=False), 10.0)
        await station.until(lambda: shows(station, 1, ChargePointStatus.UNAVAILABLE))
        await station.until(lambda: shows(station, 2, ChargePointStatus[other]))

    again = RecordingStation(station.notes())
    async with running(bench.new_driver(), again):
        assert shows(again, 1, ChargePointStatus.UNAVAILABLE)


async def test_what_was_done_but_not_kept_may_be_repeated(bench: Bench) -> None:
    station, driver = RecordingStation(), bench.new_driver()
    async with running(driver, station):
        station.failures = 1
        with pytest.raises(PlcTimeout, match="not kept yet") as caught:
            await driver.execute(SetAvailability(connector_id=1, available=False), 10.0)
        assert not caught.value.withdrawn
        await driver.execute(SetAvailability(connector_id=1, available=False), 10.0)
    assert set(station.notes()) == {"connector-1", "connector-2"}


async def test_a_folder_that_cannot_be_made_is_told(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "plug").write_text("a file")
    station = RecordingStation()
    task = asyncio.ensure_future(bench.new_driver().run(station))
    await station.until(lambda: station.seen(Offline))
    task.cancel()
    await asyncio.wait([task])
    (offline,) = station.seen(Offline)
    assert "plug" in offline.reason
