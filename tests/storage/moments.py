"""Killing what runs in a fork at each of its moments, one after the other."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import ocppgw.storage

ROOM = str(Path(ocppgw.storage.__file__).parent)


def every_moment(action: Callable[[], object]) -> Iterator[int]:
    """Runs ``action`` in a fork again and again, killed with SIGKILL before the first line
    that it executes in the storage package, then before the second, until it comes to
    its end. Gives control back after each, the last one among them."""
    for moment in count(1):
        pid = os.fork()
        if pid == 0:
            _run(action, moment)
        _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert killed or os.WEXITSTATUS(status) == 0, f"it failed at moment {moment}"
        yield moment
        if not killed:
            return


def _run(action: Callable[[], object], moment: int) -> None:
    lines = count(1)

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(ROOM):
            return None
        if event == "line" and next(lines) == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    code = 1
    try:
        sys.settrace(trace)
        action()
        code = 0
    finally:
        os._exit(code)
