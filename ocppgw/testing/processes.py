"""Programs as processes of their own, for tests that start, watch and kill them."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
from pathlib import Path

CAP = 60.0  # seconds that anything may take on a busy machine


class Program:
    """A running program; what it prints goes to a file, which can be waited on.

    A program started again with the same ``console`` goes on writing behind what was
    there; :meth:`says` looks at what this life wrote.
    """

    def __init__(self, *command: str, cwd: Path, console: Path, stdin: bool = False) -> None:
        self._console = console
        self._begin = console.stat().st_size if console.exists() else 0
        with console.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  a test's own command
                command,
                cwd=cwd,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def console(self) -> str:
        """All that this life has printed so far."""
        return self._console.read_bytes()[self._begin :].decode(errors="replace")

    def write(self, line: str) -> None:
        """A line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    async def says(self, pattern: str, after: int = 0) -> re.Match[str]:
        """Waits until the console has it, behind the ``after`` first characters."""
        loop = asyncio.get_running_loop()
        end = loop.time() + CAP
        while not (found := re.compile(pattern).search(self.console, after)):
            assert self._process.poll() is None, f"it ended:\n{self.console}"
            assert loop.time() < end, f"{pattern!r} is not in:\n{self.console}"
            await asyncio.sleep(0.02)
        return found

    def hang_up(self) -> None:
        """SIGHUP: it reads its configuration again, if it is a gateway."""
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """SIGKILL: no last word; returns when the process is gone."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._gone()

    async def end(self) -> int:
        """SIGTERM, and the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return await self.exit_code()

    async def exit_code(self) -> int:
        """Waits for its end."""
        code = await asyncio.to_thread(self._process.wait, CAP)
        self._gone()
        return code

    def _gone(self) -> None:
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
