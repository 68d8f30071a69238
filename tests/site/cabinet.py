"""The shipped ``config/cabinet.yaml``, a station of three devices, each a process of its own."""

from __future__ import annotations

from typing import Any

import yaml

from tests.site.plc import DEMO_MAP, Plc
from tests.site.site import Site

MAPS = DEMO_MAP.parent
CABINET = MAPS.parent / "cabinet.yaml"
SPEED = 8.0
KWH = 50_000  # what the meter begins with, in Wh, less the 1000 of its connector


class Cabinet(Site):
    """``async with``: controller on TCP (:attr:`plc`), meter on a pseudo-terminal, reader on
    RTU over TCP, a charge box made of them, and its central system."""

    box = "CP-1"
    meter: Plc
    reader: Plc

    async def start(self) -> None:
        self.plc = await self._device("cabinet-plc", "plc")
        self.meter = await self._device("rail-meter", "meter", "--pty")
        self.reader = await self._device("tag-reader", "reader", "--framing", "rtu")
        self.configure()
        await self.start_central()
        await self.start_box()
        await self.plc.saw("accepted")

    async def _device(self, described: str, name: str, *line: str) -> Plc:
        path = MAPS / f"{described}.yaml"
        device = await Plc.start(
            self.folder, path, connectors=1, speed=SPEED, energy=KWH - 1000, line=line, name=name
        )
        self.programs[name] = device.program
        return device

    def configure(self) -> None:
        super().configure()
        shipped: dict[str, Any] = yaml.safe_load(CABINET.read_text(encoding="utf-8"))
        (box,) = shipped["charge_boxes"]
        box["central_system"] |= {
            "url": f"http://127.0.0.1:{self.central_port}/Ocpp/CentralSystemService",
            "deadline": 2,
        }
        box["state"] = "box.db"
        box["configuration"]["MeterValueSampleInterval"] = 1
        box |= {"boot_retry": 0.5}
        devices = box["plc"]["devices"]
        for device in devices.values():
            device["map"] = str(MAPS.parent / device["map"])
            device |= {"reconnect_first": 0.1, "reconnect_longest": 0.5}
        devices["controller"]["port"] = self.plc.port
        devices["meter"]["serial"] = self.meter.serial
        devices["reader"]["port"] = self.reader.port
        shipped["charge_point_server"]["listen"] = f"tcp:{self.box_port}:interface=127.0.0.1"
        shipped["control"]["socket"] = "box.sock"
        (self.folder / "box.yaml").write_text(yaml.safe_dump(shipped))
