"""The driver with real files; what the sessions do in detail is in test_counter.py."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from ocppgw.clock import SystemClock
from ocppgw.ocpp.enums import ChargePointStatus
from ocppgw.plc import (
    AnswerStart,
    AnswerStop,
    ConnectorStatus,
    DriverContext,
    Event,
    Observation,
    PlcOffline,
    PlcRefused,
    PlcUnsupported,
    RemoteStart,
    RemoteStop,
    SetAvailability,
    StartWanted,
    StopWanted,
    Unlock,
)
from ocppgw.storage import StorageUnavailable
from ocppgw_example.driver import CounterDriver, Options

CAP = 30.0


class Station:
    """A charge box that keeps what it is told; it fails to store what ``full`` counts down."""

    def __init__(self, notes: Mapping[str, str] | None = None) -> None:
        self.observations: list[Observation] = []
        self.events: dict[str, Event] = {}
        self.kept = dict(notes or {})
        self.full = 0

    def saw(self, observation: Observation) -> None:
        self.observations.append(observation)

    async def take(self, event: Event, *, remember: Mapping[str, str] | None = None) -> None:
        if self.full:
            self.full -= 1
            raise StorageUnavailable("the disk is full")
        self.events.setdefault(event.event_id, event)
        self.kept.update(remember or {})

    async def remember(self, notes: Mapping[str, str | None]) -> None:
        self.kept.update({name: note for name, note in notes.items() if note is not None})

    def notes(self) -> Mapping[str, str]:
        return self.kept

    async def event(self, number: int) -> Event:
        """The event of that number, from 0, as soon as it has come."""
        await until(lambda: len(self.events) > number)
        return list(self.events.values())[number]

    async def shows(self, connector_id: int, status: ChargePointStatus) -> None:
        """Waits until that is what the last poll showed."""
        wanted = ConnectorStatus(connector_id=connector_id, status=status)

        def last() -> Observation | None:
            about = (o for o in reversed(self.observations) if isinstance(o, ConnectorStatus))
            return next((o for o in about if o.connector_id == connector_id), None)

        await until(lambda: last() == wanted)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(CAP):
        while not condition():  # noqa: ASYNC110  files have no events to wait for
            await asyncio.sleep(0.01)


def driver(folder: Path) -> CounterDriver:
    context = DriverContext("DEMO-1", 2, folder, SystemClock())
    return CounterDriver(Options(folder="plug", poll=0.01), context)


@asynccontextmanager
async def running(driver: CounterDriver, station: Station) -> AsyncIterator[None]:
    task = asyncio.ensure_future(driver.run(station))
    try:
        await until(lambda: bool(station.observations))
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def present(plug: Path, tag: str) -> None:
    plug.write_text(f"{tag}\n")


def take_away(plug: Path) -> None:
    plug.unlink()


@pytest.fixture
def plug(tmp_path: Path) -> Path:
    (tmp_path / "plug").mkdir()
    return tmp_path / "plug" / "connector-1"


async def test_a_file_with_a_tag_is_a_session(tmp_path: Path, plug: Path) -> None:
    station, counting = Station(), driver(tmp_path)
    async with running(counting, station):
        await station.shows(1, ChargePointStatus.AVAILABLE)
        present(plug, "GUEST-1")
        start = await station.event(0)
        assert isinstance(start, StartWanted)
        assert (start.connector_id, start.id_tag) == (1, "GUEST-1")

        answer = AnswerStart(
            event_id=start.event_id, connector_id=1, accepted=True, transaction_id=17
        )
        await counting.execute(answer, 1.0)
        await station.shows(1, ChargePointStatus.CHARGING)
        take_away(plug)
        stop = await station.event(1)
        assert isinstance(stop, StopWanted)
        assert stop.transaction_id == 17

        await counting.execute(AnswerStop(event_id=stop.event_id, connector_id=1), 1.0)
        await station.shows(1, ChargePointStatus.AVAILABLE)
        await station.shows(2, ChargePointStatus.AVAILABLE)


async def test_an_event_is_handed_over_until_it_is_durable(tmp_path: Path, plug: Path) -> None:
    station, counting = Station(), driver(tmp_path)
    station.full = 3
    present(plug, "GUEST-1")
    async with running(counting, station):
        await station.event(0)

    assert station.full == 0
    assert len(station.events) == 1


async def test_after_a_restart_the_same_event_comes_again(tmp_path: Path, plug: Path) -> None:
    before, after = Station(), Station()
    present(plug, "GUEST-1")
    async with running(driver(tmp_path), before):
        start = await before.event(0)
    after.kept = before.kept
    async with running(driver(tmp_path), after):
        assert await after.event(0) == start


async def test_remote_start_and_stop_write_the_file(tmp_path: Path, plug: Path) -> None:
    station, counting = Station(), driver(tmp_path)
    async with running(counting, station):
        await counting.execute(RemoteStart(connector_id=1, id_tag="GUEST-2"), 1.0)
        start = await station.event(0)
        assert isinstance(start, StartWanted)
        assert start.id_tag == "GUEST-2"
        with pytest.raises(PlcRefused, match="connector 1 is not free"):
            await counting.execute(RemoteStart(connector_id=1, id_tag="GUEST-3"), 1.0)

        answer = AnswerStart(
            event_id=start.event_id, connector_id=1, accepted=True, transaction_id=17
        )
        await counting.execute(answer, 1.0)
        await counting.execute(RemoteStop(connector_id=1, transaction_id=17), 1.0)
        assert isinstance(await station.event(1), StopWanted)


@pytest.mark.parametrize(("connector_id", "other"), [(0, "UNAVAILABLE"), (1, "AVAILABLE")])
async def test_availability_of_a_connector_and_of_the_station(
    tmp_path: Path, connector_id: int, other: str
) -> None:
    station, counting = Station(), driver(tmp_path)
    async with running(counting, station):
        await counting.execute(SetAvailability(connector_id=connector_id, available=False), 1.0)
        await station.shows(1, ChargePointStatus.UNAVAILABLE)
        await station.shows(2, ChargePointStatus[other])
    assert set(station.kept) == {"connector-1", "connector-2"}


async def test_what_it_cannot_do_it_says(tmp_path: Path) -> None:
    counting = driver(tmp_path)
    unlock = Unlock(connector_id=1)

    assert counting.supports(RemoteStart)
    assert not counting.supports(Unlock)
    with pytest.raises(PlcOffline):
        await counting.execute(unlock, 1.0)
    async with running(counting, Station()):
        with pytest.raises(PlcUnsupported, match="Unlock"):
            await counting.execute(unlock, 1.0)
