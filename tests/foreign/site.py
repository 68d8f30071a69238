"""A charge box with its PLC, whose central system is a foreign one: each a process."""

from __future__ import annotations

import itertools
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ocppgw.testing.processes import Program
from tests.site.plc import ROOT, until
from tests.site.plugins import probed
from tests.site.site import BOX, TAG, Site

WSDLS = ROOT / os.environ.get("OCPPGW_WSDL_DIR", "../shared/spec/wsdl")
FAR = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")


class Peer:
    """The foreign central system; ``log`` is what it told, oldest first."""

    def __init__(self, folder: Path, port: int) -> None:
        self.program = Program(
            *(sys.executable, "-m", "tests.foreign.peer", str(WSDLS)),
            *("--port", str(port), "--tag", TAG, "--interval", "1"),
            cwd=ROOT,
            console=folder / "peer.log",
            stdin=True,
        )
        self._numbers = itertools.count(1)

    @property
    def log(self) -> list[dict[str, Any]]:
        lines = self.program.console.split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def done(self, order: str, **details: object) -> dict[str, Any]:
        """An order, and its reply."""
        number = next(self._numbers)
        self.program.write(json.dumps({"do": order, "number": number, **details}))
        replies: list[dict[str, Any]] = []

        def replied() -> bool:
            replies[:] = [told for told in self.log if told.get("number") == number]
            return bool(replies)

        await until(replied)
        assert replies[0]["event"] == "done", replies[0]
        return replies[0]

    async def calls(self, operation: str, wsdl: str = "official", /, **fields: object) -> Any:
        """What the charge box answers to zeep, which must be right to the letter."""
        reply = await self.done("call", identity=BOX, operation=operation, fields=fields, wsdl=wsdl)
        assert reply["problems"] == []
        assert "fault" not in reply, reply
        return reply["answer"]

    def received(self, operation: str, since: int = 0) -> list[dict[str, Any]]:
        """What the charge box has called, behind the ``since`` first lines."""
        return [
            told
            for told in self.log[since:]
            if told["event"] == "received" and told["operation"] == operation
        ]

    async def got(self, operation: str, since: int = 0, **fields: object) -> dict[str, Any]:
        """Waits for such a request with these fields."""

        def matching() -> list[dict[str, Any]]:
            return [
                told
                for told in self.received(operation, since)
                if fields.items() <= told["request"].items()
            ]

        await until(
            lambda: bool(matching()),
            lambda: f"no {operation} with {fields} is among {self.received(operation, since)}",
        )
        return matching()[0]


class ForeignSite(Site):
    """As :class:`Site`, with a foreign central system and a plugin in the charge box."""

    peer: Peer

    async def start_central(self) -> None:
        """Starts the foreign one, and waits until it listens."""
        self.peer = Peer(self.folder, self.central_port)
        self.programs["central"] = self.peer.program
        await self.peer.program.says('"listening"')

    def run(self, name: str) -> Program:
        """Starts the charge box; the plugin of these tests is installed for it."""
        with probed(self.folder):
            return super().run(name)


async def connector_is(site: ForeignSite, connector: int, status: str, since: int = 0) -> None:
    """Waits until that is the last status told of it, behind the ``since`` first lines."""

    def told() -> list[str]:
        return [
            one["request"]["status"]
            for one in site.peer.received("StatusNotification", since)
            if one["request"]["connectorId"] == connector
        ]

    await until(
        lambda: told()[-1:] == [status],
        lambda: f"connector {connector} is {told()}, not {status}",
    )
