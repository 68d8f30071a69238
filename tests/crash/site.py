"""One charge box, one central system and one simulated PLC, each a process of its own.

Between them stand the proxies that can kill: PLC ⇄ ModbusProxy ⇄ charge box ⇄ SoapProxy
⇄ central system.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from ocppgw.testing.processes import CAP, Program, free_port
from ocppgw.web.client import ControlClient
from tests.crash.proxies import ModbusProxy, SoapProxy

ROOT = Path(__file__).parents[2]
MAP = ROOT / "config" / "maps" / "demo-plc.yaml"
OCPPGW = (sys.executable, "-m", "ocppgw")
BOX = "CRASH-1"
TAG = "04A1B2C3D4E5"

CENTRAL_YAML = """
storage: {{backend: file, path: central.db}}
central_system:
  listen: tcp:{port}:interface=127.0.0.1
  stations: {{{box}: {{}}}}
  users: [{{id_tag: "{tag}"}}]
control: {{socket: central.sock}}
"""

BOX_YAML = """
charge_point_server: {{listen: "tcp:0:interface=127.0.0.1"}}
charge_boxes:
  - identity: {box}
    central_system: {{url: "http://127.0.0.1:{soap}/Ocpp/CentralSystemService"}}
    state: box.db
    connectors: 1
    sample_interval: 1
    plc: {{driver: modbus, host: 127.0.0.1, port: {modbus}, map: {map}, reconnect_first: 0.1}}
"""


class Plc:
    """The simulated PLC, stepped through its line protocol; ``log`` is what it told."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @property
    def log(self) -> list[dict[str, Any]]:
        lines = self._program.console.split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def do(self, order: str, **details: object) -> None:
        self._program.write(json.dumps({"do": order, **details}))

    async def saw(self, event: str, about: str = "", since: int = 0) -> dict[str, Any]:
        """Waits until it told of that event, behind the ``since`` first ones."""
        loop = asyncio.get_running_loop()
        end = loop.time() + CAP
        while True:
            for told in self.log[since:]:
                if told["event"] == event and told.get("about", "") == about:
                    return told
            assert loop.time() < end, f"{event} {about} is not among {self.log[since:]}"
            await asyncio.sleep(0.02)

    async def charge(self, wh: int) -> None:
        """Waits until the meter of connector 1 has moved on by that much."""
        enough = await self._energy() + wh
        while True:
            if await self._energy() >= enough:
                return
            await asyncio.sleep(0.05)

    async def _energy(self) -> int:
        begin = len(self.log)
        self.do("read", register="energy", connector=1)
        return int((await self.saw("done", since=begin))["value"])

    def told(self, event: str, about: str = "") -> list[dict[str, Any]]:
        return [t for t in self.log if t["event"] == event and t.get("about", "") == about]


class Site:
    """Starts everything, restarts what was killed, ends everything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.central_port = free_port()
        self.soap = SoapProxy(self.central_port)
        self.programs: dict[str, Program] = {}
        self.plc: Plc
        self.modbus: ModbusProxy

    async def start(self) -> None:
        plc = Program(
            *(*OCPPGW, "simulate", "plc", str(MAP), "--port", "0", "--connectors", "1"),
            *("--speed", "4", "--json", "--control"),
            cwd=self.folder,
            console=self.folder / "plc.log",
            stdin=True,
        )
        self.programs["plc"] = plc
        port = json.loads((await plc.says(r'\{.*"listening".*\}')).group())["details"]["port"]
        self.plc = Plc(plc)
        self.modbus = ModbusProxy(port)
        await self.modbus.start()
        await self.soap.start()
        self._write_configuration()
        await self.start_central()
        await self.start_box()
        await self.plc.saw("accepted")

    def _write_configuration(self) -> None:
        central = CENTRAL_YAML.format(port=self.central_port, box=BOX, tag=TAG)
        (self.folder / "central.yaml").write_text(central)
        box = BOX_YAML.format(box=BOX, soap=self.soap.port, modbus=self.modbus.port, map=MAP)
        (self.folder / "box.yaml").write_text(box)

    async def start_central(self) -> None:
        program = self._run("central")
        await program.says("central_system listens")

    async def start_box(self) -> None:
        program = self._run("box")
        await program.says("charge_point_server listens")

    def _run(self, name: str) -> Program:
        program = Program(
            *(*OCPPGW, "run", f"{name}.yaml"),
            cwd=self.folder,
            console=self.folder / f"{name}.log",
        )
        self.programs[name] = program
        return program

    def kill(self, name: str) -> None:
        self.programs[name].kill()

    async def end(self) -> None:
        for program in self.programs.values():
            await program.end()
        await self.modbus.stop()
        await self.soap.stop()

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """The central system's control API."""
        client = ControlClient(self.folder / "central.sock")
        return await asyncio.to_thread(client.call, method, path, body)

    async def transactions(self) -> list[dict[str, Any]]:
        """What the central system has booked, oldest first."""
        found: list[dict[str, Any]] = await self.ask("GET", "/api/transactions")
        return sorted(found, key=lambda one: one["receivedAt"])
