"""Gateways in this process, each made from a YAML file, with ports of the system's choice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ocppgw.config import load
from ocppgw.gateway import Gateway
from ocppgw.plugins import Plugins

CENTRAL = """\
storage: {path: central.db}
central_system:
  listen: tcp:0:interface=127.0.0.1
  unknown_stations: accept
  command_deadline: 20
  users: [{id_tag: A1, name: Ann}]
control: {socket: control.sock}
"""

BOX = """\
charge_point_server: {listen: "tcp:0:interface=127.0.0.1"}
charge_boxes:
  - identity: BOX-1
    central_system: {url: "http://127.0.0.1:PORT/Ocpp/CentralSystemService"}
    state: box.db
    connectors: 2
    plc: {driver: simulator, poll: 0.05}
"""


async def _until(condition: Callable[[], Awaitable[Any]], cap: float = 30.0) -> Any:
    """What the condition gives once it is true."""
    end = time.monotonic() + cap
    while not (value := await condition()):
        assert time.monotonic() < end, "it did not come true"
        await asyncio.sleep(0.02)
    return value


@pytest.fixture
def until() -> Callable[..., Awaitable[Any]]:
    """``await until(condition)``: polls a coroutine function, with a generous cap."""
    return _until


@pytest.fixture
def central_yaml() -> str:
    """A central system with a control socket."""
    return CENTRAL


@pytest.fixture
def box_yaml() -> Callable[[int], str]:
    """A charge box with a simulated PLC, of the central system at that port."""
    return lambda port: BOX.replace("PORT", str(port))


@pytest.fixture
def make_gateway(tmp_path: Path) -> Callable[..., Gateway]:
    """Makes a gateway; ``also`` are objects that take part as plugins."""

    def made(text: str, name: str = "gateway", also: dict[str, object] | None = None) -> Gateway:
        from twisted.internet import reactor

        file = tmp_path / f"{name}.yaml"
        file.write_text(text)
        configuration, _ = load(file, {})
        plugins = Plugins.load(installed=[])
        for plugin, thing in (also or {}).items():
            plugins.add(plugin, lambda thing=thing: thing)
        return Gateway(configuration, plugins, reactor)  # type: ignore[arg-type]

    return made


@pytest.fixture
def running_gateway(make_gateway: Callable[..., Gateway]) -> Any:
    """``async with running_gateway(text) as gateway``."""

    @asynccontextmanager
    async def run(text: str, **how: Any) -> Any:
        gateway = make_gateway(text, **how)
        gateway.bind()
        try:
            await gateway.start()
            yield gateway
        finally:
            await gateway.stop()

    return run
