"""What the README promises of ``config/demo.yaml``: commands to the running demo."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from ocppgw.testing.processes import Program
from ocppgw.web.client import ControlClient
from tests.site.demo import BOX, DEMO, moved
from tests.site.plc import OCPPGW, until
from tests.site.site import command


@pytest.mark.slow
async def test_remote_start_and_stop_of_the_running_demo(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(moved(yaml.safe_load(DEMO.read_text()))))
    (tmp_path / "day.yaml").write_text("[{after: 3600, do: arrive}]")  # nobody comes
    demo = Program(*(*OCPPGW, "run", "demo.yaml"), cwd=tmp_path, console=tmp_path / "console.log")
    send = ("send", "--config", "demo.yaml", BOX)
    try:
        await demo.says("the station is accepted by the central system")
        started = await command(
            tmp_path, *send, "RemoteStartTransaction", "idTag=DEMO-TAG", "connectorId=2"
        )
        await demo.says("connector 2 starts to charge with tag DEMO-TAG")
        (number,) = await transactions(tmp_path, "active")
        stopped = await command(tmp_path, *send, "RemoteStopTransaction", f"transactionId={number}")
        await demo.says(rf"transaction {number} stops at \d+\.\d+ kWh \(Remote\)")

        async def booked() -> bool:
            return await transactions(tmp_path, "stopped") == [number]

        await until(booked)
    finally:
        code = await demo.end()

    assert (started.returncode, started.stdout) == (0, "RemoteStartTransaction: Accepted\n")
    assert (stopped.returncode, stopped.stdout) == (0, "RemoteStopTransaction: Accepted\n")
    assert code == 0
    assert "Traceback" not in demo.console


async def transactions(folder: Path, state: str) -> list[int]:
    """Those in that state."""
    client = ControlClient(folder / "control.sock")
    found = await asyncio.to_thread(client.call, "GET", "/api/transactions")
    return [one["transactionId"] for one in found if one["state"] == state]
