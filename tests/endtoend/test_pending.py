"""A command that waits outlives SIGKILL of the central system, and is sent once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ocppgw.ocpp.model import ChangeAvailabilityRequest, HeartbeatRequest
from ocppgw.testing.processes import Program, free_port
from tests.site.nat import BOOT, Station
from tests.site.plc import OCPPGW, until

pytestmark = pytest.mark.slow

CENTRAL = """
storage: {{backend: file, path: central.db}}
central_system: {{listen: "tcp:{port}:interface=127.0.0.1", stations: {{CP-1: {{}}}}}}
control: {{socket: control.sock}}
"""
LATER = ("CP-1", "ChangeAvailability", "connectorId=1", "type=Inoperative", "--later", "1h")


async def test_killed_while_it_waits_and_again_after_it_was_sent(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "central.yaml").write_text(CENTRAL.format(port=port))
    station = Station(port, tmp_path)

    async def start() -> Program:
        program = Program(
            *OCPPGW, "run", "central.yaml", cwd=tmp_path, console=tmp_path / "console"
        )
        await program.says("commands are taken at")
        return program

    async def commands() -> Any:
        return await station.ask("GET", "/api/pending")

    async def done() -> bool:
        return bool((await commands())[0]["state"] == "done")

    program = await start()
    try:
        await station.says(BOOT)
        kept = await station.command(*LATER)
        program.kill()
        program = await start()
        async with station.reachable():
            await station.says(HeartbeatRequest())
            await until(done, lambda: f"sent {len(station.received)} times, not done")
            program.kill()
            program = await start()
            for _ in range(3):
                await station.says(HeartbeatRequest())
                await asyncio.sleep(0.3)  # time enough to send it again, wrongly
            (command,) = await commands()
        await program.end()
    finally:
        program.kill()

    assert kept.stdout.startswith("ChangeAvailability: waits as command 1 until ")
    assert (command["state"], command["attempts"]) == ("done", 2)
    assert [type(request) for request in station.received] == [ChangeAvailabilityRequest]
