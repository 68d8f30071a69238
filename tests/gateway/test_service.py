"""The Twisted service around a gateway."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

import pytest

from ocppgw import hangup
from ocppgw.bridge import result_of
from ocppgw.errors import UserError
from ocppgw.service import GatewayService


class Reactor:
    def __init__(self) -> None:
        self.interrupted = 0
        self.terminated = 0

    def sigInt(self, number: int) -> None:  # noqa: N802
        self.interrupted += 1

    def sigTerm(self, number: int) -> None:  # noqa: N802
        self.terminated += 1

    def callFromThread(self, call: Callable[[], object]) -> None:  # noqa: N802
        asyncio.get_running_loop().call_soon(call)


class Gateway:
    def __init__(self, failure: Exception | None = None, *, hangs: bool = False) -> None:
        self.told: list[str] = []
        self.failure = failure
        self.hangs = hangs
        self.began = asyncio.Event()
        self.reloaded = asyncio.Event()
        self.reload_failure: Exception | None = None

    def bind(self) -> None:
        self.told.append("bind")

    async def start(self) -> None:
        self.told.append("start")
        self.began.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        self.told.append("started")

    async def reload(self) -> None:
        self.told.append("reload")
        self.reloaded.set()
        if self.reload_failure is not None:
            raise self.reload_failure

    async def stop(self) -> None:
        self.told.append("stop")


def service(gateway: Gateway) -> tuple[GatewayService, Reactor]:
    reactor = Reactor()
    return GatewayService(gateway, reactor), reactor  # type: ignore[arg-type]


async def test_binds_starts_and_stops_in_order() -> None:
    gateway = Gateway()
    made, reactor = service(gateway)
    made.privilegedStartService()
    assert gateway.told == ["bind"]
    made.startService()
    await gateway.began.wait()
    await result_of(made.stopService())

    assert gateway.told[:2] == ["bind", "start"]
    assert gateway.told[-1] == "stop"
    assert (made.exit_code, reactor.interrupted) == (0, 0)


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (UserError("the disk is full"), "could not start: the disk is full"),
        (RuntimeError("bug"), "could not start: unexpected RuntimeError"),
    ],
)
async def test_a_late_failure_ends_the_process(
    failure: Exception, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway(failure)
    made, reactor = service(gateway)
    made.startService()
    await gateway.began.wait()
    await asyncio.sleep(0)
    await result_of(made.stopService())

    assert sentence in caplog.text
    assert (made.exit_code, reactor.interrupted) == (1, 1)
    assert gateway.told[-1] == "stop"


async def test_a_stop_in_the_middle_of_a_start_cuts_it_short() -> None:
    gateway = Gateway(hangs=True)
    made, _ = service(gateway)
    made.startService()
    await gateway.began.wait()
    await result_of(made.stopService())

    assert gateway.told == ["start", "stop"]


async def test_a_stop_before_the_first_turn_starts_nothing() -> None:
    gateway = Gateway()
    made, _ = service(gateway)
    made.startService()
    await result_of(made.stopService())
    await asyncio.sleep(0.01)

    assert gateway.told == ["stop"]


@pytest.mark.parametrize(
    ("failure", "told"),
    [(None, ""), (UserError("wrong"), ""), (RuntimeError("bug"), "the reload failed")],
)
async def test_sighup_has_the_configuration_read_again(
    failure: Exception | None, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway()
    gateway.reload_failure = failure
    before = signal.getsignal(signal.SIGHUP)
    made, reactor = service(gateway)
    made.startService()
    await gateway.began.wait()
    signal.raise_signal(signal.SIGHUP)
    await asyncio.wait_for(gateway.reloaded.wait(), 30)
    await result_of(made.stopService())

    assert gateway.told == ["start", "started", "reload", "stop"]
    assert told in caplog.text
    assert reactor.terminated == 0
    assert signal.getsignal(signal.SIGHUP) is before


async def test_many_sighups_in_a_row_are_two_reloads() -> None:
    gateway = Gateway()
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def reload() -> None:
        gateway.told.append("reload")
        begun.set()
        await goes_on.wait()

    gateway.reload = reload  # type: ignore[method-assign]
    made, _ = service(gateway)
    made.startService()
    await gateway.began.wait()
    signal.raise_signal(signal.SIGHUP)
    await asyncio.wait_for(begun.wait(), 30)
    for _ in range(50):  # the file may have changed since the first one read it
        signal.raise_signal(signal.SIGHUP)
    await asyncio.sleep(0)
    goes_on.set()
    await result_of(made.stopService())

    assert gateway.told.count("reload") == 2


async def test_a_terminal_that_is_closed_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [True]
    monkeypatch.setattr(hangup, "has_terminal", lambda: there[0])
    gateway = Gateway()
    made, reactor = service(gateway)
    made.startService()
    await gateway.began.wait()
    there[0] = False
    signal.raise_signal(signal.SIGHUP)
    await asyncio.sleep(0.01)
    await result_of(made.stopService())

    assert reactor.terminated == 1
    assert "reload" not in gateway.told


def test_the_levels_of_the_configuration() -> None:
    from ocppgw import logs

    root, xml = logging.getLogger(), logging.getLogger(logs.XML)
    before = root.level, xml.level
    try:
        logs.set_level("xml")
        assert (root.level, xml.level) == (logging.INFO, logging.DEBUG)
        logs.set_level("warning")
        assert (root.level, xml.level) == (logging.WARNING, logging.INFO)
    finally:
        root.setLevel(before[0])
        xml.setLevel(before[1])
        logging.captureWarnings(False)
        for name in ("twisted", "asyncio"):
            logging.getLogger(name).setLevel(logging.NOTSET)
