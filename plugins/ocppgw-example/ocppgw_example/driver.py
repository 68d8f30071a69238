"""A PLC driver for a station without hardware: each connector is a text file.

Write a tag into ``connector-1`` and a car charges with it; empty or remove the file and
the session ends. A remote start writes the file, a remote stop removes it.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from ocppgw.plc import (
    AnswerStart,
    AnswerStop,
    Command,
    ConnectorStatus,
    Driver,
    DriverContext,
    Event,
    Identity,
    Online,
    PlcDriver,
    PlcOffline,
    PlcRefused,
    PlcUnsupported,
    RemoteStart,
    RemoteStop,
    SetAvailability,
    Station,
)
from ocppgw.storage import StorageError
from ocppgw_example.counter import Counter

SUPPORTED = (AnswerStart, AnswerStop, RemoteStart, RemoteStop, SetAvailability)


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys beside ``plc.driver: example-counter``."""

    folder: Annotated[
        str, Meta(description="Folder of the files, seen from that of the configuration.")
    ]
    power: Annotated[float, Meta(description="What a charging car draws, in W.", gt=0)] = 11_000.0
    poll: Annotated[float, Meta(description="Seconds between two looks.", gt=0)] = 0.5


class CounterDriver(Driver):
    """Looks at the files, tells the station, and does what the station asks."""

    def __init__(self, options: Options, context: DriverContext) -> None:
        self._folder = context.base / options.folder
        self._poll = options.poll
        self._clock = context.clock
        self._station: Station | None = None
        self._counters = {
            number: Counter(number, options.power) for number in range(1, context.connectors + 1)
        }

    async def run(self, station: Station) -> None:
        notes = station.notes()
        for number, counter in self._counters.items():
            if note := notes.get(_note(number)):
                counter.restore(note)
        self._station = station
        station.saw(Identity(vendor="ocppgw", model="example-counter"))
        station.saw(Online())
        events = [counter.unanswered for counter in self._counters.values()]
        try:
            async with asyncio.TaskGroup() as hand_overs:
                while True:
                    for event in filter(None, events):
                        hand_overs.create_task(self._hand_over(station, event))
                    await self._clock.sleep(self._poll)
                    events = await self._look(station)
        finally:
            self._station = None

    async def _look(self, station: Station) -> list[Event | None]:
        """One poll: reads the files, reports states and meters, gives what happened."""
        tags = await asyncio.to_thread(self._read)
        now = self._clock.now()
        events = [
            counter.step(tags.get(number, ""), now) for number, counter in self._counters.items()
        ]
        for number, counter in self._counters.items():
            station.saw(ConnectorStatus(connector_id=number, status=counter.status))
            station.saw(counter.reading(now))
        return events

    async def _hand_over(self, station: Station, event: Event) -> None:
        """Until it worked: the event and what we must know of it become durable together."""
        number = event.connector_id
        while True:
            try:
                await station.take(event, remember={_note(number): self._counters[number].note})
            except StorageError:
                await self._clock.sleep(self._poll)
            else:
                return

    def supports(self, command: type[Command]) -> bool:
        return issubclass(command, SUPPORTED)

    async def execute(self, command: Command, deadline: float) -> None:
        if self._station is None:
            raise PlcOffline("nobody looks at the connector files yet")
        match command:
            case AnswerStart(connector_id=number):
                self._counters[number].started(command, self._clock.now())
            case AnswerStop(connector_id=number):
                self._counters[number].stopped(command, self._clock.now())
            case RemoteStart(connector_id=number, id_tag=tag):
                if not self._counters[number].free:
                    raise PlcRefused(f"connector {number} is not free")
                await asyncio.to_thread(self._write, number, tag)
            case RemoteStop(connector_id=number):
                await asyncio.to_thread(self._write, number, "")
            case SetAvailability(connector_id=number, available=available):
                for each in [number] if number else self._counters:
                    self._counters[each].set_available(available)
            case _:
                raise PlcUnsupported(f"a counter has no {type(command).__name__}")
        await self._station.remember({_note(n): c.note for n, c in self._counters.items()})

    def _file(self, number: int) -> Path:
        return self._folder / f"connector-{number}"

    def _read(self) -> dict[int, str]:
        files = {number: self._file(number) for number in self._counters}
        return {
            number: file.read_text(encoding="ascii", errors="replace").strip()
            for number, file in files.items()
            if file.exists()
        }

    def _write(self, number: int, tag: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file(number).write_text(tag, encoding="ascii")


def _note(number: int) -> str:
    return f"connector-{number}"


DRIVER = PlcDriver(
    name="example-counter",
    options_type=Options,
    open=CounterDriver,
    description="a station without hardware: each connector is a text file",
)
