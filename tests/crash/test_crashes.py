"""SIGKILL at every phase of a session: nothing is lost, nothing counts twice.

Each kill point is one session: the charge box (or the central system) dies at that frame,
is started again at once, and the session goes on. Afterwards the central system must hold
each session once, in order, with the PLC's own meter readings, and the PLC its answers.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ocppgw.testing.processes import CAP
from tests.crash.proxies import Frame, KillPoint, Proxy, answers, asks, shows, writes
from tests.crash.site import MAP, TAG, Site

CONNECTORS = yaml.safe_load(MAP.read_text())["connectors"]


def address(register: str) -> int:
    """Where a register of connector 1 lies in the demo's map."""
    return int(CONNECTORS["offset"] + CONNECTORS["registers"][register]["addr"])


HOLDING = 3


class Sequence:
    """Matches a frame only after another one was seen, e.g. a register gone down again."""

    def __init__(self, first: Callable[[Frame], bool], then: Callable[[Frame], bool]) -> None:
        self._first, self._then = first, then
        self._seen = False

    def __call__(self, frame: Frame) -> bool:
        if not self._seen:
            self._seen = self._first(frame)
            return False
        return self._then(frame)


Matcher = Callable[[], Callable[[Frame], bool]]


def event_phases(name: str, request: int, acknowledge: int) -> dict[str, Matcher]:
    """The four phases of a hand-shake that the PLC begins."""
    up = functools.partial(shows, HOLDING, request, 1)
    return {
        f"{name} request up": up,
        f"{name} acknowledge up": functools.partial(writes, acknowledge, 1),
        f"{name} request down": lambda: Sequence(up(), shows(HOLDING, request, 0)),
        f"{name} acknowledge down": lambda: Sequence(
            writes(acknowledge, 1), writes(acknowledge, 0)
        ),
    }


def command_phases(name: str, request: int, answer: int) -> dict[str, Matcher]:
    """The four phases of a hand-shake that the charge box begins: its answer."""
    up = functools.partial(shows, HOLDING, answer, 1)
    return {
        f"{name} answer's request up": functools.partial(writes, request, 1),
        f"{name} answer taken": up,
        f"{name} answer's request down": lambda: Sequence(writes(request, 1), writes(request, 0)),
        f"{name} answer's end": lambda: Sequence(up(), shows(HOLDING, answer, 0)),
    }


PLC_SIDE = {
    **event_phases("start", address("start_request"), address("start_acknowledge")),
    **command_phases("start", address("started"), address("started_answer")),
    **event_phases("stop", address("stop_request"), address("stop_acknowledge")),
    **command_phases("stop", address("stopped"), address("stopped_answer")),
}
CENTRAL_SIDE: dict[str, Matcher] = {
    "StartTransaction sent": functools.partial(asks, b"startTransaction"),
    "StartTransaction answered": functools.partial(answers, b"startTransaction"),
    "MeterValues sent": functools.partial(asks, b"meterValues"),
    "StopTransaction sent": functools.partial(asks, b"stopTransaction"),
    "StopTransaction answered": functools.partial(answers, b"stopTransaction"),
}


@pytest.mark.slow
async def test_charge_box_killed_at_every_phase_of_the_hand_shakes(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.start()
    try:
        for before in (True, False):
            for name, matcher in PLC_SIDE.items():
                await session(site, "box", site.modbus, name, matcher, before=before)
        await everything_counted_once(site, sessions=2 * len(PLC_SIDE))
    finally:
        await site.end()


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["box", "central"])
async def test_killed_between_request_and_answer(tmp_path: Path, victim: str) -> None:
    site = Site(tmp_path)
    await site.start()
    try:
        for before in (True, False):
            for name, matcher in CENTRAL_SIDE.items():
                await session(site, victim, site.soap, name, matcher, before=before)
        await everything_counted_once(site, sessions=2 * len(CENTRAL_SIDE))
    finally:
        await site.end()


async def session(
    site: Site, victim: str, proxy: Proxy, name: str, matcher: Matcher, *, before: bool
) -> None:
    """One session from plug to unplug, in which the victim dies at the kill point.

    The point is armed when what it is about begins: frames of the session before, still
    on their way after its own crash, are not meant.
    """
    point = KillPoint(name, matcher(), before, functools.partial(site.kill, victim))
    revived = asyncio.ensure_future(revive(site, victim, point))
    begin = len(site.plc.log)
    at_stop = name.lower().startswith("stop")
    if not at_stop:
        proxy.arm(point)
    site.plc.do("arrive")
    site.plc.do("tag", id_tag=TAG)
    await site.plc.saw("charging", "", begin)
    await site.plc.saw("accepted", "answer_start", begin)
    # Long enough for a sample, or a second and a half, where one is to be caught.
    await site.plc.charge(20 if name.startswith("MeterValues") else 3)
    if at_stop:
        proxy.arm(point)
    site.plc.do("tag", id_tag=TAG)
    await site.plc.saw("finished", "stop", begin)
    await site.plc.saw("accepted", "answer_stop", begin)
    site.plc.do("leave")
    await site.plc.saw("left", "", begin)
    await revived


async def revive(site: Site, victim: str, point: KillPoint) -> None:
    """Starts the victim again once it was killed."""
    async with asyncio.timeout(CAP):
        await point.reached.wait()
    await (site.start_box() if victim == "box" else site.start_central())


async def everything_counted_once(site: Site, *, sessions: int) -> None:
    """Compares what the central system booked with what the PLC did."""
    booked = await all_stopped(site, sessions)
    starts, stops = site.plc.told("raised", "start"), site.plc.told("raised", "stop")
    assert [one["meterStart"] for one in booked] == [meter(told) for told in starts]
    assert [one["meterStop"] for one in booked] == [meter(told) for told in stops]
    assert [one["energy"] for one in booked] == [
        meter(stop) - meter(start) for start, stop in zip(starts, stops, strict=True)
    ]
    assert not any(one.get("suspect") for one in booked)
    given = [told["details"]["transaction"] for told in site.plc.told("transaction")]
    assert list(dict.fromkeys(given)) == [one["transactionId"] for one in booked]
    assert len(site.plc.told("finished", "start")) == sessions
    assert len(site.plc.told("finished", "stop")) == sessions


async def all_stopped(site: Site, sessions: int) -> list[dict[str, Any]]:
    """The transactions, once the last stop has got through."""
    async with asyncio.timeout(CAP):
        while True:
            booked = await site.transactions()
            if [one["state"] for one in booked] == ["stopped"] * sessions:
                return booked
            await asyncio.sleep(0.1)


def meter(told: dict[str, Any]) -> int:
    """The Wh of an event that the PLC raised."""
    return int(told["details"]["meter"])
