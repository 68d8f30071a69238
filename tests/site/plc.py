"""The simulated PLC as a process, stepped through its line protocol."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from ocppgw.testing.processes import CAP, Program

ROOT = Path(__file__).parents[2]
DEMO_MAP = ROOT / "config" / "maps" / "demo-plc.yaml"
OCPPGW = (sys.executable, "-m", "ocppgw")

# The demo's registers, looked at more often: a test does not wait for a slow poll.
POLLS = {"fast": 0.04, "meter": 0.2, "slow": 1.0}


def quick_map(folder: Path) -> Path:
    """The demo's register map with short polls."""
    described = yaml.safe_load(DEMO_MAP.read_text())
    described["polls"] = POLLS
    path = folder / "plc.yaml"
    path.write_text(yaml.safe_dump(described))
    return path


class Plc:
    """A simulated PLC; ``log`` is what it told, oldest first."""

    def __init__(self, program: Program, where: dict[str, Any], console: Path, begin: int) -> None:
        """``where`` it answers; ``begin`` is where in that file this life of it begins."""
        self.program = program
        self.port: int = where.get("port", 0)
        self.serial: str = where.get("serial", "")
        self._console = console
        self._read = begin
        self._log: list[dict[str, Any]] = []
        self._ordering = asyncio.Lock()  # replies do not say whose they are

    @classmethod
    async def start(
        cls,
        folder: Path,
        described: Path,
        *,
        connectors: int,
        speed: float,
        port: int = 0,
        energy: float = 100_000,
        line: Sequence[str] = (),
        name: str = "plc",
    ) -> Self:
        """Starts the process on that register map and waits until it listens.

        ``line`` are options for another line than TCP.
        """
        console = folder / f"{name}.log"
        begin = console.stat().st_size if console.exists() else 0
        tcp = () if {"--pty", "--serial"} & set(line) else ("--port", str(port))
        program = Program(
            *(*OCPPGW, "simulate", "plc", str(described), *tcp, *line),
            *("--connectors", str(connectors), "--speed", str(speed)),
            *("--energy", str(energy), "--json", "--control"),
            cwd=folder,
            console=console,
            stdin=True,
        )
        try:
            listening = await program.says(r'\{.*"listening".*\}')
        except BaseException:
            program.kill()
            raise
        return cls(program, json.loads(listening.group())["details"], console, begin)

    @property
    def log(self) -> list[dict[str, Any]]:
        with self._console.open("rb") as file:
            file.seek(self._read)
            told = file.read()
        whole = told[: told.rfind(b"\n") + 1]
        self._read += len(whole)
        self._log += [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]
        return self._log

    def do(self, order: str, **details: object) -> None:
        """An order of the line protocol."""
        self.program.write(json.dumps({"do": order, **details}))

    async def done(self, order: str, **details: object) -> Any:
        """An order, and the value it gave."""
        replies: list[dict[str, Any]] = []

        def replied() -> bool:
            replies[:] = [
                told
                for told in self.log[begin:]
                if told.get("order") == order or told["event"] == "error"
            ]
            return bool(replies)

        async with self._ordering:
            begin = len(self.log)
            self.do(order, **details)
            await until(replied)
        assert replies[0]["event"] == "done", replies[0]
        return replies[0].get("value")

    async def read(self, register: str, connector: int = 1) -> Any:
        """The value of a register, as the PLC's program sees it."""
        return await self.done("read", register=register, connector=connector)

    async def saw(self, event: str, about: str = "", since: int = 0) -> dict[str, Any]:
        """Waits until it told of that event, behind the ``since`` first ones."""
        await until(
            lambda: bool(self.told(event, about, since)),
            lambda: f"{event} {about} is not among {self.log[since:]}",
        )
        return self.told(event, about, since)[0]

    def told(self, event: str, about: str = "", since: int = 0) -> list[dict[str, Any]]:
        """What it told of that event."""
        return [
            told
            for told in self.log[since:]
            if told["event"] == event and told.get("about", "") == about
        ]

    async def charge(self, wh: int, connector: int = 1) -> None:
        """Waits until the connector's meter has moved on by that much."""
        enough = await self.read("energy", connector) + wh

        async def moved() -> bool:
            return bool(await self.read("energy", connector) >= enough)

        await until(moved, lambda: f"the meter did not move on by {wh} Wh")


async def until(
    condition: Callable[[], bool | Awaitable[bool]],
    why: Callable[[], str] = lambda: "it never came true",
) -> None:
    """Waits for what must become true, with a generous cap."""
    loop = asyncio.get_running_loop()
    end = loop.time() + CAP
    while True:
        true = condition()
        if true if isinstance(true, bool) else await true:
            return
        assert loop.time() < end, why()
        await asyncio.sleep(0.02)
