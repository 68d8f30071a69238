"""One central system and three charge boxes with five connectors, each box with its PLC.

From one YAML in one process, or from four files in four. Between the boxes and the central
system stands a proxy that can take the central system away.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Self

import yaml

from ocppgw.errors import UserError
from ocppgw.testing.processes import Program, free_port
from ocppgw.web.client import ControlClient
from tests.site.plc import OCPPGW, Plc, quick_map
from tests.site.proxies import SoapProxy

CONNECTORS = {"FLEET-A": 2, "FLEET-B": 2, "FLEET-C": 1}
TAGS = ("TAG-ONE", "TAG-TWO", "TAG-THREE", "TAG-FOUR", "TAG-FIVE")
CENTRAL = "central"
SPEED = 8


class Line(SoapProxy):
    """The line to the central system; while ``down``, nothing gets through."""

    down = False

    async def answered(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        return self.down


class Fleet:
    """``async with``: starts everything, ends everything; ``processes`` is 1 or 4."""

    def __init__(self, folder: Path, processes: int) -> None:
        self.folder = folder
        self.central_port = free_port()
        self.line = Line(self.central_port)
        self.plcs: dict[str, Plc] = {}
        self.programs: dict[str, Program] = {}
        self._apart = processes > 1
        self._map = quick_map(folder)

    async def __aenter__(self) -> Self:
        """Starts all and waits until the central system has accepted every station."""
        try:
            await self.line.start()
            for box, connectors in CONNECTORS.items():
                home = self.folder / box
                home.mkdir()
                self.plcs[box] = await Plc.start(
                    home, self._map, connectors=connectors, speed=SPEED
                )
            self._configure()
            for name in self.names:
                await self.start(name)
            for plc in self.plcs.values():
                await plc.saw("accepted")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for program in reversed(self.programs.values()):
            await program.end()
        for plc in self.plcs.values():
            await plc.program.end()
        await self.line.stop()

    @property
    def names(self) -> list[str]:
        """The programs: one, or the central system and its boxes."""
        return [CENTRAL, *CONNECTORS] if self._apart else [CENTRAL]

    async def start(self, name: str) -> None:
        """Starts a gateway from its file, and waits until it serves."""
        program = Program(
            *(*OCPPGW, "run", f"{name}.yaml"),
            cwd=self.folder,
            console=self.folder / f"{name}.log",
        )
        self.programs[name] = program
        await program.says("listens at")

    @property
    def consoles(self) -> str:
        """What all lives of all programs have printed."""
        return "".join((self.folder / f"{name}.log").read_text() for name in self.names)

    def home_of(self, box: str) -> str:
        """The program that a box lives in."""
        return box if self._apart else CENTRAL

    async def central_is_away(self, seconds: float) -> None:
        """Dead, and started again; or, where the boxes would die with it, out of reach."""
        if self._apart:
            self.programs[CENTRAL].kill()
            await asyncio.sleep(seconds)
            await self.start(CENTRAL)
        else:
            self.line.down = True
            await asyncio.sleep(seconds)
            self.line.down = False

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """The central system's control API; ``UserError`` when it says no, or nothing."""
        client = ControlClient(self.folder / "control.sock")
        return await asyncio.to_thread(client.call, method, path, body)

    async def did(self, box: str, operation: str, **fields: object) -> bool:
        """Sends a command; whether the station did it. If not, a moment passes."""
        path = f"/api/stations/{box}/operations/{operation}"
        with contextlib.suppress(UserError):  # nobody answers: the next try may get through
            if (await self.ask("POST", path, fields))["done"]:
                return True
        await asyncio.sleep(0.3)
        return False

    async def transactions(self) -> list[dict[str, Any]]:
        """What the central system has booked."""
        found: list[dict[str, Any]] = await self.ask("GET", "/api/transactions?limit=1000")
        return found

    def _configure(self) -> None:
        """Writes the file, or the files."""
        central = {
            "storage": {"path": "central.db"},
            "control": {"socket": "control.sock"},
            "central_system": {
                "listen": f"tcp:{self.central_port}:interface=127.0.0.1",
                "stations": {box: {} for box in CONNECTORS},
                "users": [{"id_tag": tag} for tag in TAGS],
            },
        }
        boxes = {box: self._box(box, number) for box, number in CONNECTORS.items()}
        listen = {"listen": "tcp:0:interface=127.0.0.1"}
        if self._apart:
            files = {
                box: {"charge_point_server": listen, "charge_boxes": [section]}
                for box, section in boxes.items()
            }
            files[CENTRAL] = central
        else:
            together = {"charge_point_server": listen, "charge_boxes": list(boxes.values())}
            files = {CENTRAL: central | together}
        for name, content in files.items():
            (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(content))

    def _box(self, box: str, connectors: int) -> dict[str, Any]:
        return {
            "identity": box,
            "central_system": {
                "url": f"http://127.0.0.1:{self.line.port}/Ocpp/CentralSystemService",
                "deadline": 5,
            },
            "state": f"{box}.db",
            "connectors": connectors,
            "configuration": {"MeterValueSampleInterval": 1},
            "boot_retry": 0.5,
            "boot_retry_longest": 1,
            "plc_grace": 1,
            "plc": {
                "driver": "modbus",
                "host": "127.0.0.1",
                "port": self.plcs[box].port,
                "map": str(self._map),
                "reconnect_first": 0.1,
                "reconnect_longest": 0.5,
                "timeout": 1,
            },
        }
