"""Observers: beside the work, each at its own pace."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from ocppgw.observe import Observed, StateChange
from ocppgw.observing import Observers


def change(number: int) -> StateChange:
    return StateChange(
        at=datetime(2026, 1, 1, tzinfo=UTC),
        role="central",
        identity="CP-1",
        subject="plc",
        what=str(number),
    )


CHANGES = [change(number) for number in range(6)]


async def test_plain_functions_and_coroutines_see_everything_in_order() -> None:
    plain: list[Observed] = []
    awaited: list[Observed] = []

    async def observer(observed: Observed) -> None:
        await asyncio.sleep(0)
        awaited.append(observed)

    observers = Observers([("a", plain.append), ("b", observer)])
    for each in CHANGES:
        observers(each)
    await observers.stop()

    assert plain == CHANGES
    assert awaited == CHANGES
    assert observers.lost == 0


async def test_a_callable_object_may_be_a_coroutine_function() -> None:
    class Observer:
        def __init__(self) -> None:
            self.seen: list[Observed] = []

        async def __call__(self, observed: Observed) -> None:
            self.seen.append(observed)

    observer = Observer()
    observers = Observers([("a", observer)])
    observers(CHANGES[0])
    await observers.stop()

    assert observer.seen == CHANGES[:1]


async def test_a_slow_thread_loses_the_oldest_and_delays_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    began, go_on = threading.Event(), threading.Event()
    seen: list[Observed] = []

    def slow(observed: Observed) -> None:
        began.set()
        assert go_on.wait(30)
        seen.append(observed)

    observers = Observers([("snail", slow)], limit=2)
    observers(CHANGES[0])
    assert await asyncio.to_thread(began.wait, 30)
    for each in CHANGES[1:]:
        observers(each)
    go_on.set()
    await observers.stop()

    assert seen == [CHANGES[0], CHANGES[4], CHANGES[5]]
    assert observers.lost == 3
    assert "observer snail is slow: it missed 3 of what happened" in caplog.text


async def test_a_slow_task_loses_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    seen: list[Observed] = []

    async def slow(observed: Observed) -> None:
        began.set()
        await go_on.wait()
        seen.append(observed)

    observers = Observers([("snail", slow)], limit=2)
    observers(CHANGES[0])
    await began.wait()
    for each in CHANGES[1:]:
        observers(each)
    go_on.set()
    await observers.stop()

    assert seen == [CHANGES[0], CHANGES[4], CHANGES[5]]
    assert "it missed 3 of what happened" in caplog.text


async def test_one_that_raises_goes_on_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Observed] = []

    def touchy(observed: Observed) -> None:
        seen.append(observed)
        raise RuntimeError("no")

    async def touchy_too(observed: Observed) -> None:
        touchy(observed)

    observers = Observers([("a", touchy), ("b", touchy_too)])
    observers(CHANGES[0])
    observers(CHANGES[1])
    await observers.stop()

    assert len(seen) == 4
    assert caplog.text.count("observer a failed") == 2
    assert caplog.text.count("observer b failed") == 2


async def test_one_that_hangs_at_the_end_is_left_behind(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocppgw.observing.GRACE", 0.01)
    release = threading.Event()

    async def hangs(observed: Observed) -> None:
        await asyncio.Event().wait()

    observers = Observers([("a", lambda _: release.wait(30)), ("b", hangs)])
    observers(CHANGES[0])
    await observers.stop()
    release.set()

    assert "observer a did not end" in caplog.text
    assert "observer b did not end" in caplog.text


def test_nobody_looking_is_known() -> None:
    assert not Observers([])
