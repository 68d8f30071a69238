"""A whole simulated PLC: server, program, its clockwork, and what tests hold on to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from ocppgw.clock import Clock, SystemClock
from ocppgw.errors import UserError
from ocppgw_modbus.bound import BoundMap
from ocppgw_modbus.framing import Framing
from ocppgw_modbus.mapfile import load_map
from ocppgw_modbus.simulate.happening import Happening
from ocppgw_modbus.simulate.program import Behaviour, Program
from ocppgw_modbus.simulate.ptys import PtyBus
from ocppgw_modbus.simulate.registers import Registers, SimValue, places
from ocppgw_modbus.simulate.server import Faults, PlcServer
from ocppgw_modbus.wires import SerialWire

log = logging.getLogger(__name__)

LONGEST_LOG = 20_000  # things kept; the older half goes when there are more
CYCLE = 0.05  # seconds of real time between two cycles of the program


class Simulation:
    """A PLC made of a register map.

    ``async with``, or :meth:`start` (or its like) and :meth:`stop`. Time passes ``speed``
    times as fast as the clock's; every cycle advances it by the same step, so what
    happens depends on the order of things alone. ``log`` holds everything that happened,
    ``observe`` is called with each thing as it happens. ``sequence`` is the number that
    events go on from: a PLC that is made anew, but known already, must not begin again
    with the old ones.
    """

    def __init__(
        self,
        bound: BoundMap | Path,
        *,
        connectors: int | None = None,
        speed: float = 1.0,
        energy: float = 100_000.0,
        sequence: int = 0,
        identity: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        observe: Callable[[Happening], None] = lambda _: None,
    ) -> None:
        self.map = load_map(bound) if isinstance(bound, Path) else bound
        if connectors is not None and connectors > self.map.connectors:
            most = self.map.connectors
            raise UserError(
                f"connectors: expected at most {most}, which the map {self.map.name} has,"
                f" got {connectors}"
            )
        self.speed = speed
        self.log: list[Happening] = []
        self.now = 0.0
        self._clock = clock or SystemClock()
        self._observe = observe
        self._registers = Registers(self.map.points)
        self._server = PlcServer(self._registers)
        self.program = Program(
            self.map,
            self._registers,
            self._tell,
            connectors=self.map.connectors if connectors is None else connectors,
            energy=energy,
            sequence=sequence,
            identity=identity or {},
            drop_connections=self._server.drop_connections,
        )
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._bus: PtyBus | None = None
        self.port = 0

    @property
    def behaviour(self) -> Behaviour:
        """How the program misbehaves: refuse, ignore, halted."""
        return self.program.behaviour

    @property
    def faults(self) -> Faults:
        """How the line misbehaves: cut_replies, silent, exception."""
        return self._server.faults

    async def start(
        self, host: str = "127.0.0.1", port: int = 0, framing: Framing = Framing.TCP
    ) -> int:
        """Listens and lets the program run; gives the port."""
        self.port = await self._server.start(host, port, framing)
        self._task = asyncio.create_task(self._run())
        return self.port

    async def start_serial(self, wire: SerialWire) -> None:
        """Answers on a serial port and lets the program run."""
        await self._server.start_serial(wire)
        self._task = asyncio.create_task(self._run())

    async def start_pty(self) -> str:
        """Answers on one end of a pseudo-terminal pair; gives the path of the other."""
        self._bus = PtyBus()
        await self.start_serial(SerialWire(path=self._bus.add_device()))
        return self._bus.path

    async def stop(self) -> None:
        """Stops the program and closes the port; may be called twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._server.stop()
        if self._bus is not None:
            self._bus.close()
            self._bus = None
        task, self._task = self._task, None
        if task is not None and not task.cancelled():
            task.result()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _run(self) -> None:
        try:
            while True:
                self.cycle()
                async with self._news:
                    self._news.notify_all()
                await self._clock.sleep(CYCLE)
        except Exception:
            log.exception("the simulated PLC's program failed")
            raise

    def cycle(self) -> None:
        """One cycle of the program."""
        step = CYCLE * self.speed
        self.now += step
        self.program.scan(step)

    # What people do

    async def arrive(self, connector: int = 1) -> None:
        """A car is plugged in."""
        self.program.connectors[connector].arrive()

    async def present_tag(self, id_tag: str, connector: int = 1) -> None:
        """A tag is held to the reader of a connector."""
        self.program.connectors[connector].present_tag(id_tag)

    async def leave(self, connector: int = 1) -> None:
        """The car is unplugged."""
        self.program.connectors[connector].leave()

    async def fail(self, code: int, connector: int = 1) -> None:
        """A fault of that number; 0 repairs it."""
        self.program.connectors[connector].fault = code

    async def load(self, watts: float, connector: int = 1) -> None:
        """A meter that is a device of its own sees so much power from now on."""
        self.program.connectors[connector].load = watts

    async def restart(self, *, forgetful: bool = False) -> None:
        """A power cut of the PLC; ``forgetful`` loses what is retained, too."""
        self.program.restart(forgetful=forgetful)

    def drop_connections(self) -> None:
        """Closes the Modbus connections there are."""
        self._server.drop_connections()

    @property
    def connections(self) -> int:
        """How many TCP connections there are."""
        return self._server.connections

    # Registers

    def value(self, register: str, connector: int = 0) -> SimValue:
        """The value of a register as the program sees it."""
        return self._registers.get(self.map.point(register, connector))

    def words(self, register: str, connector: int = 0) -> list[int]:
        """The words of a register as Modbus shows them."""
        point = self.map.point(register, connector)
        return [self._registers.word(place) for place in places(point)]

    def put(self, register: str, value: SimValue, connector: int = 0) -> None:
        """Puts a value into a register (the program may put another one there)."""
        self._registers.put(self.map.point(register, connector), value)

    def force(self, register: str, words: Sequence[int] | None, connector: int = 0) -> None:
        """Shows these words whatever the program does; ``None``: no longer."""
        self._registers.force(self.map.point(register, connector), words)

    # What happened

    def find(
        self,
        event: str,
        *,
        connector: int | None = None,
        about: str | None = None,
        since: int = 0,
    ) -> Happening | None:
        """The first such thing in the log from position ``since`` on."""
        for one in self.log[since:]:
            if (
                one.event == event
                and connector in (None, one.connector)
                and about in (None, one.about)
            ):
                return one
        return None

    async def wait(
        self,
        event: str,
        *,
        connector: int | None = None,
        about: str | None = None,
        since: int = 0,
        timeout: float = 10.0,
    ) -> Happening:
        """Waits until that has happened; TimeoutError after so many real seconds."""
        async with asyncio.timeout(timeout), self._news:
            while True:
                found = self.find(event, connector=connector, about=about, since=since)
                if found is not None:
                    return found
                await self._news.wait()

    def _tell(
        self,
        event: str,
        connector: int,
        about: str,
        text: str,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        happening = Happening(
            at=round(self.now, 3),
            event=event,
            connector=connector,
            about=about,
            details=dict(details or {}),
            text=text,
        )
        self.log.append(happening)
        if len(self.log) > LONGEST_LOG:
            del self.log[: LONGEST_LOG // 2]
        self._observe(happening)
