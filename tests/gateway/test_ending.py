"""The end: every part is stopped, whatever the others do."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ocppgw import ending
from ocppgw.ending import Ending


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def part(told: list[str]) -> Callable[[str], Any]:
    def made(name: str) -> Any:
        async def stop() -> None:
            told.append(name)

        return stop

    return made


async def test_the_last_that_began_is_the_first_to_stop(told: list[str], part: Any) -> None:
    end = Ending()
    for name in ("store", "role", "service"):
        end.push(name, part(name))
    await end.run()
    await end.run()

    assert told == ["service", "role", "store"]


async def test_what_fails_is_told_and_the_rest_is_stopped(
    told: list[str], part: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails() -> None:
        raise OSError("the disk is gone")

    async def gives_up() -> None:
        raise asyncio.CancelledError

    end = Ending()
    end.push("store", part("store"))
    end.push("role", fails)
    end.push("service", gives_up)
    await end.run()

    assert told == ["store"]
    assert "role did not stop in order: the disk is gone" in caplog.text


async def test_what_does_not_end_is_left_behind_even_if_it_heeds_no_cancelling(
    told: list[str],
    part: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("TOGETHER", "EACH", "LEAST"):
        monkeypatch.setattr(ending, name, 0.01)
    released = asyncio.Event()

    async def deaf() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                told.append("deaf to it")

    async def slow() -> None:
        await asyncio.Event().wait()

    end = Ending()
    end.push("store", part("store"))
    end.push("deaf", deaf)
    end.push("slow", slow)
    await end.run()

    assert told == ["deaf to it", "store"]
    assert "slow did not stop within" in caplog.text
    assert "deaf did not stop within" in caplog.text
    released.set()
    await asyncio.sleep(0)


async def test_an_end_that_is_cut_short_is_taken_up_where_it_was(
    told: list[str], part: Any
) -> None:
    finished = asyncio.Event()

    async def slow() -> None:
        await finished.wait()
        told.append("role")

    first, last = Ending(), Ending()
    first.push("store", part("store"))
    first.push("role", slow)
    run = asyncio.ensure_future(first.run())
    await asyncio.sleep(0)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    last.take(first)
    finished.set()
    await last.run()

    assert told == ["role", "store"]


def test_a_process_that_nothing_ends_is_cut_short_with_a_sentence() -> None:
    program = (
        "import asyncio, logging, threading; from ocppgw.ending import leave_at_last;"
        "logging.basicConfig();"
        "threading.Thread(target=threading.Event().wait, name='stuck plugin').start();"
        "leave_at_last(0.1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert "is cut short; threads still there: stuck plugin" in done.stderr
