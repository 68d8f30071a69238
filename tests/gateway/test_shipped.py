"""Every configuration file that ships is in order and boots as it stands (but for its ports)."""

from __future__ import annotations

import re
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from ocppgw.config import load
from ocppgw.gateway import Gateway

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "config").glob("*.yaml"))


def with_free_ports(text: str) -> str:
    """The same file with every port of its own replaced, everywhere alike."""
    ports = set(re.findall(r"tcp:(\d+)|port: (\d+)", text))
    for old in {one or other for one, other in ports}:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            text = re.sub(rf"\b{old}\b", str(free.getsockname()[1]), text)
    return text


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_it_is_in_order(file: Path) -> None:
    configuration, _ = load(file)

    assert configuration.settings.central_system or configuration.settings.charge_boxes


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
async def test_it_boots_and_stops(
    file: Path, tmp_path: Path, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from twisted.internet import reactor

    folder = tmp_path / "config"
    shutil.copytree(file.parent, folder)
    copy = folder / file.name
    copy.write_text(with_free_ports(copy.read_text()))
    configuration, plugins = load(copy)
    gateway = Gateway(configuration, plugins, reactor)  # type: ignore[arg-type]
    gateway.bind()
    try:
        await gateway.start()
        if configuration.settings.charge_boxes and gateway.central is not None:
            central = gateway.central

            async def all_have_booted() -> bool:
                stations = await central.stations()
                booted = {s["chargeBoxIdentity"] for s in stations if "lastBoot" in s}
                return booted >= {box.identity for box in configuration.settings.charge_boxes}

            await until(all_have_booted)
    finally:
        await gateway.stop()

    assert [r.getMessage() for r in caplog.records if r.levelname in ("ERROR", "CRITICAL")] == []
