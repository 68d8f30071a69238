"""The shipped demo, ``config/demo.yaml``, on ports of its own and with its data beside it."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any, Self

import yaml

from ocppgw.testing.processes import Program, free_port
from ocppgw.web.client import ControlClient
from tests.site.plc import DEMO_MAP, OCPPGW, Plc, quick_map
from tests.site.plugins import probed
from tests.site.site import command
from tests.site.stores import documents

DEMO = DEMO_MAP.parents[1] / "demo.yaml"
BOX = "DEMO-1"
SPEED = 4


def moved(demo: dict[str, Any]) -> dict[str, Any]:
    """The demo on free ports, with its data beside it; its day is in ``day.yaml``."""
    central, modbus = free_port(), free_port()
    demo["storage"]["path"] = "central.db"
    demo["central_system"]["listen"] = f"tcp:{central}:interface=127.0.0.1"
    demo["charge_point_server"]["listen"] = "tcp:0:interface=127.0.0.1"
    (box,) = demo["charge_boxes"]
    box["central_system"]["url"] = f"http://127.0.0.1:{central}/Ocpp/CentralSystemService"
    box["state"] = "box.db"
    box["plc"] |= {"port": modbus, "map": str(DEMO_MAP)}
    (simulated,) = demo["plugins"]["options"]["modbus"]["simulate"]
    simulated |= {"port": modbus, "map": str(DEMO_MAP), "speed": SPEED, "day": "day.yaml"}
    demo["control"]["socket"] = "control.sock"
    return demo


class Demo:
    """``async with``: the running demo; its PLC is a process that can be looked into.

    :meth:`mark` begins what :meth:`happened` and :meth:`told` look at.
    """

    program: Program
    plc: Plc
    _mark = (0, 0)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._map = quick_map(folder)

    async def __aenter__(self) -> Self:
        """Starts both and waits until the station is accepted."""
        self.plc = await Plc.start(self.folder, self._map, connectors=2, speed=SPEED)
        try:
            demo = moved(yaml.safe_load(DEMO.read_text()))
            del demo["plugins"]["options"]["modbus"]["simulate"]
            demo["charge_boxes"][0]["plc"] |= {"port": self.plc.port, "map": str(self._map)}
            (self.folder / "demo.yaml").write_text(yaml.safe_dump(demo))
            with probed(self.folder):
                self.program = Program(
                    *(*OCPPGW, "run", "demo.yaml"),
                    cwd=self.folder,
                    console=self.folder / "demo.log",
                )
            await self.plc.saw("accepted")
        except BaseException:
            await self.end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self) -> None:
        """Ends both."""
        if hasattr(self, "program"):
            await self.program.end()
        await self.plc.program.end()

    def mark(self) -> None:
        """What happened so far does not count."""
        self._mark = (len(self.plc.log), len(self.program.console))

    def happened(self, event: str, about: str = "") -> list[dict[str, Any]]:
        """What the PLC told of that event."""
        return self.plc.told(event, about, self._mark[0])

    def told(self, words: str) -> list[str]:
        """The lines of the console that have these words."""
        return [
            line for line in self.program.console[self._mark[1] :].splitlines() if words in line
        ]

    async def send(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``ocppgw send`` to the demo's charge box."""
        return await command(self.folder, "send", "--config", "demo.yaml", BOX, *arguments)

    async def ask(self, path: str) -> Any:
        """What the central system's control API shows."""
        client = ControlClient(self.folder / "control.sock")
        return await asyncio.to_thread(client.call, "GET", path)

    def documents(self, store: str, collection: str) -> list[dict[str, Any]]:
        """What is stored in a collection, of ``box.db`` or ``central.db``."""
        return documents(self.folder / store, collection)
