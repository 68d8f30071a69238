"""A PLC driver for a station without hardware: each connector is a text file.

Write a tag into ``connector-1`` and a car charges with it; empty or remove the file and
the session ends. A remote start writes the file, a remote stop empties it.
"""

import asyncio
from contextlib import suppress
from typing import Annotated

import msgspec
from msgspec import Meta

from ocppgw.plc import (
    AnswerStart,
    AnswerStop,
    AnswerTag,
    Command,
    ConnectorStatus,
    Driver,
    DriverContext,
    Event,
    Identity,
    Offline,
    Online,
    PlcDriver,
    PlcOffline,
    PlcRefused,
    PlcTimeout,
    PlcUnsupported,
    RemoteStart,
    RemoteStop,
    SetAvailability,
    Station,
)
from ocppgw.storage import StorageError
from ocppgw_example.counter import Answer, Counter, is_yes
from ocppgw_example.folder import NO_CARD, Card, Folder

SUPPORTED = (AnswerTag, AnswerStart, AnswerStop, RemoteStart, RemoteStop, SetAvailability)


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys beside ``plc.driver: example-counter``."""

    folder: Annotated[
        str, Meta(description="Folder of the files, seen from that of the configuration.")
    ]
    power: Annotated[float, Meta(description="What a charging car draws, in W.", gt=0)] = 11_000.0
    poll: Annotated[float, Meta(description="Seconds between two looks.", gt=0)] = 0.5


class CounterDriver(Driver):
    """Looks at the folder, tells the station, and does what the station asks."""

    def __init__(self, options: Options, context: DriverContext) -> None:
        self._folder = Folder(context.base / options.folder)
        self._poll = options.poll
        self._clock = context.clock
        self._station: Station | None = None
        self._lost: str | None = "it has not been looked at yet"
        numbers = range(1, context.connectors + 1)
        self._counters = {number: Counter(number, options.power) for number in numbers}
        self._locks = {number: asyncio.Lock() for number in numbers}

    async def run(self, station: Station) -> None:
        self._station = station
        notes = station.notes()
        for number, counter in self._counters.items():
            if note := notes.get(_note(number)):
                counter.restore(note)
        with suppress(OSError):  # the first look says why
            await self._folder.make()
        events = [counter.unanswered for counter in self._counters.values()]
        try:
            async with asyncio.TaskGroup() as hand_overs:
                while True:
                    for event in filter(None, events):
                        hand_overs.create_task(self._hand_over(station, event))
                    events = await self._look(station)
                    await self._clock.sleep(self._poll)
        finally:
            self._lost = "nobody looks at it any more"

    async def _look(self, station: Station) -> list[Event | None]:
        """One poll: reads the cards, reports states and meters, gives what happened."""
        try:
            cards = await self._folder.cards()
        except OSError as error:
            if self._lost != str(error):
                self._lost = str(error)
                station.saw(Offline(reason=self._lost))
            return []
        if self._lost is not None:
            self._lost = None
            station.saw(Online())
            station.saw(Identity(vendor="ocppgw", model="example-counter"))
        return [
            self._step(station, number, cards.get(number, NO_CARD)) for number in self._counters
        ]

    def _step(self, station: Station, number: int, card: Card) -> Event | None:
        counter, now = self._counters[number], self._clock.now()
        event = counter.step(card, now)
        station.saw(ConnectorStatus(connector_id=number, status=counter.status))
        station.saw(counter.reading(now))
        return event

    async def _hand_over(self, station: Station, event: Event) -> None:
        """Again and again until the event is durable; only then the device is told so."""
        number = event.connector_id
        counter = self._counters[number]
        while True:
            try:
                await station.take(event, remember={_note(number): counter.note})
                async with self._locks[number]:
                    if counter.unanswered == event:
                        await self._folder.show(number, f"{event.event_id} heard")
            except (StorageError, OSError):
                await self._clock.sleep(self._poll)
            else:
                return

    def supports(self, command: type[Command]) -> bool:
        return issubclass(command, SUPPORTED)

    async def execute(self, command: Command, deadline: float) -> None:
        if not self.supports(type(command)):
            raise PlcUnsupported(f"a counter has no {type(command).__name__}")
        if self._station is None or self._lost is not None:
            raise PlcOffline(f"the folder is away: {self._lost}")
        try:
            async with asyncio.timeout(deadline):
                await self._do(command)
        except TimeoutError:
            raise PlcTimeout("the folder did not answer in time", withdrawn=True) from None
        except OSError as error:
            raise PlcRefused(f"the folder refused: {error}") from error
        try:
            await self._station.remember({_note(n): c.note for n, c in self._counters.items()})
        except StorageError as error:
            raise PlcTimeout(f"done, but not kept yet: {error}", withdrawn=False) from error

    async def _do(self, command: Command) -> None:
        match command:
            case AnswerTag() | AnswerStart() | AnswerStop():
                await self._answer(command)
            case RemoteStart(connector_id=number, id_tag=tag):
                await self._remote_start(number, tag)
            case RemoteStop(connector_id=number):
                await self._folder.put_card(number, "")
            case SetAvailability(connector_id=number, available=available):
                for each in [number] if number else self._counters:
                    self._counters[each].set_available(available)

    async def _answer(self, answer: Answer) -> None:
        number = answer.connector_id
        async with self._locks[number]:
            word = "accepted" if is_yes(answer) else "refused"
            await self._folder.show(number, f"{answer.event_id} {word}")
            self._counters[number].answered(answer, self._clock.now())

    async def _remote_start(self, number: int, tag: str) -> None:
        counter = self._counters[number]
        if not counter.free:
            raise PlcRefused(f"connector {number} is not free")
        counter.grant(tag)
        try:
            await self._folder.put_card(number, tag)
        except BaseException:
            counter.grant("")
            raise


def _note(number: int) -> str:
    return f"connector-{number}"


DRIVER = PlcDriver(
    name="example-counter",
    options_type=Options,
    open=CounterDriver,
    description="a station without hardware: each connector is a text file",
)
