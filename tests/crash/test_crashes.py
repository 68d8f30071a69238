"""SIGKILL at every phase of a session: nothing is lost, nothing counts twice.

In each session the charge box (or the central system) dies at a frame of its start and at
one of its stop, is started again at once, and the session goes on. Afterwards the central
system must hold each session once, in order, with the PLC's own meter readings, and the PLC
its answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import yaml

from ocppgw.testing.processes import CAP
from tests.site.counting import everything_counted_once
from tests.site.plc import DEMO_MAP
from tests.site.proxies import Frame, KillPoint, Proxy, answers, asks, shows, writes
from tests.site.site import TAG, Site

CONNECTORS = yaml.safe_load(DEMO_MAP.read_text())["connectors"]


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


STARTING = {
    **event_phases("start", address("start_request"), address("start_acknowledge")),
    **command_phases("start", address("started"), address("started_answer")),
}
STOPPING = {
    **event_phases("stop", address("stop_request"), address("stop_acknowledge")),
    **command_phases("stop", address("stopped"), address("stopped_answer")),
}
ASKING: dict[str, Matcher] = {
    "StartTransaction sent": functools.partial(asks, b"startTransaction"),
    "StartTransaction answered": functools.partial(answers, b"startTransaction"),
    "MeterValues sent": functools.partial(asks, b"meterValues"),
}
ENDING: dict[str, Matcher] = {
    "StopTransaction sent": functools.partial(asks, b"stopTransaction"),
    "StopTransaction answered": functools.partial(answers, b"stopTransaction"),
}


@pytest.mark.slow
async def test_charge_box_killed_at_every_phase_of_the_hand_shakes(tmp_path: Path) -> None:
    async def all_phases(*, before: bool) -> None:
        async with Site(folder(tmp_path, before), proxies=True) as site:
            crash = Crash(site, "box", site.modbus, before=before)
            for starting, stopping in zip(STARTING.items(), STOPPING.items(), strict=True):
                await session(crash, starting, stopping)
            await everything_counted_once(site, sessions=len(STARTING))

    await both(all_phases)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["box", "central"])
async def test_killed_between_request_and_answer(tmp_path: Path, victim: str) -> None:
    async def all_calls(*, before: bool) -> None:
        async with Site(folder(tmp_path, before), proxies=True) as site:
            crash = Crash(site, victim, site.soap, before=before)
            for asking, ending in itertools.zip_longest(ASKING.items(), ENDING.items()):
                await session(crash, asking, ending)
            await everything_counted_once(site, sessions=len(ASKING))

    await both(all_calls)


async def both(work: Callable[..., Coroutine[Any, Any, None]]) -> None:
    """Killed before the frame is handed on, and after it: two sites, side by side."""
    async with asyncio.TaskGroup() as group:
        for before in (True, False):
            group.create_task(work(before=before))


def folder(path: Path, before: bool) -> Path:
    """A folder for one of the two sites."""
    chosen = path / ("before" if before else "after")
    chosen.mkdir()
    return chosen


class Crash:
    """Kills a program of the site when a frame passes, and starts it again at once."""

    def __init__(self, site: Site, victim: str, proxy: Proxy, *, before: bool) -> None:
        self.site = site
        self._victim = victim
        self._proxy = proxy
        self._before = before

    @contextlib.asynccontextmanager
    async def at(self, point: tuple[str, Matcher] | None) -> AsyncIterator[None]:
        """The crash happens in this block; the program runs again behind it.

        The point is armed when what it is about begins: frames of earlier, still on their
        way after a crash before this one, are not meant.
        """
        if point is None:
            yield
            return
        name, matcher = point
        kill = functools.partial(self.site.kill, self._victim)
        armed = KillPoint(name, matcher(), self._before, kill)
        self._proxy.arm(armed)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._revive(armed))
            yield

    async def _revive(self, point: KillPoint) -> None:
        async with asyncio.timeout(CAP):
            await point.reached.wait()
        site = self.site
        await (site.start_box() if self._victim == "box" else site.start_central())


async def session(
    crash: Crash, starting: tuple[str, Matcher], stopping: tuple[str, Matcher] | None
) -> None:
    """One session from plug to unplug, with a crash at its start and one at its stop."""
    plc = crash.site.plc
    begin = len(plc.log)
    async with crash.at(starting):
        plc.do("arrive")
        plc.do("tag", id_tag=TAG)
        await plc.saw("charging", "", begin)
        await plc.saw("accepted", "answer_start", begin)
    await plc.charge(3)
    async with crash.at(stopping):
        plc.do("tag", id_tag=TAG)
        await plc.saw("finished", "stop", begin)
        await plc.saw("accepted", "answer_stop", begin)
    plc.do("leave")
    await plc.saw("left", "", begin)
