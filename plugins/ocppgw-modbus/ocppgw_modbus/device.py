"""One device on one connection: connects, polls, commands, and reconnects for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from ocppgw.clock import Clock
from ocppgw.plc import (
    Command,
    Offline,
    Online,
    PlcOffline,
    PlcUnsupported,
    SetAvailability,
    Station,
)
from ocppgw_modbus.bound import BoundCyclic, BoundMap, Point
from ocppgw_modbus.bus import Bus, Line, Urgency
from ocppgw_modbus.codec import Nonsense, decode
from ocppgw_modbus.commandfields import (
    KINDS,
    connector_of,
    kinds_of,
    mistakable,
    words_of,
    writes_of,
)
from ocppgw_modbus.commands import CommandRunner
from ocppgw_modbus.energies import Energies
from ocppgw_modbus.events import EventHandshake
from ocppgw_modbus.failures import DeviceSaysNo, Lost, NoAnswer
from ocppgw_modbus.poller import Poller
from ocppgw_modbus.sense import Sense
from ocppgw_modbus.spec import CommandKind
from ocppgw_modbus.watch import Watch

log = logging.getLogger(__name__)

AGAIN = 0.5  # seconds until a device that refuses part of its first poll is asked again


class Connection(Line, Protocol):
    """A line with a beginning and an end (:class:`ocppgw_modbus.lines.Tap`)."""

    async def connect(self) -> None: ...

    def close(self) -> None: ...


class Backoff:
    """Seconds to wait before each new attempt: doubled from first to longest."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = max(first, longest)
        self._next = first

    def succeeded(self) -> None:
        self._next = self._first

    def delay(self) -> float:
        delay, self._next = self._next, min(2 * self._next, self._longest)
        return delay


class Device:
    """A device described by one map.

    ``connection`` makes a new, unconnected line; ``fresh`` gives ids that never repeat;
    ``energies`` is told what meters show, and asked for a start or stop that does not.
    """

    def __init__(
        self,
        bound: BoundMap,
        connection: Callable[[], Connection],
        backoff: Backoff,
        *,
        name: str,
        connectors: int,
        clock: Clock,
        fresh: Callable[[], str],
        energies: Energies,
    ) -> None:
        self._bound = bound
        self._connection = connection
        self._backoff = backoff
        self._name = name
        self._connectors = connectors
        self._clock = clock
        self._energies = energies
        sense = Sense(name, clock)
        self._watch = Watch(bound, connectors, clock, sense)
        self._events = [
            EventHandshake(
                event,
                name=name,
                connectors=connectors,
                clock=clock,
                sense=sense,
                fresh=fresh,
                energies=energies,
            )
            for event in bound.events
            if event.connector <= connectors
        ]
        self._runners = {
            (command.kind, command.connector): CommandRunner(
                command, name=name, clock=clock, spawn=self._spawn
            )
            for command in bound.commands.values()
            if command.connector <= connectors
        }
        polled = [*self._watch.points, *(p for event in self._events for p in event.points)]
        self._poller = Poller(polled, bound.polls, bound.limits, name=name, clock=clock)
        self._tasks: asyncio.TaskGroup | None = None
        self._bus: Bus | None = None
        self._reason = "not connected yet"
        self._said_offline: str | None = None
        self._not_lowered: dict[str, list[str]] = {}
        self._lifeless: set[Point] = set()

    # Running

    async def run(self, station: Station) -> None:
        """Works for the station until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                while True:
                    await self._work_until_lost(station)
                    self._went_offline(station)
                    await self._clock.sleep(self._backoff.delay())
            finally:
                self._tasks = None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._tasks is None:
            work.close()
        else:
            self._tasks.create_task(work)

    async def _work_until_lost(self, station: Station) -> None:
        line = self._connection()
        try:
            await line.connect()
            bus = Bus(line, self._bound.limits)
            async with asyncio.TaskGroup() as group:
                for cyclic in self._bound.cyclic:
                    group.create_task(self._keep_alive(cyclic, bus))
                group.create_task(self._work(station, bus))
        except* Lost as lost:
            self._reason = str(_first(lost))
        finally:
            self._bus = None
            line.close()

    def _went_offline(self, station: Station) -> None:
        if self._said_offline != self._reason:
            self._said_offline = self._reason
            log.debug("%s: the PLC is offline: %s", self._name, self._reason)
            station.saw(Offline(reason=self._reason))

    async def _work(self, station: Station, bus: Bus) -> None:
        await self._lower_all(bus)
        self._watch.forget()
        for event in self._events:
            event.reconnected()
        self._poller.restart()
        while True:
            words = await self._poller.poll(bus)
            if self._bus is None and self._poller.complete:
                self._came_online(station, bus)
            if self._bus is None:
                self._poller.all_due()
                await self._clock.sleep(AGAIN)
                continue
            self._look(words, station, bus)
            await self._poller.wait()

    def _came_online(self, station: Station, bus: Bus) -> None:
        """All of the map was read: before that, a device that refuses is not there yet."""
        self._bus = bus
        self._said_offline = None
        self._backoff.succeeded()
        log.debug("%s: the PLC is online", self._name)
        station.saw(Online())

    def _look(self, words: dict[Point, list[int]], station: Station, bus: Bus) -> None:
        for observation in self._watch.look(words, everything=self._poller.everything):
            station.saw(observation)
        for connector, wh in self._watch.energies(words):
            self._energies.saw(connector, wh)
        if self._watch.wants_everything:
            self._poller.all_due()
            return
        if not self._watch.running:
            return
        for event in self._events:
            work = event.polled(words, station, bus)
            if work is not None:
                self._spawn(work)

    async def _lower_all(self, bus: Bus) -> None:
        """Requests of ours that a crash or a lost line left up are not to be answered."""
        refused: dict[str, list[str]] = {}
        for runner in self._runners.values():
            try:
                await runner.lower(bus)
            except DeviceSaysNo as error:
                refused.setdefault(str(error), []).append(runner.label)
        if refused != self._not_lowered:
            for why, labels in refused.items():
                what = ", ".join(labels)
                log.warning("%s: %s cannot be taken back: %s", self._name, what, why)
        self._not_lowered = refused

    async def _keep_alive(self, cyclic: BoundCyclic, bus: Bus) -> None:
        """Writes a life bit for ever, in steps that do not drift."""
        turn = 0
        while True:
            begun = self._clock.monotonic()
            try:
                if cyclic.unless is None or await self._reads_other(cyclic, bus):
                    value = cyclic.values[turn % len(cyclic.values)]
                    await bus.write(cyclic.register, value, Urgency.WATCHDOG)
                    turn += 1
                self._lifeless.discard(cyclic.register)
            except NoAnswer as missed:
                log.debug("%s: life bit %s: %s", self._name, cyclic.register, missed)
            except DeviceSaysNo as error:
                if cyclic.register not in self._lifeless:
                    log.warning("%s: life bit %s: %s", self._name, cyclic.register, error)
                self._lifeless.add(cyclic.register)
            await self._clock.sleep(max(0.0, begun + cyclic.every - self._clock.monotonic()))

    async def _reads_other(self, cyclic: BoundCyclic, bus: Bus) -> bool:
        words = await bus.read([cyclic.register], Urgency.WATCHDOG)
        try:
            return decode(cyclic.register, words[cyclic.register]) != cyclic.unless
        except Nonsense:
            return True

    # Commands

    def supports(self, command: type[Command]) -> bool:
        """Whether the map has a way to do that command on some connector."""
        kinds = KINDS.get(command, ())
        return any(kind in kinds for kind, _ in self._runners)

    def does(self, kind: CommandKind, connector: int) -> bool:
        """Whether the map has a way to do that kind of command on that connector."""
        return connector <= self._connectors and self._bound.command(kind, connector) is not None

    async def execute(self, command: Command, deadline: float) -> None:
        """See :meth:`ocppgw.plc.Driver.execute`."""
        ends = self._clock.monotonic() + deadline
        runners = self._runners_of(command)
        bus = self._bus
        if bus is None:
            raise PlcOffline(f"there is no connection to the PLC: {self._reason}")
        if not self._watch.running:
            raise PlcOffline("the PLC says that its program is not running")
        for runner in runners:
            if not mistakable(command, runner.bound):
                await runner.run(writes_of(command, runner.bound), bus, ends)

    def _runners_of(self, command: Command) -> list[CommandRunner]:
        """Whoever does the command: one section, or that of every connector (availability
        of the whole station, where the map has it for connectors only)."""
        connector = connector_of(command)
        for kind in kinds_of(command):
            found = self._bound.command(kind, connector)
            if found is not None and connector <= self._connectors:
                return [self._runners[kind, found.connector]]
            if connector == 0 and isinstance(command, SetAvailability):
                everywhere = [
                    self._runners[kind, number]
                    for number in range(1, self._connectors + 1)
                    if (kind, number) in self._runners
                ]
                if everywhere:
                    return everywhere
        where = f" for connector {connector}" if connector else ""
        raise PlcUnsupported(
            f"the map {self._bound.name} has no way to do {words_of(command)}{where}"
        )


def _first(group: BaseExceptionGroup[Lost]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
