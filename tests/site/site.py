"""One charge box, one central system and one simulated PLC, each a process of its own.

Between them may stand proxies: PLC ⇄ ModbusProxy ⇄ charge box ⇄ SoapProxy ⇄ central system.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from ocppgw.testing.processes import CAP, Program, free_port
from ocppgw.web.client import ControlClient
from tests.site.plc import OCPPGW, Plc, quick_map
from tests.site.proxies import ModbusProxy, Proxy, SoapProxy

BOX = "SITE-1"
TAG = "04A1B2C3D4E5"

CENTRAL_YAML = """
storage: {{backend: file, path: "{store}"}}
central_system:
  listen: tcp:{port}:interface=127.0.0.1
  stations: {{{box}: {{}}, SILENT-1: {{}}}}
  users: [{{id_tag: "{tag}"}}, {{id_tag: BLOCKED, status: blocked}}]
control: {{socket: central.sock}}
"""

BOX_YAML = """
charge_point_server: {{listen: "tcp:{port}:interface=127.0.0.1"}}
charge_boxes:
  - identity: {box}
    central_system: {{url: "http://127.0.0.1:{soap}/Ocpp/CentralSystemService", deadline: 2}}
    state: "{state}"
    connectors: {connectors}
    configuration: {configuration}
    boot_retry: 0.5
    plc_grace: 1
    plc:
      {{driver: modbus, host: 127.0.0.1, port: {modbus}, map: {map}, reconnect_first: 0.1,
        reconnect_longest: 0.5, timeout: 1}}
{more}"""


class Site:
    """``async with``: starts everything, restarts what was killed, ends everything.

    ``box_keys`` are further keys of the charge box, ``configuration`` its OCPP keys,
    ``central_store`` and ``box_store`` where the two keep their data. With ``proxies``
    the lines lead over :attr:`modbus` and :attr:`soap`; ``soap`` may be one that does
    more than hand frames on.
    """

    box = BOX  # the charge box that the central system knows

    def __init__(
        self,
        folder: Path,
        *,
        connectors: int = 1,
        speed: float = 4.0,
        box_keys: str = "",
        configuration: Mapping[str, Any] | None = None,
        central_store: Path = Path("central.db"),
        box_store: Path = Path("box.db"),
        proxies: bool = False,
        soap: type[SoapProxy] = SoapProxy,
    ) -> None:
        self.folder = folder
        self.map = quick_map(folder)
        self.central_port = free_port()
        self.box_port = free_port()
        self.soap = soap(self.central_port)
        self.modbus = ModbusProxy(0)
        self.programs: dict[str, Program] = {}
        self.plc: Plc
        self._connectors = connectors
        self._speed = speed
        self._box_keys = "".join(f"    {line}\n" for line in box_keys.splitlines())
        self._configuration = {"MeterValueSampleInterval": 1, **(configuration or {})}
        self._stores = {"central": central_store, "box": box_store}
        self._proxies: list[Proxy] = [self.soap, self.modbus] if proxies else []

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def start(self) -> None:
        """Starts all and waits until the central system has accepted the station."""
        self.plc = await Plc.start(
            self.folder, self.map, connectors=self._connectors, speed=self._speed
        )
        self.programs["plc"] = self.plc.program
        self.modbus.upstream_port = self.plc.port
        for proxy in self._proxies:
            await proxy.start()
        self.configure()
        await self.start_central()
        await self.start_box()
        await self.plc.saw("accepted")

    def configure(self) -> None:
        """Writes the configuration files."""
        central = CENTRAL_YAML.format(
            port=self.central_port, box=self.box, tag=TAG, store=self._stores["central"]
        )
        (self.folder / "central.yaml").write_text(central)
        box = BOX_YAML.format(
            port=self.box_port,
            box=self.box,
            state=self._stores["box"],
            connectors=self._connectors,
            soap=self.soap.port or self.central_port,
            modbus=self.modbus.port or self.plc.port,
            map=self.map,
            configuration=json.dumps(self._configuration),
            more=self._box_keys,
        )
        (self.folder / "box.yaml").write_text(box)

    async def start_central(self) -> None:
        """Starts the central system, and waits until it listens."""
        await self.run("central").says("central_system listens")

    async def start_box(self) -> None:
        """Starts the charge box, and waits until it listens."""
        await self.run("box").says("charge_point_server listens")

    def run(self, name: str) -> Program:
        """Starts a gateway from its file; a life before this one must have ended."""
        program = Program(
            *(*OCPPGW, "run", f"{name}.yaml"),
            cwd=self.folder,
            console=self.folder / f"{name}.log",
        )
        self.programs[name] = program
        return program

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.programs[name].kill()

    async def end(self) -> None:
        """Ends what runs."""
        for program in self.programs.values():
            await program.end()
        for proxy in self._proxies:
            await proxy.stop()

    def console(self, name: str) -> str:
        """What this life of a program has printed so far."""
        return self.programs[name].console

    async def send(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``ocppgw send`` as an operator runs it."""
        return await command(
            self.folder, "send", *arguments, OCPPGW_SOCKET=str(self.folder / "central.sock")
        )

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """The central system's control API."""
        client = ControlClient(self.folder / "central.sock")
        return await asyncio.to_thread(client.call, method, path, body)

    async def transactions(self) -> list[dict[str, Any]]:
        """What the central system has booked, oldest first."""
        found: list[dict[str, Any]] = await self.ask("GET", "/api/transactions?limit=1000")
        return sorted(found, key=lambda one: one["receivedAt"])

    async def stopped(self, number: int) -> list[dict[str, Any]]:
        """The transactions, once there are so many and the last stop has got through."""
        async with asyncio.timeout(CAP):
            while True:
                booked = await self.transactions()
                if [one["state"] for one in booked] == ["stopped"] * number:
                    return booked
                await asyncio.sleep(0.05)


async def command(
    folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs ``ocppgw`` to its end."""
    return await asyncio.to_thread(
        subprocess.run,
        [*OCPPGW, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=CAP,
        check=False,
    )
