"""The driver passes the suite that every PLC driver must, on every kind of line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ocppgw.clock import SystemClock
from ocppgw.plc import AnswerTag, Command, Driver, DriverContext
from ocppgw.testing.plc import DriverBench, PlcDriverContract
from ocppgw_modbus.driver import open_driver
from ocppgw_modbus.framing import Framing
from ocppgw_modbus.options import DeviceOptions, ModbusOptions
from ocppgw_modbus.simulate import Simulation
from ocppgw_modbus.simulate.ptys import PtyBus
from ocppgw_modbus.spec import CommandKind
from ocppgw_modbus.wires import SerialWire

DEMO = Path(__file__).parents[3] / "config" / "maps" / "demo-plc.yaml"
KINDS: dict[type[Command], CommandKind] = {AnswerTag: CommandKind.ANSWER_TAG}


class ModbusBench(DriverBench):
    """The simulated PLC on a line of some kind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._simulation = Simulation(path, speed=10)

    async def start(self) -> None:
        """The device is there, on the line it was on before."""
        await self._simulation.start(port=self._simulation.port)

    async def stop(self) -> None:
        await self._simulation.stop()

    def line(self) -> dict[str, Any]:
        """The options that lead to it."""
        return {"host": "127.0.0.1", "port": self._simulation.port}

    def new_driver(self) -> Driver:
        options = ModbusOptions(map=self._path, reconnect_first=0.05, **self.line())
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
        await self.stop()

    async def bring_back(self) -> None:
        await self.start()


class RtuOverTcpBench(ModbusBench):
    async def start(self) -> None:
        await self._simulation.start(port=self._simulation.port, framing=Framing.RTU)

    def line(self) -> dict[str, Any]:
        return {**super().line(), "framing": Framing.RTU}


class SerialBench(ModbusBench):
    """The device is lost when somebody pulls the adapter out."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._bus = PtyBus(path.parent / "ttyUSB0")

    async def start(self) -> None:
        await self._simulation.start_serial(SerialWire(path=self._bus.add_device()))

    async def stop(self) -> None:
        await super().stop()
        self._bus.close()

    def line(self) -> dict[str, Any]:
        return {"serial": self._bus.path, "reconnect_longest": 0.2}

    async def lose(self) -> None:
        self._bus.unplug()

    async def bring_back(self) -> None:
        self._bus.plug_in()


class DevicesBench(ModbusBench):
    """The same PLC as the only one of several devices that could be."""

    def new_driver(self) -> Driver:
        device = DeviceOptions(map=self._path, reconnect_first=0.05, **self.line())
        context = DriverContext("DEMO-1", 2, self._path.parent, SystemClock())
        return open_driver(ModbusOptions(devices={"plc": device}), context)


class OnALine(PlcDriverContract):
    """The contract on one kind of line."""

    kind: type[ModbusBench]

    @asynccontextmanager
    async def bench(self) -> AsyncIterator[DriverBench]:
        text = DEMO.read_text(encoding="utf-8")
        quick = text.replace("fast: 0.25, meter: 1.0", "fast: 0.05, meter: 0.1")
        assert quick != text
        with TemporaryDirectory() as folder:
            path = Path(folder) / "quick.yaml"
            path.write_text(quick, encoding="utf-8")
            bench = self.kind(path)
            await bench.start()
            try:
                yield bench
            finally:
                await bench.stop()


class TestModbusTcp(OnALine):
    kind = ModbusBench


class TestRtuOverTcp(OnALine):
    kind = RtuOverTcpBench


class TestRtuOnASerialPort(OnALine):
    kind = SerialBench


class TestSeveralDevices(OnALine):
    kind = DevicesBench
