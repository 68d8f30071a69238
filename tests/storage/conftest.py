"""Fixtures of the storage tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

Writing: TypeAlias = "Callable[[Path], AbstractContextManager[subprocess.Popen[str]]]"


@pytest.fixture
def writing() -> Writing:
    """Runs a process that writes to a path; killed at the latest when the block ends."""

    @contextmanager
    def run(path: Path) -> Iterator[subprocess.Popen[str]]:
        script = Path(__file__).with_name("writing_process.py")
        command = [sys.executable, str(script), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    return run
