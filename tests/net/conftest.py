"""What every test of HTTP has: the reactor, and proof that nothing is left."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocppgw.testing.sockets import Authority


@pytest.fixture
def reactor() -> Any:
    from twisted.internet import reactor as installed

    return installed


@pytest.fixture(autouse=True)
def nothing_left(reactor: Any) -> Iterator[None]:
    """No timer of ours and no socket outlives a test."""
    timers, sockets = _timers(reactor), _sockets()
    yield
    gc.collect()
    assert _timers(reactor) <= timers
    assert _sockets() <= sockets


def _timers(reactor: Any) -> set[str]:
    return {str(call.func) for call in reactor.getDelayedCalls() if "ocppgw" in str(call.func)}


def _sockets() -> int:
    return sum("socket:" in str(fd.resolve()) for fd in Path("/proc/self/fd").iterdir())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)
