"""The Twisted service around a gateway."""

from __future__ import annotations

import asyncio
import logging

import pytest

from ocppgw.bridge import result_of
from ocppgw.errors import UserError
from ocppgw.service import GatewayService


class Reactor:
    interrupted = 0

    def sigInt(self, number: int) -> None:  # noqa: N802
        self.interrupted += 1


class Gateway:
    def __init__(self, failure: Exception | None = None, *, hangs: bool = False) -> None:
        self.told: list[str] = []
        self.failure = failure
        self.hangs = hangs
        self.began = asyncio.Event()

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
