"""For authors of PLC drivers: a station that records, and the suite every driver must pass.

Subclass :class:`PlcDriverContract` in a test module, give it a :class:`DriverBench`
for your device (a simulated one), and run it with ``-p ocppgw.testing.pytest_plugin``::

    class TestMyDriver(PlcDriverContract):
        @asynccontextmanager
        async def bench(self):
            async with MyBench() as bench:
                yield bench
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import pytest

from ocppgw.plc.base import (
    AnswerTag,
    Command,
    ConnectorStatus,
    Driver,
    Event,
    Identity,
    Observation,
    Offline,
    Online,
    PlcOffline,
    PlcRefused,
    PlcTimeout,
    PlcUnsupported,
    Reading,
    TagPresented,
)
from ocppgw.storage.base import StorageUnavailable

ObservationT = TypeVar("ObservationT", bound=Observation)

PATIENCE = 20.0  # seconds; generous, since no test may depend on the machine's speed


class RecordingStation:
    """A :class:`ocppgw.plc.Station` that keeps everything.

    ``events`` holds each event once, ``handed_over`` every hand-over. While ``gate`` is
    not set, ``take`` waits; as long as ``failures`` is above 0, it counts down and fails.
    """

    def __init__(self, notes: Mapping[str, str] | None = None) -> None:
        self.observations: list[Observation] = []
        self.events: list[Event] = []
        self.handed_over: list[Event] = []
        self.failures = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._notes = dict(notes or {})

    def saw(self, observation: Observation) -> None:
        self.observations.append(observation)

    async def take(self, event: Event, *, remember: Mapping[str, str] | None = None) -> None:
        self.handed_over.append(event)
        await self.gate.wait()
        self._fail_if_told()
        if all(known.event_id != event.event_id for known in self.events):
            self.events.append(event)
        self._notes.update(remember or {})

    async def remember(self, notes: Mapping[str, str | None]) -> None:
        await self.gate.wait()
        self._fail_if_told()
        for key, text in notes.items():
            if text is None:
                self._notes.pop(key, None)
            else:
                self._notes[key] = text

    def notes(self) -> Mapping[str, str]:
        return dict(self._notes)

    def _fail_if_told(self) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise StorageUnavailable("the store of this test is full")

    def seen(self, kind: type[ObservationT], connector_id: int | None = None) -> list[ObservationT]:
        """The observations of a kind, oldest first."""
        return [
            one
            for one in self.observations
            if isinstance(one, kind) and connector_id in (None, getattr(one, "connector_id", None))
        ]

    async def until(self, condition: Callable[[], object], timeout: float = PATIENCE) -> None:
        """Returns once the condition holds; AssertionError if it does not in time."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():  # noqa: ASYNC110, any condition of a test
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(
                f"not within {timeout} s; events {self.events}, last seen {self.observations[-3:]}"
            ) from None


class DriverBench(ABC):
    """A device under the test's hand, with at least one connector, and drivers for it."""

    @abstractmethod
    def new_driver(self) -> Driver:
        """A driver for the device; a second one stands for a gateway that was restarted."""

    @abstractmethod
    async def present_tag(self, id_tag: str, connector_id: int) -> None:
        """Somebody holds a tag to the reader."""

    @abstractmethod
    def acknowledged(self) -> int:
        """How many events the device has seen acknowledged."""

    @abstractmethod
    def answers(self) -> list[bool]:
        """The answers to tags that reached the device, oldest first: accepted or not."""

    @abstractmethod
    def refuse(self, command: type[Command]) -> None:
        """From now on the device refuses such a command."""

    @abstractmethod
    def ignore(self, command: type[Command]) -> None:
        """From now on the device does not answer such a command."""

    @abstractmethod
    async def lose(self) -> None:
        """The device goes away."""

    @abstractmethod
    async def bring_back(self) -> None:
        """The device is there again, as it was."""


class Unheard(Command, frozen=True, kw_only=True):
    """A command that no driver knows."""


@asynccontextmanager
async def running(driver: Driver, station: RecordingStation) -> AsyncIterator[None]:
    """The driver at work; cancelled, and waited for, at the end."""
    task = asyncio.ensure_future(driver.run(station))
    try:
        await station.until(lambda: station.seen(ConnectorStatus) or task.done())
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
        raise AssertionError("the driver's run() ended by itself")


class PlcDriverContract(ABC):
    """What every PLC driver must do."""

    @abstractmethod
    def bench(self) -> AbstractAsyncContextManager[DriverBench]:
        """A fresh device for one test."""

    async def test_says_online_first_then_who_and_what_it_is(self) -> None:
        station = RecordingStation()
        async with self.bench() as bench, running(bench.new_driver(), station):
            await station.until(lambda: station.seen(Reading, 1))
        assert isinstance(station.observations[0], Online)
        assert any(identity.running for identity in station.seen(Identity))
        assert station.seen(ConnectorStatus, 1)
        assert station.seen(Reading, 1)[-1].energy_wh is not None

    async def test_acknowledges_an_event_only_when_it_is_durable(self) -> None:
        station = RecordingStation()
        async with self.bench() as bench, running(bench.new_driver(), station):
            station.gate.clear()
            await bench.present_tag("04A1B2C3", 1)
            await station.until(lambda: station.handed_over)
            seen = len(station.observations)
            await station.until(lambda: len(station.observations) > seen + 2)
            assert bench.acknowledged() == 0
            station.gate.set()
            await station.until(lambda: bench.acknowledged() == 1)
        (event,) = station.events
        assert isinstance(event, TagPresented)
        assert (event.id_tag, event.connector_id) == ("04A1B2C3", 1)

    async def test_hands_an_event_over_again_that_could_not_be_stored(self) -> None:
        station = RecordingStation()
        async with self.bench() as bench, running(bench.new_driver(), station):
            station.failures = 1
            await bench.present_tag("04A1B2C3", 1)
            await station.until(lambda: bench.acknowledged() == 1)
        assert len(station.handed_over) == 2
        assert len(station.events) == 1

    async def test_a_restarted_gateway_does_not_take_an_event_twice(self) -> None:
        station = RecordingStation()
        async with self.bench() as bench:
            async with running(bench.new_driver(), station):
                await bench.present_tag("04A1B2C3", 1)
                await station.until(lambda: station.events)
            again = RecordingStation(station.notes())
            again.events.extend(station.events)
            async with running(bench.new_driver(), again):
                await again.until(lambda: bench.acknowledged() == 1)
                seen = len(again.observations)
                await again.until(lambda: len(again.observations) > seen + 2)
        assert len(again.events) == 1

    async def test_two_events_have_two_ids(self) -> None:
        station = RecordingStation()
        async with self.bench() as bench, running(bench.new_driver(), station):
            await bench.present_tag("04A1B2C3", 1)
            await station.until(lambda: len(station.events) == 1)
            await bench.present_tag("04A1B2C3", 1)
            await station.until(lambda: len(station.events) == 2)
        assert len({event.event_id for event in station.events}) == 2

    async def test_answers_reach_the_device_and_may_be_repeated(self) -> None:
        station = RecordingStation()
        async with self.bench() as bench:
            driver = bench.new_driver()
            async with running(driver, station):
                await bench.present_tag("04A1B2C3", 1)
                await station.until(lambda: station.events)
                answer = AnswerTag(
                    event_id=station.events[0].event_id,
                    connector_id=1,
                    id_tag="04A1B2C3",
                    accepted=True,
                )
                await driver.execute(answer, PATIENCE)
                await driver.execute(answer, PATIENCE)
            assert set(bench.answers()) == {True}

    async def test_says_what_the_device_refuses(self) -> None:
        station = RecordingStation()
        async with self.bench() as bench:
            driver = bench.new_driver()
            bench.refuse(AnswerTag)
            async with running(driver, station):
                with pytest.raises(PlcRefused):
                    await driver.execute(_answer(), PATIENCE)

    async def test_withdraws_what_the_device_does_not_answer(self) -> None:
        station = RecordingStation()
        async with self.bench() as bench:
            driver = bench.new_driver()
            bench.ignore(AnswerTag)
            async with running(driver, station):
                with pytest.raises(PlcTimeout) as caught:
                    await driver.execute(_answer(), 0.5)
        assert caught.value.withdrawn

    async def test_a_command_without_a_connection_is_refused_at_once(self) -> None:
        async with self.bench() as bench:
            with pytest.raises(PlcOffline):
                await bench.new_driver().execute(_answer(), PATIENCE)

    async def test_a_command_it_does_not_know_is_unsupported(self) -> None:
        station = RecordingStation()
        async with self.bench() as bench:
            driver = bench.new_driver()
            assert driver.supports(AnswerTag)
            assert not driver.supports(Unheard)
            async with running(driver, station):
                with pytest.raises(PlcUnsupported):
                    await driver.execute(Unheard(), PATIENCE)

    async def test_comes_back_when_the_device_does(self) -> None:
        station = RecordingStation()
        async with self.bench() as bench, running(bench.new_driver(), station):
            await bench.lose()
            await station.until(lambda: station.seen(Offline))
            assert station.seen(Offline)[-1].reason
            await bench.bring_back()
            await station.until(lambda: len(station.seen(Online)) == 2)
            await bench.present_tag("04A1B2C3", 1)
            await station.until(lambda: station.events)


def _answer() -> AnswerTag:
    return AnswerTag(event_id="none", connector_id=1, id_tag="04A1B2C3", accepted=True)
