"""A gateway that is told to end is gone soon, whatever it is doing and whoever holds it."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from ocppgw.testing.processes import free_port

DEMO_MAP = Path(__file__).resolve().parents[2] / "config" / "maps" / "demo-plc.yaml"
GONE = 30.0  # seconds: more than ``ocppgw.ending`` gives everything together
CAP = 60.0  # seconds that a start may take on a busy machine

CONFIG = """\
storage: {path: central.db}
central_system:
  listen: tcp:CENTRAL:interface=127.0.0.1
  unknown_stations: accept
  heartbeat_interval: 1
  users: [{id_tag: A1}]
charge_point_server: {listen: "tcp:0:interface=127.0.0.1"}
charge_boxes:
  - identity: BOX-1
    central_system: {url: "http://127.0.0.1:CENTRAL/Ocpp/CentralSystemService"}
    state: box.db
    connectors: 2
    configuration: {MeterValueSampleInterval: 1}
    plc: PLC
control: {socket: control.sock}
"""
SIMULATED = "{driver: simulator, poll: 0.05}"

STUCK = """\
import asyncio
from ocppgw import hookimpl
from ocppgw.ocpp import model

async def never(request, context):
    await asyncio.Event().wait()

async def deaf(request, context):
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

@hookimpl
def ocppgw_central_handlers(central):
    return {model.HeartbeatRequest: KIND}
"""


class Life:
    """A gateway in a folder of its own."""

    def __init__(self, folder: Path, *, plc: str = SIMULATED, handler: str = "") -> None:
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        text = CONFIG.replace("CENTRAL", str(self.port)).replace("PLC", plc)
        (folder / "gateway.yaml").write_text(text)
        paths = [str(folder), os.environ.get("PYTHONPATH", "")] if handler else []
        if handler:
            (folder / "stuck.py").write_text(STUCK.replace("KIND", handler))
            info = folder / "stuck-1.dist-info"
            info.mkdir()
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stuck\nVersion: 1\n")
            (info / "entry_points.txt").write_text("[ocppgw]\nstuck = stuck\n")
        with (folder / "console.txt").open("wb") as console:
            self.process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-m", "ocppgw", "run", "gateway.yaml"],
                cwd=folder,
                env=os.environ | ({"PYTHONPATH": os.pathsep.join(paths)} if handler else {}),
                stdout=console,
                stderr=subprocess.STDOUT,
            )

    @property
    def console(self) -> str:
        return (self.folder / "console.txt").read_text(encoding="utf-8")

    def heeds_signals(self) -> bool:
        """Whether Python has come so far that SIGTERM is not simply the end."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        caught = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)  # type: ignore[index]
        return bool(caught & 1 << (signal.SIGTERM - 1))

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + CAP
        while not condition():
            assert self.process.poll() is None, self.console
            assert time.monotonic() < end, self.console
            time.sleep(0.01)

    def until_it_says(self, text: str) -> None:
        self.until(lambda: text in self.console)

    def told(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Asserts that it is gone in time, in order, with stores that can be opened."""
        try:
            code = self.process.wait(GONE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # its threads, on the console
            self.process.wait(CAP)
            raise AssertionError(self.console) from None
        assert code == 0, self.console
        for file in self.folder.glob("*.db"):
            with closing(sqlite3.connect(file)) as store:
                assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.fixture
def lives(tmp_path: Path) -> Iterator[Callable[..., Life]]:
    """Makes gateways; those still there in the end are killed."""
    made: list[Life] = []

    def make(**how: str) -> Life:
        made.append(Life(tmp_path / str(len(made)), **how))
        return made[-1]

    yield make
    for life in made:
        life.process.kill()
        life.process.wait(CAP)


def test_it_ends_at_any_moment_of_its_start(
    lives: Callable[..., Life], monkeypatch: pytest.MonkeyPatch
) -> None:
    # coverage has a handler of its own before we have ours, and dies by the signal then
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)
    for delay in (0.0, random.uniform(0, 0.5), random.uniform(0.5, 2)):
        life = lives()
        life.until(life.heeds_signals)
        time.sleep(delay)
        life.told()
        life.told()
        life.end()


def test_it_ends_whoever_holds_it(lives: Callable[..., Life]) -> None:
    """All at once, since some of these use up the time that they are given."""
    with ExitStack() as sockets:

        def connected(kind: int, address: object, said: bytes) -> None:
            peer = sockets.enter_context(socket.socket(kind))
            peer.connect(address)
            peer.sendall(said)

        deaf = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        address = f"host: 127.0.0.1, port: {deaf.getsockname()[1]}, map: {DEMO_MAP}"
        gateways = [
            lives(),
            lives(plc=f"{{driver: modbus, {address}}}"),
            lives(handler="never"),
            lives(handler="deaf"),
        ]
        half_served = gateways[0]
        for life in gateways:
            life.until_it_says("commands are taken at")
        for life in gateways[2:]:
            life.until_it_says("boots as")
        web = ("127.0.0.1", half_served.port)
        control = str(half_served.folder / "control.sock")
        connected(socket.AF_INET, web, b"POST /Ocpp/CentralSystemService HTTP/1.1\r\nHost: x\r\nCo")
        connected(socket.AF_INET, web, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n<s")
        connected(
            socket.AF_UNIX, control, b"POST /api/users HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"
        )
        time.sleep(1.5)  # so that heartbeats are with the handlers that keep them
        for life in gateways:
            life.told()
        for life in gateways:
            life.end()
            assert "Traceback" not in life.console
