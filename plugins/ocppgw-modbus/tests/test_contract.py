"""The driver passes the suite that every PLC driver must, against the simulated PLC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ocppgw.clock import SystemClock
from ocppgw.plc import AnswerTag, Command, Driver, DriverContext
from ocppgw.testing.plc import DriverBench, PlcDriverContract
from ocppgw_modbus.driver import open_driver
from ocppgw_modbus.options import ModbusOptions
from ocppgw_modbus.simulate import Simulation
from ocppgw_modbus.spec import CommandKind

DEMO = Path(__file__).parents[3] / "config" / "maps" / "demo-plc.yaml"
KINDS: dict[type[Command], CommandKind] = {AnswerTag: CommandKind.ANSWER_TAG}


class ModbusBench(DriverBench):
    def __init__(self, simulation: Simulation, path: Path) -> None:
        self._simulation = simulation
        self._path = path

    def new_driver(self) -> Driver:
        options = ModbusOptions(
            host="127.0.0.1", port=self._simulation.port, map=self._path, reconnect_first=0.05
        )
        return open_driver(options, DriverContext("DEMO-1", 2, self._path.parent, SystemClock()))

    async def present_tag(self, id_tag: str, connector_id: int) -> None:
        await self._simulation.present_tag(id_tag, connector_id)

    def acknowledged(self) -> int:
        return sum(one.event == "acknowledged" for one in self._simulation.log)

    def answers(self) -> list[bool]:
        return [
            bool(one.details["accepted"])
            for one in self._simulation.log
            if (one.event, one.about) == ("asked", "answer_tag")
        ]

    def refuse(self, command: type[Command]) -> None:
        self._simulation.behaviour.refuse.add(KINDS[command])

    def ignore(self, command: type[Command]) -> None:
        self._simulation.behaviour.ignore.add(KINDS[command])

    async def lose(self) -> None:
        await self._simulation.stop()

    async def bring_back(self) -> None:
        await self._simulation.start(port=self._simulation.port)


class TestModbusDriver(PlcDriverContract):
    @asynccontextmanager
    async def bench(self) -> AsyncIterator[DriverBench]:
        text = DEMO.read_text(encoding="utf-8")
        quick = text.replace("fast: 0.25, meter: 1.0", "fast: 0.05, meter: 0.1")
        assert quick != text
        with TemporaryDirectory() as folder:
            path = Path(folder) / "quick.yaml"
            path.write_text(quick, encoding="utf-8")
            simulation = Simulation(path, speed=10)
            await simulation.start()
            try:
                yield ModbusBench(simulation, path)
            finally:
                await simulation.stop()
