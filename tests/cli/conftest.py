"""The ``ocppgw`` command as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CAP = 60.0  # seconds that anything may take on a busy machine


class Running:
    """A process whose output is a file; ended with SIGTERM."""

    def __init__(self, process: subprocess.Popen[bytes], console: Path) -> None:
        self.process = process
        self._console = console

    @property
    def console(self) -> str:
        return self._console.read_text(encoding="utf-8")

    def says(self, text: str) -> None:
        """Waits until it is on the console."""
        end = time.monotonic() + CAP
        while text not in self.console:
            assert self.process.poll() is None, self.console
            assert time.monotonic() < end, self.console
            time.sleep(0.02)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code."""
        self.process.send_signal(number)
        return self.process.wait(CAP)


@pytest.fixture
def ocppgw(tmp_path: Path) -> Callable[..., Any]:
    """Runs a command to its end; ``output`` is all that it printed."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ocppgw", *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=CAP,
            check=False,
        )

    return run


@pytest.fixture
def started(tmp_path: Path) -> Callable[..., Any]:
    """``with started("run", FILE) as running``."""

    @contextmanager
    def start(*arguments: str, program: tuple[str, ...] = ("-m", "ocppgw")) -> Iterator[Running]:
        console = tmp_path / "console.txt"
        with console.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *program, *arguments],
                cwd=tmp_path,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield Running(process, console)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(CAP)

    return start


@pytest.fixture
def until_gone() -> Callable[[int, Path, str], None]:
    """Waits for a line in a daemon's log, sends SIGTERM, waits until the process is gone."""

    def wait(pid: int, log: Path, line: str) -> None:
        end = time.monotonic() + CAP
        while line not in log.read_text():
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.02)
        os.kill(pid, signal.SIGTERM)
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.02)

    return wait
